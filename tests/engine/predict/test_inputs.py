"""Which boxes a run is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoDataset, CocoImage, make_annotation, make_category
from engine.predict.inputs import Source, boxes_of_annotations
from engine.schema.builtin import find_schema

COCO = find_schema("coco")
CATEGORY = make_category(1, COCO)


def boxes(*xywh: list[float], size: tuple[int, int] = (100, 80)) -> Source:
    data = CocoDataset([CocoImage(1, "a.jpg", *size)], categories=[CATEGORY])
    data.annotations = [make_annotation(n, 1, 1, bbox_xywh=box) for n, box in enumerate(xywh, 1)]
    (source,) = boxes_of_annotations(data, [Source(data.images[0], Path("a.jpg"))], CATEGORY, 17, "labels.json")
    return source


def test_labelled_boxes_are_corner_and_size() -> None:
    given = boxes([10, 20, 30, 40], [50, 5, 20, 70]).boxes
    assert given is not None
    assert given.xyxy.tolist() == [[10, 20, 40, 60], [50, 5, 70, 75]]
    assert given.xywh.tolist() == [[10, 20, 30, 40], [50, 5, 20, 70]]
    assert given.scores.tolist() == [1, 1]
    assert given.category_ids == [1, 1]


def test_labelled_boxes_are_cut_to_the_image_and_come_out_as_they_were() -> None:
    given = boxes([-20, -10, 60, 200], [90, 70, 50, 50]).boxes
    assert given is not None
    assert given.xyxy.tolist() == [[0, 0, 40, 79], [90, 70, 99, 79]]
    assert given.xywh.tolist() == [[-20, -10, 60, 200], [90, 70, 50, 50]]


def test_a_box_beside_the_image_and_one_of_an_image_of_unknown_size_are_used_as_given() -> None:
    outside = boxes([200, 10, 30, 40]).boxes
    unknown = boxes([-20, 10, 300, 40], size=(0, 0)).boxes
    assert outside is not None
    assert unknown is not None
    assert outside.xyxy.tolist() == [[200, 10, 230, 50]]
    assert unknown.xyxy.tolist() == [[-20, 10, 280, 50]]


def test_boxes_without_extent_are_no_boxes() -> None:
    given = boxes([10, 20, 30, 40], [10, 20, 0, 40], [10, 20, 30, -1]).boxes
    assert given is not None
    assert np.array_equal(given.xywh, [[10, 20, 30, 40]])
    with pytest.raises(CocoError, match="has no boxes of 'person'"):
        boxes([10, 20, 0, 0])
