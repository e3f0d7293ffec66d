"""Folders of images as people have them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.source import ImageSequence, frame_file_name, open_media


def write(path: Path, level: int, size: tuple[int, int] = (30, 20)) -> None:
    data = cv2.imencode(path.suffix, np.full((size[1], size[0], 3), level, np.uint8))[1]
    path.write_bytes(data.tobytes())


def test_numbers_in_names_count_however_they_are_padded_and_gaps_are_no_frames(tmp_path: Path) -> None:
    for index in (1, 2, 10, 9, 100, 33):
        write(tmp_path / f"shot {index}.png", index)
    write(tmp_path / "shot 0005.png", 5)
    (tmp_path / "notes.txt").write_text("no picture")
    with open_media(tmp_path) as source:
        assert [int(source.read(i)[0, 0, 0]) for i in range(source.frame_count)] == [1, 2, 5, 9, 10, 33, 100]
        assert source.time(6) == 6 / 30


def test_images_may_differ_in_size_and_kind(tmp_path: Path) -> None:
    write(tmp_path / "1.png", 10, (30, 20))
    write(tmp_path / "2.jpg", 20, (50, 10))
    write(tmp_path / "3.bmp", 30, (1, 1))
    with open_media(tmp_path) as source:
        assert source.size == (30, 20)
        assert [source.read(i).shape for i in range(3)] == [(20, 30, 3), (10, 50, 3), (1, 1, 3)]


@pytest.mark.parametrize("broken", [0, 2])
def test_one_broken_image_costs_itself_only(tmp_path: Path, broken: int) -> None:
    for index in range(4):
        write(tmp_path / f"{index}.png", 10 * index)
    (tmp_path / f"{broken}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with open_media(tmp_path) as source:
        assert (source.frame_count, source.size) == (4, (30, 20))
        for i in range(4):
            if i == broken:
                with pytest.raises(MediaError, match=f"{broken}.png"):
                    source.read(i)
            else:
                assert int(source.read(i)[0, 0, 0]) == 10 * i
        assert all("0.png" in problem for problem in source.problems)


def test_a_folder_of_broken_images_says_so(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(b"")
    with pytest.raises(MediaError, match=r"0\.png"):
        open_media(tmp_path)


def test_an_image_that_goes_away_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "1.png", 1)
    write(tmp_path / "2.png", 2)
    source = ImageSequence([tmp_path / "1.png", tmp_path / "2.png"])
    (tmp_path / "2.png").unlink()
    with pytest.raises(MediaError):
        source.read(1)


@pytest.mark.parametrize(("video", "name"), [("a/b.mp4", "a/b/b_000003.png"), ("", "video/video_000003.png")])
def test_frames_of_a_video_are_named_after_it_also_if_it_has_no_name(video: str, name: str) -> None:
    assert frame_file_name(video, 3) == name
