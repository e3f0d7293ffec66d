"""Label Studio: tasks, parents of keypoints, several annotations, predictions, configuration, damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels, write_labels
from engine.formats.registry import CERTAIN, NO
from engine.labels import ABSENT, OCCLUDED, VISIBLE, Category, Frame, Instance, LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context


def keypoint(label: str, x: float, y: float, parent: str | None = None, **keys: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}
    region = {"id": f"{label}{x}", "type": "keypointlabels", "value": value, "from_name": "kp", "to_name": "image"}
    size = {"original_width": 200, "original_height": 100}
    return {**region, **size, **({} if parent is None else {"parentID": parent}), **keys}


def box(region_id: str, label: str, x: float, y: float, width: float, height: float, **keys: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    size = {"original_width": 200, "original_height": 100}
    return {"id": region_id, "type": "rectanglelabels", "value": value, "from_name": "bbox", **size, **keys}


def task(result: list[Any], image: str = "/data/upload/1/a.png", **keys: Any) -> dict[str, Any]:
    return {"id": 7, "annotations": [{"id": 1, "completed_by": 1, "result": result}], "data": {"image": image}, **keys}


def save(path: Path, *tasks: Any) -> Path:
    path.write_text(json.dumps(list(tasks)))
    return path


def read(path: Path) -> tuple[LabelReader, list[str]]:
    context = Context()
    return format_named("label_studio").read(path, context), context.findings.sentences()


def named(labels: LabelReader, instance: Instance) -> dict[str, tuple[float, float, int]]:
    schema = labels.categories[instance.category].schema
    assert schema is not None
    assert instance.keypoints is not None
    assert instance.visibility is not None
    rows = zip(schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), strict=True)
    return {name: (x, y, state) for name, (x, y), state in rows if state != ABSENT}


def test_keypoints_belong_to_the_box_that_they_name(tmp_path: Path) -> None:
    result = [
        keypoint("nose", 50, 50, "b1"),
        box("b1", "mouse", 10, 20, 30, 40),
        keypoint("tail", 25, 10, "b1", meta={"text": ["occluded"]}),
        box("b2", "mouse", 0, 0, 100, 100),
        keypoint("nose", 1, 1, "b2"),
        {"type": "choices", "id": "nose1", "value": {"choices": ["Hidden"]}},
        {"type": "relation", "from_id": "b1", "to_id": "b2"},
    ]
    labels, remarks = read(save(tmp_path / "a.json", task(result)))
    first, second = labels.instances()
    assert not remarks
    assert named(labels, first) == {"nose": (100, 50, VISIBLE), "tail": (50, 10, OCCLUDED)}
    assert first.box is not None
    assert first.box.tolist() == [20, 20, 80, 60]
    assert named(labels, second) == {"nose": (2, 1, OCCLUDED)}
    (frame,) = labels.frames()
    assert (frame.name, frame.width, frame.height) == ("/data/upload/1/a.png", 200, 100)
    assert labels.categories[first.category].name == "mouse"
    assert "b1" in first.key


def test_keypoints_without_a_parent_go_to_the_box_that_holds_them(tmp_path: Path) -> None:
    result = [
        keypoint("nose", 15, 30), box("b1", "mouse", 10, 20, 30, 40),
        box("b2", "bird", 60, 0, 40, 100), keypoint("nose", 70, 1), keypoint("tail", 50, 90),
    ]  # fmt: skip
    labels, remarks = read(save(tmp_path / "a.json", task(result)))
    mouse, bird = labels.instances()
    assert named(labels, mouse) == {"nose": (30, 30, VISIBLE)}
    assert named(labels, bird) == {"nose": (140, 1, VISIBLE)}
    assert len(remarks) == 1
    assert "in no box, left out" in remarks[0]


def test_the_configuration_gives_order_and_categories(tmp_path: Path) -> None:
    (tmp_path / "config.xml").write_text(
        '<View><View><Image name="image" value="$image"/><RectangleLabels name="b" toName="image">'
        '<Label value="mouse"/><Label value="cage"/></RectangleLabels>'
        '<KeyPointLabels name="k" toName="image"><Label value="tail" model_index="2"/>'
        '<Label value="nose" model_index="0"/><Label value="ear" model_index="1"/></KeyPointLabels></View></View>'
    )
    result = [keypoint("tail", 50, 50, "b1"), box("b1", "mouse", 10, 20, 30, 40), box("c", "cage", 0, 0, 9, 9)]
    labels, remarks = read(save(tmp_path / "a.json", task(result)))
    assert not remarks
    assert [category.name for category in labels.categories] == ["mouse", "cage"]
    assert labels.categories[0].schema is not None
    assert labels.categories[0].schema.names == ("nose", "ear", "tail")
    assert labels.categories[1].schema is None


@pytest.mark.parametrize("text", ["<View", "<View>&x;</View>", '<!DOCTYPE a [<!ENTITY x "y">]><View/>'])
def test_a_damaged_configuration_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.xml").write_text(text)
    labels, remarks = read(save(tmp_path / "a.json", task([keypoint("nose", 1, 1)])))
    assert labels.num_instances() == 1
    assert any("Labeling configuration cannot be used" in remark for remark in remarks)


def test_one_of_several_annotations_is_taken(tmp_path: Path) -> None:
    def annotation(label: str, **keys: Any) -> dict[str, Any]:
        return {"result": [keypoint(label, 1, 1)], "completed_by": 1, **keys}

    old, new = annotation("a", updated_at="2024-01-01"), annotation("b", updated_at="2025-01-01")
    approved = annotation("c", updated_at="2023-01-01", ground_truth=True)
    skipped = annotation("d", updated_at="2026-01-01", was_cancelled=True)
    for records, expected, count in (([new, old, skipped], "b", 1), ([new, approved, old], "c", 2)):
        labels, remarks = read(save(tmp_path / "a.json", task([], annotations=records)))
        (instance,) = labels.instances()
        assert list(named(labels, instance)) == [expected]
        assert any("Task with several annotations" in remark for remark in remarks), count


def test_predictions_are_read_with_their_model_and_scores(tmp_path: Path) -> None:
    result = [keypoint("nose", 50, 50, "b", score=0.25), box("b", "mouse", 0, 0, 10, 10)]
    predictions = [{"model_version": "m1", "score": 0.75, "result": result}]
    labels, _ = read(save(tmp_path / "a.json", task([], annotations=[], predictions=predictions)))
    (instance,) = labels.instances()
    assert (instance.is_prediction, instance.source, instance.score) == (True, "m1", 0.75)
    assert instance.scores is not None
    assert instance.scores.tolist() == [0.25]


def test_an_empty_annotation_marks_an_image_without_objects(tmp_path: Path) -> None:
    open_task = task([], "b.png", annotations=[])
    labels, _ = read(save(tmp_path / "a.json", task([], "a.png"), open_task))
    assert [(frame.name, frame.is_negative) for frame in labels.frames()] == [("a.png", True), ("b.png", False)]


def test_the_size_comes_from_the_image_where_the_task_has_none(tmp_path: Path) -> None:
    point = keypoint("nose", 50, 50)
    del point["original_width"]
    path = save(tmp_path / "a.json", task([point], "/data/local-files/?d=one/a%20b.png"))
    labels, remarks = read(path)
    assert labels.num_instances() == 0
    assert any("without the size of its image, left out" in remark for remark in remarks)
    (tmp_path / "one").mkdir()
    cv2.imwrite(str(tmp_path / "one" / "a b.png"), np.zeros((40, 60, 3), np.uint8))
    labels, remarks = read(path)
    (instance,) = labels.instances()
    assert named(labels, instance) == {"nose": (30, 20, VISIBLE)}
    assert not remarks


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    result = [
        {"type": "polygonlabels", "id": "p", "value": {"polygonlabels": ["leaf"]}},
        keypoint("nose", float("nan"), 1),
        {**keypoint("nose", 1, 1), "value": {"x": 1, "y": 1}},
        None,
        {"type": "rectanglelabels", "value": {"x": 1, "y": 1, "rectanglelabels": ["mouse"]}},
    ]
    labels, remarks = read(save(tmp_path / "a.json", task(result), task([], ""), 3))
    assert labels.num_instances() == 0
    text = "\n".join(remarks)
    for part in ("type polygonlabels", "without usable coordinates", "without a label", "Task without an image"):
        assert part in text


def test_turned_boxes_are_read_as_the_box_around_them(tmp_path: Path) -> None:
    turned = box("b", "mouse", 50, 50, 10, 10)
    turned["value"]["rotation"] = 90
    labels, _ = read(save(tmp_path / "a.json", task([turned])))
    (instance,) = labels.instances()
    assert instance.box is not None
    assert np.allclose(instance.box, [90, 50, 100, 70])


def test_files_are_recognized_by_content(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", task([keypoint("nose", 1, 1)] * 2000))
    assert path.stat().st_size > 1 << 17
    assert find_format(path).name == "label_studio"
    one = tmp_path / "one.json"
    one.write_text(json.dumps(task([])))
    assert format_named("label_studio").sniff(one) == CERTAIN
    for content in ("[]", "{}", '[{"annotations": []}]', '{"images": [], "annotations": []}', '{"data": {}}'):
        one.write_text(content)
        assert format_named("label_studio").sniff(one) == NO
    with pytest.raises(LabelError, match="no tasks with data"):
        read(save(path, {"id": 1}))


def test_tasks_and_configuration_come_back(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail", "ear"], [(0, 1)])
    pose = Instance(0, 0, np.array([[1.5, 2], [3, 4], [0, 0]]), np.array([2, 1, 0], np.uint8), key="1")
    frames = [Frame("one/a b.jpg", width=30, height=20), Frame("/data/upload/3/b.jpg", width=3, height=2)]
    labels = Labels(frames, [pose], [Category("mouse", schema), Category('re"gion')])
    write_labels(labels, tmp_path / "out.json", format="label_studio")
    tasks = json.loads((tmp_path / "out.json").read_text())
    assert [t["data"]["image"] for t in tasks] == ["/data/local-files/?d=one/a%20b.jpg", "/data/upload/3/b.jpg"]
    with read_labels(tmp_path / "out.json") as back:
        assert [category.name for category in back.categories] == ["mouse", 're"gion']
        assert back.categories[0].schema is not None
        assert back.categories[0].schema.names == ("nose", "tail", "ear")
        assert back.categories[0].schema.limb_indices.tolist() == [[0, 1]]
        (instance,) = back.instances()
        assert instance.box is None
        assert named(back, instance) == {
            "nose": (pytest.approx(1.5), pytest.approx(2), VISIBLE),
            "tail": (pytest.approx(3), pytest.approx(4), OCCLUDED),
        }


def test_real_files_have_the_counts_of_their_json(shared: Path) -> None:
    folder = shared / "data/formats/labelstudio"
    path = folder / "test_export_yolo" / "data_keypoints.json"
    regions = [r for t in json.loads(path.read_text()) for a in t["annotations"] for r in a["result"]]
    labels, _ = read(path)
    instances = list(labels.instances())
    assert len(instances) == sum(region["type"] == "rectanglelabels" for region in regions)
    points = sum(int((i.visibility != ABSENT).sum()) for i in instances if i.visibility is not None)
    assert points == sum(region["type"] == "keypointlabels" for region in regions) > 0
    assert labels.categories[0].schema is not None
    assert labels.categories[0].schema.num_keypoints == 17
    labels, _ = read(folder / "test_export_coco" / "data.json")
    assert labels.num_instances() > 0


def test_keypoints_belong_to_the_box_that_a_relation_joins_them_to(tmp_path: Path) -> None:
    """As sleap-io writes them: no parents, and boxes that say nothing."""
    result = [
        box("b1", "instance_class", 0, 0, 200, 100),
        keypoint("nose", 10, 10),
        {"type": "relation", "from_id": "nose10", "to_id": "b1", "direction": "right"},
        box("b2", "instance_class", 0, 0, 200, 100),
        keypoint("nose", 50, 10),
        {"type": "relation", "from_id": "b2", "to_id": "nose50", "direction": "right"},
        keypoint("tail", 60, 10),
        {"type": "relation", "from_id": "tail60", "to_id": "b2", "direction": "right"},
        {"type": "relation", "from_id": "tail60", "to_id": "nose50", "direction": "right"},
    ]
    labels, sentences = read(save(tmp_path / "a.json", task(result)))
    assert [named(labels, instance) for instance in labels.instances()] == [
        {"nose": (20.0, 10.0, VISIBLE)},
        {"nose": (100.0, 10.0, VISIBLE), "tail": (120.0, 10.0, VISIBLE)},
    ]
    assert sentences == []
