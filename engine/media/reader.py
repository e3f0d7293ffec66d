"""Frames of images and videos by file and number, for programs that work on many files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.images import read_image
from engine.media.source import is_video, open_video

if TYPE_CHECKING:  # at run time only for a video: images need no video library
    from engine.media.pages.reader import PagesReader
    from engine.media.video.reader import VideoReader

Image = npt.NDArray[np.uint8]

CACHE_BYTES = 256 << 20


class FrameReader:
    """Reads images, and keeps the videos that were read last open. Belongs to one thread.

    Args:
        read: reads an image file.
        keep: videos that are open at once.
        cache_bytes: decoded frames that are kept, over all videos.
        ahead: frames decoded ahead while a video is read in sequence.
    """

    def __init__(
        self,
        read: Callable[[Path], Image] = read_image,
        *,
        keep: int = 2,
        cache_bytes: int = CACHE_BYTES,
        ahead: int = 0,
    ) -> None:
        self._read_image, self._keep, self._ahead = read, max(1, keep), ahead
        self._bytes = cache_bytes // self._keep
        self._videos: OrderedDict[Path, VideoReader | PagesReader] = OrderedDict()

    def read(
        self, path: Path, index: int = 0, max_side: int | None = None, stop: Callable[[], bool] | None = None
    ) -> Image:
        """An image, or a frame of a video: RGB uint8 (H, W, 3).

        Args:
            index: number of the frame in a video; of no meaning for an image.
            max_side: make a frame of a video small enough for it.
            stop: once it says True, the way to a frame of a video is given up.

        Raises:
            MediaError: missing, damaged, or a video that has no such frame.
            Cancelled: ``stop`` said so.
        """
        if not is_video(path):
            return self._read_image(path)
        video = self._video(path)
        if not 0 <= index < video.frame_count:
            raise MediaError(f"has {video.frame_count} frames; there is no frame {index}", where=path)
        return video.read(index, max_side, stop)

    def preview(self, path: Path, index: int) -> Image | None:
        """A frame near this one that is there at once, where this one takes longer: for scrubbing through a video.

        None where the frame itself is quick to read, and for what cannot be read.
        """
        if not is_video(path):
            return None
        try:
            video = self._video(path)
            if not 0 <= index < video.frame_count or video.is_quick(index):
                return None
            return video.read_near(index)[1]
        except MediaError:
            return None

    def key_frames(self, path: Path) -> npt.NDArray[np.int64]:
        """Frames of a video at which decoding can start, ascending.

        Raises:
            MediaError: missing, or no video that can be read.
        """
        return self._video(path).key_frames().astype(np.int64)

    def close(self) -> None:
        """Close the videos. The reader may be used again."""
        for video in self._videos.values():
            video.close()
        self._videos.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _video(self, path: Path) -> VideoReader | PagesReader:
        video = self._videos.get(path)
        if video is None:
            from engine.media.video.index.folder import index_home

            video = open_video(path, cache=index_home(), cache_bytes=self._bytes, ahead=self._ahead)
            self._videos[path] = video
            if len(self._videos) > self._keep:
                self._videos.popitem(last=False)[1].close()
        self._videos.move_to_end(path)
        return video
