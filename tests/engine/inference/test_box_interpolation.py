"""Boxes in frames that the detector has not looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.inference.box_interpolation import boxes_between, pair_boxes

A = np.array([10.0, 10, 30, 50])
B = np.array([100.0, 20, 140, 90])


def test_a_box_moves_evenly_between_two_frames() -> None:
    boxes, scores = boxes_between(A[None], [0.8], A[None] + 8, [0.4], 0.25)
    assert boxes == pytest.approx(A[None] + 2)
    assert scores == pytest.approx([0.7])


def test_boxes_are_who_they_overlap_most_whatever_their_order() -> None:
    assert pair_boxes(np.stack([A, B]), np.stack([B + 3, A + 3])) == [(0, 1), (1, 0)]


def test_what_has_jumped_beyond_its_place_is_found_by_nearness() -> None:
    assert pair_boxes(A[None], A[None] + [22, 0, 22, 0]) == [(0, 0)]
    assert pair_boxes(A[None], A[None] + [500, 0, 500, 0]) == []


def test_what_is_in_one_frame_alone_is_there_in_the_nearer_half() -> None:
    both, one = np.stack([A, B]), A[None]
    assert len(boxes_between(both, [0.9, 0.8], one, [0.9], 0.2)[0]) == 2
    assert len(boxes_between(both, [0.9, 0.8], one, [0.9], 0.8)[0]) == 1
    assert len(boxes_between(one, [0.9], both, [0.9, 0.8], 0.8)[0]) == 2


BOXES = st.integers(0, 4).flatmap(
    lambda n: arrays(np.float32, (n, 4), elements=st.floats(-1e4, 1e4, width=32)).map(
        lambda boxes: np.concatenate(
            [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
        )
    )
)


@given(first=BOXES, last=BOXES, share=st.floats(0, 1))
def test_any_boxes_give_boxes_between_them(first: np.ndarray, last: np.ndarray, share: float) -> None:
    scores = [np.linspace(0.1, 1, len(boxes)) for boxes in (first, last)]
    boxes, result = boxes_between(first, scores[0], last, scores[1], share)
    assert boxes.shape == (len(result), 4)
    assert boxes.dtype == np.float32
    assert (np.diff(result) <= 0).all()
    if len(boxes):
        every = np.concatenate([first, last])
        assert (boxes >= every.min(0) - 1e-2).all()
        assert (boxes <= every.max(0) + 1e-2).all()
