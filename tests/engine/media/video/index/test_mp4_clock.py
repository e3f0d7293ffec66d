from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import MediaError
from engine.media.video.index.indexer import build_index
from engine.media.video.index.mp4_clock import video_table
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import X264, Clip, make, number_in, set_edits

FRAMES = 60


def box(data: bytes, *kinds: bytes) -> int:
    """Where the content of a box begins, by the way to it."""
    begin, end = 0, len(data)
    for kind in kinds:
        while data[begin + 4 : begin + 8] != kind:
            begin += int.from_bytes(data[begin : begin + 4], "big")
            assert begin < end, kind
        begin, end = begin + 8, begin + int.from_bytes(data[begin : begin + 4], "big")
    return begin


MVHD = (b"moov", b"mvhd")
MDHD = (b"moov", b"trak", b"mdia", b"mdhd")
ELST = (b"moov", b"trak", b"edts", b"elst")
STTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(Clip("film.mp4", "libx264", X264, frames=FRAMES), tmp_path_factory.mktemp("clock")).read_bytes()


def patched(path: Path, film: bytes, method: tuple[bytes, ...], offset: int, value: int) -> Path:
    at = box(film, *method) + offset
    path.write_bytes(film[:at] + value.to_bytes(4, "big") + film[at + 4 :])
    return path


@pytest.mark.parametrize(
    ("method", "offset", "value"),
    [
        (MDHD, 12, 0), (MDHD, 12, 1), (MDHD, 12, 0xFFFFFFFF), (MVHD, 12, 0x7FFFFFFF),
        (ELST, 8, 0), (ELST, 8, 1), (ELST, 12, 0x7FFFFFFF), (ELST, 12, 0xFFFFFFFF),
        (STTS, 12, 0), (STTS, 12, 0xFFFFFF00),
    ],
)  # fmt: skip
def test_a_damaged_clock_or_edit_list_hides_no_frames(
    tmp_path: Path, film: bytes, method: tuple[bytes, ...], offset: int, value: int
) -> None:
    path = patched(tmp_path / "film.mp4", film, method, offset, value)
    with VideoReader(path) as reader:
        assert reader.frame_count == FRAMES
        assert [number_in(reader.read(n)) for n in range(FRAMES)] == list(range(FRAMES))
        assert len(reader.problems) == 1


@pytest.mark.parametrize("value", [0, 0xFFFFFFFF])
def test_the_times_of_a_track_without_a_time_scale_are_those_of_the_movie(
    tmp_path: Path, film: bytes, value: int
) -> None:
    index = build_index(patched(tmp_path / "film.mp4", film, MDHD, 12, value))
    assert index.times[-1] == pytest.approx((FRAMES - 1) / 30, abs=0.02)
    assert "time scale" in index.problems[0]


def test_an_edit_list_that_is_meant_so_is_followed_and_says_what_it_hides(tmp_path: Path, film: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film)
    set_edits(path, [(20, 10)])
    with VideoReader(path) as reader:
        assert reader.frame_count == 20
        assert number_in(reader.read(0)) == 10
        (problem,) = reader.problems
    assert "20 of the 60 pictures" in problem


def test_ordinary_files_have_no_remark(tmp_path: Path, film: bytes, clips) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film)
    table = video_table(path)
    assert table is not None
    assert (table.pictures, table.follow_edits, table.unit) == (FRAMES, True, None)
    for name in ("hevc.mp4", "fragments.mp4", "mpeg4.mp4", "prores.mov", "late.mp4"):
        assert not build_index(clips[name]).problems, name
    assert video_table(clips["plain.mkv"]) is None


@pytest.mark.parametrize("size", [1 << 20, 1 << 30])
def test_a_picture_that_is_said_to_be_larger_than_the_file_hides_no_others_silently(
    tmp_path: Path, film: bytes, size: int
) -> None:
    data = bytearray(film)
    sizes = data.index(b"stsz") + 16
    data[sizes + 4 * 31 : sizes + 4 * 32] = size.to_bytes(4, "big")
    data[data.index(b"dinf") - 4] = 1  # a box of this length: our own reading of the tables gives up
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    assert video_table(path) is None
    index = build_index(path)
    assert index.frame_count < FRAMES
    assert index.problems


def test_a_lost_frame_is_reported_where_the_handler_of_the_track_is_damaged_too(tmp_path: Path, film: bytes) -> None:
    data = bytearray(film)
    handler = box(film, b"moov", b"trak", b"mdia", b"hdlr")
    data[handler - 4] = 0
    offsets = data.index(b"ctts") + 12
    data[offsets + 8 * 40 + 5] = 1  # one frame moves behind the end of the edit list
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    index = build_index(path)
    assert index.frame_count < FRAMES
    assert index.problems


@settings(max_examples=60)
@given(st.data())
def test_any_byte_of_the_tables_may_be_wrong(tmp_path_factory: pytest.TempPathFactory, film: bytes, data) -> None:
    begin = box(film, b"moov")
    changed = bytearray(film)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(begin, len(film) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("any") / "film.mp4"
    path.write_bytes(changed)
    video_table(path)
    try:
        index = build_index(path)
    except MediaError:
        return
    assert index.frame_count >= FRAMES or index.problems
