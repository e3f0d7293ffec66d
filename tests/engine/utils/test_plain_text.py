"""Control characters of strangers do not reach a terminal."""

from __future__ import annotations

import logging

from engine.utils.plain_text import OneLineFormatter, one_line, visible


def test_escapes_and_turned_writing_become_visible() -> None:
    assert one_line("a\x1b[31mred\x07 \x9b2J\u202egpj.exe") == "a\\x1b[31mred\\x07 \\x9b2J\\u202egpj.exe"
    assert one_line("two\nlines\r\n\tand  spaces") == "two lines and spaces"
    assert one_line("Größe 位置 é") == "Größe 位置 é"
    assert one_line("\udcff") == "\\udcff"


def test_long_texts_lose_their_middle() -> None:
    assert one_line("a" * 500 + "b" * 500, 105) == "a" * 50 + " ... " + "b" * 50
    assert one_line("a" * 105, 105) == "a" * 105


def test_lines_stay_lines_where_several_are_shown() -> None:
    assert visible("two\nlines\twith \x1b]0;title\x07") == "two\nlines with \\x1b]0;title\\x07"
    assert visible("Größe 位置 é") == "Größe 位置 é"


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    record = logging.LogRecord("n", logging.WARNING, "p", 1, "cannot read %s", ("a\nERROR n: \x1b[2Jforged",), None)
    assert OneLineFormatter("%(levelname)s: %(message)s").format(record) == (
        "WARNING: cannot read a ERROR n: \\x1b[2Jforged"
    )
    record.exc_info = (ValueError, ValueError("x"), None)
    assert OneLineFormatter("%(message)s").format(record).endswith("\nValueError: x")
