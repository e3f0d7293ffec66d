"""One way to read frames, whatever they are stored in: a video, a folder of images, one image."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.frame_index import check_index
from engine.media.images import image_size, is_image, list_images, read_image

Image = npt.NDArray[np.uint8]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv",
     ".asf", ".flv", ".ogv", ".3gp", ".mxf", ".h264", ".264", ".hevc", ".h265", ".mjpeg", ".mjpg"}
)  # fmt: skip
DEFAULT_RATE = Fraction(30)


@runtime_checkable
class FrameSource(Protocol):
    """Frames 0..frame_count-1 in the order in which they are shown. One source belongs to one thread.

    Attributes:
        path: what was opened.
        frame_count: how many frames can be read.
        size: (width, height) of the frames as shown, in pixels.
        problems: what is wrong with the file, in sentences for a person; empty when nothing is.
    """

    path: Path
    frame_count: int
    size: tuple[int, int]
    problems: list[str]

    def time(self, index: int) -> float:
        """Seconds from the first frame to this one."""

    def exact_time(self, index: int) -> Fraction:
        """As :meth:`time`, without rounding."""

    def read(self, index: int) -> Image:
        """RGB uint8 (H, W, 3), upright, C-contiguous.

        Raises:
            IndexError: there is no such frame.
            MediaError: the frame is damaged.
        """

    def close(self) -> None:
        """Give back files, memory and threads. May be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ImageSequence:
    """Image files in the order given, shown at a steady rate. A :class:`FrameSource`.

    Args:
        files: at least one.
        path: what they are the frames of; the first file's folder when not given.
        rate: frames per second, for the times.

    Raises:
        MediaError: no files, or none of them can be read.
    """

    def __init__(self, files: Sequence[Path], path: Path | None = None, rate: Fraction = DEFAULT_RATE) -> None:
        self.files = [Path(file) for file in files]
        if not self.files:
            raise MediaError("contains no images", where=path)
        self.path = Path(path) if path is not None else self.files[0].parent
        self.rate = rate
        self.frame_count = len(self.files)
        self.problems: list[str] = []
        self.size = self._first_size()

    def _first_size(self) -> tuple[int, int]:
        """Of the first image that can be read; of those before it the problems tell."""
        first: MediaError | None = None
        for file in self.files:
            try:
                return image_size(file)
            except MediaError as error:
                first = first or error
                self.problems.append(str(error))
        assert first is not None
        raise first

    def exact_time(self, index: int) -> Fraction:
        return check_index(index, self.frame_count) / self.rate

    def time(self, index: int) -> float:
        return float(self.exact_time(index))

    def read(self, index: int) -> Image:
        """As :meth:`FrameSource.read`; images may differ in size from the first."""
        return read_image(self.files[check_index(index, self.frame_count)])

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def frame_file_name(video: str, index: int, suffix: str = ".png") -> str:
    """Name of the image file that holds a frame of a video: folder/film.mp4, 12 -> folder/film/film_000012.png."""
    path = PurePosixPath(video)
    stem = path.with_suffix("") if path.name else path / "video"  # a damaged file may name it "" or "."
    return f"{stem}/{stem.name}_{index:06d}{suffix}"


def is_video(path: Path | str) -> bool:
    """Whether the file's suffix is that of a video that we read."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def open_media(path: Path | str, *, cache: Path | None = None) -> FrameSource:
    """Open a video, a folder of images (in natural order) or one image.

    Args:
        cache: folder where the index of a video is kept, so that it opens at once the next time.

    Raises:
        MediaError: nothing there, or nothing that can be read.
    """
    path = Path(path)
    if path.is_dir():
        return ImageSequence(list_images(path), path)
    if not path.exists():
        raise MediaError("does not exist", where=path)
    if is_image(path):
        return ImageSequence([path], path)
    from engine.media.video.reader import VideoReader

    return VideoReader(path, cache=cache)
