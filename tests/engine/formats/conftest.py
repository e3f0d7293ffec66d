"""Tiny files in each original layout, so that readers are tested also where the real samples are absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

COCO_NAMES = [
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
]


def triples(count: int, v: float = 2, start: float = 1) -> list[float]:
    """x, y, v of ``count`` points that all differ."""
    return [n for i in range(count) for n in (start + i, start + 2 * i, v)]


def coco_document(annotations: list[dict[str, Any]], names: list[str] | None = None, **category: Any) -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.jpg", "width": 50, "height": 40, "license": 4},
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": names or [], "skeleton": [], **category}],
    }


def person(identity: int = 7, **fields: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 20, 30, 40],
        "area": 700.5,
        "iscrowd": 0,
        "num_keypoints": 17,
        "keypoints": triples(17),
        **fields,
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Write plain data as a JSON file and give its path."""

    def writer(data: Any, name: str = "labels.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return writer


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str, int, int], Path]:
    """Write a black image of a size."""

    def writer(name: str, width: int, height: int) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
        return path

    return writer
