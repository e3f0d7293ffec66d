"""V7 Darwin: versions, skeletons, boxes, keypoints, videos, classes, damaged files, round trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels, write_labels
from engine.formats.registry import CERTAIN, NO
from engine.labels import ABSENT, OCCLUDED, VIDEO, VISIBLE, Category, Frame, Instance, LabelReader, Labels, Media
from engine.schema.schema import schema_from_names
from engine.utils.context import Context


def node(name: str, x: float, y: float, *, occluded: bool = False) -> dict[str, Any]:
    return {"name": name, "x": x, "y": y, "occluded": occluded}


def skeleton(identity: str, *nodes: Any, name: str = "mouse", **keys: Any) -> dict[str, Any]:
    return {"id": identity, "name": name, "skeleton": {"nodes": list(nodes)}, "slot_names": ["0"], **keys}


def box(identity: str, x: float, y: float, w: float, h: float, name: str = "mouse", **keys: Any) -> dict[str, Any]:
    sides = {"x": x, "y": y, "w": w, "h": h}
    return {"id": identity, "name": name, "bounding_box": sides, "slot_names": ["0"], **keys}


def save(path: Path, annotations: list[Any], name: str = "a.png", folder: str = "/", **slot: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    slots = [{"type": "image", "slot_name": "0", "width": 100, "height": 80, **slot}]
    item = {"name": name, "path": folder, "slots": slots}
    path.write_text(json.dumps({"version": "2.0", "item": item, "annotations": annotations}))
    return path


def read(path: Path) -> tuple[LabelReader, list[str]]:
    context = Context()
    return format_named("darwin").read(path, context), context.findings.sentences()


def named(labels: LabelReader, instance: Instance) -> dict[str, tuple[float, float, int]]:
    schema = labels.categories[instance.category].schema
    assert schema is not None
    assert instance.keypoints is not None
    assert instance.visibility is not None
    rows = zip(schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), strict=True)
    return {name: (x, y, state) for name, (x, y), state in rows if state != ABSENT}


def test_skeletons_are_poses_and_boxes_of_their_instance_belong_to_them(tmp_path: Path) -> None:
    one, two = {"instance_id": {"value": 1}}, {"instance_id": {"value": 2}}
    annotations = [
        skeleton("s1", node("nose", 1, 2), node("tail", 3, 4, occluded=True), **one),
        box("b2", 50, 50, 10, 20, **two),
        box("b1", 0, 1, 30, 40, **one),
        skeleton("s2", node("nose", 55, 60), **two),
        skeleton("s3", node("beak", 7, 8), name="bird", inference={"confidence": 0.5, "model": {"name": "m"}}),
        box("b3", 5, 6, 7, 8, name="cage"),
    ]
    labels, remarks = read(save(tmp_path / "x.json", annotations, folder="/one/two"))
    assert not remarks
    (frame,) = labels.frames()
    assert (frame.name, frame.width, frame.height) == ("one/two/a.png", 100, 80)
    first, second, bird, cage = labels.instances()
    assert named(labels, first) == {"nose": (1, 2, VISIBLE), "tail": (3, 4, OCCLUDED)}
    assert first.box is not None
    assert first.box.tolist() == [0, 1, 30, 41]
    assert second.box is not None
    assert second.box.tolist() == [50, 50, 60, 70]
    assert first.track != second.track
    assert (bird.score, bird.source, bird.track, bird.box) == (0.5, "m", None, None)
    assert labels.categories[cage.category].name == "cage"
    assert not cage.is_pose
    assert first.key == "x.json:s1"


def test_single_keypoints_are_one_object_named_by_their_classes(tmp_path: Path) -> None:
    annotations = [{"id": n, "name": n, "keypoint": {"x": 3, "y": 4}} for n in ("nose", "tail")]
    labels, remarks = read(save(tmp_path / "x.json", annotations))
    (instance,) = labels.instances()
    assert named(labels, instance) == {"nose": (3, 4, VISIBLE), "tail": (3, 4, VISIBLE)}
    assert not remarks


def test_videos_are_read_at_their_keyframes(tmp_path: Path) -> None:
    frames = {str(n): {"skeleton": {"nodes": [node("nose", n, n)]}, "keyframe": True} for n in (3, 10)}
    moving = {"id": "t", "name": "mouse", "frames": frames, "interpolated": True, "slot_names": ["0"]}
    single = {"id": "u", "name": "mouse", "frames": {"3": frames["10"]}, "slot_names": ["0"]}
    odd = {"id": "v", "name": "mouse", "frames": {"x": {}, "99999999999": {}}}
    path = save(tmp_path / "x.json", [moving, single, odd], "a.mp4", type="video", frame_count=20)
    labels, remarks = read(path)
    assert labels.media[0].type == VIDEO
    assert labels.media[0].path == "a.mp4"
    assert [frame.index for frame in labels.frames()] == [3, 10]
    tracked, alone, later = labels.instances()
    assert tracked.track is not None
    assert (later.track, alone.track) == (tracked.track, None)
    assert named(labels, later) == {"nose": (10, 10, VISIBLE)}
    assert any("only keyframes are read" in remark for remark in remarks)
    assert sum("of a video" in remark and "left out" in remark for remark in remarks) == 2


def test_version_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    image = {"width": 9, "height": 8, "original_filename": "a.jpg", "filename": "b.jpg", "path": "/sub"}
    annotations = [{"name": "mouse", "skeleton": {"nodes": [node("nose", 1, 2)]}}]
    path.write_text(json.dumps({"dataset": "d", "image": image, "annotations": annotations}))
    assert find_format(path).name == "darwin"
    labels, _ = read(path)
    assert [frame.name for frame in labels.frames()] == ["sub/a.jpg"]
    assert labels.num_instances() == 1


def test_classes_give_order_and_limbs(tmp_path: Path) -> None:
    nodes = [{"name": "nose"}, {"name": "ear"}, {"name": "tail"}]
    edges = [{"from": "nose", "to": "tail"}, {"from": "nose", "to": "x"}, None]
    classes = [{"name": "mouse", "type": "skeleton", "metadata": {"skeleton": {"nodes": nodes, "edges": edges}}}, {}]
    (tmp_path / ".v7").mkdir()
    (tmp_path / ".v7" / "metadata.json").write_text(json.dumps({"classes": classes}))
    save(tmp_path / "annotations" / "x.json", [skeleton("s", node("tail", 1, 2))])
    labels, remarks = read(tmp_path / "annotations")
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == ("nose", "ear", "tail")
    assert schema.limb_indices.tolist() == [[0, 2]]
    assert any("Class without a name" in remark for remark in remarks)


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    annotations = [
        {"id": "p", "name": "leaf", "polygon": {}, "bounding_box": {"x": 1, "y": 1, "w": 1, "h": 1}},
        {"id": "t", "name": "tag", "tag": {}},
        skeleton("s", node("nose", float("nan"), 1), node("nose", 1, 1), node("nose", 2, 2)),
        box("b", 1, 1, 1, None),  # type: ignore[arg-type]
        {"id": "k", "name": "k", "keypoint": {}},
        {"id": "n", "skeleton": {}},
        {"id": "second", "name": "mouse", "skeleton": {}, "slot_names": ["1"]},
        7,
    ]
    labels, remarks = read(save(tmp_path / "x.json", annotations))
    assert labels.num_instances() == 1
    text = "\n".join(remarks)
    for part in ("type polygon", "type tag", "usable coordinates", "has already", "Box without", "Keypoint without",
                 "without a class", "second slot", "without content"):  # fmt: skip
        assert part in text


def test_files_and_folders_are_recognized_by_content(tmp_path: Path) -> None:
    path = save(tmp_path / "data" / "x.json", [skeleton("s", node("nose", 1, 2))] * 2000)
    assert format_named("darwin").sniff(path) == CERTAIN
    assert find_format(path.parent).name == "darwin"
    other = tmp_path / "y.json"
    for content in ("{}", "[]", '{"items": [], "categories": {}}', '{"item": 3}', '{"image": {}, "annotations": []}'):
        other.write_text(content)
        assert format_named("darwin").sniff(other) == NO
    save(tmp_path / "data" / "z.json", []).write_text("{")
    labels, remarks = read(tmp_path / "data")
    assert labels.num_instances() == 2000
    assert any("z.json" in remark for remark in remarks)
    with pytest.raises(LabelError, match="no file of V7 Darwin"):
        read(other)


def test_tracks_of_videos_and_images_come_back(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail", "ear"], [(0, 1)])

    def pose(frame: int, track: int | None, offset: float, **keys: Any) -> Instance:
        points = np.array([[1.25, 2], [3, 4], [0, 0]]) + offset
        return Instance(frame, 0, points, np.array([2, 1, 0], np.uint8), track=track, key=f"{frame}{track}", **keys)

    frames = [Frame("", 0, 5), Frame("", 0, 6), Frame("", 0, 9), Frame("one/a.png", 1, 0, 30, 20), Frame("e.png", 1, 1)]
    instances = [pose(0, 4, 0), pose(1, 4, 1), pose(2, 4, 2, box=np.array([1.0, 2, 3, 4])), pose(2, None, 3)]
    instances.append(pose(3, 4, 4, box=np.array([5.0, 6, 7, 8])))
    labels = Labels(frames, instances, [Category("mouse", schema)], [Media(VIDEO, "v.mp4"), Media()])
    write_labels(labels, tmp_path / "out", format="darwin")
    video = json.loads((tmp_path / "out" / "v.mp4.json").read_text())
    assert video["annotations"][0]["ranges"] == [[5, 7], [9, 10]]
    with read_labels(tmp_path / "out") as back:
        assert back.categories[0].schema is not None
        assert back.categories[0].schema.names == ("nose", "tail", "ear")
        assert sorted(frame.name for frame in back.frames()) == ["", "", "", "e.png", "one/a.png"]
        result = list(back.instances())
        assert len(result) == 5
        assert len({instance.track for instance in result if instance.track is not None}) == 1
        assert sum(instance.track is None for instance in result) == 1
        assert sorted(i.box.tolist() for i in result if i.box is not None) == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_real_files_have_the_counts_of_their_json(shared: Path) -> None:
    folder = shared / "data/formats/v7-darwin/import/image_annotations_split_in_two_files"
    for child in sorted(folder.iterdir()):
        assert find_format(child).name == "darwin"
        records = [json.loads(path.read_text()) for path in child.glob("*.json")]
        annotations = [annotation for record in records for annotation in record["annotations"]]
        labels, _ = read(child)
        instances = list(labels.instances())
        assert len(list(labels.frames())) == len(records)
        nodes = sum(len(annotation["skeleton"]["nodes"]) for annotation in annotations if "skeleton" in annotation)
        nodes += sum("keypoint" in annotation for annotation in annotations)
        points = sum(int((i.visibility != ABSENT).sum()) for i in instances if i.visibility is not None)
        assert points == nodes > 0
