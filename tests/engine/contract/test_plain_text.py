"""Control characters of strangers do not reach a terminal."""

from __future__ import annotations

from engine.contract.plain_text import one_line


def test_escapes_and_turned_writing_become_visible() -> None:
    assert one_line("a\x1b[31mred\x07 \x9b2J\u202egpj.exe") == "a\\x1b[31mred\\x07 \\x9b2J\\u202egpj.exe"
    assert one_line("two\nlines\r\n\tand  spaces") == "two lines and spaces"
    assert one_line("Größe 位置 é") == "Größe 位置 é"
    assert one_line("\udcff") == "\\udcff"


def test_long_texts_lose_their_middle() -> None:
    assert one_line("a" * 500 + "b" * 500, 105) == "a" * 50 + " ... " + "b" * 50
    assert one_line("a" * 105, 105) == "a" * 105
