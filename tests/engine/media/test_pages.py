from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.media.pages import count_pages, page_count, remark


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
    assert (remark(path) is None) == (count == 1)


def test_large_tiff_files_and_their_pages_are_counted(tmp_path: Path) -> None:
    assert page_count(save(tmp_path / "big.tif", 3, big_tiff=True)) == 3


def test_the_remark_says_how_many_pictures_there_are(tmp_path: Path) -> None:
    assert remark(save(tmp_path / "stack.tif", 3)) == "holds 3 pictures; only the first is read"


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
