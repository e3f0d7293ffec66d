"""Where the frames of labels are in an NWB file (ImageSeries, number, time), and names of objects."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError
from engine.formats.frame_images import FrameImages, path_text
from engine.formats.registry import WriteOptions
from engine.labels.model import IMAGES, UNKNOWN, Floats, Frame, Media
from engine.labels.reader import LabelReader
from engine.utils.context import INFO, Context

_UNKNOWN_RATE = 1.0
"""Frames a second of videos that cannot be opened, and of images: times are then numbers of frames."""
_SAME_FRAME = 0.05
"""Frames by which times may be off, as files store them rounded."""
_IMAGES_IN_SERIES = 4000
"""HDF5 keeps the numbers of their first frames in an attribute, which has room for 64 KB."""
_NOT_IN_NAMES = re.compile(r"[/:\x00-\x1f]+")

Part = tuple[int, int]
"""Position of a media, and which of the ImageSeries that it is split into."""


class Samples:
    """Numbers and times of frames.

    Args:
        target: the file that is written. options: say whether paths are absolute.
        context: is told of videos whose times are not known.
    """

    def __init__(self, labels: LabelReader, target: Path, options: WriteOptions, context: Context) -> None:
        self._labels, self._context = labels, context
        self._images = FrameImages(labels)
        self._frames: Sequence[Frame] = self._images.frames
        self._folder, self._is_absolute = target.absolute().parent, options.absolute_paths
        self._times_of: dict[int, Floats | None] = {}
        self._last_frames: dict[int, int] = {}
        self._images_of: defaultdict[int, list[str]] = defaultdict(list)
        self._numbers: dict[int, int] = {}
        for position, frame in enumerate(self._frames):
            if frame.media == UNKNOWN:
                continue
            media = labels.media[frame.media]
            if media.type == IMAGES:
                self._numbers[position] = len(self._images_of[frame.media])
                self._images_of[frame.media].append(self._image_name(position, frame, media))
            else:
                self._last_frames[frame.media] = max(frame.index, self._last_frames.get(frame.media, 0))

    def of(self, frame: int) -> tuple[Part, int]:
        """The part that a frame is in, and its number there, by its position."""
        record = self._frames[frame]
        if frame not in self._numbers:
            return (record.media, 0), record.index
        series, index = divmod(self._numbers[frame], _IMAGES_IN_SERIES)
        return (record.media, series), index

    def files(self, part: Part) -> list[str]:
        """The video, or the images of a part."""
        media, series = part
        if media in self._images_of:
            return self._images_of[media][series * _IMAGES_IN_SERIES : (series + 1) * _IMAGES_IN_SERIES]
        path = self._images.video(media)
        if path is None:
            return [as_text(self._labels.media[media].path)]
        return [path_text(path, self._folder, is_absolute=self._is_absolute)]

    def _image_name(self, position: int, frame: Frame, media: Media) -> str:
        path = self._images.path(position) if self._is_absolute else None
        if path is not None:
            return path_text(path, self._folder, is_absolute=True)
        return as_text(f"{media.path}/{frame.name}" if media.path else frame.name)

    def clock_of_video(self, part: Part) -> dict[str, Any]:
        """When the frames of a part are, for an ImageSeries of pynwb."""
        times = self._times(part[0])
        if times is not None and constant_rate(times) is None:
            return {"timestamps": times}
        count = len(self.files(part)) if part[0] in self._images_of else self._last_frames.get(part[0], 0) + 1
        return {**self.clock(part, np.arange(1)), "num_samples": count if times is None else len(times)}

    def clock(self, part: Part, samples: npt.NDArray[np.int64]) -> dict[str, Any]:
        """When these rising numbers of frames are, for a TimeSeries of pynwb: a start and a rate, or times."""
        times = self._times(part[0])
        rate = _UNKNOWN_RATE if times is None else constant_rate(times)
        if rate is None:
            assert times is not None
            return {"timestamps": times[samples]}
        start = 0.0 if times is None else float(times[0])
        if samples[-1] - samples[0] == len(samples) - 1:
            return {"starting_time": start + int(samples[0]) / rate, "rate": rate}
        return {"timestamps": start + samples / rate}

    def _times(self, media: int) -> Floats | None:
        """Times of the frames of a video in seconds; None where they are numbers of frames."""
        if media in self._images_of:
            return None
        if media not in self._times_of:
            from engine.media.source import frame_times  # loads the video libraries

            times: Floats | None = None
            path = self._images.video(media) or self._labels.path.absolute().parent / self._labels.media[media].path
            try:
                times = frame_times(path)
            except PoseError as error:
                self._context.report(str(error), "Times are numbers of frames, at one frame a second", severity=INFO)
            if times is not None and not self._last_frames.get(media, 0) < len(times):
                what = "Labels of frames that the video does not have: times are numbers of frames"
                self._context.report(str(path), what)
                times = None
            self._times_of[media] = times
        return self._times_of[media]


class FreeNames:
    """Gives names that the objects of an HDF5 group can have, each once.

    Args:
        taken: names that are not free. prefix: of names that are taken; "" = they get a number.
    """

    def __init__(self, taken: Collection[str] = (), prefix: str = "") -> None:
        self._taken, self._prefix = set(taken), prefix

    def free(self, name: str) -> str:
        name = object_name(name)
        if name in self._taken and self._prefix:
            name = f"{self._prefix}{name}"
        free, count = name, 1
        while free in self._taken:
            count += 1
            free = f"{name}_{count}"
        self._taken.add(free)
        return free


def object_name(name: str) -> str:
    """A name as an object of NWB can have it."""
    name = _NOT_IN_NAMES.sub("_", as_text(name)).strip()
    return name if name.strip(".") else "object"


def as_text(text: str) -> str:
    """A text that can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def constant_rate(times: Floats) -> float | None:
    """Frames a second, if all frames are where that rate puts them; None if the rate varies.

    Args:
        times: (n,) seconds, rising.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return None
    rate = float((len(times) - 1) / (times[-1] - times[0]))
    deviation = np.abs((times - times[0]) * rate - np.arange(len(times)))
    return rate if deviation.max() < _SAME_FRAME else None
