"""The pixel grid in which other programs see the frames of a video.

SLEAP and DeepLabCut read videos with OpenCV. It turns frames as the file says, but it leaves pixels that are not square
as they are stored, and it does not mirror: for a mirrored file it takes the angle of the matrix alone.
"""

from __future__ import annotations

from pathlib import Path

from engine.labels.image_size import GridTransform
from engine.media.pages import READ_AS_PAGES
from engine.media.video.index.index import Picture
from engine.media.video.index.indexer import read_index

_UPSIDE_DOWN, _MIRRORED = 4, 2  # EXIF orientations


def opencv_grid(path: Path | str, cache: Path | None = None) -> GridTransform | None:
    """What brings points of OpenCV's frames of a video into the frames that are shown; None where they are the same.

    Args:
        cache: folder where indices of videos are kept.

    Raises:
        MediaError: missing, no video, or nothing in it can be decoded.
    """
    if Path(path).suffix.lower() in READ_AS_PAGES:
        return None  # pages have square pixels, and OpenCV turns them as they are shown
    return transform_of_picture(read_index(path, cache).picture)


def transform_of_picture(picture: Picture) -> GridTransform | None:
    """As :func:`opencv_grid`, of a video whose index is known."""
    a, b, c, d = picture.turn
    lies_on_side = a == 0
    width, height = picture.coded
    labels = (height, width) if lies_on_side else (width, height)
    orientation = 1
    if a * d - b * c < 0:
        orientation = _MIRRORED if lies_on_side else _UPSIDE_DOWN
    if labels == picture.size and orientation == 1:
        return None
    return GridTransform(labels, picture.size, orientation)
