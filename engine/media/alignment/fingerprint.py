"""Tells whether a media file is the one that labels were made on.

A fingerprint is a short text to keep with the labels. It holds the key of the file's content, the number and size of
the frames, and small grey pictures of a few of them: so a file that was coded anew, and shows the same, can be told
from another one.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.images import image_size
from engine.media.source import FrameSource, ImageSequence
from engine.media.video.index.index import content_key

_MARK = "media1"
_KEY = re.compile(r"[0-9A-Za-z_-]+")
_SAMPLES = 8
_SIDE = 12
# Mean difference of grey levels (0..255, after taking out brightness and contrast) up to which two pictures show the
# same: coding anew moves it by less than 4, another second of the same film by more than 10.
_SAME_PICTURE = 8.0
_FLAT = 3.0

Gray = npt.NDArray[np.uint8]


class Similarity(Enum):
    """What one fingerprint says of another."""

    SAME = "same"  # the very file: frame i is frame i
    REENCODED = "reencoded"  # shows the same; frame i is frame i where the numbers of frames agree
    DIFFERENT = "different"


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """See the module.

    Attributes:
        key: names the content, byte for byte.
        frame_count: number of frames.
        size: (width, height) as shown.
        milliseconds: from the first frame to the last.
        samples: (8, 12, 12) uint8 grey pictures at even distances in time.
    """

    key: str
    frame_count: int
    size: tuple[int, int]
    milliseconds: int
    samples: Gray

    def to_text(self) -> str:
        """One line of ASCII, about 1.6 thousand characters."""
        width, height = self.size
        pictures = base64.b64encode(self.samples.tobytes()).decode()
        return f"{_MARK}:{self.key}:{self.frame_count}:{width}x{height}:{self.milliseconds}:{pictures}"

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """Raises ValueError for a text that :meth:`to_text` has not made."""
        try:
            mark, key, count, size, milliseconds, pictures = text.split(":")
            width, height = size.split("x")
            data = base64.b64decode(pictures, validate=True)
            samples = np.frombuffer(data, np.uint8).reshape(_SAMPLES, _SIDE, _SIDE)
            values = [int(value) for value in (count, width, height, milliseconds)]
            # The key becomes the name of a file: texts come with projects that others have made.
            if mark != _MARK or not _KEY.fullmatch(key) or not all(0 <= value < 1 << 53 for value in values):
                raise ValueError(mark)
            return cls(key, values[0], (values[1], values[2]), values[3], samples)
        except (ValueError, binascii.Error):
            raise ValueError("is no fingerprint") from None


def fingerprint(source: FrameSource) -> Fingerprint:
    """Read a few frames of a media and make its fingerprint; frames that cannot be read count as black.

    Raises:
        MediaError: the file is gone.
    """
    count = source.frame_count
    samples = np.zeros((_SAMPLES, _SIDE, _SIDE), np.uint8)
    for sample, index in enumerate(_sampled(source)):
        try:
            gray = cv2.cvtColor(source.read(index), cv2.COLOR_RGB2GRAY)
        except MediaError:
            continue
        samples[sample] = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    length = source.exact_time(count - 1)
    return Fingerprint(_key(source), count, source.size, round(length * 1000), samples)


def compare(a: Fingerprint | str, b: Fingerprint | str) -> Similarity:
    """What two fingerprints, or their texts, say of each other.

    Raises:
        ValueError: a text is no fingerprint.
    """
    a = Fingerprint.from_text(a) if isinstance(a, str) else a
    b = Fingerprint.from_text(b) if isinstance(b, str) else b
    if a.key == b.key:
        return Similarity.SAME
    if abs(a.milliseconds - b.milliseconds) > max(250, 0.02 * max(a.milliseconds, b.milliseconds)):
        return Similarity.DIFFERENT
    if abs(np.log(_aspect(a) / _aspect(b))) > 0.03:
        return Similarity.DIFFERENT
    unlike = [_difference(x, y) > _SAME_PICTURE for x, y in zip(a.samples, b.samples)]
    return Similarity.DIFFERENT if sum(unlike) > _SAMPLES // 4 else Similarity.REENCODED


def sampled_frames(times: npt.NDArray[np.float64]) -> list[int]:
    """The frames whose pictures a fingerprint holds, for a video with these (N,) times in seconds."""
    if not len(times):
        return []
    sample_times = times[-1] * (2 * np.arange(_SAMPLES) + 1) / (2 * _SAMPLES)
    return [int(i) for i in np.maximum(np.searchsorted(times, sample_times + 1e-9, "right") - 1, 0)]


def _sampled(source: FrameSource) -> list[int]:
    """Frames at even distances in time, so that another rate of frames finds the same pictures."""
    count = source.frame_count
    length = source.exact_time(count - 1)
    sample_times = [length * Fraction(2 * n + 1, 2 * _SAMPLES) for n in range(_SAMPLES)]
    return [_frame_at(source, time) for time in sample_times]


def _frame_at(source: FrameSource, time: Fraction) -> int:
    low, high = 0, source.frame_count - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if source.exact_time(middle) <= time else (low, middle - 1)
    return low


def _key(source: FrameSource) -> str:
    if isinstance(source, ImageSequence):
        return _key_of_images(source.files)
    index = getattr(source, "index", None)
    return index.key if index is not None else content_key(source.path)


def _key_of_images(files: list[Path]) -> str:
    """From the names, lengths and sizes of all images and the content of some."""
    import hashlib

    digest = hashlib.sha256()
    for position, file in enumerate(files):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        if position % max(1, len(files) // _SAMPLES) == 0:
            digest.update(f"{image_size(file)}{content_key(file)}".encode())
    return digest.hexdigest()[:32]


def _aspect(value: Fingerprint) -> float:
    return max(1, value.size[0]) / max(1, value.size[1])


def _difference(a: Gray, b: Gray) -> float:
    """Mean difference of two grey pictures when brightness and contrast are made equal."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    spread = (x.std() + y.std()) / 2
    if spread < _FLAT:
        return 0.0 if abs(float(a.mean()) - float(b.mean())) < 3 * _SAME_PICTURE else 255.0
    return float(np.abs(x - y).mean() / spread * 25)
