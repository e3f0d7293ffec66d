"""Optical flow: follows what moves, owns up to what it lost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.errors import MediaError
from engine.tracking.optical_flow import propagate_points


def textured(shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.warpAffine(
        image, np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64), (320, 240), borderMode=cv2.BORDER_REFLECT
    )


POINTS = np.array([[100.0, 100], [160.5, 120.25], [200, 60]])


def test_points_move_with_the_picture() -> None:
    result, ok = propagate_points(textured(), textured((6.5, -3.25)), POINTS)
    assert ok.all()
    assert result == pytest.approx(POINTS + np.array([6.5, -3.25]), abs=0.1)


def test_points_outside_or_not_finite_are_not_followed_but_taken_along() -> None:
    points = np.vstack([POINTS, [[-20, 5], [np.nan, 3]]])
    result, ok = propagate_points(textured(), textured((4, 0)), points)
    assert ok.tolist() == [True, True, True, False, False]
    assert result[3] == pytest.approx([-16, 5], abs=0.1)


def test_what_vanishes_is_not_ok() -> None:
    second = textured((2, 0))
    second[60:140, 130:190] = np.random.default_rng(5).integers(0, 255, (80, 60, 3), np.uint8)
    _, ok = propagate_points(textured(), second, POINTS)
    assert ok.tolist() == [True, False, True]


def test_gray_pictures_and_no_points_will_do() -> None:
    gray = cv2.cvtColor(textured(), cv2.COLOR_RGB2GRAY)
    result, ok = propagate_points(gray, gray, np.zeros((0, 2)))
    assert result.shape == (0, 2)
    assert ok.shape == (0,)
    assert propagate_points(gray, gray, POINTS)[0] == pytest.approx(POINTS, abs=0.05)


def test_pictures_of_different_size_are_refused() -> None:
    with pytest.raises(MediaError, match="differ in size"):
        propagate_points(textured(), textured()[:100], POINTS)
