from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.video.index import index as video_index
from engine.media.video.index.index import (
    NO_TIME,
    Packets,
    Picture,
    VideoIndex,
    content_key,
    index_path,
    load_index,
    save_index,
)
from engine.media.video.index.indexer import build_index, read_index
from engine.media.video.rgb import turned


def same(a: VideoIndex, b: VideoIndex) -> bool:
    columns = ("pts", "dts", "size", "flags")
    return (
        all(np.array_equal(getattr(a.packets, name), getattr(b.packets, name)) for name in columns)
        and np.array_equal(a.order, b.order)
        and (a.key, a.stream, a.codec, a.time_base, a.picture, a.rate, a.damaged, a.problems)
        == (b.key, b.stream, b.codec, b.time_base, b.picture, b.rate, b.damaged, b.problems)
    )


@pytest.mark.parametrize("name", ["cut.mp4", "vfr.mkv", "raw.h264", "turned.mp4", "headless.ts"])
def test_a_saved_index_comes_back_as_it_was(clips, tmp_path: Path, name: str) -> None:
    index = build_index(clips[name])
    path = index_path(tmp_path / "new" / "folder", index.key)
    save_index(replace(index, damaged=True, problems=["ends early"]), path)
    result = load_index(path, index.key)
    assert result is not None
    assert same(result, replace(index, damaged=True, problems=["ends early"]))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_index_that_would_fill_the_memory_is_not_unpacked(
    clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = read_index(clips["plain.mkv"], tmp_path)
    assert load_index(index_path(tmp_path, index.key), index.key) is not None
    monkeypatch.setattr(video_index, "_MOST_BYTES", 1000)
    assert load_index(index_path(tmp_path, index.key), index.key) is None


def test_an_index_that_is_damaged_or_of_another_file_is_made_anew(clips, tmp_path: Path) -> None:
    path = clips["plain.mkv"]
    index = read_index(path, tmp_path)
    stored = index_path(tmp_path, index.key)
    whole = stored.read_bytes()
    for content in (b"", b"PK\x03\x04", whole[: len(whole) // 2], whole[:200] + b"\0" * 40 + whole[240:]):
        stored.write_bytes(content)
        assert same(read_index(path, tmp_path), index)
        assert stored.read_bytes()[:200] == whole[:200]
    assert load_index(stored, "another") is None
    stored.unlink()
    stored.mkdir()
    assert same(read_index(path, tmp_path), index)


def test_the_key_follows_the_content_not_the_name_or_the_date(clips, tmp_path: Path) -> None:
    data = clips["stream.ts"].read_bytes()
    one, two, three = tmp_path / "1.ts", tmp_path / "2.ts", tmp_path / "3.ts"
    one.write_bytes(data)
    two.write_bytes(data)
    os.utime(two, (1, 1))
    three.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert content_key(one) == content_key(two) != content_key(three)


def test_progress_is_told_and_may_stop_the_reading(clips) -> None:
    class Stop(Exception):
        pass

    import engine.media.video.index.indexer as scan

    def stop(part: float) -> None:
        assert 0 <= part <= 1
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_MANY", 10)
        with pytest.raises(Stop):
            build_index(clips["bframes.mp4"], progress=stop)


def test_frames_before_an_open_key_start_at_the_key_before() -> None:
    pts = np.array([0, 3, 1, 2, 6, 4, 5, 9, 7, 8], np.int64)
    flags = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0], np.uint8)
    packets = Packets(pts, np.arange(10), np.full(10, 5, np.int32), flags)
    index = VideoIndex("k", 0, "c", build_rate(1), Picture((4, 4)), packets, np.argsort(pts).astype(np.int32))
    assert index.start.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert index.times.tolist() == list(range(10))


def build_rate(seconds: int):
    from fractions import Fraction

    return Fraction(seconds)


times = st.lists(st.one_of(st.just(NO_TIME), st.integers(-(2**40), 2**40)), min_size=1, max_size=30)


@given(times, st.data())
def test_any_index_round_trips(tmp_path_factory, pts: list[int], data) -> None:
    count = len(pts)
    order = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True))
    packets = Packets(
        np.array(pts, np.int64),
        np.array(pts[::-1], np.int64),
        np.arange(1, count + 1, dtype=np.int32),
        np.array(data.draw(st.lists(st.integers(0, 15), min_size=count, max_size=count)), np.uint8),
    )
    index = VideoIndex("k", 2, "h264", build_rate(1) / 90000, Picture((7, 5), (4, 3), (0, 1, -1, 0)), packets,
                       np.array(order, np.int32))  # fmt: skip
    path = tmp_path_factory.mktemp("any") / "x.videoindex"
    save_index(index, path)
    result = load_index(path, "k")
    assert result is not None
    assert same(result, index)
    assert result.size == (5, 9)
    assert result.start.min() >= 0
    assert len(result.start) == len(order)


@given(st.sampled_from([(1, 0, 0, 1), (-1, 0, 0, -1), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, 1, 0),
                        (0, 1, -1, 0), (0, -1, -1, 0)]), st.integers(1, 4), st.integers(1, 4))  # fmt: skip
def test_a_turn_takes_every_pixel_where_its_matrix_says(turn, height: int, width: int) -> None:
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    shown = turned(image, turn)
    a, b, c, d = turn
    for y in range(height):
        for x in range(width):
            to_x, to_y = a * x + b * y, c * x + d * y
            to_x += width - 1 if a < 0 else height - 1 if b < 0 else 0
            to_y += height - 1 if d < 0 else width - 1 if c < 0 else 0
            assert np.array_equal(shown[to_y, to_x], image[y, x])
