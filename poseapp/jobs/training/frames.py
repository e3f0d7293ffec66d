"""Frames of videos as pictures, for the trainer, which reads image files. No Qt."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import MediaError, TrainingError
from engine.media.reader import FrameReader
from engine.media.source import is_video
from engine.visualization import write_image
from poseapp.project.model import FrameKey

FOLDER = "frames"


class FramePictures:
    """Gives each frame an image file: its own, or one that is written into a run's folder.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._reader = FrameReader(keep=1)

    def file(self, key: FrameKey, path: Path) -> Path | None:
        """The image file of a frame; None when there is none, or the frame cannot be read.

        Raises:
            TrainingError: the disk is full or locked.
        """
        if not path.is_file():
            return None
        if not is_video(path):
            return path
        # Without loss: what the network learns from are the pixels that the points were set on.
        picture = self._folder / str(key.media) / f"{key.index:06d}.png"
        try:
            image = self._reader.read(path, key.index)
        except MediaError:
            return None
        try:
            write_image(picture, image)
        except MediaError as error:
            raise TrainingError(error.message, where=picture) from None
        return picture

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
