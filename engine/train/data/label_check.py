"""Comparison of labels with their images before training.

Each finding is a sentence with the number of records and the first of them. What has one correct reading is corrected
in the training set (labels of an image that was turned or resized); what has none is left out and reported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import MediaError
from engine.labels.image_size import Grid, GridTransform, are_on_stored_pixels, classify, is_unsettled, transform_of
from engine.media.image_headers import ImageHeader, read_header_of
from engine.media.images import read_image
from engine.train.data.record_check import Counts
from engine.train.data.training_set import Instance, LabelledImage, TrainingSet
from engine.utils.skipped import Skipped

FAR = 1.0
"""Points farther outside an image than its own width or height are errors, not hidden parts of the subject."""
SAME_BOX_SHARE = 0.5


def settle(data: TrainingSet, skipped: Skipped, findings: Counts) -> TrainingSet:
    """Compare labels with their images and correct or leave out what does not fit.

    Args:
        skipped: gets the images that are missing or cannot be read.
        findings: gets the findings.

    Returns:
        The set without these images, with labels in the pixels of the images as they are shown, and without points far
        outside of their image.
    """
    headers: dict[int, ImageHeader | None] = {}
    for position, image in enumerate(data.images):
        readable, header = _look(image.path, skipped)
        if readable:
            headers[position] = header
    sizes = {
        position: (data.images[position].size, (header.width, header.height), header.orientation)
        for position, header in headers.items()
        if header is not None
    }
    on_stored = are_on_stored_pixels(sizes.values())
    images, instances = list(data.images), list(data.instances)
    by_image: dict[int, list[int]] = {}
    for index, item in enumerate(instances):
        by_image.setdefault(item.image, []).append(index)
    left_out: set[int] = set()
    corners = _Corners()
    for position, header in headers.items():
        image = images[position]
        if header is None:
            continue
        transform = transform_of(*sizes[position], unsettled=on_stored)
        _report_size(image, header, transform, findings)
        if transform is not None:
            boxes, crowds = (
                transform.boxes(each).astype(np.float32).reshape(-1, 4) for each in (image.boxes, image.crowds)
            )
            images[position] = replace(image, boxes=boxes, crowds=crowds, size=header.size)
        for index in by_image.get(position, ()):
            item = instances[index] if transform is None else _moved(instances[index], transform)
            corners.take(item, header.size)
            checked = _within(item, header.size, findings)
            if checked is None:
                left_out.add(index)
            else:
                instances[index] = checked
    if corners.look_like_corners:
        findings.add("boxes that look like x1, y1, x2, y2; they are used as x, y, width, height", corners.first)
    whole = replace(
        data,
        images=tuple(images),
        instances=tuple(replace(item, image=-1) if n in left_out else item for n, item in enumerate(instances)),
        origin=data.fingerprint,
    )
    return whole.subset(sorted(headers))


def overlap(train: TrainingSet, val: TrainingSet) -> tuple[int, str]:
    """Number of validation images that are also training images, by path or by content, and the first of them."""
    paths = {_resolved(image.path) for image in train.images}
    sizes: dict[int, list[Path]] = {}
    for image in train.images:
        size = _size(image.path)
        if size:
            sizes.setdefault(size, []).append(image.path)
    contents: dict[int, set[bytes]] = {}  # only of files with equal sizes; uncompressed images may all have the same

    def is_training_picture(path: Path) -> bool:
        size = _size(path)
        if size not in sizes:
            return False
        if size not in contents:
            contents[size] = {_digest(other) for other in sizes[size]}
        return _digest(path) in contents[size]

    shared = [image.path for image in val.images if _resolved(image.path) in paths or is_training_picture(image.path)]
    return len(shared), str(shared[0]) if shared else ""


def _look(path: Path, skipped: Skipped) -> tuple[bool, ImageHeader | None]:
    if not path.is_file():
        skipped.add(path, "does not exist" if not path.exists() else "is not a regular file")
        return False, None
    header = read_header_of(path)
    if header is None:  # a format whose header is not parsed, or a damaged file
        try:
            height, width = read_image(path).shape[:2]
        except MediaError as error:
            skipped.add(path, error.message)
            return False, None
        return True, ImageHeader("", width, height)
    return True, header


def _report_size(image: LabelledImage, header: ImageHeader, transform: GridTransform | None, findings: Counts) -> None:
    """Add a finding if the labels were made in another size or orientation than the image is shown in."""
    width, height = header.size
    where = f"{image.path.name}, {image.size[0]} x {image.size[1]} in the file but {width} x {height}"
    sizes = image.size, (header.width, header.height), header.orientation
    if transform is not None:
        grid = classify(*sizes)
        how = {Grid.SCALED: "resized", Grid.TURNED_SCALED: "turned and resized"}.get(grid, "turned")
        findings.add(f"images that were {how} after they were labelled; their labels are moved along", where)
    elif not all(image.size):
        return
    elif classify(*sizes) is Grid.CONTRADICTORY:
        if image.size == header.size[::-1]:
            findings.add(
                "images whose width and height are exchanged in the file; their labels are used as they are", where
            )
        else:
            findings.add("images of another size than the file says; their labels are used as they are", where)
    elif is_unsettled(*sizes):
        findings.add(
            "images that are turned or mirrored by their EXIF orientation and keep their size; their labels are used "
            "as labels of the upright image",
            image.path.name,
        )


def _moved(item: Instance, transform: GridTransform) -> Instance:
    box = transform.boxes(item.box).astype(np.float32)
    scale = float(np.prod(box[2:] - box[:2]) / max(np.prod(item.box[2:] - item.box[:2]), 1e-9))
    points = transform.points(item.keypoints).astype(np.float32)
    return replace(item, keypoints=points, box=box, area=item.area * scale)


def _within(item: Instance, size: tuple[int, int], findings: Counts) -> Instance | None:
    """The pose without points that cannot be correct; None if no point is left."""
    where = f"annotation {item.id}"
    extent = np.asarray(size, np.float64)
    points = item.keypoints.astype(np.float64)
    labelled = item.labelled & np.isfinite(points).all(axis=1)
    far = labelled & ((points < -FAR * extent) | (points > (1 + FAR) * extent)).any(axis=1)
    outside = labelled & ~far & ((points < -1) | (points > extent)).any(axis=1)
    if far.any():
        findings.add("poses with points far outside their picture; these points are left out", where)
        labelled = labelled & ~far
    if outside.any():
        findings.add("poses with points outside their picture", where)
    if not labelled.any():
        return None
    points_in_reach = np.where(labelled[:, None], points, 0).astype(np.float32)
    item = replace(item, keypoints=points_in_reach, labelled=labelled)
    x1, y1, x2, y2 = (float(v) for v in item.box)
    if x2 <= 0 or y2 <= 0 or x1 >= extent[0] or y1 >= extent[1]:
        low, high = points_in_reach[labelled].min(axis=0), points_in_reach[labelled].max(axis=0)
        if (high < 0).any() or (low > extent).any():
            findings.add("poses outside their picture, not trained on", where)
            return None
        findings.add("boxes outside their picture; the box of the points is used", where)
        margin = max(20.0, 0.1 * float((high - low).max()))
        return replace(item, box=np.concatenate([low - margin, high + margin]).astype(np.float32))
    inside = (points_in_reach >= (x1, y1)).all(axis=1) & (points_in_reach <= (x2, y2)).all(axis=1)
    if not (inside & labelled).any():
        findings.add("boxes that hold none of their points", where)
    return item


@dataclass
class _Corners:
    """Detects boxes that are read as x, y, width, height but are really x1, y1, x2, y2."""

    boxes: int = 0
    corners: int = 0
    first: str = ""

    def take(self, item: Instance, size: tuple[int, int]) -> None:
        x, y, x2, y2 = (float(v) for v in item.box)
        width, height = x2 - x, y2 - y
        points = item.keypoints[item.labelled]
        self.boxes += 1
        beyond = x2 > size[0] + 1 or y2 > size[1] + 1
        as_corners = width > x and height > y and width <= size[0] + 1 and height <= size[1] + 1
        fits = len(points) and (points >= (x - 1, y - 1)).all() and (points <= (width + 1, height + 1)).all()
        if beyond and as_corners and fits:
            self.corners += 1
            self.first = self.first or f"annotation {item.id}"

    @property
    def look_like_corners(self) -> bool:
        return self.boxes > 0 and self.corners > SAME_BOX_SHARE * self.boxes


def _resolved(path: Path) -> str:
    try:
        return str(path.resolve())
    except (OSError, RuntimeError):
        return str(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path) -> bytes:
    """Of the content; of the path if a file cannot be read, so that it equals no other."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return str(path).encode("utf-8", "surrogateescape")
