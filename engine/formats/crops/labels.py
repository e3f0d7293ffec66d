"""Labels of crops: each pose with a margin around it becomes an image of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

import msgspec
import numpy as np

from engine.errors import PoseError
from engine.formats.frame_images import FrameImages, name_of_frame
from engine.labels.model import ABSENT, UNKNOWN, Floats, Frame, Instance
from engine.labels.reader import LabelReader, Labels
from engine.media.images import Image
from engine.utils.context import ERROR, Context

DEFAULT_MARGIN = 0.25
_STEP = 500


class CroppedLabels(Labels):
    """One image for each pose or box of other labels, cut out of its image; coordinates are those of the crop.

    The crop is the box of an instance, or the box around its keypoints, widened on each side by ``margin`` times its
    width or height and cut at the edge of the image. An instance whose image is missing, or that is nowhere on it, is
    reported and left out. Closing it closes the labels.

    Args:
        labels: their records are read once, their images when :meth:`embedded_image` is called.
    """

    holds_images = True

    def __init__(self, labels: LabelReader, margin: float = DEFAULT_MARGIN, context: Context | None = None) -> None:
        super().__init__(
            [], [], labels.categories, path=labels.path, image_folder=labels.image_folder, tracks=labels.tracks
        )
        self._labels, self._images = labels, FrameImages(labels)
        self._sources: list[tuple[int, tuple[int, int, int, int]]] = []
        self._last_image: tuple[int, Image] | None = None
        self._cut(margin, context or Context())

    def _cut(self, margin: float, context: Context) -> None:
        total = self._labels.num_instances()
        counts: Counter[int] = Counter()
        for position, instance in enumerate(self._labels.instances()):
            if position % _STEP == 0:
                context.progress(position, total, "Cropping")
            where = instance.key or f"instance {position + 1}"
            extent = _extent(instance)
            if instance.frame == UNKNOWN or extent is None or instance.is_crowd:
                context.report(where, "Crowd, or record without a box and keypoints", "left out of the crops")
                continue
            size = self._images.size(instance.frame)
            if size is None or not self._images.has_image(instance.frame):
                name = self._images.frames[instance.frame].name or where
                context.report(name, "Image not found", "its poses are left out of the crops", severity=ERROR)
                continue
            crop = _crop(extent, margin, size)
            if crop is None:
                context.report(where, "Pose outside its image", "left out of the crops", severity=ERROR)
                continue
            counts[instance.frame] += 1
            self._add(instance, crop, counts[instance.frame])

    def _add(self, instance: Instance, crop: tuple[int, int, int, int], count: int) -> None:
        x1, y1, x2, y2 = crop
        name = PurePosixPath(name_of_frame(self._labels, self._images.frames[instance.frame]))
        self._frames.append(
            Frame(name.with_name(f"{name.stem}_{count}.png").as_posix(), 0, len(self._frames), x2 - x1, y2 - y1)
        )
        self._sources.append((instance.frame, crop))
        changes = {
            "keypoints": None if instance.keypoints is None else instance.keypoints - (x1, y1),
            "box": None if instance.box is None else instance.box - (x1, y1, x1, y1),
        }
        self._instances.append(msgspec.structs.replace(instance, frame=len(self._frames) - 1, raw=b"", **changes))

    def embedded_image(self, frame: int) -> bytes | None:
        """The crop as PNG; None if its image cannot be read."""
        import cv2

        source, (x1, y1, x2, y2) = self._sources[frame]
        if self._last_image is None or self._last_image[0] != source:  # crops of one image follow each other
            try:
                self._last_image = source, self._images.pixels(source)
            except PoseError:
                return None
        return bytes(cv2.imencode(".png", self._last_image[1][y1:y2, x1:x2, ::-1])[1])

    def close(self) -> None:
        self._images.close()
        self._labels.close()


def _extent(instance: Instance) -> Floats | None:
    """(4,) x1, y1, x2, y2 of the box, with the keypoints; None if there is neither."""
    corners: list[Floats] = [] if instance.box is None else [instance.box.reshape(2, 2)]
    if instance.keypoints is not None and instance.visibility is not None:
        corners.append(instance.keypoints[instance.visibility != ABSENT])
    points = np.concatenate(corners) if corners else np.zeros((0, 2))
    points = points[np.isfinite(points).all(axis=1)]
    return None if not len(points) else np.concatenate([points.min(axis=0), points.max(axis=0)])


def _crop(extent: Floats, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """First and last + 1 column and row of a crop; None outside the image."""
    x1, y1, x2, y2 = extent.tolist()
    dx, dy = margin * max(x2 - x1, 1.0), margin * max(y2 - y1, 1.0)
    left, top = max(0, int(np.floor(x1 - dx))), max(0, int(np.floor(y1 - dy)))
    right, bottom = min(size[0], int(np.ceil(x2 + dx)) + 1), min(size[1], int(np.ceil(y2 + dy)) + 1)
    return (left, top, right, bottom) if right > left and bottom > top else None
