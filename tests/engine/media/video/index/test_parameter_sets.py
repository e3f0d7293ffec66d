"""Every frame of a video, read alone, is the frame that decoding the whole file gives."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.video.decoder import FrameStream
from engine.media.video.index.index import Packets, VideoIndex, load_index, save_index
from engine.media.video.index.indexer import build_index
from engine.media.video.index.parameter_sets import HeaderWatch, KeyHeaders, with_headers
from engine.media.video.reader import VideoReader
from engine.media.video.rgb import PictureMaker
from tests.engine.media.header_clips import (
    Rewrite,
    Source,
    av1_sequence_once,
    join_flv,
    jpeg_tables_once,
    old_x264,
    only_first,
    without_nal,
    write,
)


def x264(more: str = "", **source: object) -> Source:
    options = {"preset": "veryfast", "x264-params": f"threads=1:scenecut=0:bframes=2:keyint=12{more}"}
    return Source("libx264", options, **source)  # type: ignore[arg-type]


def x265(more: str = "") -> Source:
    params = f"log-level=none:info=0:pools=none:frame-threads=1:keyint=12:bframes=2:repeat-headers=1{more}"
    return Source("libx265", {"preset": "ultrafast", "x265-params": params})


MPEG4 = Source("mpeg4", {"g": "12", "bf": "2", "b": "400k"})
MPEG4_OTHER = Source("mpeg4", {"g": "12", "bf": "2", "b": "400k", "mpeg_quant": "1", "flags": "+qpel"})
MPEG2 = Source("mpeg2video", {"g": "12", "bf": "2", "b": "600k"})
MPEG2_OTHER = Source("mpeg2video", {"g": "12", "b": "600k", "intra_matrix": ",".join(["8"] + ["40"] * 63)})
JPEG = Source("mjpeg", {"huffman": "default"}, "yuvj420p")
JPEG_OTHER = Source("mjpeg", {"huffman": "default", "q:v": "20"}, "yuvj420p")
AV1 = Source("libsvtav1", {"g": "12", "preset": "12", "crf": "30"})

AVC_ONCE = without_nal({7, 8}, 0, 31)
HEVC_ONCE = without_nal({32, 33, 34}, 1, 63)
VOL_ONCE = only_first({0xB0, 0xB2, 0xB5, *range(0x30)}, 0xB6)
SEQUENCE_ONCE = only_first({0xB3, 0xB5}, 0x00)
OTHER_264 = ":no-8x8dct=1:qp=40:cabac=0"

FILMS: dict[str, tuple[list[Source], Rewrite | None, str | None]] = {
    "once.h264": ([x264()], AVC_ONCE, "h264"),
    "once.ts": ([x264()], AVC_ONCE, None),
    "changed.h264": ([x264(), x264(OTHER_264)], AVC_ONCE, "h264"),
    "changed.ts": ([x264(), x264(OTHER_264), x264()], AVC_ONCE, None),
    "changed.mp4": ([x264(), x264(OTHER_264)], AVC_ONCE, None),
    "changed.mkv": ([x264(), x264(OTHER_264)], AVC_ONCE, None),
    "open.ts": ([x264(":open-gop=1"), x264(":cabac=0:open-gop=1")], AVC_ONCE, None),
    "size.ts": ([x264(), x264(size=(128, 64))], AVC_ONCE, None),
    "hevc_once.ts": ([x265()], HEVC_ONCE, None),
    "hevc_changed.ts": ([x265(), x265(":no-sao=1:qp=40:ctu=16:no-signhide=1")], HEVC_ONCE, None),
    "hevc_changed.mp4": ([x265(), x265(":no-sao=1:qp=40:ctu=16:no-signhide=1")], HEVC_ONCE, None),
    "hevc_open.mkv": ([x265(":open-gop=1"), x265(":open-gop=1:ctu=16")], HEVC_ONCE, None),
    "vol_once.avi": ([MPEG4], VOL_ONCE, None),
    "vol_changed.avi": ([MPEG4, MPEG4_OTHER], VOL_ONCE, None),
    "vol_repeated.avi": ([MPEG4, MPEG4_OTHER], None, None),
    "sequence_once.m2v": ([MPEG2_OTHER], SEQUENCE_ONCE, "mpeg2video"),
    "sequence_changed.mkv": ([MPEG2, MPEG2_OTHER], SEQUENCE_ONCE, None),
    "sequence_changed.ts": ([MPEG2, MPEG2_OTHER], SEQUENCE_ONCE, None),
    "tables_once.avi": ([JPEG], jpeg_tables_once, None),
    "tables_changed.mkv": ([JPEG, JPEG_OTHER], jpeg_tables_once, None),
    "av1_once.ivf": ([AV1], av1_sequence_once, "ivf"),
    "av1_once.obu": ([AV1], av1_sequence_once, "obu"),
    "av1_once.mp4": ([AV1], av1_sequence_once, None),
}


def plain(path: Path, index: VideoIndex) -> list[np.ndarray]:
    picture = PictureMaker(index.picture)
    with av.open(str(path)) as container:
        return [picture.rgb(frame) for frame in container.decode(video=0)]


def check_every_frame(path: Path, index: VideoIndex) -> None:
    """Read alone, and by one reader that jumps, each frame is that of a plain decode."""
    expected = plain(path, index)
    assert index.frame_count == len(expected)
    assert not index.damaged
    assert not index.problems
    order = list(range(len(expected)))
    random.Random(1).shuffle(order)
    with VideoReader(path, index, cache_bytes=1) as jumping:
        for frame in order:
            with VideoReader(path, index) as fresh:
                assert np.array_equal(fresh.read(frame), expected[frame]), f"frame {frame} read alone"
            assert np.array_equal(jumping.read(frame), expected[frame]), f"frame {frame} reached by a jump"


@pytest.mark.parametrize("name", FILMS)
def test_a_frame_that_needs_headers_of_earlier_packets_is_right_when_read_alone(tmp_path: Path, name: str) -> None:
    sources, rewrite, format = FILMS[name]
    path = write(tmp_path / name, sources, rewrite, format)
    index = build_index(path)
    assert len(index.keys) >= 5
    check_every_frame(path, index)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_fault_of_an_old_encoder_is_worked_around_in_every_frame(tmp_path: Path, suffix: str) -> None:
    path = old_x264(tmp_path / f"old{suffix}")
    check_every_frame(path, build_index(path))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "gray16le"])
def test_slices_that_learn_from_the_frame_before_are_right_in_every_frame(tmp_path: Path, pix_fmt: str) -> None:
    source = Source("ffv1", {"g": "12", "level": "3", "slices": "4"}, pix_fmt)
    path = write(tmp_path / "film.mkv", [source])
    check_every_frame(path, build_index(path))


def test_headers_that_the_container_gives_along_with_a_packet_are_known_behind_it(tmp_path: Path) -> None:
    first = write(tmp_path / "first.flv", [x264()])
    second = write(tmp_path / "second.flv", [x264(OTHER_264)])
    path = join_flv(first, second, tmp_path / "joined.flv", 60 * 40)
    check_every_frame(path, build_index(path))


def test_the_headers_of_keys_are_kept_with_the_index(tmp_path: Path) -> None:
    path = write(tmp_path / "film.ts", [x264(), x264(OTHER_264)], AVC_ONCE)
    index = build_index(path)
    save_index(index, tmp_path / "film.videoindex")
    stored = load_index(tmp_path / "film.videoindex", index.key)
    assert stored is not None
    assert len(stored.packets.headers.blobs) == 2
    assert stored.packets.headers.changed
    check_every_frame(path, stored)


@pytest.mark.slow
def test_the_real_video_of_an_old_encoder_is_right_in_every_part(shared: Path) -> None:
    path = shared / "data/openfield-mouse/videos/m3v1mp4.mp4"
    index = build_index(path)
    picture = PictureMaker(index.picture)
    chosen = [100, 779, 1243, 2000, 2319]
    with av.open(str(path)) as container:
        expected = {n: picture.rgb(frame) for n, frame in enumerate(container.decode(video=0)) if n in chosen}
    for frame in chosen:
        with VideoReader(path, index) as reader:
            assert np.array_equal(reader.read(frame), expected[frame])


def test_headers_without_end_make_no_entry() -> None:
    """Each key needs another megabyte: behind the limit decoding starts at an earlier key."""
    watch = HeaderWatch("mjpeg", None)
    entries = []
    for index in range(400):
        table = bytes([index % 256]) + bytes(60_000)
        data = b"\xff\xd8\xff\xdb" + (len(table) + 2).to_bytes(2, "big") + table + b"\xff\xda\0\2"
        entries.append(watch.see(index, data, is_key=True))
    assert entries[1]
    assert not entries[-1]
    assert sum(map(len, watch.result().blobs)) < 8 << 20


def test_a_change_that_is_not_understood_ends_the_entries() -> None:
    watch = HeaderWatch("vc1", b"first")
    assert watch.see(0, b"packet", True)
    assert watch.see(1, b"packet", True)
    assert not watch.see(2, b"packet", True, b"second")
    assert not watch.see(3, b"packet", True)


CODECS = ["h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "libdav1d", "vp9"]


@given(st.sampled_from(CODECS), st.binary(max_size=60), st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_followed(codec: str, extradata: bytes, packets: list[bytes]) -> None:
    watch = HeaderWatch(codec, extradata)
    for index, data in enumerate(packets):
        watch.see(index, data, True, extradata if index == 2 else None)
    headers = watch.result()
    assert headers.are_consistent(len(packets))
    for index, data in enumerate(packets):
        before = headers.before(index)
        assert len(with_headers(codec, before, data)) == len(before) + len(data)


@pytest.mark.parametrize(
    ("packets", "which", "blobs"),
    [([5, 3], [0, 0], 1), ([3, 9], [0, 0], 1), ([3], [1], 1), ([3], [-1], 1), ([3, 4], [0], 1), ([-1], [0], 1)],
)
def test_numbers_of_headers_that_refer_to_nothing_are_noticed(packets: list[int], which: list[int], blobs: int) -> None:
    headers = KeyHeaders(np.array(packets, np.int32), np.array(which, np.int32), (b"x",) * blobs)
    assert not headers.are_consistent(9)


def test_a_frame_that_looks_damaged_behind_a_jump_is_decoded_from_the_start_first(tmp_path: Path) -> None:
    """The index lacks the headers of the second part, so every jump into it fails; decoding from the start does not."""
    path = write(tmp_path / "film.ts", [x264(), x264(OTHER_264)], AVC_ONCE)
    index = build_index(path)
    poor = replace(index, packets=replace(index.packets, headers=KeyHeaders()))
    expected = plain(path, index)
    for frame in (60, 75, 90, 119):
        with VideoReader(path, poor) as reader:
            assert np.array_equal(reader.read(frame), expected[frame])
            assert np.array_equal(reader.read(frame - 20), expected[frame - 20])
            assert not reader.problems


def test_keys_that_give_other_pictures_than_a_decoding_from_the_start_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeaderWatch, "result", lambda self: KeyHeaders())
    path = old_x264(tmp_path / "old.mkv")
    index = build_index(path)
    assert index.keys.tolist() == [0]
    check_every_frame(path, index)


def test_pictures_before_a_key_are_right_also_where_the_file_says_wrongly_that_they_need_no_others(
    tmp_path: Path,
) -> None:
    """The decoder gives them, made of the key alone, when it starts there."""

    def closed(index: int, data: bytes) -> bytes:
        at = data.find(b"\0\0\1\xb8")
        return data if at < 0 or index == 0 else data[: at + 7] + bytes([data[at + 7] | 0x40]) + data[at + 8 :]

    path = write(tmp_path / "film.mkv", [MPEG2], closed)
    index = build_index(path)
    expected = plain(path, index)
    key = next(int(frame) for frame in index.rank[index.keys[2:]])
    with VideoReader(path, index) as reader:
        for frame in (key, key - 1, key - 2):
            assert np.array_equal(reader.read(frame), expected[frame])


def test_packets_that_came_after_the_index_was_made_are_not_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", [x264()])
    packets = build_index(path).packets
    known = Packets(packets.pts[:30], packets.dts[:30], packets.size[:30], packets.flags[:30])
    stream = FrameStream(path, known, 0)
    stream.start(0)
    while not stream.ended:
        assert all(index < 30 for index, _ in stream.step())
    assert stream.position == 30
    stream.close()
