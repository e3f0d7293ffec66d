from pathlib import Path

import numpy as np
import pytest
import torch

from engine.networks.efficientdet import decode_boxes, make_anchors
from engine.train.config import AugmentConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.training_set import read_training_set
from engine.train.tasks.detector_targets import (
    BACKGROUND,
    LEFT_OUT,
    BoxDataset,
    BoxSample,
    clip_to_canvas,
    iou_matrix,
    match,
    turn_boxes,
    turn_image,
)

ANCHORS = make_anchors(320).numpy()
NOTHING = np.zeros((0, 4), np.float32)


def sample_of(boxes: list[list[float]], labels: list[int], ignored: np.ndarray = NOTHING) -> BoxSample:
    canvas = np.zeros((320, 320, 3), np.uint8)
    return BoxSample(canvas, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), ignored)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_boxes_turn_with_the_picture(turns: int, flip: bool) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[5:15, 20:45] = 255
    turned = turn_image(image, turns, flip)
    rows, columns = np.nonzero(turned[:, :, 0])
    (box,) = turn_boxes(np.array([[20, 5, 45, 15.0]]), turns, flip, 60, 40)
    assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_targets_decode_to_the_boxes_they_came_from() -> None:
    boxes = [[30, 40, 110, 100], [200, 150, 230, 300]]
    labels, codes = match(ANCHORS, sample_of(boxes, [0, 1]))
    decoded = decode_boxes(torch.from_numpy(codes), make_anchors(320)).numpy()
    for index, box in enumerate(boxes):
        assert (labels == index).any()
        assert decoded[labels == index] == pytest.approx(np.tile(box, ((labels == index).sum(), 1)), abs=1e-3)


def test_a_box_that_no_anchor_fits_still_gets_its_best() -> None:
    labels, _ = match(ANCHORS, sample_of([[10, 10, 14, 300]], [0]))
    assert (labels == 0).sum() == 1


def test_a_picture_without_boxes_is_background() -> None:
    labels, codes = match(ANCHORS, sample_of([], []))
    assert (labels == BACKGROUND).all()
    assert not codes.any()


def test_anchors_in_a_crowd_are_left_out_unless_they_hold_an_object() -> None:
    crowd = np.array([[100, 100, 200, 200]], np.float32)
    labels, _ = match(ANCHORS, sample_of([[120, 120, 160, 160]], [0], crowd))
    inside = ((ANCHORS[:, :2] > 100) & (ANCHORS[:, :2] < 200)).all(1)
    assert set(labels[inside]) == {LEFT_OUT, 0}


def test_what_is_mostly_outside_is_no_object() -> None:
    clipped, remaining = clip_to_canvas(np.array([[-90, 0, 10, 10], [-10, 0, 90, 10.0]]), (100, 100))
    assert remaining.tolist() == [False, True]
    assert clipped[1].tolist() == [0, 0, 90, 10]


def test_overlaps() -> None:
    a = np.array([[0, 0, 10, 10.0]])
    assert iou_matrix(a, np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30.0]])).tolist() == [[1, 50 / 150, 0]]


def test_boxes_stay_around_their_object_in_every_layout(bars: Path) -> None:
    augment = AugmentConfig(rotation=180, scale=(0.6, 1.5), brightness=0, contrast=0, color=0)
    data = BoxDataset(read_training_set(bars), (160, 160), augment, ImageCache(1 << 24))
    for index in range(len(data)):
        sample = data.sample(index, np.random.default_rng(index))
        assert sample.canvas.shape == (160, 160, 3)
        bright = sample.canvas.max(axis=2).astype(int) > 150
        rows, columns = np.nonzero(bright)
        (box,) = sample.boxes
        assert box[0] - 1 <= columns.min()
        assert columns.max() <= box[2] + 1
        assert box[1] - 1 <= rows.min()
        assert rows.max() <= box[3] + 1


def test_plain_samples_are_letterboxed_at_the_top_left(bars: Path) -> None:
    data = BoxDataset(read_training_set(bars), (160, 240), None, ImageCache(1 << 24))
    sample = data.sample(0, np.random.default_rng(0))
    assert sample.canvas[:160].max(axis=2).min() > 0
    assert sample.canvas[160:].max() == 0
    assert sample.boxes[0] == pytest.approx(data.images[0].boxes[0] * 160 / 120, rel=1e-5)
