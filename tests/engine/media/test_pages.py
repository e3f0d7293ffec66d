from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.media.pages import count_pages, has_pages, page_count


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(np.full((20, 30, 3), 40 * n, np.uint8)) for n in range(count)]


def save(path: Path, count: int, **options: object) -> Path:
    first, *others = pictures(count)
    first.save(path, save_all=True, append_images=others, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png"])
def test_pages_and_frames_are_counted(tmp_path: Path, suffix: str, count: int) -> None:
    path = save(tmp_path / f"stack{suffix}", count)
    assert page_count(path) == count
    assert has_pages(path) == (count > 1)


def test_large_tiff_files_and_their_pages_are_counted(tmp_path: Path) -> None:
    assert page_count(save(tmp_path / "big.tif", 3, big_tiff=True)) == 3


def test_what_is_no_image_or_is_not_there_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "noise.tif").write_bytes(b"II*\0" + bytes(range(60)))
    assert page_count(tmp_path / "noise.tif") == 1
    assert page_count(tmp_path / "gone.gif") == 1
    assert page_count(tmp_path) == 1


def test_pages_that_name_each_other_end(tmp_path: Path) -> None:
    """A TIFF whose directory names itself as the next one."""
    directory = b"\1\0" + bytes(12) + (8).to_bytes(4, "little")
    assert count_pages(io.BytesIO(b"II*\0" + (8).to_bytes(4, "little") + directory)) == 1


@given(
    st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"GIF89a", b"RIFF0000WEBP", b"\x89PNG\r\n\x1a\n"]),
    st.binary(max_size=300),
)
def test_any_bytes_are_counted(start: bytes, rest: bytes) -> None:
    assert count_pages(io.BytesIO(start + rest)) >= 1


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp"])
def test_a_file_of_the_field_is_counted(shared: Path, suffix: str) -> None:
    name = "multi" if suffix == ".tif" else "anim"
    path = shared / "field/inputs/multipage" / f"{name}{suffix}"
    with Image.open(path) as opened:
        assert page_count(path) == opened.n_frames  # type: ignore[attr-defined]


class Counting(io.BytesIO):
    """Counts the bytes and the calls that are read."""

    size = calls = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.size += len(data)
        self.calls += 1
        return data


def test_a_small_tiff_of_large_overlapping_directories_is_not_read_for_hours() -> None:
    """Each directory claims 65,535 entries, all within the same bytes."""
    count, link = 2_000, 2 + 12 * 65_535
    data = bytearray(8 + 10 * count + link + 4)
    data[:8] = b"II*\0" + (8).to_bytes(4, "little")
    for at in range(8, 8 + 10 * count, 10):
        data[at : at + 2] = b"\xff\xff"
        data[at + link : at + link + 4] = (at + 10).to_bytes(4, "little")
    file = Counting(bytes(data))
    assert count_pages(file) >= 1
    assert file.size < 64 << 20


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (b"GIF89a" + bytes(7), b"\x21\xf9\1\0\0"),
        (b"RIFF0000WEBP", b"JUNK" + bytes(4)),
        (b"\x89PNG\r\n\x1a\n", bytes(4) + b"tEXt" + bytes(4)),
    ],
)
def test_a_file_of_countless_empty_blocks_is_not_read_to_its_end(start: bytes, block: bytes) -> None:
    count = 1_500_000
    file = Counting(start + block * count)
    assert count_pages(file) == 1
    assert file.tell() < len(start) + len(block) * (count - 1)
