"""Projects of Supervisely: graphs, boxes of a binding key, points, damaged files, round trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels, write_labels
from engine.formats.registry import NO
from engine.labels import ABSENT, OCCLUDED, VISIBLE, Category, Frame, Instance, LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

META = {
    "classes": [
        {
            "title": "mouse",
            "shape": "graph",
            "geometry_config": {
                "nodes": {"n1": {"label": "nose", "loc": [0, 0]}, "n2": {"label": "tail"}, "n3": {"label": "ear"}},
                "edges": [{"src": "n1", "dst": "n3"}, {"src": "n1", "dst": "gone"}],
            },
        },
        {"title": "cage", "shape": "rectangle"},
    ],
    "tags": [],
}


def graph(nodes: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"id": 5, "classTitle": "mouse", "geometryType": "graph", "nodes": nodes, **keys}


def shape(title: str, kind: str, *corners: Any, **keys: Any) -> dict[str, Any]:
    points = {"exterior": list(corners), "interior": []}
    return {"classTitle": title, "geometryType": kind, "points": points, **keys}


def save(folder: Path, objects: list[Any], name: str = "a.png", meta: Any = META) -> Path:
    (folder / "ds0" / "ann").mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    record = {"description": "", "tags": [], "size": {"width": 100, "height": 80}, "objects": objects}
    (folder / "ds0" / "ann" / f"{name}.json").write_text(json.dumps(record))
    return folder


def read(path: Path) -> tuple[LabelReader, list[str]]:
    context = Context()
    return format_named("supervisely").read(path, context), context.findings.sentences()


def named(labels: LabelReader, instance: Instance) -> dict[str, tuple[float, float, int]]:
    schema = labels.categories[instance.category].schema
    assert schema is not None
    assert instance.keypoints is not None
    assert instance.visibility is not None
    rows = zip(schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), strict=True)
    return {name: (x, y, state) for name, (x, y), state in rows if state != ABSENT}


def test_graphs_are_poses_whose_nodes_the_class_names(tmp_path: Path) -> None:
    nodes = {"n3": {"loc": [1, 2]}, "n1": {"loc": [3.5, 4], "disabled": True}}
    objects = [graph(nodes, instance="k"), shape("cage", "rectangle", [9, 8], [0, 1], instance="k")]
    labels, remarks = read(save(tmp_path, [*objects, shape("cage", "rectangle", [1, 1], [2, 2])]))
    assert not remarks
    (frame,) = labels.frames()
    assert (frame.name, frame.width, frame.height) == ("ds0/img/a.png", 100, 80)
    mouse, cage = labels.instances()
    assert named(labels, mouse) == {"nose": (3.5, 4, OCCLUDED), "ear": (1, 2, VISIBLE)}
    assert mouse.box is not None
    assert mouse.box.tolist() == [0, 1, 9, 8]
    assert mouse.key == "ds0/ann/a.png.json:5"
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == ("nose", "tail", "ear")
    assert schema.limb_indices.tolist() == [[0, 2]]
    assert labels.categories[cage.category].name == "cage"
    assert labels.source_file(0) == tmp_path / "ds0" / "ann" / "a.png.json"


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    objects = [
        shape("leaf", "polygon", [0, 0], [1, 1], [2, 0]),
        graph({"n1": {"loc": [1]}, "n2": None}),
        shape("cage", "rectangle", [0, 0]),
        {"geometryType": "graph"},
        graph([]),  # type: ignore[arg-type]
        shape("paw", "point", [1, 2]),
        3,
    ]
    save(tmp_path, [], "b.png")
    (tmp_path / "ds0" / "ann" / "c.png.json").write_text("{")
    labels, remarks = read(save(tmp_path, objects))
    assert [named(labels, instance) for instance in labels.instances()] == [{}, {"paw": (1, 2, VISIBLE)}]
    text = "\n".join(remarks)
    for part in ("type polygon", "Keypoint without usable", "Object without usable", "without a class", "c.png.json"):
        assert part in text


def test_projects_are_recognized_by_content(tmp_path: Path) -> None:
    folder = save(tmp_path / "project", [])
    assert find_format(folder).name == find_format(folder / "meta.json").name == "supervisely"
    for meta in ({}, [], {"classes": 3}, {"categories": []}):
        save(folder, [], meta=meta)
        assert format_named("supervisely").sniff(folder) == NO
    with pytest.raises(LabelError, match="no list of classes"):
        read(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert format_named("supervisely").sniff(empty) == format_named("supervisely").sniff(tmp_path / "gone") == NO


def test_a_written_project_comes_back(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail", "ear"], [(0, 1)])
    pose = Instance(0, 0, np.array([[1.5, 2], [3, 4], [0, 0]]), np.array([2, 1, 0], np.uint8), key="1")
    frames = [Frame("one/two/a.jpg", width=30, height=20), Frame("b.jpg", width=3, height=2)]
    labels = Labels(frames, [pose], [Category("mouse", schema), Category("region")])
    write_labels(labels, tmp_path / "out", format="supervisely")
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.json"))
    assert files == ["ds0/ann/b.jpg.json", "meta.json", "one_two/ann/a.jpg.json"]
    for _ in range(2):
        with read_labels(tmp_path / "out") as back:
            assert [category.name for category in back.categories] == ["mouse", "region"]
            assert back.categories[0].schema is not None
            assert back.categories[0].schema.names == ("nose", "tail", "ear")
            assert back.categories[0].schema.limb_indices.tolist() == [[0, 1]]
            (instance,) = back.instances()
            assert named(back, instance) == {"nose": (1.5, 2, VISIBLE), "tail": (3, 4, OCCLUDED)}
            if not (tmp_path / "again").exists():
                write_labels(back, tmp_path / "again", format="supervisely")
    again = sorted(p.relative_to(tmp_path / "again").as_posix() for p in (tmp_path / "again").rglob("*.json"))
    assert again == files
