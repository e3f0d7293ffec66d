"""Names that are too long for a file system are shortened, and stay different."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.utils.file_names import byte_length, shortened, side_name


@pytest.mark.parametrize("character", ["a", "é", "鼠", "🐭"])
@pytest.mark.parametrize("suffix", ["-cache", ".snapshots", ".writer-lock"])
def test_a_name_of_any_length_and_its_suffix_fit_on_the_disk(character: str, suffix: str, tmp_path: Path) -> None:
    names = [side_name(character * count, suffix) for count in range(1, 256)]
    assert len(set(names)) == 255
    for name in names:
        assert byte_length(name) <= 255
        assert name.endswith(suffix)
        (tmp_path / name).mkdir()
    assert names[3] == character * 4 + suffix


def test_no_character_is_cut_in_two() -> None:
    for size in range(20):
        assert shortened("a鼠🐭é", size) == "a鼠🐭é".encode()[:size].decode(errors="ignore")


def test_names_that_are_not_utf8_can_be_shortened() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape") * 120
    assert byte_length(side_name(name, "-cache-of-a-video")) <= 255
