from __future__ import annotations

import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.datasets import aic_into_coco17, combine, open_dataset, remap
from engine.schema.builtin import find_schema
from tests.engine.formats.conftest import COCO_NAMES, coco_document, person, triples

FACE = [0, 1, 2, 3, 4]


def aic(write, **fields):
    names = list(find_schema("aic").names)
    file = write(coco_document([person(keypoints=triples(14), **fields)], names), "aic/labels.json")
    return open_dataset("aic", file)


def test_the_points_of_aic_stand_where_coco_has_those_names(write):
    data = aic(write)
    merged = aic_into_coco17(data)
    (sample,) = merged.samples
    for name in find_schema("aic").names[:12]:
        a, b = data.schema.index[name], merged.schema.index[name]
        np.testing.assert_array_equal(sample.keypoints[b], data.samples[0].keypoints[a])
        assert sample.visibility[b] == 2
    assert not sample.keypoints[FACE].any()
    assert not sample.weights[FACE].any()
    assert np.flatnonzero(~sample.covered).tolist() == FACE
    assert sample.num_keypoints == 12


def test_the_reference_case_of_the_merge(shared, write):
    case = np.load(shared / "parity" / "codecs" / "aic_to_coco.npz")
    points = np.concatenate([case["keypoints"][0], case["visible"][0][:, None]], axis=1)
    data = aic(write)
    record = person(keypoints=points.ravel().tolist(), num_keypoints=None)
    data = open_dataset("aic", write(coco_document([record])))
    (sample,) = aic_into_coco17(data).samples
    np.testing.assert_array_equal(sample.keypoints, case["out_keypoints"][0])
    np.testing.assert_array_equal(sample.weights, case["out_visible"][0][:, 0])
    np.testing.assert_array_equal(sample.covered, case["out_visible"][0][:, 1] > 0)


def test_two_data_sets_become_one(write):
    coco_file = write(coco_document([person(), person(8, image_id=2)], COCO_NAMES), "coco/labels.json")
    coco = open_dataset("coco", coco_file)
    both = combine([coco, aic_into_coco17(aic(write))])
    assert [image.id for image in both.images] == [1, 2, 3, 4]
    assert [image.file_name for image in both.images] == ["coco/a.jpg", "coco/b.jpg", "aic/a.jpg", "aic/b.jpg"]
    assert [(s.id, s.image, s.image_id, s.source) for s in both.samples] == [
        (1, 0, 1, "coco"),
        (2, 1, 2, "coco"),
        (3, 2, 3, "aic"),
    ]
    assert [(category.id, category.name) for category in both.categories] == [(1, "person")]
    assert both.images[3].path == coco_file.parent.parent / "aic" / "b.jpg"


def test_data_sets_of_different_points_stay_apart(write):
    data = aic(write)
    with pytest.raises(CocoError, match="has the points of coco"):
        combine([data, aic_into_coco17(data)])
    with pytest.raises(CocoError, match="no data sets"):
        combine([])
    assert combine([data]) is data
    with pytest.raises(CocoError, match="only aic merges into coco"):
        aic_into_coco17(aic_into_coco17(data))
    with pytest.raises(CocoError, match="a point outside"):
        remap(data, find_schema("coco"), {14: 0})
