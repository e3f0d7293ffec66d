"""A folder with a photo, a video and labels, as the examples of the documentation have it."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import engine

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "resources" / "sample"
# Keypoints of grace_hopper.jpg and astronaut.jpg as movenet_thunder finds them, rounded; 0 = not in the picture.
HOPPER = [259, 229, 290, 198, 226, 198, 337, 214, 190, 211, 407, 375, 96, 366, 478, 540, 47, 550]
ASTRONAUT = [212, 149, 231, 128, 190, 132, 256, 136, 176, 144, 331, 239, 113, 259, 403, 412, 75, 428]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: photo.jpg, portrait.jpg, film.mp4 and labels.json with a pose in each image; of the one in
    photo.jpg the right ankle lies outside the image."""
    shutil.copy(SAMPLE / "grace_hopper.jpg", tmp_path / "photo.jpg")
    shutil.copy(SAMPLE / "astronaut.jpg", tmp_path / "portrait.jpg")
    shutil.copy(SAMPLE / "walk_and_wave.mp4", tmp_path / "film.mp4")
    (tmp_path / "labels.json").write_text(json.dumps(coco_labels()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def coco_labels() -> dict[str, Any]:
    """The content of labels.json."""
    from engine.schema.builtin import find_schema

    annotations = []
    for index, points in enumerate((HOPPER, ASTRONAUT), 1):
        marked = [value for x, y in zip(points[::2], points[1::2], strict=True) for value in (x, y, 2)]
        marked += [0] * (51 - len(marked))
        box = [8, 27, 500, 570] if index == 1 else [6, 20, 500, 490]
        record = {"id": index, "image_id": index, "category_id": 1, "keypoints": marked, "bbox": box}
        annotations.append(record | {"num_keypoints": 9, "area": box[2] * box[3], "iscrowd": 0})
    annotations[0]["keypoints"][48:] = [70, 900, 2]
    names = list(find_schema("coco").names)
    return {
        "images": [
            {"id": 1, "file_name": "photo.jpg", "width": 512, "height": 600},
            {"id": 2, "file_name": "portrait.jpg", "width": 512, "height": 512},
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": [[1, 2], [1, 3]]}],
    }


@pytest.fixture(scope="module")
def lightning() -> engine.Model:
    return engine.load_model("movenet_lightning", device="cpu")


@pytest.fixture(scope="session")
def short_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four frames of the sample's video."""
    from engine.media.source import open_media
    from engine.media.video.writer import write_mp4

    path = tmp_path_factory.mktemp("film") / "short.mp4"
    with open_media(SAMPLE / "walk_and_wave.mp4") as film:
        frames = [film.read(index) for index in range(4)]
    times = [Fraction(index, 30) for index in range(4)]
    assert list(write_mp4(path, frames, times, (640, 360)))[-1] == 4
    return path
