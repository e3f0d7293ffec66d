from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.datasets import open_dataset, sniff
from engine.formats.datasets.dataset import CROWD, EMPTY_BOX, NO_BOX, NO_POINTS, OUTSIDE
from engine.schema.builtin import find_schema
from tests.engine.formats.conftest import COCO_NAMES, coco_document, person, triples


def parts(**changed):
    lists = {
        "keypoints": triples(17),
        "foot_kpts": triples(6, 2, 100),
        "face_kpts": triples(68, 1, 200),
        "lefthand_kpts": triples(21, 0.04, 300),
        "righthand_kpts": [0] * 63,
        "face_valid": True,
        "righthand_valid": False,
    }
    return person(**{**lists, **changed})


def test_points_boxes_and_sizes_of_a_coco_file(write):
    file = write(coco_document([person()], COCO_NAMES))
    data = open_dataset("", file, file.parent / "pictures")
    (sample,) = data.samples
    assert (data.kind, data.schema.name, len(data.images)) == ("coco", "coco", 2)
    np.testing.assert_array_equal(sample.keypoints, np.array(triples(17)).reshape(17, 3)[:, :2])
    assert sample.bbox == (10, 20, 30, 40)
    assert sample.box.tolist() == [10, 20, 40, 60]
    assert (sample.area, sample.num_keypoints, sample.category) == (700.5, 17, "person")
    assert data.image_of(sample).path == file.parent / "pictures" / "a.jpg"
    assert (data.image_of(sample).width, data.image_of(sample).height) == (100, 80)
    assert sample.extras["iscrowd"] == 0


def test_boxes_are_clipped_to_the_last_pixel_of_the_image(write):
    file = write(coco_document([person(bbox=[-5, 70.5, 500, 20]), person(8, image_id=2, bbox=[10, 10, 40, 30])]))
    first, second = open_dataset("coco", file).samples
    assert first.box.tolist() == [0, 70.5, 99, 79]
    assert second.box.tolist() == [10, 10, 49, 39]
    assert first.bbox == (-5, 70.5, 500, 20)


def test_sizes_missing_in_the_file_are_taken_from_the_images(write, picture):
    document = coco_document([person(bbox=[0, 0, 500, 500]), person(8, image_id=2, bbox=[0, 0, 500, 500])])
    document["images"] = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]
    picture("a.png", 33, 22)
    data = open_dataset("coco", write(document))
    assert data.samples[0].box.tolist() == [0, 0, 32, 21]
    assert data.samples[1].box.tolist() == [0, 0, 500, 500]
    assert [(image.width, image.height) for image in data.images] == [(33, 22), (0, 0)]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"iscrowd": 1}, CROWD),
        ({"num_keypoints": 0}, NO_POINTS),
        ({"num_keypoints": None, "keypoints": [0] * 51}, NO_POINTS),
        ({"bbox": None}, NO_BOX),
        ({"bbox": [10, 10, 0, 20]}, EMPTY_BOX),
        ({"bbox": [100, 10, 20, 20]}, EMPTY_BOX),
        ({"keypoints": triples(17, 2, -60)}, OUTSIDE),
    ],
)
def test_instances_that_top_down_models_leave_out(write, fields, fault):
    data = open_dataset("coco", write(coco_document([person(**fields), person(8)])))
    assert [sample.fault for sample in data.samples] == [fault, ""]
    usable = data.usable()
    assert [sample.id for sample in usable.samples] == [8]
    assert usable.dropped == {fault: 1}
    assert len(usable.images) == 2
    assert len(usable.with_instances().images) == 1


def test_a_file_without_counts_areas_and_crowds(write):
    record = person(keypoints=[5, 6, 2] + [0, 0, 0] * 16)
    for key in ("num_keypoints", "area", "iscrowd"):
        del record[key]
    (sample,) = open_dataset("coco", write(coco_document([record]))).samples
    assert sample.num_keypoints == 1
    assert sample.area == pytest.approx(0.53 * 30 * 40)
    assert not sample.iscrowd


def test_visibility_weighs_as_the_kind_has_it(write):
    states = [0, 1, 2, 0.25] + [2] * 13
    flat = [n for i, v in enumerate(states) for n in (i + 1, i + 1, v)]
    (coco,) = open_dataset("coco", write(coco_document([person(keypoints=flat)]))).samples
    assert coco.weights[:4].tolist() == [0, 1, 1, 0.25]
    assert coco.visibility[:4].tolist() == [0, 1, 2, 0.25]
    (whole,) = open_dataset("coco_wholebody", write(coco_document([parts(keypoints=flat)]))).samples
    assert whole.weights[:4].tolist() == [0, 1, 1, 1]
    assert whole.visibility[:4].tolist() == [0, 1, 2, 0.25]


