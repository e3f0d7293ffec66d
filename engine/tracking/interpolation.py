"""Poses between keyframes: straight lines, or smooth curves that never overshoot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


def interpolate(times: npt.ArrayLike, values: npt.ArrayLike, at: npt.ArrayLike, smooth: bool = False) -> Floats:
    """Interpolated values; exactly the known ones at their times, the first and the last one outside of them.

    Args:
        times: (N,) strictly ascending, N >= 1.
        values: (N, D).
        at: (M,) in the unit of ``times``.
        smooth: piecewise cubic Hermite with the slopes of F. N. Fritsch, J. Butland, "A method for constructing local
            monotone piecewise cubic interpolants", SIAM J. Sci. Stat. Comput. 5 (1984): smooth, and between two known
            values never above or below both; else straight lines.

    Returns:
        (M, D)

    Raises:
        ValueError: no values, or times that do not ascend.
    """
    known_times, known_values = np.asarray(times, np.float64), np.asarray(values, np.float64)
    at_times = np.asarray(at, np.float64)
    is_ascending = known_times.ndim == 1 and len(known_times) > 0 and bool((np.diff(known_times) > 0).all())
    if not is_ascending or len(known_values) != len(known_times):
        raise ValueError("times must ascend, one for each row of values")
    if len(known_times) == 1:
        return np.repeat(known_values, len(at_times), axis=0)
    at_times = at_times.clip(known_times[0], known_times[-1])
    left = np.searchsorted(known_times, at_times, side="right").clip(1, len(known_times) - 1) - 1
    gaps = np.diff(known_times)
    part = ((at_times - known_times[left]) / gaps[left])[:, None]
    first, second = known_values[left], known_values[left + 1]
    if not smooth or len(known_times) == 2:
        line: Floats = first * (1 - part) + second * part
        return line
    slopes = _monotone_slopes(gaps[:, None], np.diff(known_values, axis=0) / gaps[:, None])
    gap = gaps[left][:, None]
    rise = part**2 * (3 - 2 * part)
    curve: Floats = (
        first * (1 - rise)
        + second * rise
        + gap * slopes[left] * part * (1 - part) ** 2
        + gap * slopes[left + 1] * part**2 * (part - 1)
    )
    # Rounding must not change a value that is the same on both sides.
    return curve.clip(np.minimum(first, second), np.maximum(first, second))


def interpolate_pose(
    times: npt.ArrayLike, points: Floats, visibility: Bytes, at: npt.ArrayLike, smooth: bool = False
) -> tuple[Floats, Bytes]:
    """Poses between keyframes. A point is present if it is present in both surrounding keyframes, occluded if in
    either.

    Args:
        times: (N,) strictly ascending times of the keyframes.
        points: (N, K, 2), visibility: (N, K) of the keyframes.
        at: (M,) not before the first nor after the last keyframe.

    Returns:
        points (M, K, 2), 0 where absent; visibility (M, K).
    """
    known_times, at_times = np.asarray(times, np.float64), np.asarray(at, np.float64)
    known_visibility = np.asarray(visibility)
    right = np.searchsorted(known_times, at_times, side="left").clip(0, len(known_times) - 1)
    left = np.where(known_times[right] == at_times, right, np.maximum(right - 1, 0))
    new_visibility: Bytes = np.minimum(known_visibility[left], known_visibility[right]).astype(np.uint8)
    new_points = np.zeros((len(at_times), known_visibility.shape[1], 2))
    for index in range(known_visibility.shape[1]):
        present = known_visibility[:, index] > 0
        rows = new_visibility[:, index] > 0
        if rows.any():
            new_points[rows, index] = interpolate(known_times[present], points[present, index], at_times[rows], smooth)
    return new_points, new_visibility


def _monotone_slopes(gaps: Floats, line_slopes: Floats) -> Floats:
    """(N, D) slopes at N values from (N-1, 1) distances and (N-1, D) slopes of the straight lines between them."""
    before, after = line_slopes[:-1], line_slopes[1:]
    # A weighted harmonic mean if both sides have the same sign; 0 at a peak.
    weight_before, weight_after = 2 * gaps[1:] + gaps[:-1], gaps[1:] + 2 * gaps[:-1]
    same_sign = np.sign(before) * np.sign(after) > 0
    safe_before, safe_after = np.where(same_sign, before, 1.0), np.where(same_sign, after, 1.0)
    with np.errstate(over="ignore"):  # slopes close to 0 give 0
        mean = (weight_before + weight_after) / (weight_before / safe_before + weight_after / safe_after)
    inner = np.where(same_sign, mean, 0.0)
    first = _end_slope(gaps[0], gaps[1], line_slopes[0], line_slopes[1])
    last = _end_slope(gaps[-1], gaps[-2], line_slopes[-1], line_slopes[-2])
    return np.vstack([first, inner, last])


def _end_slope(gap: Floats, next_gap: Floats, line_slope: Floats, next_line_slope: Floats) -> Floats:
    """(D,) slope of the parabola through the three outer values, limited so that nothing overshoots."""
    slope = ((2 * gap + next_gap) * line_slope - gap * next_line_slope) / (gap + next_gap)
    slope = np.where(np.sign(slope) == np.sign(line_slope), slope, 0.0)
    is_peak = np.sign(line_slope) != np.sign(next_line_slope)
    return np.where(is_peak & (np.abs(slope) > 3 * np.abs(line_slope)), 3 * line_slope, slope)
