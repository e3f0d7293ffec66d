"""Whatever is wrong in a file: an error in plain words, or frames of the right shape; never a crash, never for ever."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import MediaError
from engine.media.source import open_media
from tests.engine.media.video_clips import X264, X265, Clip, make

SMALL = {**X264, "g": "8"}
CLIPS = {
    clip.name: clip
    for clip in (
        Clip("a.mp4", "libx264", SMALL, frames=20),
        Clip("f.mp4", "libx264", SMALL, frames=20, container_options={"movflags": "frag_keyframe+empty_moov"}),
        Clip("a.mkv", "libx264", SMALL, frames=20),
        Clip("a.ts", "libx264", SMALL, frames=20),
        Clip("h.mp4", "libx265", X265, frames=20),
        Clip("a.avi", "mpeg4", {"g": "8", "bf": "2"}, frames=20),
        Clip("v.webm", "libvpx-vp9", {"g": "8", "deadline": "realtime", "cpu-used": "8"}, frames=20),
        Clip("m.mpg", "mpeg2video", {"g": "8", "bf": "2"}, frames=20),
    )
}


class Whole(dict[str, bytes]):
    """The films, with a short name for the messages of failing tests."""

    def __repr__(self) -> str:
        return "the films"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    return Whole({name: make(clip, folder).read_bytes() for name, clip in CLIPS.items()})


def read_all(path: Path) -> None:
    """Every frame, some of them twice and in another order."""
    try:
        source = open_media(path)
    except MediaError as error:
        assert path.name in str(error)  # noqa: PT017
        return
    with source:
        assert source.frame_count > 0
        width, height = source.size
        for i in [*range(min(source.frame_count, 60)), 0, source.frame_count - 1, source.frame_count // 2]:
            assert isinstance(source.exact_time(i), Fraction)
            try:
                image = source.read(i)
            except MediaError:
                assert source.problems
                continue
            assert image.shape == (height, width, 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["flip", "flip", "cut", "hole", "more"]),
    at=st.integers(0, 1 << 20),
    length=st.integers(1, 2000),
    more=st.binary(max_size=300),
)
@pytest.mark.parametrize("name", CLIPS)
def test_bytes_that_are_changed_cut_off_or_put_in_between(
    whole: Whole, tmp_path: Path, name: str, kind: str, at: int, length: int, more: bytes
) -> None:
    content = bytearray(whole[name])
    at %= len(content)
    if kind == "flip":
        content[at] ^= 1 << length % 8
    elif kind == "cut":
        del content[at:]
    elif kind == "hole":
        del content[at : at + length]
    else:
        content[at:at] = more
    path = tmp_path / name
    path.write_bytes(content)
    read_all(path)
