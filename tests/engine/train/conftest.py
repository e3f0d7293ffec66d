"""A small drawn data set: a white bar with a red head, a green middle and a blue tail, at any angle, on grey."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.schema.schema import schema_from_dict

POINTS = ("head", "left_side", "right_side", "tail")
COLORS = ((255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 0, 255))
SIDE = 120

SCHEMA = schema_from_dict(
    {
        "name": "bar",
        "category": "bar",
        "keypoints": [
            {"name": "head"},
            {"name": "left_side", "swap": "right_side"},
            {"name": "right_side", "swap": "left_side"},
            {"name": "tail"},
        ],
    }
)


def draw_bar(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An RGB image and the four points (4, 2) on it."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    # Seen from above with y downwards, the left of something that looks along (x, y) is (y, -x).
    left = np.array([along[1], -along[0]])
    middle = rng.uniform(50, SIDE - 50, 2)
    points = np.stack([middle + 30 * along, middle + 12 * left, middle - 12 * left, middle - 30 * along])
    ends = [tuple(int(v) for v in np.rint(points[i])) for i in (0, 3)]
    cv2.line(image, ends[0], ends[1], (230, 230, 230), 14)
    for point, color in zip(points, COLORS, strict=True):
        cv2.circle(image, tuple(int(v) for v in np.rint(point)), 5, color, -1)
    return image, points


def write_bars(folder: Path, count: int, *, seed: int = 0, boxes: bool = True) -> Path:
    """``count`` images and ``labels.json`` beside them; returns the latter."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    data = CocoDataset(categories=[make_category(1, SCHEMA)])
    for index in range(1, count + 1):
        image, points = draw_bar(rng)
        cv2.imwrite(str(folder / f"{index:03}.png"), image[:, :, ::-1])
        low, high = points.min(0) - 8, points.max(0) + 8
        data.images.append(make_image(index, f"{index:03}.png", SIDE, SIDE))
        marked = np.concatenate([points, np.full((4, 1), 2.0)], 1)
        box = [*low, *(high - low)] if boxes else None
        data.annotations.append(make_annotation(100 + index, index, 1, marked, box))
    file = folder / "labels.json"
    data.write(file)
    return file


@pytest.fixture(scope="session")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file of 12 images."""
    return write_bars(tmp_path_factory.mktemp("bars"), 12)
