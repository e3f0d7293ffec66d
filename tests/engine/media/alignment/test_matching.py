"""A video is found again in other files of the same film, frame for frame."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.alignment import matching as module
from engine.media.alignment.fingerprint import Fingerprint, fingerprint, sampled_frames
from engine.media.alignment.fitting import Line, mutual_frames
from engine.media.alignment.matching import Alignment, OldVideo, align, gray_picture, map_by_time
from engine.media.source import open_media
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import HEIGHT, WIDTH, picture

FRAMES = 250
TIMES = np.arange(FRAMES) / 30


def write(path: Path, pictures: list[np.ndarray], rate: int, quality: int = 4) -> Path:
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": str(quality)})
        stream.width, stream.height = width - width % 2, height - height % 2
        for image in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def found(old: OldVideo, path: Path) -> Alignment:
    with VideoReader(path) as video:
        steps = align(old, video)
        try:
            while True:
                done, total = next(steps)
                assert 0 <= done <= total
        except StopIteration as end:
            return end.value


def wrong(alignment: Alignment, values: list[int]) -> list[int]:
    """Old frames that are in the file and not found, or found at another one."""
    at = {index: position for position, index in reversed(list(enumerate(values)))}
    return [i for i, position in enumerate(alignment.mapping.tolist()) if position != at.get(i, -1)]


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Fingerprint:
    path = write(tmp_path_factory.mktemp("old") / "old.avi", [picture(i) for i in range(FRAMES)], 30, 2)
    with open_media(path) as source:
        return fingerprint(source)


CASES = {
    "coded anew": (list(range(FRAMES)), 30),
    "head cut": (list(range(40, FRAMES)), 30),
    "both ends cut": (list(range(57, 200)), 30),
    "half the rate": (list(range(0, FRAMES, 2)), 15),
    "the other half": (list(range(1, FRAMES, 2)), 15),
    "double speed": (list(range(0, FRAMES, 2)), 30),
    "slow motion": (list(range(FRAMES)), 10),
    "30 to 25": ([i for i in range(FRAMES) if i % 6 != 3], 25),
    "cut, 30 to 25": ([i for i in range(60, FRAMES) if i % 6 != 3], 25),
}


@pytest.mark.parametrize("case", CASES)
def test_from_the_pictures_of_a_fingerprint_alone(case: str, mark: Fingerprint, tmp_path: Path) -> None:
    values, rate = CASES[case]
    path = write(tmp_path / "new.mp4", [picture(i) for i in values], rate)
    old = OldVideo(TIMES, dict(zip(sampled_frames(TIMES), mark.samples)))
    alignment = found(old, path)
    assert alignment.found
    assert wrong(alignment, values) == []


def test_pictures_of_frames_find_a_piece_left_out_of_the_middle(mark: Fingerprint, tmp_path: Path) -> None:
    values = [*range(100), *range(103, FRAMES)]
    path = write(tmp_path / "new.mp4", [picture(i) for i in values], 30)
    labelled = [10, 99, 100, 101, 103, 104, 150, 230]
    pictures = {i: gray_picture(picture(i)) for i in labelled}
    alignment = found(OldVideo(TIMES, pictures), path)
    assert not set(wrong(alignment, values)) & set(labelled)


def test_another_film_is_not_found(mark: Fingerprint, tmp_path: Path) -> None:
    path = write(tmp_path / "new.mp4", [picture(3000 + i) for i in range(60)], 30)
    assert not found(OldVideo(TIMES, dict(zip(sampled_frames(TIMES), mark.samples))), path).found


@pytest.mark.parametrize("count", [1, 2])
def test_a_video_of_a_frame_or_two(count: int, tmp_path: Path) -> None:
    path = write(tmp_path / "new.mp4", [picture(i) for i in range(count)], 30)
    for old in (OldVideo(np.zeros(1), {0: gray_picture(picture(0))}), OldVideo(np.zeros(0), {}), OldVideo(TIMES, {})):
        alignment = found(old, path)
        assert len(alignment.mapping) == len(old.times)
    assert found(OldVideo(np.zeros(1), {0: gray_picture(picture(0))}), path).mapping.tolist() == [0]


def test_black_pictures_say_nothing_and_harm_nothing(tmp_path: Path) -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    path = write(tmp_path / "new.mp4", [black] * 20, 30)
    old = OldVideo(TIMES[:20], {i: gray_picture(black) for i in (2, 9, 17)})
    assert found(old, path).mapping.tolist() == list(range(20))


@pytest.mark.slow
def test_a_real_video_coded_small_cut_and_at_another_rate(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoReader(shared / "data" / "dance-video" / "dance.mp4") as video:
        images = [video.read(i, 320) for i in range(240)]
        pictures = {i: gray_picture(video.read(i)) for i in range(5, 240, 19)}
        times = np.array([video.time(i) for i in range(240)])
    values = [i for i in range(48, 216) if i % 6 != 5]
    path = write(tmp_path / "new.mp4", [images[i] for i in values], 25, 9)
    for below, samples in ((4000, 1500), (50, 40)):  # as a short video, and as a long one
        monkeypatch.setattr(module, "_ALL_BELOW", below)
        monkeypatch.setattr(module, "_MOST_SAMPLES", samples)
        alignment = found(OldVideo(times, pictures), path)
        assert not set(wrong(alignment, values)) & set(pictures)
        assert len(wrong(alignment, values)) <= 4


ascending = st.lists(st.floats(0, 1e4), max_size=30, unique=True).map(lambda values: np.sort(np.array(values, float)))


@given(ascending, ascending, st.floats(0.05, 20), st.floats(-1e4, 1e4))
def test_no_frame_is_given_twice_whatever_the_times(
    old: np.ndarray, new: np.ndarray, speed: float, offset: float
) -> None:
    mapping = mutual_frames(old, new, Line(speed, offset))
    placed = mapping[mapping >= 0]
    assert len(mapping) == len(old)
    assert len(np.unique(placed)) == len(placed)
    assert (np.diff(placed) > 0).all()


@given(ascending)
def test_the_same_times_are_the_same_frames(times: np.ndarray) -> None:
    apart = times[np.diff(times, prepend=-1) > 1e-6]
    assert map_by_time(apart, apart).tolist() == list(range(len(apart)))
