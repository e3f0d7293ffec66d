"""A hundred damaged files of each kind: no traceback, no hang, nothing lost without a word."""

from __future__ import annotations

import pytest

from tests.fuzz.label_mutants import FORMATS, run


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_damaged_files_are_read_or_refused_in_one_line(name: str) -> None:
    outcome = run(name, 100)
    assert outcome.failures == []
    assert set(outcome.counts) == {"read", "refused"}
