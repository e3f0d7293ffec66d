from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.errors import MediaError
from poseapp.jobs.frames.cache import FrameCache, Pixels
from poseapp.jobs.frames.loader import FrameLoader, make_thumbnail
from poseapp.project.model import FrameKey


def picture(value: int, side: int = 8) -> Pixels:
    return np.full((side, side, 3), value, dtype=np.uint8)


class Files:
    """A reader whose files are numbers; it can be held back."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def __call__(self, path: Path) -> Pixels:
        index = int(path.stem)
        self.begun.set()
        assert self.gate.wait(120)
        self.read.append(index)
        if index >= 900:
            raise MediaError("is not an image", where=path)
        return picture(index)


def place(index: int) -> tuple[FrameKey, Path]:
    return FrameKey(1, index), Path(f"{index}.png")


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def loader(qtbot: QtBot, files: Files) -> Iterator[FrameLoader]:
    created = FrameLoader(read=files)
    yield created
    files.gate.set()
    created.shutdown()


def collect(loader: FrameLoader) -> list[int]:
    seen: list[int] = []
    loader.loaded.connect(lambda key, pixels: seen.append(int(pixels[0, 0, 0])))
    return seen


def test_the_newest_request_wins(loader: FrameLoader, files: Files, qtbot: QtBot) -> None:
    seen = collect(loader)
    files.gate.clear()
    loader.request(*place(1))
    assert files.begun.wait(120)
    for index in range(2, 9):
        loader.request(*place(index))
    files.gate.set()
    qtbot.waitUntil(lambda: seen == [8])
    assert files.read == [1, 8]


def test_a_cached_frame_comes_before_the_call_returns(loader: FrameLoader, qtbot: QtBot) -> None:
    seen = collect(loader)
    loader.request(*place(1))
    qtbot.waitUntil(lambda: seen == [1])
    loader.request(*place(1))
    assert seen == [1, 1]


def test_neighbours_are_read_ahead_after_the_wanted_frame(loader: FrameLoader, files: Files, qtbot: QtBot) -> None:
    seen = collect(loader)
    loader.request(*place(5), ahead=[place(6), place(4)])
    qtbot.waitUntil(lambda: files.read == [5, 6, 4])
    qtbot.waitUntil(lambda: place(4) in loader.cache)
    loader.request(*place(6))
    assert seen == [5, 6]


def test_an_unreadable_frame_is_told(loader: FrameLoader, qtbot: QtBot) -> None:
    with qtbot.waitSignal(loader.failed) as messages:
        loader.request(*place(900))
    assert messages.args == [FrameKey(1, 900), "900.png: is not an image"]


def test_an_unreadable_neighbour_is_not_told(loader: FrameLoader, files: Files, qtbot: QtBot) -> None:
    messages: list[str] = []
    loader.failed.connect(lambda key, text: messages.append(text))
    seen = collect(loader)
    loader.request(*place(1), ahead=[place(900), place(2)])
    qtbot.waitUntil(lambda: place(2) in loader.cache)
    assert (seen, messages) == ([1], [])


def test_after_clear_a_frame_being_read_is_not_delivered(loader: FrameLoader, files: Files, qtbot: QtBot) -> None:
    seen = collect(loader)
    files.gate.clear()
    loader.request(*place(1))
    assert files.begun.wait(120)
    loader.clear()
    files.gate.set()
    loader.request(*place(2))
    qtbot.waitUntil(lambda: seen == [2])
    assert place(1)[0] != loader._requested


def test_thumbnails_are_small_and_kept(loader: FrameLoader, files: Files, qtbot: QtBot) -> None:
    assert loader.request_thumbnail(*place(3)) is None
    with qtbot.waitSignal(loader.thumbnail_loaded) as messages:
        pass
    assert messages.args is not None
    assert messages.args[0] == FrameKey(1, 3)
    remaining = loader.request_thumbnail(*place(3))
    assert remaining is not None
    assert files.read == [3]


def test_shutdown_leaves_no_thread(qtbot: QtBot, files: Files) -> None:
    loader = FrameLoader(read=files)
    loader.request(*place(1))
    loader.request_thumbnail(*place(2))
    loader.shutdown()
    assert not [t for t in threading.enumerate() if t.name.startswith("poseapp-")]
    loader.shutdown()
    loader.request(*place(3))
    loader.request_thumbnail(*place(3))
    assert not [t for t in threading.enumerate() if t.name.startswith("poseapp-")]


def test_real_files_are_read(qtbot: QtBot, tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((6, 9, 3), (0, 0, 255), dtype=np.uint8))
    loader = FrameLoader()
    try:
        with qtbot.waitSignal(loader.loaded) as messages:
            loader.request(FrameKey(1, 0), path)
        assert messages.args is not None
        assert messages.args[1].shape == (6, 9, 3)
        assert messages.args[1][0, 0].tolist() == [255, 0, 0]
        assert not messages.args[1].flags.writeable
    finally:
        loader.shutdown()


def test_the_cache_stays_within_its_bytes_and_drops_the_longest_unused() -> None:
    cache = FrameCache(max_bytes=4 * 192)
    for index in range(4):
        cache.put(index, picture(index))
    cache.get(0)
    cache.put(4, picture(4))
    assert 0 in cache
    assert 1 not in cache
    assert cache.num_bytes == 4 * 192


def test_the_cache_refuses_a_frame_that_would_push_out_all_others() -> None:
    cache = FrameCache(max_bytes=1000)
    cache.put("small", picture(1))
    big = cache.put("big", picture(2, side=20))
    assert "big" not in cache
    assert "small" in cache
    assert not big.flags.writeable


def test_replacing_and_dropping_keeps_the_count_of_bytes() -> None:
    cache = FrameCache(max_bytes=10_000)
    cache.put("a", picture(1))
    cache.put("a", picture(1, side=16))
    assert cache.num_bytes == 768
    cache.drop("a")
    cache.drop("a")
    assert (cache.num_bytes, len(cache)) == (0, 0)


@pytest.mark.parametrize(("shape", "expected"), [((400, 800), (96, 192)), ((30, 20), (30, 20)), ((5000, 2), (192, 1))])
def test_thumbnails_keep_the_shape_of_the_picture(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert make_thumbnail(np.zeros((*shape, 3), np.uint8)).shape[:2] == expected


def test_a_broken_file_is_known_as_such_and_not_read_for_every_repaint(
    loader: FrameLoader, files: Files, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(loader.health_changed) as messages:
        assert loader.request_thumbnail(*place(900)) is None
    assert messages.args == [FrameKey(1, 900)]
    assert "is not an image" in (loader.problem(*place(900)) or "")
    times = files.read.count(900)
    assert loader.request_thumbnail(*place(900)) is None
    with qtbot.waitSignal(loader.thumbnail_loaded):
        loader.request_thumbnail(*place(1))
    assert files.read.count(900) == times
    loader.clear()
    assert loader.problem(*place(900)) is None
