"""An index that was changed is noticed and made anew, also when its digest is right."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.video.index.index import KEY, Packets, VideoIndex, index_path, load_index, save_index
from engine.media.video.index.indexer import build_index, read_index
from engine.media.video.index.parameter_sets import KeyHeaders
from engine.media.video.index.validation import agrees_with_file
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import CLIPS, number_in

Change = Callable[[VideoIndex], VideoIndex]


def with_packets(change: Callable[[Packets], Packets]) -> Change:
    return lambda index: replace(index, packets=change(index.packets))


def every_second(index: VideoIndex) -> VideoIndex:
    """Every second packet, and the frames of these."""
    p = index.packets
    packets = Packets(p.pts[::2], p.dts[::2], p.size[::2], p.flags[::2] | KEY)
    return replace(index, packets=packets, order=np.argsort(packets.pts, kind="stable").astype(np.int32))


def without_middle(index: VideoIndex) -> VideoIndex:
    p = index.packets
    remaining = np.r_[0:60, 80 : len(p)]
    packets = Packets(p.pts[remaining], p.dts[remaining], p.size[remaining], p.flags[remaining])
    return replace(index, packets=packets, order=np.argsort(packets.pts, kind="stable").astype(np.int32))


def turned(index: VideoIndex) -> VideoIndex:
    return replace(index, picture=type(index.picture)(index.picture.coded, index.picture.aspect, (-1, 0, 0, 1)))


CHANGES: dict[str, Change] = {
    "first frame dropped": lambda index: replace(index, order=index.order[1:]),
    "first frame dropped, called damaged": lambda index: replace(index, order=index.order[1:], damaged=True),
    "every second frame": lambda index: replace(index, order=index.order[::2]),
    "every second packet": every_second,
    "a stretch left out": without_middle,
    "backwards": lambda index: replace(index, order=index.order[::-1].copy()),
    "two frames exchanged": lambda index: replace(index, order=index.order[[0, 1, 3, 2, *range(4, len(index.order))]]),
    "mirrored": turned,
    "pixels twice as wide": lambda index: replace(index, picture=replace_aspect(index)),
    "slower": lambda index: replace(index, time_base=index.time_base * 2),
    "another rate": lambda index: replace(index, rate=Fraction(7)),
    "another stream": lambda index: replace(index, stream=99),
    "another codec": lambda index: replace(index, codec=""),
    "times beyond all numbers": with_packets(lambda p: replace(p, pts=p.pts + (1 << 61) * 3)),
    "times scaled": with_packets(lambda p: replace(p, pts=p.pts * 2, dts=p.dts * 2)),
    "sizes": with_packets(lambda p: replace(p, size=p.size + 1)),
    "headers": with_packets(
        lambda p: replace(p, headers=KeyHeaders(np.array([48], np.int32), np.zeros(1, np.int32), (b"\0\0\0\1\x67",)))
    ),
}


def replace_aspect(index: VideoIndex):
    return type(index.picture)(index.picture.coded, (2, 1), index.picture.turn)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("name", ["bframes.mp4", "plain.mkv", "mpeg4.avi", "stream.ts"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_index_is_made_anew(
    clips, tmp_path: Path, name: str, change: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large file only some packets are compared."""
    if size == "large":
        monkeypatch.setattr("engine.media.video.index.validation._SMALL_FILE", 0)
        if change == "a stretch left out" and name == "stream.ts":
            pytest.skip("a large transport stream has no table that tells")
    path = clips[name]
    index = build_index(path)
    stored = index_path(tmp_path, index.key)
    save_index(CHANGES[change](index), stored)
    with VideoReader(path, cache=tmp_path) as reader:
        assert reader.frame_count == 150
        assert reader.index.times.tolist() == index.times.tolist()
        for frame in (0, 1, 70, 149):
            assert number_in(reader.read(frame)) == frame
    result = load_index(stored, index.key)
    assert result is not None
    assert np.array_equal(result.order, index.order)


@pytest.mark.parametrize("small_file", [0, 1 << 30])
@pytest.mark.parametrize("name", [clip.name for clip in CLIPS])
def test_an_index_as_it_was_made_agrees_with_its_file(
    clips, name: str, small_file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.media.video.index.validation._SMALL_FILE", small_file)
    index = build_index(clips[name])
    assert agrees_with_file(index, clips[name])


def test_an_index_is_compared_with_its_file_once(clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_index(clips["plain.mkv"], tmp_path)
    read_index(clips["plain.mkv"], tmp_path)
    monkeypatch.setattr("engine.media.video.index.indexer.agrees_with_file", lambda index, path: pytest.fail("again"))
    read_index(clips["plain.mkv"], tmp_path)


def test_an_archive_without_the_right_digest_is_not_read(clips, tmp_path: Path) -> None:
    index = read_index(clips["plain.mkv"], tmp_path)
    stored = index_path(tmp_path, index.key)
    assert load_index(stored, index.key) is not None
    with np.load(stored) as parts:
        columns = dict(parts)
    columns["size"] = columns["size"] + 1
    np.savez_compressed(tmp_path / "changed.npz", **columns)
    stored.write_bytes((tmp_path / "changed.npz").read_bytes())
    assert load_index(stored, index.key) is None
    with zipfile.ZipFile(stored, "a") as archive:
        archive.comment = b"0" * 64
    assert load_index(stored, index.key) is None


def test_a_packet_that_the_index_has_otherwise_is_an_error_and_no_other_picture(clips) -> None:
    index = build_index(clips["plain.mkv"])
    sizes = index.packets.size.copy()
    sizes[70] += 1
    with VideoReader(clips["plain.mkv"], replace(index, packets=replace(index.packets, size=sizes))) as reader:
        assert number_in(reader.read(10)) == 10
        with pytest.raises(MediaError, match="changed"):
            reader.read(75)
