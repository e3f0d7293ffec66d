"""Mistakes of whole files, and the fixes: what is mended is not found again, and nothing else is changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.check import images_of
from engine.formats.registry import read_labels, write_labels
from engine.labels import Category, Frame, Instance, Labels, Media
from engine.labels.checks import FixedLabels, Summary, checks, find_check, run_checks
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from engine.utils.context import Findings
from tests.engine.labels.checks.test_checks import COCO, SIZE, crowd_of, labels, person, put


def changed(instances: list[Instance], **changes: Callable[[Instance], Any]) -> list[Instance]:
    return [i.replace(**{name: change(i) for name, change in changes.items()}) for i in instances]


def as_size(instance: Instance) -> np.ndarray:
    """The box as a reader takes it whose file has two corners in place of a corner and a size."""
    assert instance.box is not None
    x1, y1, x2, y2 = instance.box
    return np.array([x1, y1, x1 + x2, y1 + y2])


def visibility(value: int) -> Callable[[Instance], np.ndarray]:
    return lambda _: np.full(17, value, np.uint8)


def ids(of: Labels | FixedLabels) -> set[str]:
    return {finding.check for finding in run_checks(of)}


@pytest.mark.parametrize(
    ("check", "instances"),
    [
        ("all_occluded", changed(crowd_of(), visibility=visibility(1))),
        ("all_absent", changed(crowd_of(), visibility=visibility(0))),
        ("box_as_corners", changed(crowd_of(), box=as_size)),
        ("missing_coordinates", [put(0, 0, 0), put(1, np.nan, 4), *crowd_of()[12:]]),
        ("outside_image", [put(9, 130, 490), put(3, -40, 4), *crowd_of()[12:]]),
        ("duplicate_instances", [*crowd_of(), *crowd_of()[4:7]]),
        ("empty_box", changed(crowd_of(), box=lambda i: np.array([1.0, 2, 1, 9]))),
    ],
)  # fmt: skip
def test_a_fix_leaves_nothing_to_find(check: str, instances: list[Instance]) -> None:
    wrong = labels(instances)
    assert check in ids(wrong)
    fixed = FixedLabels(wrong, [find_check(check)])
    assert fixed.applied[check] == sum(finding.check == check for finding in run_checks(wrong))
    assert check not in ids(fixed)


def test_fixed_boxes_and_visibilities_are_those_of_the_original() -> None:
    good = crowd_of()
    for name, wrong in (
        ("box", changed(good, box=as_size)),
        ("visibility", changed(good, visibility=visibility(1))),
    ):
        for instance, original in zip(FixedLabels(labels(wrong)).instances(), good, strict=True):
            np.testing.assert_allclose(getattr(instance, name), getattr(original, name))
            assert instance.edited == {name}


def test_boxes_as_corners_are_found_without_image_sizes() -> None:
    frames = [Frame(f"{n}.jpg", 0, n) for n in range(40)]
    wrong = Labels(frames, changed(crowd_of(), box=as_size), [Category("person", COCO)])
    assert "box_as_corners" in ids(wrong)
    assert "box_as_corners" not in ids(Labels(frames, crowd_of(), [Category("person", COCO)]))


def test_one_occluded_or_visible_keypoint_is_enough_to_trust_the_file() -> None:
    instances = changed(crowd_of(), visibility=visibility(1))
    instances[7] = instances[7].replace(visibility=np.array([2] + [1] * 16, np.uint8))
    assert "all_occluded" not in ids(labels(instances))
    instances = changed(crowd_of(), visibility=visibility(0))
    instances[7] = instances[7].replace(visibility=np.array([1] + [0] * 16, np.uint8))
    result = ids(labels(instances))
    assert "all_absent" not in result
    assert "absent_with_coordinates" in result


def test_predictions_do_not_make_a_file_trustworthy_and_are_not_changed() -> None:
    prediction = person(3, (300, 100), 99, is_prediction=True)
    wrong = labels([*changed(crowd_of(), visibility=visibility(1)), prediction])
    fixed = list(FixedLabels(wrong, [find_check("all_occluded")]).instances())
    assert fixed[-1] is prediction
    assert all((instance.visibility == 2).all() for instance in fixed)


def test_near_duplicates_are_left_to_a_person() -> None:
    wrong = labels([*crowd_of(), person(5, (301, 100), 11, key="near")])
    assert "duplicate_instances" in ids(wrong)
    assert len(list(FixedLabels(wrong).instances())) == 41


def test_boxes_without_keypoints_that_are_there_twice_are_found() -> None:
    box = person(5, (50, 100), 1, keypoints=None, visibility=None)
    wrong = labels([box, box.replace(key="again"), person(6, (50, 100), 1, keypoints=None, visibility=None)])
    fixed = FixedLabels(wrong, [find_check("duplicate_instances")])
    assert [instance.frame for instance in fixed.instances()] == [5, 6]


def test_records_of_one_image_are_merged() -> None:
    frames = [Frame("a.jpg", 0, 0, *SIZE), Frame("b.jpg", 0, 1, *SIZE), Frame("a.jpg", 0, 2, *SIZE), Frame("c.jpg")]
    wrong = Labels(frames, [person(n, (100 * n, 100), n) for n in (0, 1, 2, 3)], [Category("person", COCO)])
    fixed = FixedLabels(wrong, [find_check("duplicate_image")])
    assert [frame.name for frame in fixed.frames()] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [(instance.frame, instance.key) for instance in fixed.instances()] == [
        (0, "annotation 0"), (1, "annotation 1"), (0, "annotation 2"), (2, "annotation 3"),
    ]  # fmt: skip
    assert ids(fixed) == set()


def numbered(names: list[str], limbs: list[tuple[int, int]], category: str) -> Labels:
    schema = schema_from_names(category, names, limbs, category=category)
    return Labels([Frame("a.jpg", 0, 0, *SIZE)], [], [Category(category, schema)])


def test_numbered_keypoints_get_the_names_of_the_one_skeleton_that_fits() -> None:
    mpii = find_schema("mpii")
    limbs = [(int(a), int(b)) for a, b in mpii.limb_indices]
    wrong = numbered([f"point_{n}" for n in range(1, 17)], limbs, "person")
    (finding,) = run_checks(wrong)
    assert (finding.check, finding.fix) == ("names_by_position", "Take the names of the known skeleton")
    (category,) = FixedLabels(wrong).categories
    assert category.schema is not None
    assert category.schema.names == mpii.names
    assert category.name == "person"


@pytest.mark.parametrize(
    ("names", "limbs", "category"),
    [
        ([f"kp{n}" for n in range(14)], [], "person"),  # AIC and CrowdPose
        ([f"{n}" for n in range(16)], [(0, 9), (3, 4)], "person"),  # other limbs than MPII's
        ([f"{n}" for n in range(5)], [], "mouse"),
    ],
)
def test_numbered_keypoints_are_left_where_several_or_no_skeletons_fit(
    names: list[str], limbs: list[tuple[int, int]], category: str
) -> None:
    wrong = numbered(names, limbs, category)
    (finding,) = run_checks(wrong)
    assert (finding.check, finding.fix) == ("names_by_position", "")
    assert FixedLabels(wrong).categories == list(wrong.categories)


def test_faces_are_numbered_by_their_makers() -> None:
    schema = find_schema("300w")
    assert list(run_checks(Labels([Frame("a.jpg")], [], [Category("face", schema)]))) == []


# --- with images and COCO files


def write_photo(path: Path, size: tuple[int, int], orientation: int = 1) -> None:
    data = cv2.imencode(".jpg", np.zeros((size[1], size[0], 3), np.uint8))[1].tobytes()
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])


def coco_file(folder: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Path:
    category = {"id": 1, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]], "own": 5}
    data = {"info": {"year": 1}, "images": images, "annotations": annotations, "categories": [category]}
    (folder / "labels.json").write_text(json.dumps(data))
    return folder / "labels.json"


def annotation(id: int, image: int, keypoints: list[float], **more: Any) -> dict[str, Any]:
    labelled = sum(v > 0 for v in keypoints[2::3])
    return {"id": id, "image_id": image, "category_id": 1, "keypoints": keypoints, "num_keypoints": labelled} | more


def fixed_coco(path: Path, *only: str) -> dict[str, Any]:
    with read_labels(path) as read:
        chosen = [find_check(id) for id in only] or checks()
        write_labels(FixedLabels(read, chosen, image_of=images_of(read)), path.with_name("fixed.json"), format="coco")
    result: dict[str, Any] = json.loads(path.with_name("fixed.json").read_text())
    return result


def test_labels_of_a_photo_that_is_turned_are_turned_and_scaled(tmp_path: Path) -> None:
    write_photo(tmp_path / "turned.jpg", (80, 40), 6)
    write_photo(tmp_path / "half.jpg", (40, 20))
    path = coco_file(
        tmp_path,
        [{"id": 1, "file_name": "turned.jpg", "width": 80, "height": 40, "license": 3},
         {"id": 2, "file_name": "half.jpg", "width": 80, "height": 40}],
        [annotation(1, 1, [10, 4, 2, 70, 30, 1], bbox=[10, 4, 60, 26], area=100, mine="x"),
         annotation(2, 2, [10, 4, 2, 70, 30, 1], bbox=[10, 4, 60, 26], area=100)],
    )  # fmt: skip
    with read_labels(path) as read:
        findings = list(run_checks(read, [find_check("label_size")], image_of=images_of(read)))
    assert [(finding.frame, finding.instance, bool(finding.fix)) for finding in findings] == [
        (0, None, True),
        (1, None, True),
    ]
    data = fixed_coco(path)
    assert data["images"][0] == {"id": 1, "file_name": "turned.jpg", "width": 40, "height": 80, "license": 3}
    assert data["images"][1] == {"id": 2, "file_name": "half.jpg", "width": 40, "height": 20}
    first, second = data["annotations"]
    assert first["keypoints"] == [35, 10, 2, 9, 70, 1]
    assert first["bbox"] == [10, 10, 26, 60]
    assert (first["mine"], first["area"]) == ("x", 100)
    assert second["keypoints"] == [4.75, 1.75, 2, 34.75, 14.75, 1]
    assert second["area"] == 25
    assert data["info"] == {"year": 1}


def test_a_size_that_contradicts_the_image_has_no_fix(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", (80, 40))
    path = coco_file(tmp_path, [{"id": 1, "file_name": "a.jpg", "width": 33, "height": 77}], [])
    with read_labels(path) as read:
        (finding,) = run_checks(read, [find_check("label_size")], image_of=images_of(read))
    assert finding.fix == ""


def test_sizes_that_are_missing_are_taken_from_the_image(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", (80, 40), 6)
    path = coco_file(tmp_path, [{"id": 1, "file_name": "a.jpg"}], [annotation(1, 1, [1, 2, 2, 3, 4, 2])])
    data = fixed_coco(path)
    assert data["images"] == [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 80}]
    assert data["annotations"][0]["keypoints"] == [1, 2, 2, 3, 4, 2]


def test_num_keypoints_is_counted_again_and_the_rest_of_the_record_stays(tmp_path: Path) -> None:
    wrong = annotation(7, 1, [1, 2, 2, 3.5, 4, 0], num_keypoints=0, own=[1])
    path = coco_file(tmp_path, [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 40}], [wrong])
    assert fixed_coco(path, "num_keypoints")["annotations"] == [wrong | {"num_keypoints": 1}]


def test_names_of_a_category_are_changed_in_its_record(tmp_path: Path) -> None:
    mpii = find_schema("mpii")
    category = {
        "id": 4, "name": "person", "keypoints": [f"p{n}" for n in range(16)], "own": {"a": 1},
        "skeleton": [[int(a) + 1, int(b) + 1] for a, b in mpii.limb_indices],
    }  # fmt: skip
    data = {"images": [], "annotations": [], "categories": [category | {"keypoints": [f"pt_{n}" for n in range(16)]}]}
    (tmp_path / "labels.json").write_text(json.dumps(data))
    assert fixed_coco(tmp_path / "labels.json")["categories"] == [category | {"keypoints": list(mpii.names)}]


def test_nothing_wrong_means_nothing_changed(tmp_path: Path) -> None:
    path = coco_file(
        tmp_path, [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 40}],
        [annotation(1, 1, [1, 2.5, 2, 3, 4, 1], bbox=[0, 1, 9, 9])],
    )  # fmt: skip
    assert fixed_coco(path) == json.loads(path.read_text())


def test_labels_in_stored_pixels_of_a_video_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.labels.image_size import GridTransform
    from engine.media.video import frame_size

    (tmp_path / "film.mp4").write_bytes(b"x")
    monkeypatch.setattr(frame_size, "opencv_grid", lambda path: GridTransform((100, 50), (200, 50)))
    media = [Media("video", str(tmp_path / "film.mp4"), stored_pixels=True)]
    wrong = labels([person(2, (0, 0), 1)], frames=3, media=media, path=tmp_path / "labels.slp")
    (finding,) = run_checks(wrong, [find_check("video_pixels")])
    assert (finding.frame, finding.instance) == (2, None)
    fixed = FixedLabels(wrong, [find_check("video_pixels")])
    (instance,), (original,) = fixed.instances(), wrong.instances()
    assert instance.keypoints is not None
    assert original.keypoints is not None
    np.testing.assert_allclose(instance.keypoints[:, 0], (original.keypoints[:, 0] + 0.5) * 2 - 0.5)
    assert not fixed.media[0].stored_pixels
    assert list(run_checks(fixed, [find_check("video_pixels")])) == []


@given(st.lists(st.sampled_from(["good", "double", "outside", "nowhere", "flat"]), max_size=12), st.integers(0, 9))
def test_all_fixes_together_leave_nothing_that_can_be_fixed(kinds: list[str], frame: int) -> None:
    instances = crowd_of()
    for n, kind in enumerate(kinds):
        instance = instances[3 * n]
        points = np.array(instance.keypoints)
        if kind == "double":
            instances.append(instance)
        elif kind == "flat":
            instances[3 * n] = instance.replace(box=np.array([5.0, 5, 5, 5]))
        elif kind != "good":
            points[n] = (9000, 3) if kind == "outside" else (0, 0)
            instances[3 * n] = instance.replace(keypoints=points)
    fixed = FixedLabels(labels(instances))
    again = FixedLabels(fixed)
    assert not again.applied
    assert sum(1 for _ in fixed.instances()) == 40


def test_every_fix_says_what_it_does() -> None:
    for check in checks():
        overrides = {"fix", "fix_frame", "merged_frame", "fix_category"} & vars(check).keys()
        assert bool(check.fix_title) == bool(overrides) or "never_visible" in check.__module__


def test_the_summary_is_one_list_with_errors_first() -> None:
    findings = Findings()
    findings.add("Row 7 with 'text' in place of a number, left out", "a.txt", severity="error", action="left out")
    findings.add("Splits of the same images, read once", "train", severity="info", action="read once")
    for n in range(30):
        findings.add("Image not found", f"{n}.jpg")
    summary = Summary()
    for finding in run_checks(labels([put(9, 130, 490)])):
        summary.add(finding)
    problems = summary.problems(findings.remarks())
    assert [(p.id, p.severity, p.count, p.action, p.fixable) for p in problems] == [
        ("row_with_in_place_of_a_number", "error", 1, "left out", 0),
        ("image_not_found", "warning", 30, "", 0),
        ("outside_image", "warning", 1, "", 1),
        ("splits_of_the_same_images", "info", 1, "read once", 0),
    ]
    assert problems[1].records[:2] == ("0.jpg", "1.jpg")
    assert len(problems[1].records) == 20
