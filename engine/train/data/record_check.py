"""Checks of the records of a label file, independent of its images. Each finding is a sentence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from engine.formats.coco.dataset import CocoDataset


@dataclass
class _Count:
    """Number of records of a finding, and the first of them."""

    count: int = 0
    first: str = ""

    def add(self, where: str) -> None:
        self.count += 1
        self.first = self.first or where


@dataclass
class Counts:
    """Findings with the number of their records, in the order in which they were added."""

    file: Path
    rows: dict[str, _Count] = field(default_factory=dict)

    def add(self, sentence: str, where: object) -> None:
        self.rows.setdefault(sentence, _Count()).add(str(where))

    def texts(self) -> list[str]:
        return [
            f"{self.file.name}: {sentence}: {row.count}, the first is {row.first}."
            for sentence, row in self.rows.items()
        ]


def check_records(dataset: CocoDataset, categories: Collection[int | str], file: Path) -> list[str]:
    """Check the records themselves, independent of the images.

    Args:
        categories: ids of the categories that are trained on.
    """
    findings = Counts(file)
    names: dict[str, int | str] = {}
    for image in dataset.images:
        if names.setdefault(image.file_name, image.id) != image.id:
            findings.add("images that are listed more than once", f"image {image.id}, {image.file_name}")
    known = {image.id for image in dataset.images}
    seen: dict[tuple[object, ...], int | str] = {}
    for annotation in dataset.annotations:
        if annotation.category_id not in categories:
            continue
        where = f"annotation {annotation.id}"
        if annotation.image_id not in known:
            findings.add("annotations that belong to no image of the file, not trained on", where)
            continue
        points = annotation.keypoints or ()
        if not any(points[2::3]) or annotation.iscrowd:
            if annotation.bbox and not annotation.iscrowd:
                findings.add("boxes without a labelled point, from which no pose is learned", where)
            continue
        key = (annotation.image_id, annotation.category_id, tuple(points))
        if key in seen:
            findings.add("annotations that repeat the pose of another in the same image", f"{where}, as {seen[key]}")
        seen.setdefault(key, annotation.id)
    return findings.texts()
