"""What a damaged picture spoils is not shown as if it were whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.video.index.keyframes import Use, use_of
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import X264, Clip, make, number_in


def hurt(path: Path, packet: int) -> Path:
    """Overwrite the middle of a packet of an MP4."""
    with VideoReader(path) as reader:
        data = bytearray(path.read_bytes())
        sizes = reader.index.packets.size.astype(np.int64)
    begin = data.index(b"mdat") + 4 + int(sizes[:packet].sum())
    length = int(sizes[packet])
    data[begin + length // 2 : begin + length] = b"\x55" * (length - length // 2)
    path.write_bytes(data)
    return path


def delivered(reader: VideoReader, frames) -> dict[int, np.ndarray]:
    results = {}
    for i in frames:
        try:
            results[i] = reader.read(i)
        except MediaError:
            continue
    return results


def test_frames_made_of_a_damaged_one_are_refused_in_whatever_order_they_are_asked_for(tmp_path: Path) -> None:
    options = {**X264, "g": "20", "bf": "2", "x264-params": "threads=1:scenecut=0:keyint=20"}
    path = hurt(make(Clip("hurt.mp4", "libx264", options, frames=100), tmp_path), 40)
    with VideoReader(path) as reader:
        in_sequence = delivered(reader, range(100))
        assert reader.frame_count == 100
        assert any("damaged" in problem and "frames" in problem for problem in reader.problems)
    assert set(range(40)) | set(range(60, 100)) <= set(in_sequence)
    assert 40 not in in_sequence
    assert all(number_in(image) == i for i, image in in_sequence.items())
    with VideoReader(path) as reader:
        backwards = delivered(reader, range(99, -1, -1))
    with VideoReader(path, cache_bytes=1) as reader:
        at_random = delivered(reader, np.random.default_rng(1).integers(0, 100, 60).tolist())
    for other in (backwards, at_random):
        assert all(i in in_sequence and np.array_equal(in_sequence[i], image) for i, image in other.items())
    assert set(backwards) == set(in_sequence)


def test_a_picture_that_none_refers_to_spoils_itself_only(tmp_path: Path) -> None:
    options = {"preset": "veryfast", "x264-params": "threads=1:scenecut=0:keyint=50:bframes=2:b-adapt=0:b-pyramid=none"}
    path = make(Clip("one.mp4", "libx264", options, frames=60), tmp_path)
    with VideoReader(path) as reader:
        between = next(
            int(p) for p in reader.index.order[20:] if reader.index.packets.pts[p] < reader.index.packets.pts[p - 1]
        )
        frame = int(reader.index.rank[between])
    with VideoReader(hurt(path, between)) as reader:
        good = delivered(reader, range(60))
    assert set(range(60)) - set(good) <= {frame}
    assert all(number_in(image) == i for i, image in good.items() if i != frame)


def test_where_two_recordings_are_joined_all_frames_are_shown(tmp_path: Path) -> None:
    first = make(Clip("first.ts", "libx264", X264, frames=40), tmp_path)
    second = make(Clip("second.ts", "libx264", X264, frames=40), tmp_path)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(path) as reader:
        assert [number_in(reader.read(i)) for i in range(reader.frame_count)] == [*range(40), *range(40)]
        assert [number_in(reader.read(i)) for i in (79, 41, 40, 39, 3)] == [39, 1, 0, 39, 3]


def test_a_clock_that_is_set_back_while_recording_mixes_nothing_up(tmp_path: Path) -> None:
    first = make(Clip("first.ts", "libx264", X264, frames=60, shift=600), tmp_path)
    second = make(Clip("second.ts", "libx264", X264, frames=60, shift=631), tmp_path)
    path = tmp_path / "back.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(path) as reader:
        assert [number_in(reader.read(i)) for i in range(reader.frame_count)] == [*range(60), *range(60)]
        assert [number_in(reader.read(i)) for i in (119, 61, 60, 59, 31)] == [59, 1, 0, 59, 31]


@pytest.mark.parametrize(
    ("codec", "data", "use"),
    [
        ("h264", b"\0\0\1\x41\x88", Use.REFERRED),
        ("h264", b"\0\0\1\x01\x88", Use.ALONE),
        ("h264", b"\0\0\1\x09\xf0", Use.EMPTY),
        ("hevc", b"\0\0\1\x02\x01", Use.REFERRED),
        ("hevc", b"\0\0\1\x4e\x01", Use.EMPTY),
        ("mpeg2video", b"\0\0\1\0\0\x18\0", Use.ALONE),
        ("mpeg2video", b"\0\0\1\0\0\x10\0", Use.REFERRED),
        ("mpeg4", b"\0\0\1\xb6\x90", Use.ALONE),
        ("prores", b"", Use.REFERRED),
    ],
)
def test_the_use_of_a_packet_stands_in_its_first_bytes(codec: str, data: bytes, use: Use) -> None:
    assert use_of(codec, None, data) is use
