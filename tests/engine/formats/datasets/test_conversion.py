from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from engine.formats.coco.dataset import CocoDataset
from engine.formats.datasets import KINDS, aic_into_coco17, open_dataset, read_as_coco, to_coco, write_as_coco
from engine.schema.builtin import find_schema
from engine.train.data.training_set import read_training_set
from tests.engine.formats.conftest import COCO_NAMES, coco_document, person, triples

NUMBER = st.integers(-50, 5000) | st.floats(-1e6, 1e6)
EXOTIC = NUMBER | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**80), 2**80)


@st.composite
def data_sets(draw):
    kind = draw(st.sampled_from(list(KINDS)))
    count = find_schema(kind).num_keypoints
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    records = []
    for identity in range(draw(st.integers(0, 4))):
        values = np.column_stack([rng.uniform(-20, 700, (count, 2)).round(2), rng.integers(0, 3, count)])
        flat = values.ravel().tolist()
        for position in range(draw(st.integers(0, 3))):
            flat[3 * (position % count)] = draw(EXOTIC)
        record = person(identity + 1, keypoints=flat, image_id=draw(st.integers(1, 2)))
        record["bbox"] = draw(st.none() | st.lists(NUMBER, min_size=4, max_size=4))
        record["iscrowd"] = draw(st.integers(0, 1))
        record["num_keypoints"] = draw(st.none() | st.integers(0, 300))
        if draw(st.booleans()):
            del record["area"]
        records.append(record)
    return kind, coco_document(records, list(find_schema(kind).names), name=draw(st.text(min_size=1, max_size=8)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=data_sets())
def test_a_converted_file_has_the_same_points(tmp_path, case):
    kind, document = case
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(document))
    data = open_dataset(kind, file)
    out = tmp_path / "out.json"
    write_as_coco(data, out)
    read = CocoDataset.read(out)
    assert len(read.annotations) == len(data.samples)
    for sample, annotation in zip(data.samples, read.annotations):
        points = np.array(annotation.keypoints, dtype=np.float64).reshape(-1, 3)
        np.testing.assert_array_equal(points[:, :2], sample.keypoints)
        np.testing.assert_array_equal(points[:, 2], sample.visibility)
        assert (annotation.id, annotation.image_id) == (sample.id, sample.image_id)
    again = open_dataset(kind, out)
    for a, b in zip(data.samples, again.samples):
        np.testing.assert_array_equal(a.box, b.box)
        assert (a.fault, a.iscrowd, a.num_keypoints) == (b.fault, b.iscrowd, b.num_keypoints)
        assert math.isclose(a.area, b.area) or a.area == b.area


def test_in_memory_and_on_disk_are_the_same(write, tmp_path):
    data = open_dataset("coco", write(coco_document([person(), person(8)], COCO_NAMES)))
    to_coco(data).write(tmp_path / "a.json")
    write_as_coco(data, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text())["info"] == {"year": 2017}


def test_whole_bodies_are_written_in_one_list(write, tmp_path):
    record = person(
        foot_kpts=triples(6), face_kpts=triples(68, 1), lefthand_kpts=triples(21, 0.3), righthand_kpts=[0] * 63
    ) | {"segmentation": [[1, 2, 3, 4, 5, 6]], "face_valid": True}
    write_as_coco(open_dataset("", write(coco_document([record], COCO_NAMES))), tmp_path / "out.json")
    (written,) = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert len(written["keypoints"]) == 399
    assert not {"foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"} & set(written)
    assert written["segmentation"] == [[1, 2, 3, 4, 5, 6]]
    assert written["face_valid"] is True
    assert set(written["keypoints"][2 + 3 * 91 : 3 * 112 : 3]) == {2}
    trained = read_training_set(tmp_path / "out.json")
    assert trained.schema.name == "coco_wholebody"
    assert trained.instances[0].labelled.sum() == 112


