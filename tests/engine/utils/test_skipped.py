"""The list of what a command left out."""

from __future__ import annotations

import argparse
import io
import threading

import pytest

from engine.errors import MediaError
from engine.utils.skipped import Skipped, SkippedItem, add_strict_option


def test_an_item_is_listed_once_with_its_first_reason() -> None:
    skipped = Skipped("images")
    assert skipped.add("a.jpg", "is empty")
    assert not skipped.add("a.jpg", "does not exist")
    assert list(skipped) == [SkippedItem("a.jpg", "is empty")]
    assert "a.jpg" in skipped
    assert "b.jpg" not in skipped


def test_an_error_names_its_file_and_reason() -> None:
    skipped = Skipped()
    skipped.add_error(MediaError("is empty (0 bytes)", where="a.jpg"))
    skipped.add_error(MediaError("is damaged"), where="b.jpg")
    skipped.add_error(PermissionError(13, "Permission denied", "c.jpg"))
    skipped.add_error(MemoryError(), where="d.jpg")
    assert skipped.records() == [
        {"where": "a.jpg", "reason": "is empty (0 bytes)"},
        {"where": "b.jpg", "reason": "is damaged"},
        {"where": "c.jpg", "reason": "cannot be read (Permission denied)"},
        {"where": "d.jpg", "reason": "MemoryError"},
    ]


def test_the_report_shows_the_first_items_and_counts_the_rest() -> None:
    skipped = Skipped("images")
    for index in range(12):
        skipped.add(f"{index}.jpg", "is\nempty")
    stream = io.StringIO()
    skipped.report(stream, shown=2)
    assert stream.getvalue().splitlines() == [
        "warning: skipped 12 images:",
        "  0.jpg: is empty",
        "  1.jpg: is empty",
        "  ... and 10 more",
    ]
    assert skipped.event()["count"] == 12
    assert len(skipped.event()["items"]) == 12


def test_nothing_is_printed_when_nothing_was_skipped() -> None:
    stream = io.StringIO()
    Skipped().report(stream)
    assert stream.getvalue() == ""


def test_a_file_name_that_is_not_text_is_printed_as_an_escape() -> None:
    skipped = Skipped()
    skipped.add("f_\udce9.jpg", "is empty")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    skipped.report(stream)
    stream.seek(0)
    assert "f_\\udce9.jpg: is empty" in stream.read()


@pytest.mark.parametrize(("given", "expected"), [([], 0), (["--strict"], 2)])
def test_strict_makes_a_skipped_item_a_failure(given: list[str], expected: int) -> None:
    parser = argparse.ArgumentParser()
    add_strict_option(parser)
    strict = parser.parse_args(given).strict
    skipped = Skipped()
    assert skipped.status(strict) == 0
    skipped.add("a.jpg", "is empty")
    assert skipped.status(strict) == expected


def test_items_may_come_from_several_threads() -> None:
    skipped = Skipped()
    threads = [threading.Thread(target=lambda: [skipped.add(n, "is empty") for n in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [item.where for item in skipped] == [str(n) for n in range(200)]
