"""The embedded detector on real photographs, and the steps around the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ModelError
from engine.geometry import xywh_to_xyxy
from engine.inference.detector import Detector
from engine.media.images import read_image


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(device="cpu")


@pytest.fixture(scope="module")
def astronaut(resources_dir: Path) -> np.ndarray:
    return read_image(resources_dir / "sample/astronaut.jpg")


def test_the_person_is_found_first(detector: Detector, astronaut: np.ndarray) -> None:
    (result,) = detector.detect([astronaut], categories=["person"])
    assert result.scores[0] > 0.7
    x1, y1, x2, y2 = result.boxes[0]
    height, width = astronaut.shape[:2]
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert x1 < 230 < x2  # her nose
    assert y1 < 125 < y2
    assert (y2 - y1) > 0.9 * height


def test_results_are_ranked_within_the_image_and_named(detector: Detector, astronaut: np.ndarray) -> None:
    (result,) = detector.detect([astronaut], score_threshold=0.02, max_detections=30)
    assert len(result) == 30
    assert (np.diff(result.scores) <= 0).all()
    assert (result.boxes >= 0).all()
    assert (result.boxes <= [*astronaut.shape[1::-1]] * 2).all()
    assert (result.boxes[:, 2:] > result.boxes[:, :2]).all()
    assert detector.categories[result.labels[0]] == "person"
    assert all(detector.categories[label] for label in result.labels)


@pytest.mark.slow
def test_images_of_several_sizes_share_a_batch(detector: Detector, astronaut: np.ndarray) -> None:
    wide = np.concatenate([astronaut, np.zeros_like(astronaut)], 1)
    small = np.ascontiguousarray(astronaut[::2, ::2])
    together = detector.detect([astronaut, wide, small], categories=["person"], batch=2)
    for image, result in zip([astronaut, wide, small], together, strict=True):
        (alone,) = detector.detect([image], categories=["person"])
        assert np.allclose(alone.boxes, result.boxes, atol=0.1)
        assert np.allclose(alone.scores, result.scores, atol=1e-3)
    assert np.abs(together[2].boxes[0] * 2 - together[0].boxes[0]).max() < 12


@pytest.mark.slow
def test_nothing_and_tiny_images_give_no_boxes_and_no_error(detector: Detector) -> None:
    assert detector.detect([]) == []
    for shape in ((1, 1, 3), (3, 900, 3), (700, 2, 3)):
        (result,) = detector.detect([np.zeros(shape, np.uint8)])
        assert result.boxes.shape == (len(result), 4)


def test_overlapping_boxes_of_one_class_leave_the_best(detector: Detector, astronaut: np.ndarray) -> None:
    (result,) = detector.detect([astronaut], score_threshold=0.02, categories=["person"], iou=0.4)
    # Boxes that were cut to the image overlapped less before.
    inside = (result.boxes > 0).all(1) & (result.boxes < [*astronaut.shape[1::-1]] * 2).all(1)
    boxes = torch.from_numpy(result.boxes[inside])
    assert len(boxes) > 5
    low, high = torch.max(boxes[:, None, :2], boxes[:, :2]), torch.min(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    overlap = (shared / (area[:, None] + area - shared)).fill_diagonal_(0)
    assert overlap.max() < 0.401


def test_unknown_categories_and_pose_models_are_refused(detector: Detector, astronaut: np.ndarray) -> None:
    assert detector.knows("dog")
    assert not detector.knows("")
    with pytest.raises(ModelError, match="does not know 'unicorn'; it knows airplane"):
        detector.detect([astronaut], categories=["unicorn"])
    with pytest.raises(ModelError, match="wants a detector"):
        Detector.load("movenet_lightning", "cpu")


@pytest.mark.slow
def test_people_on_real_photographs_are_found(detector: Detector, shared: Path) -> None:
    from engine.formats.coco.dataset import CocoDataset

    folder = shared / "data/coco-mini"
    dataset = CocoDataset.read(folder / "person_keypoints.json")
    large = [a for a in dataset.annotations if a.bbox and not a.iscrowd and a.bbox[2] * a.bbox[3] > 150**2][:12]
    files = {image.id: image.file_name for image in dataset.images}
    hits = 0
    for annotation in large:
        (result,) = detector.detect([read_image(folder / "images" / files[annotation.image_id])], categories=["person"])
        truth = xywh_to_xyxy(annotation.bbox)  # type: ignore[arg-type]
        low, high = np.maximum(result.boxes[:, :2], truth[:2]), np.minimum(result.boxes[:, 2:], truth[2:])
        both = np.clip(high - low, 0, None).prod(1)
        union = (result.boxes[:, 2:] - result.boxes[:, :2]).prod(1) + (truth[2:] - truth[:2]).prod() - both
        hits += bool((both / union > 0.5).any())
    assert hits >= 9
