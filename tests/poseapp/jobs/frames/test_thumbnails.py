"""Thumbnails kept on the disk: found again, forgotten with their picture, never more than allowed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.media.images import read_image
from poseapp.jobs.frames.cache import Pixels
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.frames.thumbnails import ThumbnailStore, default_folder
from poseapp.project.model import FrameKey


@pytest.fixture
def store(tmp_path: Path) -> ThumbnailStore:
    return ThumbnailStore(tmp_path / "thumbs")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    assert cv2.imwrite(str(path), np.full((300, 400, 3), (20, 120, 220), np.uint8))
    return path


def _some(value: int = 90) -> Pixels:
    return np.full((30, 40, 3), (value, 20, 200), np.uint8)


def test_a_thumbnail_comes_back_in_its_colors(store: ThumbnailStore, picture: Path) -> None:
    key = store.key(picture)
    assert key is not None
    assert store.get(key) is None
    store.put(key, _some())
    result = store.get(key)
    assert result is not None
    assert result.shape == (30, 40, 3)
    assert np.abs(result.astype(int) - _some()).max() < 12


def test_a_changed_picture_has_another_key(store: ThumbnailStore, picture: Path) -> None:
    before = store.key(picture)
    assert before == store.key(picture)
    assert before != store.key(picture, frame=3)
    assert before != store.key(picture, side=64)
    os.utime(picture, (1, 1))
    assert store.key(picture) != before
    assert store.key(picture.with_name("none.png")) is None


def test_the_folder_stays_within_its_bound_and_the_newest_stay(tmp_path: Path, picture: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3)).astype(np.uint8)
    store = ThumbnailStore(tmp_path / "thumbs", max_bytes=40_000)
    keys = [str(store.key(picture, frame=n)) for n in range(60)]
    for key in keys:
        store.put(key, noise)
        assert store.num_bytes() <= 40_000
    assert store.get(keys[-1]) is not None
    assert store.get(keys[0]) is None
    store.clear()
    assert store.num_bytes() == 0


def test_faults_of_the_disk_are_passed_over(tmp_path: Path, picture: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    store = ThumbnailStore(blocked)
    key = str(store.key(picture))
    store.put(key, _some())
    assert store.get(key) is None
    good = ThumbnailStore(tmp_path / "thumbs")
    good.put(key, _some())
    for path in (tmp_path / "thumbs").rglob("*.webp"):
        path.write_bytes(b"broken")
    assert good.get(key) is None


def test_thumbnails_go_where_the_system_keeps_caches() -> None:
    assert default_folder().parts[-2:] == ("poseapp", "thumbnails")


def test_a_second_window_reads_no_picture(qtbot: QtBot, store: ThumbnailStore, picture: Path) -> None:
    reads: list[float] = []

    def read(path: Path) -> Pixels:
        reads.append(time.monotonic())
        return read_image(path)

    for _ in range(2):
        loader = FrameLoader(read=read, store=store)
        seen: list[Pixels] = []
        loader.thumbnail_loaded.connect(lambda _key, pixels, seen=seen: seen.append(pixels))
        assert loader.request_thumbnail(FrameKey(1, 0), picture) is None
        qtbot.waitUntil(lambda seen=seen: len(seen) == 1, timeout=3000)
        assert seen[0].shape == (144, 192, 3)
        loader.shutdown()
    assert len(reads) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (16382).to_bytes(3, "little") * 2,
    ],
)
def test_a_file_that_is_no_thumbnail_is_passed_over(store: ThumbnailStore, picture: Path, content: bytes) -> None:
    key = store.key(picture)
    assert key is not None
    store.put(key, _some())
    (position,) = (path for path in store.folder.rglob("*") if path.is_file())
    position.write_bytes(content)
    assert store.get(key) is None


def test_a_picture_larger_than_any_thumbnail_is_not_decoded(store: ThumbnailStore, picture: Path) -> None:
    key = store.key(picture)
    assert key is not None
    store.put(key, _some())
    (position,) = (path for path in store.folder.rglob("*") if path.is_file())
    done, data = cv2.imencode(".webp", np.zeros((5000, 20, 3), np.uint8))
    assert done
    position.write_bytes(data.tobytes())
    assert store.get(key) is None
