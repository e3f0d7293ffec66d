"""Finding the images that a label file names, for importers; rules: :mod:`engine.media.image_finder`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.media import image_finder
from engine.media.image_finder import FoundImages, likely_folders, plain_name

__all__ = ["FoundImages", "find_images", "likely_folders", "plain_name"]


def find_images(
    names: Iterable[str],
    label_file: Path,
    image_root: Path | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> FoundImages:
    """Find the images of a label file; those that are missing keep the name they have in the file."""
    return image_finder.find_images(names, likely_folders(label_file, image_root), sizes)
