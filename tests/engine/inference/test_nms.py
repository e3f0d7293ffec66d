"""Suppression keeps what torchvision's operator keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.inference.nms import nms


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(0, 10_000), iou=st.sampled_from([0.3, 0.5, 0.7]))
def test_it_keeps_the_same_boxes_as_torchvision(count: int, seed: int, iou: float) -> None:
    torch = pytest.importorskip("torch")
    operators = pytest.importorskip("torchvision.ops")
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (count, 2))], 1).astype(np.float32)
    scores = rng.permutation(count).astype(np.float32)
    classes = rng.integers(0, 3, count)
    theirs = operators.batched_nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes), iou
    ).numpy()
    assert nms(boxes, scores, classes, iou, count + 1).tolist() == theirs.tolist()


def test_it_stops_at_the_wanted_number() -> None:
    boxes = np.array([[0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 10, 10]], np.float32)
    assert nms(boxes, np.array([0.1, 0.9, 0.5]), np.zeros(3, int), 0.5, 2).tolist() == [1, 2]


def test_equal_scores_keep_their_order() -> None:
    boxes = np.array([[0, 0, 1, 1], [5, 5, 6, 6]], np.float32)
    assert nms(boxes, np.array([0.5, 0.5]), np.zeros(2, int), 0.5, 9).tolist() == [0, 1]
