"""Whether an image is still in the size and orientation in which it was labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from engine.labels.image_size import (
    Grid,
    GridTransform,
    Size,
    are_on_stored_pixels,
    classify,
    is_unsettled,
    transform_of,
)
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


def label_transforms(sources: Sequence[ImageFile]) -> tuple[list[GridTransform | None], list[str]]:
    """Transforms from label pixels to the pixels of the images as they are shown (upright).

    Returns:
        The transform of each image; None if labels and image agree, if the size is unknown, if the image cannot be
        read, and if the two sizes contradict each other. And remarks: how many images were rotated or resized since,
        contradict, or cannot be decided, with the first of each.
    """
    sizes: list[tuple[Size, Size, int] | None] = []
    for source in sources:
        record = (source.image.width, source.image.height)
        header = read_header_of(source.path) if all(record) else None
        sizes.append(None if header is None else (record, (header.width, header.height), header.orientation))
    on_stored = are_on_stored_pixels(size for size in sizes if size is not None)
    moved: list[str] = []
    contradictory: list[str] = []
    undecided: list[str] = []
    transforms: list[GridTransform | None] = []
    for source, size in zip(sources, sizes, strict=True):
        transform = None if size is None else transform_of(*size, unsettled=on_stored)
        transforms.append(transform)
        if transform is not None:
            moved.append(source.image.file_name)
        elif size is not None and classify(*size) is Grid.CONTRADICTORY:
            contradictory.append(source.image.file_name)
        elif size is not None and is_unsettled(*size):
            undecided.append(source.image.file_name)
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
    if undecided:
        remarks.append(
            f"{len(undecided)} of {len(sources)} images are turned or mirrored by their EXIF orientation and keep "
            f"their size; their labels are used as labels of the upright image (the first is {undecided[0]})"
        )
    return transforms, remarks
