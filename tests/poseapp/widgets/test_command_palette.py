"""A few letters find a command."""

from __future__ import annotations

import pytest

from poseapp.widgets.command_palette import rank


@pytest.mark.parametrize(
    ("better", "worse", "query"),
    [
        ("Swap left and right", "Show swap partners", "swap"),
        ("Export COCO...", "Next pose", "exp"),
        ("Accept all in frame", "Place points", "acc all"),
        ("Fine-tune...", "Find a tune", "fine"),
    ],
)
def test_the_nearer_name_comes_first(better: str, worse: str, query: str) -> None:
    first, second = rank(query, better), rank(query, worse)
    assert first is not None
    assert second is None or first < second


def test_letters_in_order_are_enough() -> None:
    assert rank("exco", "Export COCO") is not None
    assert rank("ocxe", "Export COCO") is None


def test_an_empty_query_fits_everything() -> None:
    assert rank("  ", "Undo") == 0
