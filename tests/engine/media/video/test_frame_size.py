from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.media.video.frame_size import opencv_grid
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import Clip, make, picture


def brightest(image: np.ndarray, step: int) -> tuple[float, float]:
    """Center of the white block that only one of two pictures has."""
    ys, xs = np.nonzero(image[..., step] > 128)
    return float(xs.mean()), float(ys.mean())


@pytest.mark.parametrize("aspect", [None, Fraction(2), Fraction(1, 2), Fraction(12, 11)])
@pytest.mark.parametrize(("turn", "flip"), [(0, False), (90, False), (180, False), (0, True), (90, True), (180, True)])
def test_a_point_that_opencv_sees_is_found_at_the_same_thing_in_the_shown_frame(
    tmp_path: Path, aspect: Fraction | None, turn: int, flip: bool
) -> None:
    path = make(Clip("film.mp4", "libx264", {"qp": "8"}, frames=3, aspect=aspect, turn=turn, flip=flip), tmp_path)
    capture = cv2.VideoCapture(str(path))
    capture.read()
    ok, theirs = capture.read()  # frame 1 has one white block, in a corner
    capture.release()
    assert ok
    assert picture(1).any()
    with VideoReader(path) as reader:
        ours = reader.read(1)
    grid = opencv_grid(path)
    x, y = brightest(theirs, 0)
    if grid is not None:
        assert grid.labels == theirs.shape[1::-1]
        assert grid.shown == ours.shape[1::-1]
        assert grid.points_back(grid.points([x, y])) == pytest.approx((x, y))
        x, y = grid.points([x, y])
    assert (x, y) == pytest.approx(brightest(ours, 0), abs=1.0)


def test_an_ordinary_video_has_one_grid(clips) -> None:
    assert opencv_grid(clips["bframes.mp4"]) is None
