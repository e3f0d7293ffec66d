from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.alignment.fingerprint import Fingerprint, Similarity, compare, fingerprint
from engine.media.source import open_media
from tests.engine.media.video_clips import Clip, make


def mark(path: Path) -> str:
    with open_media(path) as source:
        return fingerprint(source).to_text()


def test_a_copy_under_another_name_is_the_same(clips, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    shutil.copy(clips["bframes.mp4"], copy)
    assert compare(mark(clips["bframes.mp4"]), mark(copy)) is Similarity.SAME


@pytest.mark.parametrize("other", ["plain.mkv", "hevc.mp4", "stream.ts", "mpeg4.avi"])
def test_the_same_pictures_coded_anew_are_told(clips, other: str) -> None:
    assert compare(mark(clips["bframes.mp4"]), mark(clips[other])) is Similarity.REENCODED


@pytest.mark.parametrize("other", ["cut.mp4", "turned.mp4", "headless.ts", "vfr.mp4"])
def test_other_pictures_are_told(clips, other: str) -> None:
    assert compare(mark(clips["bframes.mp4"]), mark(clips[other])) is Similarity.DIFFERENT


@pytest.mark.slow
def test_a_real_video_coded_smaller_at_half_the_rate_is_told_from_a_later_part_of_it(
    shared: Path, tmp_path: Path
) -> None:
    original = shared / "data" / "dance-video" / "dance.mp4"
    with open_media(original) as source:
        frames = [source.read(i) for i in range(240)]
        size = source.size

    def write(name: str, pictures: list[np.ndarray], rate: int, scale: float = 1) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "9"})
            stream.width, stream.height = (round(side * scale / 2) * 2 for side in size)
            for image in pictures:
                small = cv2.resize(image, (stream.width, stream.height), interpolation=cv2.INTER_AREA)
                for packet in stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
        return path

    first = mark(write("first.mp4", frames[:120], 30))
    assert compare(first, mark(write("small.mp4", frames[:120:2], 15, 0.5))) is Similarity.REENCODED
    assert compare(first, mark(write("later.mp4", frames[120:], 30))) is Similarity.DIFFERENT


def test_folders_of_images_have_one_too(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    for index in range(5):
        picture = np.random.default_rng(index).integers(0, 255, (24, 32, 3)).astype(np.uint8)
        cv2.imwrite(str(one / f"{index}.png"), picture)
    shutil.copytree(one, two)
    assert compare(mark(one), mark(two)) is Similarity.SAME
    (two / "4.png").unlink()
    assert compare(mark(one), mark(two)) is not Similarity.SAME


def test_one_frame_has_one(tmp_path: Path) -> None:
    text = mark(make(Clip("one.mp4", "libx264", frames=1), tmp_path))
    assert text.isascii()
    assert compare(text, text) is Similarity.SAME


@pytest.mark.parametrize("text", ["", "media1:a:1:2x3:4:AAAA", "media2:::::", "media1:a:b:2x3:4:é", ":::::"])
def test_a_text_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="no fingerprint"):
        Fingerprint.from_text(text)


pictures = st.binary(min_size=8 * 144, max_size=8 * 144).map(lambda b: np.frombuffer(b, np.uint8).reshape(8, 12, 12))
prints = st.builds(
    Fingerprint,
    st.text("0123456789abcdef", min_size=1, max_size=32),
    st.integers(1, 10**9),
    st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)),
    st.integers(0, 10**9),
    pictures,
)


@given(prints, prints)
def test_any_fingerprint_round_trips_and_compares_the_same_either_way(a: Fingerprint, b: Fingerprint) -> None:
    assert compare(a.to_text(), a) is Similarity.SAME
    assert compare(a, b) is compare(b.to_text(), a.to_text())


def test_times_are_compared_not_numbers_of_frames(clips) -> None:
    result = Fingerprint.from_text(mark(clips["bframes.mp4"]))
    assert result.frame_count == 150
    assert result.milliseconds == round(Fraction(149, 30) * 1000)


@pytest.mark.parametrize(
    ("position", "value"), [(1, "../../elsewhere"), (1, ""), (2, "-1"), (2, "9" * 30), (3, "-4x8"), (4, "-7")]
)
def test_a_text_that_nothing_here_has_written_is_refused(position: int, value: str) -> None:
    """The key names a file; numbers become sizes of arrays."""
    parts = Fingerprint("ab12", 10, (64, 48), 400, np.zeros((8, 12, 12), np.uint8)).to_text().split(":")
    assert Fingerprint.from_text(":".join(parts)).key == "ab12"
    parts[position] = value
    with pytest.raises(ValueError, match="no fingerprint"):
        Fingerprint.from_text(":".join(parts))