def test_what_pycocotools_needs_is_there(write, tmp_path):
    record = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "keypoints": triples(14)}
    data = open_dataset("aic", write(coco_document([record])))
    write_as_coco(data, tmp_path / "out.json")
    truth = COCO(str(tmp_path / "out.json"))
    (annotation,) = truth.loadAnns(truth.getAnnIds(iscrowd=False))
    assert annotation["area"] == pytest.approx(0.53 * 30 * 40)
    assert (annotation["num_keypoints"], annotation["iscrowd"]) == (14, 0)


def test_points_that_aic_never_labels_stay_known(write, tmp_path):
    data = aic_into_coco17(open_dataset("aic", write(coco_document([person(keypoints=triples(14))]))))
    write_as_coco(data, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["annotations"][0]["not_covered"] == [0, 1, 2, 3, 4]
    (sample,) = open_dataset("coco", tmp_path / "out.json").samples
    np.testing.assert_array_equal(sample.covered, data.samples[0].covered)


def test_garments_with_their_own_points(write, tmp_path):
    flat = [0] * 882
    flat[3 * 128 : 3 * 143] = triples(15)
    document = coco_document([person(keypoints=flat, category_id=5, num_keypoints=15)])
    document["categories"] = [{"id": 5, "name": "vest"}, {"id": 7, "name": "shorts"}]
    data = open_dataset("", write(document))
    assert data.kind == "deepfashion2"
    write_as_coco(data, tmp_path / "out.json", own_points=True)
    read = CocoDataset.read(tmp_path / "out.json")
    assert [(c.name, len(c.keypoints)) for c in read.categories] == [("vest", 15), ("shorts", 10)]
    assert read.categories[0].keypoints[0] == "vest_kpt1"
    assert read.annotations[0].keypoints == triples(15)
    trained = read_training_set(tmp_path / "out.json")
    assert trained.schema.name == "deepfashion2_vest"
    assert trained.schema.flip_indices.tolist() == [0, 5, 4, 3, 2, 1, 14, 13, 12, 11, 10, 9, 8, 7, 6]


def test_plain_files_are_left_alone_and_others_converted(write):
    plain = write(coco_document([person()], COCO_NAMES))
    assert read_as_coco(plain).annotations[0].raw == CocoDataset.read(plain).annotations[0].raw
    unnamed = write(coco_document([person()]))
    assert read_as_coco(unnamed).categories[0].keypoints == COCO_NAMES
    spoken = [name.replace("_", " ").title() for name in find_schema("aic").names]
    aic = write(coco_document([person(keypoints=triples(14))], spoken))
    assert tuple(read_as_coco(aic).categories[0].keypoints) == find_schema("aic").names
    assert read_as_coco(aic, names=spoken).categories[0].keypoints == spoken
    own = write(coco_document([person(keypoints=triples(2))], ["tip", "tail"]))
    assert read_as_coco(own).categories[0].keypoints == ["tip", "tail"]


def test_training_takes_the_layouts_as_they_are(write):
    lists = {"foot_kpts": triples(6), "face_kpts": triples(68), "lefthand_kpts": triples(21)}
    whole = write(coco_document([person(**lists, righthand_kpts=triples(21))], COCO_NAMES))
    assert read_training_set(whole).schema.name == "coco_wholebody"
    assert read_training_set(whole, schema="coco").instances[0].keypoints.shape == (17, 2)
    people = {"human1": triples(14, 1)}
    aic = write([{"image_id": "a", "human_annotations": {"human1": [1, 2, 9, 9]}, "keypoint_annotations": people}])
    trained = read_training_set(aic)
    assert trained.schema.name == "aic"
    assert trained.images[0].path == aic.parent / "a.jpg"


@pytest.mark.parametrize("name", ["coco/test_coco_wholebody.json", "aic/test_aic.json", "fld/test_fld.json"])
def test_published_samples_can_be_trained_on(shared, tmp_path, name):
    file = shared / "data" / "mmpose-samples" / name
    data = open_dataset("", file)
    write_as_coco(data.usable(), tmp_path / "out.json")
    trained = read_training_set(tmp_path / "out.json", file.parent)
    assert trained.schema.names == data.schema.names
    assert len(trained.instances) == len(data.usable())
    assert all(image.path.is_file() for image in trained.images)
