"""Stepping back waits for nothing, and shows the very frames."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MediaError
from engine.media.video.frame_cache import Kept
from engine.media.video.prefetch import Behind
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import number_in

FRAME_BYTES = 40_000


def rest(reader: VideoReader) -> None:
    """Until nothing is being decoded beforehand."""
    behind = reader._behind
    end = time.monotonic() + 120
    while behind is not None and (behind._asked is not None or behind._at is not None):
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("name", ["bframes.mp4", "opengop.ts", "hevc.mkv", "mpeg4.avi"])
def test_the_reader_itself_goes_to_no_key_while_it_steps_back(
    clips, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    starts = []
    with VideoReader(clips[name], cache_bytes=24 * FRAME_BYTES) as reader:
        assert number_in(reader.read(149)) == 149
        original = reader._stream.start
        monkeypatch.setattr(reader._stream, "start", lambda key: (starts.append(key), original(key))[1])
        for i in range(148, -1, -1):
            assert number_in(reader.read(i)) == i
            assert reader._kept.bytes <= 24 * FRAME_BYTES
            rest(reader)
    assert len(starts) <= 1


def test_stepping_back_without_a_rest_shows_the_same(clips) -> None:
    with VideoReader(clips["opengop.mp4"], cache_bytes=20 * FRAME_BYTES) as reader:
        for i in [*range(149, 60, -1), *range(60, 90), *range(90, 20, -2), 140, 139, 138, 5, 4, 3, 2, 1, 0]:
            assert number_in(reader.read(i)) == i


def test_the_thread_ends_with_the_reader(clips) -> None:
    before = threading.active_count()
    reader = VideoReader(clips["bframes.mp4"], cache_bytes=20 * FRAME_BYTES)
    for i in range(149, 120, -1):
        reader.read(i)
    assert threading.active_count() == before + 1
    reader.close()
    assert threading.active_count() == before


def test_a_file_that_goes_away_while_stepping_back_is_an_error(clips, tmp_path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clips["bframes.mp4"].read_bytes())
    with VideoReader(path, cache_bytes=20 * FRAME_BYTES) as reader:
        reader.read(149)
        path.unlink()
        read = []
        for i in range(148, 0, -1):
            try:
                read.append((i, number_in(reader.read(i))))
            except MediaError:
                break
        assert all(i == index for i, index in read)


def test_a_mistake_in_the_thread_stops_nobody(clips, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_arguments) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Behind, "_decode", wrong)
    ends = time.monotonic() + 120
    with VideoReader(clips["bframes.mp4"], cache_bytes=20 * FRAME_BYTES) as reader:
        for i in range(149, 100, -1):
            assert number_in(reader.read(i, stop=lambda: time.monotonic() > ends)) == i
        assert reader._behind is not None
    assert time.monotonic() < ends


def frame(size: int):
    return SimpleNamespace(planes=[SimpleNamespace(buffer_size=size)])


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60), st.integers(0, 40), st.booleans()), max_size=60),
)
def test_what_is_kept_is_bounded_and_what_was_put_last_at_the_focus_stays(limit: int, puts) -> None:
    remaining = Kept(limit)
    for index, size, focus, backwards in puts:
        remaining.focus, remaining.backwards = focus, backwards
        here = frame(size)
        remaining.put(index, here)  # type: ignore[arg-type]
        sizes = {n: f.planes[0].buffer_size for n in range(41) if (f := remaining.get(n)) is not None}
        assert remaining.bytes == sum(sizes.values())
        assert remaining.bytes <= limit or len(sizes) == 1
        assert remaining.capacity() >= 1
        low = remaining.lowest_before(index)
        assert low <= index
        assert all(n in remaining for n in range(low, index))
        if index == focus and size <= limit and not backwards:
            assert remaining.get(index) is here
    remaining.clear()
    assert (remaining.bytes, remaining.get(0)) == (0, None)


def test_frames_behind_a_reader_that_steps_back_go_first() -> None:
    remaining = Kept(50)
    remaining.focus, remaining.backwards = 10, True
    for index in (12, 11, 10, 9, 8, 7):
        remaining.put(index, frame(10))  # type: ignore[arg-type]
    assert [n for n in range(20) if n in remaining] == [7, 8, 9, 10, 11]
    assert remaining.lowest_before(10) == 7
    assert np.isclose(remaining.capacity(), 5)
