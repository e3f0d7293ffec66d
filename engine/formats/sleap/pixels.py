"""Points of labels in the stored pixels of their videos, which SLEAP shows."""

from __future__ import annotations

from pathlib import Path

from engine.errors import PoseError
from engine.labels.image_size import GridTransform
from engine.labels.model import IMAGES, Floats
from engine.labels.reader import LabelReader
from engine.media.video.frame_size import opencv_grid
from engine.utils.context import Context


class StoredPixels:
    """Brings points from the pixels that this program shows into the stored ones of a video.

    Args:
        context: is told of videos whose pixels are not known.
    """

    def __init__(self, labels: LabelReader, context: Context) -> None:
        self._labels, self._context = labels, context
        self._grids: dict[int, GridTransform | None] = {}

    def of(self, keypoints: Floats, media: int) -> Floats:
        """(K, 2) points in the stored pixels of a media, by its position."""
        if media not in self._grids:
            self._grids[media] = self._grid_of(media)
        grid = self._grids[media]
        return keypoints if grid is None else grid.points_back(keypoints)

    def _grid_of(self, position: int) -> GridTransform | None:
        media = self._labels.media[position]
        if media.type == IMAGES or media.stored_pixels:
            return None
        path = Path(media.path)
        try:
            return opencv_grid(path if path.is_absolute() else self._labels.path.absolute().parent / path)
        except PoseError as error:
            self._context.report(str(error), "Points are pixels as shown here, which is right if pixels are square")
            return None
