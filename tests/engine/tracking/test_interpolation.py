"""Between keyframes: exact at them, never outside their range, absent points stay absent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.tracking.interpolation import interpolate, interpolate_pose


def test_lines_and_curves_go_through_the_keyframes() -> None:
    times, values = [0, 4, 5, 12], np.array([[0.0, 1], [4, 1], [3, 1], [9, -2]])
    for smooth in (False, True):
        assert interpolate(times, values, times, smooth) == pytest.approx(values)
    assert interpolate(times, values, [2])[0] == pytest.approx([2, 1])


def test_the_curve_is_that_of_the_published_method() -> None:
    # Worked by hand from the formulas: inner slopes 12/7 (at 1), 3.75 (at 2); ends by parabola: 0, 6 (5 and 3 give 6).
    times, values = [0, 1, 2, 3], np.array([[0.0], [1], [4], [9]])
    slopes = [0.0, 1.5, 3.75, 6.0]
    at = 1.5
    expected = (1 + 4) / 2 + (slopes[1] - slopes[2]) / 8
    assert interpolate(times, values, [at], smooth=True)[0, 0] == pytest.approx(expected)


def test_smooth_has_no_kink_where_a_line_has_one() -> None:
    times, values = [0, 10, 20, 30], np.array([[0.0], [10], [15], [16]])
    near = interpolate(times, values, [9.999, 10, 10.001], smooth=True)[:, 0]
    assert near[1] - near[0] == pytest.approx(near[2] - near[1], rel=1e-2)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_nothing_overshoots(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    gaps = data.draw(st.lists(st.integers(1, 500), min_size=count, max_size=count))
    times = np.cumsum(gaps)
    values = data.draw(arrays(np.float64, (count, 2), elements=st.floats(-1e4, 1e4)))
    at = np.linspace(times[0] - 1, times[-1] + 1, 23)
    for smooth in (False, True):
        result = interpolate(times, values, at, smooth)
        right = np.searchsorted(times, at.clip(times[0], times[-1])).clip(0, count - 1)
        left = np.where(times[right] >= at, np.maximum(right - 1, 0), right)
        slack = 1e-6
        assert (result <= np.maximum(values[left], values[right]) + slack).all()
        assert (result >= np.minimum(values[left], values[right]) - slack).all()
        assert interpolate(times, values, times, smooth) == pytest.approx(values, abs=1e-6)


def test_points_are_there_where_both_keyframes_have_them() -> None:
    points = np.zeros((3, 3, 2))
    points[:, :, 0] = np.array([0, 10, 20])[:, None]
    seen = np.array([[2, 2, 0], [2, 1, 2], [2, 0, 2]], np.uint8)
    result, visible = interpolate_pose([0, 10, 20], points, seen, [0, 5, 10, 15, 20])
    assert visible.tolist() == [[2, 2, 0], [2, 1, 0], [2, 1, 2], [2, 0, 2], [2, 0, 2]]
    assert result[:, 0, 0].tolist() == [0, 5, 10, 15, 20]
    assert result[3, 2, 0] == 15
    assert result[3, 1].tolist() == [0, 0]


def test_times_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        interpolate([1, 1], [[0.0], [1]], [1])
