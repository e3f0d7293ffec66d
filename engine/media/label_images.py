"""Whether an image is still in the size and orientation in which it was labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from engine.labels.image_size import Grid, GridTransform, classify, transform_of
from engine.media.image_headers import read_header_of


class SizedImage(Protocol):
    """An image as labels describe it; width and height are 0 while unknown."""

    @property
    def file_name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class ImageFile(Protocol):
    """An image record and its file."""

    @property
    def image(self) -> SizedImage: ...

    @property
    def path(self) -> Path: ...


def label_transform(image: SizedImage, path: Path) -> tuple[Grid, GridTransform | None]:
    """How the size in an image record relates to the picture as it is shown (upright).

    Args:
        image: its width and height are those in which it was labelled, 0 while unknown.

    Returns:
        The relation, and what brings labels onto the shown picture; None where they lie on it already, where the size
        is unknown or the file cannot be read, and where the two sizes contradict each other.
    """
    header = read_header_of(path)
    if header is None or not image.width or not image.height:
        return Grid.UNKNOWN, None
    record, stored = (image.width, image.height), (header.width, header.height)
    return classify(record, stored, header.orientation), transform_of(record, stored, header.orientation)


def label_transforms(sources: Sequence[ImageFile]) -> tuple[list[GridTransform | None], list[str]]:
    """The transform of each image, and remarks: how many images were moved or contradict, and the first of them."""
    moved: list[str] = []
    contradictory: list[str] = []
    transforms: list[GridTransform | None] = []
    for source in sources:
        grid, transform = label_transform(source.image, source.path)
        transforms.append(transform)
        if transform is not None:
            moved.append(source.image.file_name)
        elif grid is Grid.CONTRADICTORY:
            contradictory.append(source.image.file_name)
    remarks = []
    if moved:
        remarks.append(
            f"{len(moved)} of {len(sources)} images were turned or resized after they were labelled; their boxes and "
            f"keypoints are moved along (the first is {moved[0]})"
        )
    if contradictory:
        remarks.append(
            f"{len(contradictory)} of {len(sources)} images have another size than the labels say; their labels are "
            f"used as they are (the first is {contradictory[0]})"
        )
    return transforms, remarks
