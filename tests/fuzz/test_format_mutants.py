"""A thousand damaged files of all formats: no traceback, no hang, nothing lost without a word, no broken export."""

from __future__ import annotations

import pytest

from tests.fuzz.format_mutants import KINDS, mutants_of, run

HDF5 = ["deeplabcut_h5", "jabs", "nwb", "sleap"]
"""Each of these is tried in a process of its own by the reader."""


@pytest.mark.parametrize(("names", "count"), [(HDF5, 60), (sorted(KINDS.keys() - set(HDF5)), 960)])
def test_damaged_files_are_read_or_refused(names: list[str], count: int) -> None:
    total = run(names, count, seed=7)
    assert [text for outcome in total.values() for text in outcome.failures] == []
    assert all(outcome.counts["read"] for outcome in total.values())


def test_the_same_numbers_give_the_same_mutant() -> None:
    assert mutants_of("coco", 1, 5) == mutants_of("coco", 1, 5) != mutants_of("coco", 1, 6)
