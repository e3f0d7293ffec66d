"""One way to read frames, whatever they are stored in: a video, a folder of images, one image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.frame_index import check_index
from engine.media.images import image_size, is_image, list_images, read_image
from engine.media.pages import READ_AS_PAGES, has_pages
from engine.media.pages import SUFFIXES as PAGE_SUFFIXES

if TYPE_CHECKING:  # at run time only where one is opened: images need no video library
    from engine.media.pages.reader import PagesReader
    from engine.media.video.reader import VideoReader

Image = npt.NDArray[np.uint8]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv",
     ".asf", ".flv", ".ogv", ".3gp", ".mxf", ".h264", ".264", ".hevc", ".h265", ".mjpeg", ".mjpg"}
)  # fmt: skip
DEFAULT_RATE = Fraction(30)
CACHE_BYTES = 256 << 20

_files_of_frames: set[str] = set()


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
    """Whether a file is read frame by frame: its suffix is that of a video, or :func:`use_as_frames` was told of it."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix in VIDEO_SUFFIXES or (suffix in PAGE_SUFFIXES and os.path.abspath(path) in _files_of_frames)


def has_frames(path: Path | str) -> bool:
    """Whether a file is a video by its suffix, or an image file of several pictures by its content."""
    return os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES or has_pages(path)


def use_as_frames(path: Path | str, yes: bool = True) -> None:
    """Say how an image file of several pictures is used: as a media whose frames they are, or as the image that its
    first picture is. Projects of earlier versions have such files as images, with labels of the first picture, so the
    file alone does not tell. The last word counts, in this process.
    """
    if os.path.splitext(path)[1].lower() not in PAGE_SUFFIXES:
        return
    if yes:
        _files_of_frames.add(os.path.abspath(path))
    elif _files_of_frames:
        _files_of_frames.discard(os.path.abspath(path))


def open_media(path: Path | str, *, cache: Path | None = None) -> FrameSource:
    """Open a video, an image file of several pictures, a folder of images (in natural order) or one image.

    Args:
        cache: folder where the index of a video is kept, so that it opens at once the next time.

    Raises:
        MediaError: nothing there, or nothing that can be read.
    """
    path = Path(path)
    if os.path.isdir(path):
        return ImageSequence(list_images(path), path)
    if not os.path.exists(path):
        raise MediaError("does not exist", where=path)
    if is_image(path) and not has_pages(path):
        return ImageSequence([path], path)
    return open_video(path, cache=cache)


def open_video(
    path: Path | str, *, cache: Path | None = None, cache_bytes: int = CACHE_BYTES, ahead: int = 0
) -> VideoReader | PagesReader:
    """Open a video, or an image file of several pictures.

    Args:
        cache: folder where the index of a video is kept.
        cache_bytes: decoded frames are kept up to this.
        ahead: frames of a video that are decoded ahead while it is read in sequence.

    Raises:
        MediaError: missing, or nothing that can be read.
    """
    if _is_read_as_pages(path):
        from engine.media.pages.reader import PagesReader

        return PagesReader(path, cache_bytes=cache_bytes)
    from engine.media.video.reader import VideoReader

    return VideoReader(path, cache=cache, cache_bytes=cache_bytes, ahead=ahead)


def frame_times(path: Path | str, cache: Path | None = None) -> npt.NDArray[np.float64]:
    """(N,) seconds from the first frame of a video to each.

    Args:
        cache: folder where the index of a video is kept; it is made and kept there if need be.

    Raises:
        MediaError: missing, or no video that can be read.
    """
    if _is_read_as_pages(path):
        with open_video(path) as pages:
            return np.array([pages.time(index) for index in range(pages.frame_count)])
    from engine.media.video.index.indexer import read_index

    return np.asarray(read_index(path, cache).times, np.float64)


def prepare_index(path: Path | str, cache: Path | None, progress: Callable[[float], None]) -> None:
    """Make what a video needs to be opened at once, and keep it in a folder.

    Args:
        progress: called with the share that is done; may raise to stop.

    Raises:
        MediaError: missing, or no video that can be read.
    """
    if not _is_read_as_pages(path):
        from engine.media.video.index.indexer import read_index

        read_index(path, cache, progress)


def _is_read_as_pages(path: Path | str) -> bool:
    return os.path.splitext(path)[1].lower() in READ_AS_PAGES
