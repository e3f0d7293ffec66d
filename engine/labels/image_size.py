"""Labels made on another pixel grid than the picture is shown in: a photo that a tool did not turn, a resized copy.

The record of an image says which size its labels were made in. This program shows pictures upright (EXIF orientation
applied). :func:`classify` compares the two; :class:`GridTransform` brings labels from one grid to the other and back.

Conventions: keypoints are pixel centers at integers, boxes are pixel edges (COCO), both from the top left corner.
Turning a picture of height H by 90 degrees clockwise takes keypoint (x, y) to (H - 1 - y, x) and the box edge (x, y)
to (H - y, x). Scaling by s takes keypoint x to (x + 0.5) s - 0.5 and the box edge x to x s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Size = tuple[int, int]
_Move = Callable[[Floats, float], Floats]


class Grid(Enum):
    """How the size in a record relates to the picture."""

    UNKNOWN = "unknown"
    """One of the sizes is not known."""
    SAME = "same"
    """The record has the size of the picture as it is shown."""
    TURNED = "turned"
    """The record has the size of the stored pixels, and the EXIF orientation turns these on their side."""
    SCALED = "scaled"
    """The picture is a resized copy: same aspect ratio, another size."""
    TURNED_SCALED = "turned and scaled"
    """A resized copy of the stored pixels, which are shown on their side."""
    CONTRADICTORY = "contradictory"
    """Neither: another picture, or a wrong record."""


def classify(record: Size, stored: Size, orientation: int = 1) -> Grid:
    """Compare the size in a label record with an image file.

    Args:
        record: width and height that the labels were made in; 0 where the file does not say.
        stored: width and height of the stored pixels, before the orientation is applied; 0 where unknown.
        orientation: EXIF value 1..8.

    A picture that is mirrored or upside down (orientations 2 to 4), or square, has the same size either way; it is
    SAME, see :func:`is_unsettled`.
    """
    if not (all(record) and all(stored)):
        return Grid.UNKNOWN
    shown = _shown(stored, orientation)
    if record == shown:
        return Grid.SAME
    if record == stored:
        return Grid.TURNED
    if _is_resized(record, shown):
        return Grid.SCALED
    if orientation >= 5 and _is_resized(record, stored):
        return Grid.TURNED_SCALED
    return Grid.CONTRADICTORY


def is_unsettled(record: Size, stored: Size, orientation: int) -> bool:
    """Whether the size alone cannot tell if the labels were made on the stored or on the upright picture."""
    return orientation != 1 and record == stored and record == _shown(stored, orientation)


def are_on_stored_pixels(images: Iterable[tuple[Size, Size, int]]) -> bool:
    """Whether the labels of a file were made on the stored pixels, without the EXIF orientation: some images show it by
    their sizes, and none shows the opposite. This settles it for images whose sizes cannot tell (:func:`is_unsettled`).

    Args:
        images: record, stored and orientation of each image, as for :func:`classify`.
    """
    on_stored = on_upright = False
    for record, stored, orientation in images:
        grid = classify(record, stored, orientation)
        on_stored |= grid in (Grid.TURNED, Grid.TURNED_SCALED)
        on_upright |= grid is Grid.SAME and orientation >= 5 and stored != _shown(stored, orientation)
    return on_stored and not on_upright


@dataclass(frozen=True)
class GridTransform:
    """From the grid of the labels to that of the picture as it is shown.

    Attributes:
        labels: width and height of the grid that the labels were made in.
        shown: width and height of the picture as it is shown.
        orientation: EXIF value by which the grid of the labels is turned; 1 = it is upright already.
    """

    labels: Size
    shown: Size
    orientation: int = 1

    def points(self, points: npt.ArrayLike) -> Floats:
        """(..., 2) keypoints of the labels as they are in the shown picture."""
        return self._forward(np.asarray(points, np.float64), 0.5)

    def boxes(self, boxes: npt.ArrayLike) -> Floats:
        """(..., 4) boxes x1, y1, x2, y2 of the labels as they are in the shown picture."""
        return self._boxes(boxes, self._forward)

    def points_back(self, points: npt.ArrayLike) -> Floats:
        """(..., 2) keypoints of the shown picture as they are in the grid of the labels."""
        return self._backward(np.asarray(points, np.float64), 0.5)

    def boxes_back(self, boxes: npt.ArrayLike) -> Floats:
        """(..., 4) boxes x1, y1, x2, y2 of the shown picture as they are in the grid of the labels."""
        return self._boxes(boxes, self._backward)

    def _boxes(self, boxes: npt.ArrayLike, move: _Move) -> Floats:
        given = np.asarray(boxes, np.float64)
        corners = move(given.reshape(*given.shape[:-1], 2, 2), 0.0)
        ordered = np.stack([corners.min(axis=-2), corners.max(axis=-2)], axis=-2)
        return ordered.reshape(given.shape)

    def _forward(self, points: Floats, center: float) -> Floats:
        """``center``: what is added to get from a coordinate to the continuous one, in which pixel 0 is [0, 1]."""
        x, y = points[..., 0] + center, points[..., 1] + center
        width, height = self.labels
        if self.orientation in (2, 3, 7, 8):
            x = width - x
        if self.orientation in (3, 4, 6, 7):
            y = height - y
        if self.orientation >= 5:
            x, y, width, height = y, x, height, width
        scale_x, scale_y = self.shown[0] / width, self.shown[1] / height
        return np.stack([x * scale_x - center, y * scale_y - center], axis=-1)

    def _backward(self, points: Floats, center: float) -> Floats:
        width, height = self.labels
        turned = (height, width) if self.orientation >= 5 else (width, height)
        x = (points[..., 0] + center) / (self.shown[0] / turned[0])
        y = (points[..., 1] + center) / (self.shown[1] / turned[1])
        if self.orientation >= 5:
            x, y = y, x
        if self.orientation in (2, 3, 7, 8):
            x = width - x
        if self.orientation in (3, 4, 6, 7):
            y = height - y
        return np.stack([x - center, y - center], axis=-1)


def transform_of(record: Size, stored: Size, orientation: int = 1, *, unsettled: bool = False) -> GridTransform | None:
    """What brings the labels of a record into the picture as it is shown.

    Args:
        record, stored, orientation: as for :func:`classify`.
        unsettled: turn labels also where the size cannot tell, because other images of the same file show that its
            maker did not apply the orientation.

    Returns:
        None where nothing is to be moved, or where the sizes contradict each other.
    """
    grid = classify(record, stored, orientation)
    shown = _shown(stored, orientation)
    if grid in (Grid.TURNED, Grid.TURNED_SCALED) or (unsettled and is_unsettled(record, stored, orientation)):
        return GridTransform(record, shown, orientation)
    return GridTransform(record, shown) if grid is Grid.SCALED else None


def _shown(stored: Size, orientation: int) -> Size:
    return (stored[1], stored[0]) if orientation >= 5 else stored


def _is_resized(first: Size, second: Size) -> bool:
    """Whether two sizes have the same aspect ratio, a pixel of rounding granted to the smaller."""
    small, large = sorted((first, second))
    scale = large[0] / small[0]
    low, high = (small[1] - 1) * scale, (small[1] + 1) * scale
    wide = (small[0] + 1) / small[0]
    return low / wide <= large[1] <= high * wide
