"""Poses between keyframes: straight lines, or smooth curves that never overshoot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


def interpolate(times: npt.ArrayLike, values: npt.ArrayLike, at: npt.ArrayLike, smooth: bool = False) -> Floats:
    """Values between, and exactly at, known ones; outside of them the first and the last.

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
        ValueError: no known values, or times that do not ascend.
    """
    known, places = np.asarray(times, np.float64), np.asarray(values, np.float64)
    wanted = np.asarray(at, np.float64)
    if known.ndim != 1 or not len(known) or len(places) != len(known) or not (np.diff(known) > 0).all():
        raise ValueError("times must ascend, one for each row of values")
    if len(known) == 1:
        return np.repeat(places, len(wanted), axis=0)
    wanted = wanted.clip(known[0], known[-1])
    left = np.searchsorted(known, wanted, side="right").clip(1, len(known) - 1) - 1
    gaps = np.diff(known)
    part = ((wanted - known[left]) / gaps[left])[:, None]
    first, second = places[left], places[left + 1]
    if not smooth or len(known) == 2:
        line: Floats = first * (1 - part) + second * part
        return line
    slopes = _monotone_slopes(gaps[:, None], np.diff(places, axis=0) / gaps[:, None])
    gap = gaps[left][:, None]
    rise = part**2 * (3 - 2 * part)
    curve: Floats = (
        first * (1 - rise)
        + second * rise
        + gap * slopes[left] * part * (1 - part) ** 2
        + gap * slopes[left + 1] * part**2 * (part - 1)
    )
    # Rounding must not push a value that stays the same off its place.
    return curve.clip(np.minimum(first, second), np.maximum(first, second))


def interpolate_pose(
    times: npt.ArrayLike, points: Floats, visibility: Bytes, at: npt.ArrayLike, smooth: bool = False
) -> tuple[Floats, Bytes]:
    """Poses between keyframes. A point is there where it is in both keyframes around, occluded if in either.

    Args:
        times: (N,) strictly ascending times of the keyframes.
        points: (N, K, 2), visibility: (N, K) of the keyframes.
        at: (M,) not before the first nor behind the last keyframe.

    Returns:
        points (M, K, 2), 0 where absent; visibility (M, K).
    """
    known, wanted = np.asarray(times, np.float64), np.asarray(at, np.float64)
    seen = np.asarray(visibility)
    right = np.searchsorted(known, wanted, side="left").clip(0, len(known) - 1)
    left = np.where(known[right] == wanted, right, np.maximum(right - 1, 0))
    found_seen: Bytes = np.minimum(seen[left], seen[right]).astype(np.uint8)
    found = np.zeros((len(wanted), seen.shape[1], 2))
    for index in range(seen.shape[1]):
        there = seen[:, index] > 0
        rows = found_seen[:, index] > 0
        if rows.any():
            found[rows, index] = interpolate(known[there], points[there, index], wanted[rows], smooth)
    return found, found_seen


def _monotone_slopes(gaps: Floats, steep: Floats) -> Floats:
    """(N, D) slopes at N values from (N-1, 1) distances and (N-1, D) slopes of the straight lines between."""
    before, after = steep[:-1], steep[1:]
    # A weighted harmonic mean where both sides go the same way; level at a peak.
    weight_before, weight_after = 2 * gaps[1:] + gaps[:-1], gaps[1:] + 2 * gaps[:-1]
    same_way = np.sign(before) * np.sign(after) > 0
    safe_before, safe_after = np.where(same_way, before, 1.0), np.where(same_way, after, 1.0)
    with np.errstate(over="ignore"):  # slopes next to nothing give nothing
        mean = (weight_before + weight_after) / (weight_before / safe_before + weight_after / safe_after)
    inner = np.where(same_way, mean, 0.0)
    first = _end_slope(gaps[0], gaps[1], steep[0], steep[1])
    last = _end_slope(gaps[-1], gaps[-2], steep[-1], steep[-2])
    return np.vstack([first, inner, last])


def _end_slope(gap: Floats, next_gap: Floats, steep: Floats, next_steep: Floats) -> Floats:
    """(D,) of the parabola through the three outer values, held back so that nothing overshoots."""
    slope = ((2 * gap + next_gap) * steep - gap * next_steep) / (gap + next_gap)
    slope = np.where(np.sign(slope) == np.sign(steep), slope, 0.0)
    turns = (np.sign(steep) != np.sign(next_steep)) & (np.abs(slope) > 3 * np.abs(steep))
    return np.where(turns, 3 * steep, slope)
