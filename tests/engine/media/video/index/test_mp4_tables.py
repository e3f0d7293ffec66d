"""A few bytes cannot make us ask for gigabytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MediaError
from engine.media.video.index.mp4_tables import check_tables, whole_boxes
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import X264, Clip, make


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(Clip("a.mp4", "libx264", X264, frames=20), tmp_path_factory.mktemp("film")).read_bytes()


@pytest.fixture(scope="module")
def fragments(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    options = {"movflags": "frag_keyframe+empty_moov"}
    clip = Clip("f.mp4", "libx264", X264, frames=60, container_options=options)
    return make(clip, tmp_path_factory.mktemp("film")).read_bytes()


def announce(data: bytes, kind: bytes, offset: int, index: int) -> bytes:
    at = data.index(kind) + 4 + offset
    return data[:at] + index.to_bytes(4, "big") + data[at + 4 :]


@pytest.mark.parametrize(("kind", "offset"), [(b"stts", 4), (b"stsc", 4), (b"stco", 4), (b"stss", 4), (b"stsz", 8)])
def test_a_table_that_announces_a_thousand_million_is_refused(tmp_path: Path, film: bytes, kind, offset: int) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(announce(film, kind, offset, 10**9))
    with pytest.raises(MediaError, match=f"its {kind.decode()} table claims more"):
        VideoReader(path)


def test_pictures_of_one_size_that_are_more_than_the_file_are_refused(tmp_path: Path, film: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(announce(announce(film, b"stsz", 4, 1), b"stsz", 8, 10**9))
    with pytest.raises(MediaError, match="stsz table claims more"):
        VideoReader(path)


def test_a_fragment_that_announces_millions_of_pictures_is_refused(tmp_path: Path, fragments: bytes) -> None:
    path = tmp_path / "f.mp4"
    for data in (
        announce(fragments, b"trun", 4, 170_000_000),
        announce(announce(fragments, b"trun", 0, 1), b"trun", 4, 170_000_000),
    ):
        path.write_bytes(data)
        with pytest.raises(MediaError, match="trun table claims more"):
            VideoReader(path)


def test_whole_files_and_other_files_pass(tmp_path: Path, film: bytes, fragments: bytes) -> None:
    path = tmp_path / "a.mp4"
    for data in (film, fragments, b"", b"a letter", film + b"\xa5" * 100, fragments[:1500]):
        path.write_bytes(data)
        check_tables(path)
    assert check_tables(tmp_path / "gone.mp4")
    path.write_bytes(film)
    assert whole_boxes(path) is None


@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_any_byte_may_be_wrong(
    tmp_path_factory, film: bytes, fragments: bytes, at: int, value: int, whole: bool
) -> None:
    data = bytearray(film if whole else fragments)
    data[at % len(data)] = value
    path = tmp_path_factory.mktemp("any") / "a.mp4"
    path.write_bytes(data)
    with contextlib.suppress(MediaError):
        check_tables(path)
    whole_boxes(path)
