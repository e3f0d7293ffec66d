"""Damaged SLEAP files and DeepLabCut tables: no traceback, no hang, no row lost without a word."""

from __future__ import annotations

import pytest

from tests.fuzz import hdf5_and_csv_mutants
from tests.fuzz.label_mutants import run


@pytest.mark.parametrize(("name", "count"), [("dlc_csv", 60), ("slp", 8)])
def test_damaged_files_are_read_or_refused(name: str, count: int) -> None:
    assert hdf5_and_csv_mutants.check_slp
    assert run(name, count).failures == []
