"""Predictions of other programs: what they write is read whole, or told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.errors import LabelError, PoseError
from engine.formats.registry import find_format, read_labels
from engine.labels.model import ABSENT, VIDEO, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import Context


def flat(count: int, start: float = 1.0, score: float = 0.5) -> list[float]:
    return [value for n in range(count) for value in (start + n, start + 2 * n, score)]


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def image(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def read(path: Path, format: str) -> tuple[LabelReader, list[str]]:
    """The labels and what was reported; the content must tell the format."""
    assert find_format(path).name == format
    context = Context()
    return read_labels(path, context=context), context.findings.sentences()


def names(labels: LabelReader) -> list[str]:
    return [frame.name for frame in labels.frames()]


def instances(labels: LabelReader) -> Sequence[Instance]:
    return list(labels.instances())


class TestCocoResults:
    def result(self, image_id: Any = 1, **more: Any) -> dict[str, Any]:
        return {"image_id": image_id, "category_id": 1, "keypoints": flat(17), "score": 0.8, **more}

    def test_names_and_categories_come_from_the_coco_file_beside_the_list(self, tmp_path: Path) -> None:
        images = [{"id": n, "file_name": "same.png", "width": 50, "height": 40} for n in (1, 2)]
        categories = [{"id": 1, "name": "mouse", "keypoints": [f"p{n}" for n in range(17)], "skeleton": [[1, 2]]}]
        write(tmp_path / "gt.json", {"images": images, "annotations": [], "categories": categories})
        path = write(tmp_path / "results.json", [self.result(1), self.result("2")])
        labels, findings = read(path, "coco_results")
        assert [(frame.name, frame.width) for frame in labels.frames()] == [("same.png", 50)] * 2
        assert [instance.frame for instance in labels.instances()] == [0, 1]
        assert labels.categories[0].name == "mouse"
        assert labels.categories[0].schema is not None
        assert labels.categories[0].schema.names[0] == "p0"
        assert findings == []

    def test_images_are_found_by_their_numbers(self, tmp_path: Path) -> None:
        image(tmp_path / "000000000785.jpg")
        labels, findings = read(write(tmp_path / "r.json", [self.result(785)]), "coco_results")
        assert (names(labels), findings) == (["000000000785.jpg"], [])
        only = instances(labels)[0]
        assert only.is_prediction
        assert only.score == 0.8
        assert only.source == "COCO results"
        assert only.scores is not None
        assert only.scores.tolist() == [0.5] * 17
        assert labels.categories[0].name == "person"

    def test_numbers_without_an_image_are_told(self, tmp_path: Path) -> None:
        labels, findings = read(write(tmp_path / "r.json", [self.result(3)]), "coco_results")
        assert names(labels) == ["3"]
        assert len(findings) == 1

    def test_parts_of_whole_body_are_joined(self, tmp_path: Path) -> None:
        parts = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
        record = self.result(**{key: flat(count, 100) for key, count in parts.items()})
        labels, _ = read(write(tmp_path / "r.json", [record]), "coco_results")
        only = instances(labels)[0]
        assert only.keypoints is not None
        assert only.keypoints.shape == (133, 2)
        assert only.keypoints[17].tolist() == [100, 100]

    def test_a_point_at_the_origin_without_a_score_is_absent(self, tmp_path: Path) -> None:
        record = self.result(keypoints=[0, 0, 0, *flat(16)])
        only = instances(read(write(tmp_path / "r.json", [record]), "coco_results")[0])[0]
        assert only.visibility is not None
        assert only.visibility.tolist() == [ABSENT] + [VISIBLE] * 16

    def test_every_line_is_read_or_told(self, tmp_path: Path) -> None:
        lines = [self.result(), 1, {"category_id": 1}, self.result(keypoints="x"), self.result(keypoints=[1, 2])]
        labels, findings = read(write(tmp_path / "r.json", lines), "coco_results")
        assert len(instances(labels)) == 1
        left_out = [f for f in findings if "left out" in f]
        assert sum(f.occurrences for f in left_out) == 4  # type: ignore[attr-defined]


class TestOpenPose:
    def person(self, count: int = 25, **more: Any) -> dict[str, Any]:
        return {"person_id": [-1], "pose_keypoints_2d": flat(count), "face_keypoints_2d": [], **more}

    def file(self, path: Path, *people: Any) -> Path:
        return write(path, {"version": 1.3, "people": list(people)})

    @pytest.mark.parametrize(("count", "last"), [(25, "right_heel"), (18, "left_ear"), (15, "chest")])
    def test_models_are_told_by_their_number_of_points(self, tmp_path: Path, count: int, last: str) -> None:
        image(tmp_path / "a.png")
        image(tmp_path / "out" / "a_rendered.png")
        self.file(tmp_path / "out" / "a_keypoints.json", self.person(count), self.person(count))
        labels, findings = read(tmp_path / "out", "openpose")
        assert (names(labels), len(instances(labels)), findings) == (["a.png"], 2, [])
        schema = labels.categories[0].schema
        assert schema is not None
        assert schema.names[-1] == last
        assert schema.limbs

    def test_hands_and_face_are_points_of_the_person(self, tmp_path: Path) -> None:
        whole = self.person(hand_left_keypoints_2d=flat(21), face_keypoints_2d=flat(70, 9))
        self.file(tmp_path / "a_keypoints.json", whole, self.person())
        first, second = instances(read(tmp_path / "a_keypoints.json", "openpose")[0])
        assert first.keypoints is not None
        assert first.keypoints.shape == (25 + 21 + 70, 2)
        assert second.visibility is not None
        assert second.visibility[25:].sum() == 0

    def test_frames_of_a_video_are_counted(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").write_bytes(b"x")
        for n in range(3):
            self.file(tmp_path / "out" / f"clip_{n:012d}_keypoints.json", self.person(person_id=[4]))
        labels, _ = read(tmp_path / "out", "openpose")
        assert labels.media[0].type == VIDEO
        assert labels.media[0].path == str(tmp_path / "clip.mp4")
        assert [frame.index for frame in labels.frames()] == [0, 1, 2]
        assert {instance.track for instance in labels.instances()} == {0}

    @pytest.mark.parametrize(("low", "expected"), [(0.0, 10.0), (-1.0, 25.0)])
    def test_parts_of_the_image_become_pixels(self, tmp_path: Path, low: float, expected: float) -> None:
        image(tmp_path / "a.png")
        points = [0.25, 0.5, 0.9] * 24 + [low, 0.75, 0.9]
        self.file(tmp_path / "a_keypoints.json", self.person(pose_keypoints_2d=points))
        only = instances(read(tmp_path / "a_keypoints.json", "openpose")[0])[0]
        assert only.keypoints is not None
        assert only.keypoints[0, 0] == pytest.approx(expected)

    def test_parts_of_an_image_that_is_missing_are_told(self, tmp_path: Path) -> None:
        self.file(tmp_path / "a_keypoints.json", self.person(pose_keypoints_2d=[0.25, 0.5, 0.9] * 25))
        labels, findings = read(tmp_path / "a_keypoints.json", "openpose")
        assert instances(labels) == []
        assert any("size is unknown" in finding for finding in findings)


class TestOpenPifPaf:
    def prediction(self, **more: Any) -> dict[str, Any]:
        return {"keypoints": flat(17), "bbox": [1, 2, 30, 40], "score": 0.7, "category_id": 1, **more}

    def test_a_list_belongs_to_the_image_of_its_name(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.jpg.predictions.json", [self.prediction()])
        labels, findings = read(path, "openpifpaf")
        only = instances(labels)[0]
        assert names(labels) == ["a.jpg"]
        assert findings == []
        assert only.box is not None
        assert only.box.tolist() == [1, 2, 31, 42]

    def test_a_folder_holds_a_file_an_image(self, tmp_path: Path) -> None:
        write(tmp_path / "a.jpg.predictions.json", [self.prediction()])
        write(tmp_path / "b.jpg.predictions.json", [])
        assert names(read(tmp_path, "openpifpaf")[0]) == ["a.jpg", "b.jpg"]

    def test_lines_are_frames_of_a_video(self, tmp_path: Path) -> None:
        lines = [{"frame": n, "predictions": [self.prediction()]} for n in (1, 2)]
        path = tmp_path / "clip.mp4.openpifpaf.json"
        path.write_text("\n".join([*map(json.dumps, lines), "{broken"]), encoding="utf-8")
        labels, findings = read(path, "openpifpaf")
        assert [frame.index for frame in labels.frames()] == [0, 1]
        assert labels.media[0].path == "clip.mp4"
        assert any("not valid JSON" in finding for finding in findings)


class TestAlphaPose:
    def test_images_are_named_and_tracks_kept(self, tmp_path: Path) -> None:
        record = {"image_id": "a.jpg", "category_id": 1, "keypoints": flat(17), "score": 2.9, "box": [1, 2, 3, 4]}
        path = write(tmp_path / "r.json", [{**record, "idx": 1}, {**record, "idx": [1.0]}, {**record, "idx": 2}])
        labels, findings = read(path, "alphapose")
        assert [instance.track for instance in labels.instances()] == [0, 0, 1]
        assert names(labels) == ["a.jpg"]
        assert findings == []

    @pytest.mark.parametrize(("many", "points"), [("bodies", "joints"), ("people", "pose_keypoints_2d")])
    def test_the_other_forms_have_openposes_points(self, tmp_path: Path, many: str, points: str) -> None:
        content = {"a.jpg": {"version": "AlphaPose v0.3", many: [{points: flat(18)}]}}
        labels, findings = read(write(tmp_path / "r.json", content), "alphapose")
        schema = labels.categories[0].schema
        assert schema is not None
        assert schema.names[1] == "neck"
        assert findings == []


class TestMMPose:
    def record(self, count: int = 17) -> dict[str, Any]:
        points = np.arange(2.0 * count).reshape(count, 2).tolist()
        return {"keypoints": points, "keypoint_scores": [0.5] * count, "bbox": [[1, 2, 3, 4]], "bbox_score": 0.6}

    def test_a_list_is_one_image(self, tmp_path: Path) -> None:
        image(tmp_path / "a.png")
        labels, findings = read(write(tmp_path / "predictions" / "a.json", [self.record()]), "mmpose")
        only = instances(labels)[0]
        assert only.box is not None
        assert only.box.tolist() == [1, 2, 3, 4]
        assert only.score == 0.6
        assert findings == []
        assert only.visibility is not None
        assert only.visibility.tolist() == [VISIBLE] * 17
        assert names(labels) == ["a.png"]

    def test_a_folder_is_many_images(self, tmp_path: Path) -> None:
        for name in "ab":
            write(tmp_path / f"{name}.json", [self.record()])
        assert names(read(tmp_path, "mmpose")[0]) == ["a", "b"]

    @pytest.mark.parametrize("is_object", [False, True])
    def test_frames_of_a_video(self, tmp_path: Path, is_object: bool) -> None:
        frames = [{"frame_id": n + is_object, "instances": [self.record(3)]} for n in range(2)]
        info = {"keypoint_id2name": {"0": "nose", "1": "tail", "2": "paw"}, "skeleton_links": [[0, 1]]}
        content = {"meta_info": info, "instance_info": frames} if is_object else frames
        labels, _ = read(write(tmp_path / "clip.json", content), "mmpose")
        assert [frame.index for frame in labels.frames()] == [0, 1]
        schema = labels.categories[0].schema
        assert schema is not None
        assert (schema.names == ("nose", "tail", "paw")) == is_object

    def test_pickles_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "r.pkl"
        path.write_bytes(b"\x80\x04N.")
        with pytest.raises(LabelError, match="pickle"):
            read_labels(path)


class TestAlphaTracker:
    def test_points_belong_to_the_box_in_front(self, tmp_path: Path) -> None:
        box = {"class": "Face", "x": 1, "y": 2, "width": 3, "height": 4}
        points = [{"class": "point", "x": n, "y": n + 1} for n in (1, 2)]
        content = [{"class": "image", "filename": "a.png", "annotations": [box, *points, box, *points, box]}]
        labels, findings = read(write(tmp_path / "r.json", content), "alphatracker")
        first, second, third = instances(labels)
        assert not first.is_prediction
        assert first.keypoints is not None
        assert second.keypoints is not None
        assert second.keypoints.tolist() == [[1, 2], [2, 3]]
        assert third.keypoints is None
        assert any("another number of points" in finding for finding in findings)

    def test_the_real_file_is_read(self, shared: Path) -> None:
        path = shared / "data" / "formats" / "sleap" / "alphatracker" / "at_testdata.json"
        if not path.exists():
            pytest.skip("the real file is not here")
        images = json.loads(path.read_text(encoding="utf-8"))
        labels, findings = read(path, "alphatracker")
        boxes = sum(entry["class"] != "point" for image in images for entry in image["annotations"])
        assert len(instances(labels)) == boxes
        assert findings == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    format=st.sampled_from(["coco_results", "openpose", "openpifpaf", "alphapose", "alphatracker", "mmpose"]),
    key=st.sampled_from(
        ["image_id", "keypoints", "score", "bbox", "people", "annotations", "idx", "instances", "frame"]
    ),
    value=anything,
)
def test_odd_values_are_read_or_refused(tmp_path: Path, format: str, key: str, value: Any) -> None:
    record = {"image_id": 1, "filename": "a.png", "frame_id": 0, "keypoints": flat(3), key: value}
    for content in (record, [record], {"people": [record]}, [{"filename": "a", "annotations": [record]}]):
        path = write(tmp_path / "x.json", content)
        try:
            labels = read_labels(path, format=format, context=Context())
        except PoseError:
            continue
        assert all(0 <= instance.frame < len(names(labels)) for instance in labels.instances())
