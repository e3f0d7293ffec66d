"""The open-field mouse (DeepLabCut's example project) as COCO files: for the benchmarks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.media.images import image_size
from engine.schema.schema import Schema, schema_from_names

FOLDER = Path("labeled-data") / "m4s1"
MARGIN = 20.0


def read_rows(project: Path) -> tuple[Schema, list[tuple[str, np.ndarray]]]:
    """Image name (relative to the project) and points (4, 2) of every labelled frame whose image is there."""
    with (project / FOLDER / "CollectedData_Pranav.csv").open(newline="") as file:
        table = list(csv.reader(file))
    names = table[1][1::2]
    rows = [(row[0], np.asarray(row[1:], float).reshape(-1, 2)) for row in table[3:]]
    return schema_from_names("mouse", names, category="mouse"), [r for r in rows if (project / r[0]).is_file()]


def write_coco(path: Path, project: Path, schema: Schema, rows: list[tuple[str, np.ndarray]]) -> None:
    """A COCO file of these rows; boxes are the extent of the points and 20 pixels around it."""
    data = CocoDataset(categories=[make_category(1, schema)])
    for index, (name, points) in enumerate(rows, 1):
        width, height = image_size(project / name)
        low, high = points.min(0) - MARGIN, points.max(0) + MARGIN
        data.images.append(make_image(index, name, width, height))
        marked = np.concatenate([points, np.full((len(points), 1), 2.0)], 1)
        data.annotations.append(make_annotation(index, index, 1, marked, [*low, *(high - low)]))
    data.write(path)


def splits(count: int, seed: int = 0, test: int = 22) -> dict[str, tuple[list[int], list[int]]]:
    """Positions to train on and to test on: a random split, and the first frames against the last."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    return {
        "random": (sorted(order[: count - test]), sorted(order[count - test :])),
        "first": (list(range(count - test)), list(range(count - test, count))),
    }
