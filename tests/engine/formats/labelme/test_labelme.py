"""labelme and X-AnyLabeling: groups, points without groups, visibilities, images, damaged files, round trips."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels, write_labels
from engine.formats.registry import CERTAIN, NO, WriteOptions
from engine.labels import ABSENT, OCCLUDED, VISIBLE, Category, Frame, Instance, LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context


def point(label: str, x: float, y: float, group: Any = None, **keys: Any) -> dict[str, Any]:
    return {"label": label, "points": [[x, y]], "group_id": group, "shape_type": "point", "flags": {}, **keys}


def rectangle(label: str, corners: list[list[float]], group: Any = None, **keys: Any) -> dict[str, Any]:
    return {"label": label, "points": corners, "group_id": group, "shape_type": "rectangle", "flags": {}, **keys}


def save(path: Path, shapes: list[Any], **keys: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{path.stem}.png", "imageData": None}
    path.write_text(json.dumps({**record, "imageHeight": 80, "imageWidth": 100, **keys}))
    return path


def read(path: Path) -> tuple[LabelReader, list[str]]:
    context = Context()
    return format_named("labelme").read(path, context), context.findings.sentences()


def named(labels: LabelReader, instance: Instance) -> dict[str, tuple[float, float, int]]:
    schema = labels.categories[instance.category].schema
    assert schema is not None
    assert instance.keypoints is not None
    assert instance.visibility is not None
    rows = zip(schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), strict=True)
    return {name: (x, y, state) for name, (x, y), state in rows if state != ABSENT}


def test_groups_are_objects_with_the_category_and_box_of_their_rectangle(tmp_path: Path) -> None:
    shapes = [
        point("nose", 1, 2, 5),
        rectangle("mouse", [[30, 40], [0, 1]], 5),
        point("tail", 3.5, 4, 5, difficult=True),
        point("nose", 51, 2, 6, flags={"occluded": True}),
        rectangle("mouse", [[50, 0], [60, 0], [60, 30], [50, 30]], 6),
        rectangle("bird", [[70, 0], [80, 9]]),
    ]
    labels, remarks = read(save(tmp_path / "a.json", shapes))
    assert not remarks
    assert [frame.name for frame in labels.frames()] == ["a.png"]
    first, second, bird = labels.instances()
    assert named(labels, first) == {"nose": (1, 2, VISIBLE), "tail": (3.5, 4, OCCLUDED)}
    assert first.box is not None
    assert first.box.tolist() == [0, 1, 30, 40]
    assert named(labels, second) == {"nose": (51, 2, OCCLUDED)}
    assert second.box is not None
    assert second.box.tolist() == [50, 0, 60, 30]
    assert labels.categories[bird.category].name == "bird"
    assert not bird.is_pose
    assert len({first.key, second.key, bird.key}) == 3


def test_points_without_groups_are_one_object_if_their_labels_differ(tmp_path: Path) -> None:
    shapes = [point("nose", 1, 2), point("tail", 3, 4), rectangle("mouse", [[0, 0], [9, 9]])]
    labels, remarks = read(save(tmp_path / "a.json", shapes))
    (instance,) = labels.instances()
    assert not remarks
    assert labels.categories[instance.category].name == "mouse"
    assert named(labels, instance) == {"nose": (1, 2, VISIBLE), "tail": (3, 4, VISIBLE)}


def test_points_of_one_label_are_an_object_each(tmp_path: Path) -> None:
    labels, remarks = read(save(tmp_path / "a.json", [point("head", 1, 2), point("head", 3, 4)]))
    assert [named(labels, instance) for instance in labels.instances()] == [
        {"head": (1, 2, VISIBLE)},
        {"head": (3, 4, VISIBLE)},
    ]
    assert not remarks


def test_points_without_groups_belong_to_the_smallest_box_that_holds_them(tmp_path: Path) -> None:
    shapes = [
        rectangle("cage", [[0, 0], [90, 70]]),
        rectangle("mouse", [[10, 10], [20, 20]]),
        point("nose", 12, 12),
        point("nose", 50, 50),
        point("tail", 95, 75),
    ]
    labels, remarks = read(save(tmp_path / "a.json", shapes))
    cage, mouse = labels.instances()
    assert named(labels, cage) == {"nose": (50, 50, VISIBLE)}
    assert named(labels, mouse) == {"nose": (12, 12, VISIBLE)}
    assert len(remarks) == 1
    assert "in no box, left out" in remarks[0]
    assert "tail" in remarks[0]


def test_the_pose_file_gives_order_names_and_category(tmp_path: Path) -> None:
    (tmp_path / "pose.yaml").write_text("has_visible: true\nclasses:\n  mouse: [nose, ear, tail]\n  bird: [beak]\n")
    save(tmp_path / "images" / "a.json", [point("tail", 1, 2, 1), point("nose", 3, 4, 1)])
    labels, remarks = read(tmp_path / "images")
    assert [category.name for category in labels.categories] == ["mouse", "bird"]
    assert labels.categories[0].schema is not None
    assert labels.categories[0].schema.names == ("nose", "ear", "tail")
    (instance,) = labels.instances()
    assert instance.visibility is not None
    assert instance.category == 0
    assert instance.visibility.tolist() == [VISIBLE, ABSENT, VISIBLE]
    assert not remarks


def test_a_keypoint_that_the_pose_file_lacks_is_added_and_told(tmp_path: Path) -> None:
    (tmp_path / "pose.yaml").write_text("classes:\n  mouse: [nose]\n")
    labels, remarks = read(save(tmp_path / "a.json", [point("tail", 1, 2, 1), rectangle("mouse", [[0, 0], [5, 5]], 1)]))
    assert labels.categories[0].schema is not None
    assert labels.categories[0].schema.names == ("nose", "tail")
    assert any("added to the category" in remark for remark in remarks)


def test_order_of_first_appearance_goes_over_all_files(tmp_path: Path) -> None:
    for order in ("ba", "ab"):
        save(tmp_path / order / "1.json", [point("nose", 1, 2), point("ear", 1, 2)])
        save(tmp_path / order / "2.json", [point("tail", 1, 2), point("nose", 1, 2)])
        labels, _ = read(tmp_path / order)
        assert labels.categories[0].schema is not None
        assert labels.categories[0].schema.names == ("nose", "ear", "tail")


@pytest.mark.parametrize(
    ("keys", "state"),
    [
        ({"description": "0"}, ABSENT),
        ({"description": "1"}, OCCLUDED),
        ({"description": "2"}, VISIBLE),
        ({"description": "Occluded"}, OCCLUDED),
        ({"description": "front"}, VISIBLE),
        ({"difficult": True}, OCCLUDED),
        ({"difficult": None}, VISIBLE),
        ({"flags": {"hidden": False}}, VISIBLE),
    ],
)
def test_what_people_write_for_visibility_is_understood(tmp_path: Path, keys: dict[str, Any], state: int) -> None:
    labels, _ = read(save(tmp_path / "a.json", [point("nose", 1, 2, **keys)]))
    (instance,) = labels.instances()
    assert instance.visibility is not None
    assert instance.visibility.tolist() == [state]


def test_images_are_named_from_the_folder_that_is_read(tmp_path: Path) -> None:
    save(tmp_path / "labels" / "a.json", [], imagePath="..\\images\\a.png")
    save(tmp_path / "labels" / "b.json", [], imagePath="C:\\data\\b.png")
    save(tmp_path / "labels" / "c.json", [], imagePath="")
    labels, remarks = read(tmp_path)
    assert [frame.name for frame in labels.frames()] == ["images/a.png", "C:/data/b.png", "c"]
    assert any("does not name its image" in remark for remark in remarks)


def test_an_image_inside_the_label_file_can_be_taken_out(tmp_path: Path) -> None:
    encoded = cv2.imencode(".png", np.zeros((4, 5, 3), np.uint8))[1].tobytes()
    save(tmp_path / "a.json", [], imageData=base64.b64encode(encoded).decode())
    save(tmp_path / "b.json", [], imageData="%%%")
    labels, _ = read(tmp_path)
    assert labels.embedded_image(0) == encoded
    assert labels.embedded_image(1) is None
    (tmp_path / "a.png").write_bytes(encoded)
    assert labels.embedded_image(0) is None
    assert labels.source_file(1) == tmp_path / "b.json"


def test_what_is_no_keypoint_and_no_box_is_told(tmp_path: Path) -> None:
    shapes = [
        {"label": "leaf", "points": [[0, 0], [1, 0], [1, 1]], "shape_type": "polygon"},
        point("nose", float("nan"), 1),
        point("", 1, 1),
        rectangle("mouse", [[0, 0]]),
        {"label": "tail", "points": "1,2", "shape_type": "point"},
        None,
        point("ear", 1, 1, 3),
        point("ear", 2, 2, 3),
    ]
    labels, remarks = read(save(tmp_path / "a.json", shapes))
    assert labels.num_instances() == 1
    assert any("type polygon" in remark for remark in remarks)
    assert any("Keypoint that the object has already" in remark for remark in remarks)
    assert sum("usable points" in remark for remark in remarks) >= 1


def test_files_and_folders_are_recognized_by_content(tmp_path: Path) -> None:
    format = format_named("labelme")
    path = save(tmp_path / "data" / "train" / "a.json", [point("nose", 1, 2)] * 3000)
    assert path.stat().st_size > 1 << 17
    assert format.sniff(path) == CERTAIN
    assert find_format(path).name == find_format(path.parent).name == find_format(tmp_path / "data").name == "labelme"
    late = tmp_path / "late.json"
    late.write_text(json.dumps({"version": "3", "imageData": "A" * 100_000, "imagePath": "a.png", "shapes": []}))
    assert find_format(late).name == "labelme"
    other = tmp_path / "other" / "a.json"
    other.parent.mkdir()
    for content in ("", "[]", '{"shapes": 3}', '{"images": [], "annotations": []}', '{"version": "1", "flags": 2}'):
        other.write_text(content)
        assert format.sniff(other) == format.sniff(other.parent) == NO
    assert format.sniff(tmp_path / "missing.json") == NO


def test_a_damaged_file_of_a_folder_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    save(tmp_path / "a.json", [point("nose", 1, 2)])
    (tmp_path / "b.json").write_text('{"version": "5", "shapes": [')
    (tmp_path / "c.json").write_text("{}")
    labels, remarks = read(tmp_path)
    assert labels.num_instances() == 1
    assert any("cannot be read" in remark and "b.json" in remark for remark in remarks)
    assert any("another kind" in remark and "c.json" in remark for remark in remarks)
    with pytest.raises(LabelError, match="not valid JSON"):
        read(tmp_path / "b.json")
    with pytest.raises(LabelError, match="no list of shapes"):
        read(tmp_path / "c.json")


def test_a_written_folder_has_what_the_programs_need(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail"], [(0, 1)])
    pose = Instance(0, 0, np.array([[1.5, 2], [3, 4]]), np.array([2, 1], np.uint8), key="1")
    frames = [Frame("one/a.jpg", width=30, height=20), Frame("b.jpg", width=3, height=2)]
    labels = Labels(frames, [pose], [Category("mouse", schema), Category("region")])
    write_labels(labels, tmp_path / "out", format="labelme", options=WriteOptions())
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "out/b.json", "out/one/a.json", "out/pose.yaml",
    ]  # fmt: skip
    content = json.loads((tmp_path / "out" / "one" / "a.json").read_text())
    assert (content["imagePath"], content["imageWidth"], content["imageHeight"]) == ("a.jpg", 30, 20)
    assert [(s["label"], s["shape_type"], s["group_id"]) for s in content["shapes"]] == [
        ("mouse", "rectangle", 1), ("nose", "point", 1), ("tail", "point", 1),
    ]  # fmt: skip
    with read_labels(tmp_path / "out") as back:
        assert [category.name for category in back.categories] == ["mouse", "region"]
        (instance,) = back.instances()
        assert back.categories[0].schema is not None
        assert back.categories[0].schema.limb_indices.tolist() == [[0, 1]]
        assert instance.box is None


numbers = st.floats(-1000, 1000, allow_nan=False, width=32)
poses = st.lists(st.lists(st.tuples(numbers, numbers, st.integers(0, 2)), min_size=3, max_size=3), max_size=4)


@settings(max_examples=25, deadline=None)
@given(poses)
def test_poses_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[float, float, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("labelme")
    rows = [row for row in rows if any(state for _, _, state in row)]
    schema = schema_from_names("mouse", ["nose", "ear", "tail"])
    poses = [
        Instance(0, 0, np.array([r[:2] for r in row], float), np.array([r[2] for r in row], np.uint8)) for row in rows
    ]
    write_labels(
        Labels([Frame("a.png", width=9, height=9)], poses, [Category("mouse", schema)]), folder / "x", format="labelme"
    )
    with read_labels(folder / "x") as back:
        result = list(back.instances())
    assert len(result) == len(poses)
    for before, after in zip(poses, result, strict=True):
        assert before.visibility is not None
        assert after.visibility is not None
        assert before.keypoints is not None
        assert after.keypoints is not None
        assert np.array_equal(before.visibility, after.visibility)
        present = before.visibility != ABSENT
        assert np.array_equal(before.keypoints[present], after.keypoints[present])
