"""Keys that the container names wrongly are no places to start at."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.video.index.keyframes import Entry, entry_check
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import X264, Clip, make

CODECS = ["h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "vp8", "vp9", "libvpx", "libvpx-vp9"]


def in_every_order(path: Path) -> VideoReader:
    """Read a video in sequence, at random and backwards; all must agree. Returns the reader, closed."""
    with VideoReader(path) as reader:
        truth = [reader.read(i) for i in range(reader.frame_count)]
    count = len(truth)
    with VideoReader(path, reader.index, cache_bytes=1) as other:
        for i in np.random.default_rng(3).integers(0, count, 200).tolist():
            assert np.array_equal(other.read(i), truth[i]), f"at random: {i}"
    with VideoReader(path, reader.index) as other:
        for i in range(count - 1, max(-1, count - 51), -1):
            assert np.array_equal(other.read(i), truth[i]), f"backwards: {i}"
    return reader


@pytest.mark.parametrize("name", ["refresh.ts", "refresh.mkv", "refresh.h264"])
def test_pictures_made_anew_bit_by_bit_are_right_from_the_next_key_on_only(tmp_path: Path, name: str) -> None:
    options = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=30:bframes=3:threads=1"}
    form = "h264" if name.endswith("h264") else None
    reader = in_every_order(make(Clip(name, "libx264", options, frames=120, format=form), tmp_path))
    assert reader.index.gradual.any()
    assert 0 in reader.key_frames()
    assert len(reader.key_frames()) < len(reader.index.keys)


def test_a_film_in_which_every_packet_is_named_a_key_is_entered_at_the_true_ones(tmp_path: Path) -> None:
    path = make(Clip("lies.mp4", "libx264", X264, frames=100), tmp_path)
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    assert in_every_order(path).key_frames().tolist() == [0, 48, 96]


def test_packed_pictures_are_not_entered_at_the_empty_packet_behind_them() -> None:
    check = entry_check("mpeg4", b"", "yuv420p")
    assert check is not None
    assert check(b"\0\0\1\xb6\x17\xff") is None


def test_films_with_a_palette_are_decoded_from_their_start(tmp_path: Path) -> None:
    path = tmp_path / "palette.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("smc", rate=30, options={"g": "8"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for index in range(40):
            frame = av.VideoFrame(64, 48, "pal8")
            rows = np.full((48, frame.planes[0].line_size), index, np.uint8)
            frame.planes[0].update(rows.tobytes())
            colors = np.arange(256, dtype=np.uint32) * 0x030201 | 0xFF000000
            frame.planes[1].update(colors.astype("<u4").tobytes())
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    assert len(in_every_order(path).key_frames()) == 1
    with VideoReader(path) as reader:
        assert reader.read(33)[0, 0].tolist() == [99, 66, 33]


@pytest.mark.parametrize(
    ("codec", "extradata", "data", "expected"),
    [
        ("h264", b"", b"\0\0\0\1\x09\x10\0\0\1\x65\x88", Entry()),
        ("h264", b"\1dd\xff\xff\xe1\0", b"\0\0\0\2\x09\x10\0\0\0\2\x65\x88", Entry()),
        ("h264", b"", b"\0\0\1\x06\x06\x01\xc4\x80\0\0\1\x41\xb8", Entry()),  # recovery at once, an I slice
        ("h264", b"", b"\0\0\1\x06\x06\x01\xc4\x80\0\0\1\x41\xe0", None),  # the same and a P slice
        ("h264", b"", b"\0\0\1\x06\x06\x02\x14\x40\0\0\1\x41\xe0", Entry(9)),
        ("h264", b"", b"\0\0\1\x41\xb8", None),
        ("hevc", b"", b"\0\0\1\x2a\x01", Entry()),
        ("hevc", b"", b"\0\0\1\x02\x01", None),
        ("mpeg4", b"", b"\0\0\1\xb6" + b"\x10" * 30, Entry()),
        ("mpeg4", b"", b"\0\0\1\xb6\x10", None),
        ("mpeg4", b"", b"\0\0\1\xb6" + b"\x50" * 30, None),
        ("mpeg2video", b"", b"\0\0\1\0\0\x08\0", Entry()),
        ("mpeg2video", b"", b"\0\0\1\0\0\x10\0", None),
        ("libvpx", b"", b"\x10", Entry()),
        ("vp8", b"", b"\x11", None),
        ("vp9", b"", b"\x82", Entry()),
        ("vp9", b"", b"\x86", None),
    ],
)
def test_what_a_packet_is_stands_in_its_first_bytes(codec: str, extradata: bytes, data: bytes, expected) -> None:
    check = entry_check(codec, extradata, "yuv420p")
    assert check is not None
    assert check(data) == expected


@given(st.sampled_from(CODECS), st.binary(max_size=40), st.binary(max_size=200))
def test_any_bytes_are_judged(codec: str, extradata: bytes, data: bytes) -> None:
    check = entry_check(codec, extradata, None)
    assert check is not None
    assert isinstance(check(data), Entry | None)
