"""Packets that are overwritten, as bad sectors and interrupted copies do: every other frame keeps its number."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.video.index.frame_order import insert_by_time
from engine.media.video.index.index import NO_TIME, Packets
from engine.media.video.index.indexer import read_index
from engine.media.video.index.keyframes import Use, is_garbled, use_of
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import X264, X265, Clip, make, number_in

FRAMES = 70
SHORT = {**X264, "g": "20", "bf": "2", "x264-params": "threads=1:scenecut=0:keyint=20"}
CLIPS = [
    Clip("h264.mp4", "libx264", SHORT, frames=FRAMES),
    Clip("h264.mkv", "libx264", SHORT, frames=FRAMES),
    Clip("h264.avi", "libx264", {**SHORT, "bf": "0"}, frames=FRAMES),
    Clip("fragments.mp4", "libx264", SHORT, frames=FRAMES, container_options={"movflags": "frag_keyframe+empty_moov"}),
    Clip("hevc.mp4", "libx265", X265, frames=FRAMES),
    Clip("mpeg4.mp4", "mpeg4", {"g": "12", "bf": "2"}, frames=FRAMES),
    Clip("mpeg2.mkv", "mpeg2video", {"g": "15", "bf": "2"}, frames=FRAMES),
    Clip("vp8.webm", "libvpx", {"g": "20", "deadline": "realtime", "cpu-used": "8"}, frames=FRAMES),
    Clip("vp9.webm", "libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}, frames=FRAMES),
    Clip("av1.mp4", "libsvtav1", {"g": "20", "preset": "10", "crf": "20"}, frames=FRAMES),
    Clip("mjpeg.avi", "mjpeg", pix_fmt="yuvj420p", frames=FRAMES),
]


def overwrite(path: Path, packet: int, with_bytes: bytes = b"\0", whole: bool = True) -> bool:
    """Overwrite a packet, or its second half; False when the same bytes lie in the file twice."""
    data = path.read_bytes()
    with av.open(str(path)) as container:
        content = [bytes(p) for p in container.demux(container.streams.video[0]) if p.size][packet]
    if data.count(content) != 1:
        return False
    begin = data.index(content) + (0 if whole else len(content) // 2)
    end = data.index(content) + len(content)
    path.write_bytes(data[:begin] + with_bytes * (end - begin) + data[end:])
    return True


def numbers(path: Path) -> list[int]:
    """What the pictures of an intact file show; compression makes another number of one now and then."""
    with VideoReader(path) as reader:
        return [number_in(reader.read(i)) for i in range(reader.frame_count)]


def offsets(path: Path, order: list[int], truth: list[int]) -> tuple[set[int], set[int]]:
    """How far the numbers in the pictures are from the true ones; frames that are refused, or lost at the end."""
    differences, refused = set(), set()
    with VideoReader(path) as reader:
        assert FRAMES - 3 <= reader.frame_count <= FRAMES
        refused.update(range(reader.frame_count, FRAMES))
        for i in order:
            if i < reader.frame_count:
                try:
                    differences.add(number_in(reader.read(i)) - truth[i])
                except MediaError:
                    refused.add(i)
        assert reader.problems
    return differences, refused


@pytest.mark.parametrize("packet", [4, 20, 33, FRAMES - 4], ids=["start", "key", "middle", "end"])
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_a_packet_of_zeros_moves_no_other_frame(tmp_path: Path, clip: Clip, packet: int) -> None:
    path = make(clip, tmp_path)
    truth = numbers(path)
    if not overwrite(path, packet):
        pytest.skip("the same packet lies in the file twice")
    backwards = list(range(FRAMES - 1, -1, -1))
    at_random = np.random.default_rng(1).permutation(FRAMES).tolist()
    for order in (list(range(FRAMES)), backwards, at_random):
        differences, refused = offsets(path, order, truth)
        assert differences == {0}
        assert 0 < len(refused) < FRAMES


@pytest.mark.parametrize("content", [b"\xff", b"\x5a"])
def test_other_bytes_in_the_place_of_a_packet_move_no_frame_either(tmp_path: Path, content: bytes) -> None:
    for packet in (3, 33):
        path = make(CLIPS[0], tmp_path)
        assert overwrite(path, packet, content)
        differences, refused = offsets(path, list(range(FRAMES)), list(range(FRAMES)))
        assert differences == {0}
        assert refused


def test_half_a_picture_of_hevc_that_is_lost_moves_no_frame(tmp_path: Path) -> None:
    path = make(next(clip for clip in CLIPS if clip.name == "hevc.mp4"), tmp_path)
    assert overwrite(path, 3, whole=False)
    differences, refused = offsets(path, list(range(FRAMES)), list(range(FRAMES)))
    assert differences == {0}
    assert refused


def test_frames_that_are_shown_before_a_damaged_one_but_made_of_it_are_refused_in_sequence_too(tmp_path: Path) -> None:
    path = make(CLIPS[0], tmp_path)
    packet = next(p for p in range(21, 40) if is_shown_late(path, p))
    assert overwrite(path, packet, b"\x55", whole=False)
    forwards = list(range(FRAMES))
    sequence, backwards = (offsets(path, order, forwards) for order in (forwards, forwards[::-1]))
    assert sequence == backwards


def is_shown_late(path: Path, packet: int) -> bool:
    """Whether frames that are stored behind a packet are shown before it."""
    index = read_index(path)
    return int(index.rank[packet]) > int(index.rank[packet + 1])


def test_a_stored_index_of_a_damaged_file_is_used_again(tmp_path: Path) -> None:
    path = make(CLIPS[0], tmp_path)
    assert overwrite(path, 4)
    cache = tmp_path / "cache"
    first = read_index(path, cache)
    (stored,) = cache.iterdir()
    before = stored.stat().st_mtime_ns
    assert np.array_equal(read_index(path, cache).order, first.order)
    assert stored.stat().st_mtime_ns == before


AVCC = b"\1dd\xff\xff\xe1\0"


@pytest.mark.parametrize(
    ("codec", "extradata", "data", "garbled"),
    [
        ("h264", AVCC, bytes(40), True),
        ("h264", AVCC, b"\xff" * 40, True),
        ("h264", AVCC, b"\0\0\0\6\x41abcde", False),
        ("h264", AVCC, b"\0\0\0\6\x41abcde\0\0\0\0\0\0", False),  # padding
        ("h264", AVCC, b"\0\0\0\6\x41abcde\0\0\0\x50\x41abcd", True),  # longer than the packet
        ("h264", AVCC, b"\0\0\0\1\x41abcde", False),  # start codes although lengths are announced
        ("h264", AVCC, bytes(5), False),
        ("h264", b"", bytes(40), True),
        ("h264", b"", b"\0\0\1\x41abcde", False),
        ("hevc", b"", bytes(40), True),
        ("mpeg2video", None, bytes(40), True),
        ("mpeg2video", None, b"\0\0\1\0abcdef", False),
        ("libdav1d", None, bytes(40), True),
        ("libdav1d", None, b"\x12\0\x32abcdef", False),
        ("libvpx", None, bytes(40), True),
        ("ffv1", None, bytes(40), False),
    ],
)
def test_a_packet_that_no_encoder_wrote_is_known(codec: str, extradata: bytes, data: bytes, garbled: bool) -> None:
    assert is_garbled(codec, extradata, data) is garbled


def test_a_packet_that_cannot_be_understood_counts_as_one_that_others_refer_to() -> None:
    assert use_of("h264", AVCC, bytes(40)) is Use.REFERRED
    assert use_of("h264", AVCC, b"\0\0\0\6\x06abcde") is Use.EMPTY


def test_a_damaged_packet_is_put_where_its_time_says_or_where_it_is_stored() -> None:
    size = np.ones(6, np.int32)
    times = np.array([0, 3, 1, 2, 6, 4], np.int64)
    order = [0, 2, 1, 5, 4]
    insert_by_time(Packets(times, times, size, np.zeros(6, np.uint8)), order, 3)
    assert order == [0, 2, 3, 1, 5, 4]
    none = np.full(6, NO_TIME, np.int64)
    order = [0, 1, 2, 4, 5]
    insert_by_time(Packets(none, none, size, np.zeros(6, np.uint8)), order, 3)
    assert order == [0, 1, 2, 3, 4, 5]
