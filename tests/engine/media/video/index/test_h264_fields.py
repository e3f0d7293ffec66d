"""Interlaced pictures that are stored as two packets each are one frame each."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.video.index.h264_fields import SecondFields
from engine.media.video.index.index import HIDDEN
from engine.media.video.reader import VideoReader
from tests.engine.media.field_clips import make_fields
from tests.engine.media.video.index.test_keyframes import in_every_order
from tests.engine.media.video_clips import number_in


@pytest.mark.parametrize("name", ["fields.h264", "fields.ts", "fields.mkv", "fields.mp4"])
def test_two_fields_are_one_frame(tmp_path: Path, name: str) -> None:
    path = make_fields(tmp_path / name, 40)
    reader = in_every_order(path)
    assert (reader.frame_count, reader.problems) == (40, [])
    with VideoReader(path) as reader:
        assert [number_in(reader.read(i)) for i in range(40)] == list(range(40))
        if name != "fields.h264":
            assert len(reader.index.packets) == 80
            assert (reader.index.packets.flags & HIDDEN > 0).tolist() == [False, True] * 40
            assert abs(reader.exact_time(39) - Fraction(39, 30)) < Fraction(1, 500)
            assert reader.key_frames().tolist() == [0, 6, 12, 18, 24, 30, 36]


@pytest.mark.parametrize("name", ["bframes.mp4", "stream.ts", "plain.mkv"])
def test_films_without_fields_are_known_as_such(clips, name: str) -> None:
    with av.open(str(clips[name])) as container:
        assert not SecondFields(container.streams.video[0].codec_context.extradata).needed


def test_frames_coded_whole_in_an_interlaced_film_are_no_second_fields(clips) -> None:
    with VideoReader(clips["interlaced.ts"]) as reader:
        assert not (reader.index.packets.flags & HIDDEN).any()


@given(st.binary(max_size=80), st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_are_looked_at(extradata: bytes, packets: list[bytes]) -> None:
    seconds = SecondFields(extradata)
    for data in packets:
        assert seconds.is_second(data) in (True, False)
    with_sequence = SecondFields(b"\0\0\1\x67" + extradata)
    for data in packets:
        with_sequence.is_second(b"\0\0\1\x41" + data)