def test_whole_body_joins_its_lists_in_order(write):
    data = open_dataset("", write(coco_document([parts()], COCO_NAMES)))
    (sample,) = data.samples
    assert data.kind == "coco_wholebody"
    assert sample.keypoints.shape == (133, 2)
    assert sample.keypoints[[0, 17, 23, 91, 112], 0].tolist() == [1, 100, 200, 300, 0]
    assert sample.weights[91:112].tolist() == [1.0] * 21
    assert sample.weights[112:].tolist() == [0.0] * 21
    assert sample.extras["face_valid"] is True
    assert sample.num_keypoints == 17


def test_whole_body_parts_may_be_missing_or_already_joined(write):
    bare = parts(face_kpts=None, lefthand_kpts=[])
    del bare["foot_kpts"]
    joined = person(8, keypoints=triples(133))
    first, second = open_dataset("coco_wholebody", write(coco_document([bare, joined]))).samples
    assert not first.visibility[17:].any()
    assert second.keypoints[132].tolist() == [133, 265]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"face_kpts": triples(67)}, "annotation 7: has 67 points in 'face_kpts', expected 68"),
        ({"keypoints": triples(16)}, "annotation 7: has 16 points in 'keypoints', expected 17"),
        ({"foot_kpts": ["a", 1, 2]}, "annotation 7: 'keypoints' contains 'a'"),
    ],
)
def test_a_faulty_part_is_named(write, changes, message):
    file = write(coco_document([parts(**changes)]))
    with pytest.raises(CocoError) as caught:
        open_dataset("coco_wholebody", file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (person(keypoints=triples(14)), "annotation 7: has 14 keypoints, coco has 17"),
        (person(category_id=3), "annotation 7: is of category 3"),
        ({"id": 7, "category_id": 1}, "annotation 0 (id 7): has no image_id"),
    ],
)
def test_a_faulty_record_is_named(write, record, message):
    file = write(coco_document([record]))
    with pytest.raises(CocoError) as caught:
        open_dataset("coco", file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_records_without_points_or_without_image_are_counted(write):
    boxes_only = person(9)
    del boxes_only["keypoints"]
    data = open_dataset("coco", write(coco_document([person(), boxes_only, person(10, image_id=55)])))
    assert [sample.id for sample in data.samples] == [7]
    assert data.dropped.total() == 2


def test_an_image_id_that_stands_twice_is_refused(write):
    document = coco_document([person()])
    document["images"][1]["id"] = 1
    with pytest.raises(CocoError, match=r"image 1: the same id is used for a\.jpg and for b\.jpg"):
        open_dataset("coco", write(document))


def test_numbers_that_are_not_finite_read_as_absent(write):
    document = coco_document([person(keypoints=[float("nan"), 1, 2, *triples(16)])])
    (sample,) = open_dataset("coco", write(document)).samples
    assert sample.visibility[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"images": [', "is not valid JSON"),
        ("[]", "is an empty list"),
        ('[{"image_id": 1, "category_id": 1, "score": 0.5}]', "is a list of results"),
        ('[{"a": 1}]', "is a list of unknown records"),
        ('{"a": 1}', "no 'images'"),
    ],
)
def test_files_that_are_no_data_set(tmp_path, text, message):
    file = tmp_path / "labels.json"
    file.write_text(text)
    with pytest.raises(CocoError, match=message):
        open_dataset("", file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CocoError, match=r"gone\.json: cannot be read"):
        sniff(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("count", "names", "kind"),
    [
        (17, COCO_NAMES, "coco"),
        (17, None, "coco"),
        (133, None, "coco_wholebody"),
        (136, None, "halpe"),
        (294, [str(n) for n in range(1, 295)], "deepfashion2"),
        (14, "aic", "aic"),
        (4, "deepfashion_lower", "deepfashion_lower"),
        (6, "deepfashion_upper", "deepfashion_upper"),
        (8, "deepfashion_full", "deepfashion_full"),
    ],
)
def test_the_kind_is_told_by_points_and_names(write, count, names, kind):
    from engine.schema.builtin import find_schema

    listed = [name.replace("_", " ").title() for name in find_schema(names).names] if isinstance(names, str) else names
    file = write(coco_document([person(keypoints=triples(count))], listed))
    assert sniff(file) == kind
    assert open_dataset("", file).schema.num_keypoints == count


@pytest.mark.parametrize(
    ("count", "names", "message"),
    [
        (14, None, "does not name them; say --kind aic"),
        (14, "crowdpose", "those of schema 'crowdpose'"),
        (17, "ap10k", "those of schema 'ap10k'"),
        (5, None, "has 5 points an instance, which no known kind has"),
    ],
)
def test_a_kind_that_cannot_be_told_is_asked_for(write, count, names, message):
    from engine.schema.builtin import find_schema

    listed = list(find_schema(names).names) if names else None
    with pytest.raises(CocoError) as caught:
        sniff(write(coco_document([person(keypoints=triples(count))], listed)))
    assert message in str(caught.value)


def test_a_file_of_several_kinds_is_ambiguous(write):
    document = coco_document([person(), person(8, category_id=2, keypoints=triples(136))])
    document["categories"].append({"id": 2, "name": "other"})
    with pytest.raises(CocoError, match=r"several kinds \(coco, halpe\); say which with --kind"):
        sniff(write(document))


def test_a_file_without_labels_tells_its_kind_by_its_category(write):
    assert sniff(write(coco_document([], COCO_NAMES))) == "coco"
    with pytest.raises(CocoError, match="say which with --kind"):
        sniff(write(coco_document([])))


def test_an_unknown_kind_lists_the_known_ones(write):
    with pytest.raises(CocoError, match="coco_wholebody"):
        open_dataset("coca", write(coco_document([person()])))


def test_nothing_of_torch_is_loaded(write):
    import subprocess
    import sys

    code = "import sys, engine.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SAMPLES = {
    "coco/test_coco.json": ("coco", 17, 4, 14, 12),
    "coco/test_coco_wholebody.json": ("coco_wholebody", 133, 4, 14, 12),
    "coco/test_keypoint_partition_metric.json": ("coco_wholebody", 133, 4, 14, 12),
    "halpe/test_halpe.json": ("halpe", 136, 4, 14, 12),
    "aic/test_aic.json": ("aic", 14, 3, 9, 9),
    "fld/test_fld.json": ("deepfashion_full", 8, 2, 2, 2),
    "deepfasion2/deepfasion2.json": ("deepfashion2", 294, 2, 2, 2),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_published_samples(shared, name):
    kind, points, images, instances, usable = SAMPLES[name]
    file = shared / "data" / "mmpose-samples" / name
    data = open_dataset("", file)
    assert (data.kind, data.schema.num_keypoints, len(data.images), len(data)) == (kind, points, images, instances)
    assert len(data.usable()) == usable
    if kind != "halpe":  # its pictures lie with COCO's
        assert all(image.path.is_file() for image in data.images)
    records = {record["id"]: record for record in json.loads(file.read_text())["annotations"]}
    for sample in data.samples:
        flat = [n for key in _lists(kind, records[sample.id]) for n in records[sample.id][key]]
        np.testing.assert_array_equal(sample.keypoints, np.array(flat).reshape(-1, 3)[:, :2])
        np.testing.assert_array_equal(sample.weights, np.minimum(1, np.ceil(np.array(flat)[2::3])))
        x, y, w, h = records[sample.id]["bbox"]
        image = data.image_of(sample)
        expected = np.clip([x, y, x + w, y + h], 0, [image.width - 1, image.height - 1] * 2).astype(np.float32)
        np.testing.assert_array_equal(sample.box, expected)


def _lists(kind, record):
    if kind == "coco_wholebody" and "foot_kpts" in record:
        return ["keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"]
    return ["keypoints"]


def test_the_two_ways_of_writing_whole_bodies_agree(shared):
    folder = shared / "data" / "mmpose-samples" / "coco"
    in_parts = open_dataset("", folder / "test_coco_wholebody.json")
    joined = open_dataset("", folder / "test_keypoint_partition_metric.json")
    for a, b in zip(in_parts.samples, joined.samples):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.visibility, b.visibility)


def test_a_missing_image_is_not_replaced_by_another_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    names = ["pigpen", "henhouse"]
    images = [{"id": n, "file_name": f"{name}/1.jpg", "width": 9, "height": 9} for n, name in enumerate(names, 1)]
    rows = [
        {"id": n, "image_id": n, "category_id": 1, "keypoints": [1, 2, 2] * 17, "num_keypoints": 17,
         "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}
        for n in (1, 2)
    ]  # fmt: skip
    person = {"id": 1, "name": "person", "keypoints": list(find_schema("coco").names)}
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": rows, "categories": [person]}))
    data = open_dataset("coco", tmp_path / "a.json")
    assert [image.path for image in data.images] == [tmp_path / name / "1.jpg" for name in names]
