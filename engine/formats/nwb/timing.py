"""Which frames of its video the samples of a pose estimation belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.formats.nwb.file import Estimation, Series, Video

_SAME_FRAME = 0.25
"""Frames by which the time of a sample may be off."""
_SAME_TIME = 6
"""Digits of seconds that tell times of two keypoints apart."""
_MAX_FRAME = float(1 << 31)

Indices = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SampleFrames:
    """For each series the frames of its samples; ``remark`` says what was assumed, "" if the file says it all."""

    frames: Sequence[Indices]
    remark: str = ""
    is_certain: bool = True


def frames_of(estimation: Estimation) -> SampleFrames:
    """The frames of the samples of each series.

    - If the video says when its frames are, samples are at the frames of their times.
    - SLEAP writes the numbers of frames as times, and each keypoint without the frames in which it is missing.
    - Else samples are frames from the first on, as trackers write one for each frame of the video.
    """
    counts = [len(series.points) for series in estimation.series]
    given = [_times_of(series) for series in estimation.series]
    times = [each for each in given if each is not None]
    if len(times) < len(given) or not all(np.isfinite(each).all() for each in times):
        remark = ""
        if len(set(counts)) > 1:
            remark = "Keypoints with different numbers of samples and without times: samples are frames from 0 on"
        elif times:
            remark = "Keypoints without usable times: samples are frames from 0 on"
        return SampleFrames([np.arange(count) for count in counts], remark, not remark)
    by_video = [_frames_by_video(each, estimation.video) for each in times]
    exact = [frames for frames in by_video if frames is not None]
    if len(exact) == len(by_video):
        return SampleFrames(exact)
    remark = ""
    if estimation.video.rate > 0 or estimation.video.times is not None:
        remark = "Times that are not those of frames of the video: samples are taken as frames from 0 on"
    elif estimation.software.upper() == "SLEAP":
        whole = [frames for frames in _frames_of_sleap(estimation.series, times) if frames is not None]
        if len(whole) == len(times):
            return SampleFrames(whole)
    first = times[0]
    if all(len(each) == len(first) and np.array_equal(each, first) for each in times):
        return SampleFrames([np.arange(len(first)) for _ in times], remark or _remark_on(first), not remark)
    union = np.unique(np.round(np.concatenate(times), _SAME_TIME))
    frames = [np.searchsorted(union, np.round(each, _SAME_TIME)).astype(np.int64) for each in times]
    remark = remark or "Keypoints with times of their own: frames are the times of all in order"
    return SampleFrames(frames, remark, is_certain=False)


def _times_of(series: Series) -> Times | None:
    if series.times is not None:
        return series.times
    if series.start is None or series.rate <= 0:
        return None
    return np.asarray(series.start + np.arange(len(series.points)) / series.rate)


def _frames_by_video(times: Times, video: Video) -> Indices | None:
    if video.times is not None and np.isfinite(video.times).all() and (np.diff(video.times) > 0).all():
        of_frames = video.times
        nearest = np.clip(np.searchsorted(of_frames, times), 1, max(1, len(of_frames) - 1))
        if len(of_frames) > 1:
            is_before = times - of_frames[nearest - 1] < of_frames[nearest] - times
            nearest = np.where(is_before, nearest - 1, nearest)
            if (np.abs(of_frames[nearest] - times) <= np.diff(of_frames).min() * _SAME_FRAME).all():
                return nearest.astype(np.int64)
        return None
    with np.errstate(over="ignore"):
        return _whole((times - video.start) * video.rate) if video.rate > 0 else None


def _frames_of_sleap(all_series: Sequence[Series], times: Sequence[Times]) -> list[Indices | None]:
    """Frames of the samples of sleap-io: it cuts the rate of evenly spaced samples to a whole number, but not the time
    of the first."""
    steps = [np.diff(own).min() for series, own in zip(all_series, times, strict=True) if _has_steps(series, own)]
    rates = [series.rate for series in all_series if series.rate > 0]
    rate = 1 / float(min(steps)) if steps and min(steps) > 0 else max(rates, default=1.0)
    frames: list[Indices | None] = []
    for series, own in zip(all_series, times, strict=True):
        if series.times is None and len(own):
            first = _whole(own[:1] * rate)
            frames.append(None if first is None else first[0] + np.arange(len(own)))
        else:
            with np.errstate(over="ignore"):
                frames.append(_whole(own * rate))
    return frames


def _has_steps(series: Series, times: Times) -> bool:
    return series.times is not None and len(times) > 1


def _whole(frames: Times) -> Indices | None:
    """Numbers of frames that are nearly whole, as whole numbers; None if they are not, or not rising."""
    rounded = np.rint(frames)
    if len(rounded) and not (rounded.min() >= 0 and rounded.max() < _MAX_FRAME):
        return None
    is_exact = (np.abs(frames - rounded) < _SAME_FRAME).all() and (np.diff(rounded) > 0).all()
    return rounded.astype(np.int64) if is_exact else None


def _remark_on(times: Times) -> str:
    """What is odd about times whose samples are taken as frames one after the other."""
    if len(times) < 3:
        return ""
    steps = np.diff(times)
    if (steps <= 0).any():
        return "Times that do not rise: samples are taken as frames one after the other"
    if steps.max() > 1.5 * float(np.median(steps)):
        return "Times with gaps: samples are taken as frames one after the other"
    return ""
