"""Kinds are read from files of several programs; what cannot be read is told and never guessed at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SchemaError
from engine.formats.coco.dataset import make_category
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from poseapp.project.schema.draft import write_schema
from poseapp.project.schema.files import read_schemas

FLY = {"id": 1, "name": "fly", "keypoints": ["头", "左眼", "右眼", "x_l", "x_r"], "skeleton": [[1, 2], [1, 3], [4, 5]]}
BOX = {"id": 2, "name": "box"}


def _file(folder: Path, content: Any, name: str = "labels.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_category_gives_names_limbs_and_partners(tmp_path: Path) -> None:
    (schema,) = read_schemas(_file(tmp_path, {"images": [], "annotations": [], "categories": [FLY, BOX]}))
    assert schema.category == "fly"
    assert schema.names == tuple(FLY["keypoints"])  # type: ignore[arg-type]
    assert schema.flip_indices.tolist() == [0, 2, 1, 4, 3]
    assert schema.sides == ("middle", "left", "right", "left", "right")
    assert schema.limb_indices.tolist() == [[0, 1], [0, 2], [3, 4]]


def test_limbs_of_the_file_stand_before_those_of_a_known_schema(tmp_path: Path) -> None:
    person = {"id": 1, "name": "person", "keypoints": list(find_schema("coco").names), "skeleton": [[1, 2], [17, 15]]}
    (schema,) = read_schemas(_file(tmp_path, {"images": [], "categories": [person]}))
    assert [(a.start, a.end) for a in schema.limbs] == [("nose", "left_eye"), ("right_ankle", "right_knee")]
    assert schema.limbs[1].color == next(a.color for a in find_schema("coco").limbs if a.start == "right_ankle")
    assert schema.sigmas.tolist() == find_schema("coco").sigmas.tolist()


def test_a_file_of_categories_alone_is_taken(tmp_path: Path) -> None:
    for content in ({"categories": [FLY]}, [FLY]):
        (schema,) = read_schemas(_file(tmp_path, content))
        assert schema.category == "fly"


def test_points_without_names_are_told_by_what_is_labelled(tmp_path: Path) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2] * 17}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [annotation],
        "categories": [BOX | {"id": 1}],
    }
    (schema,) = read_schemas(_file(tmp_path, content))
    assert schema.names == find_schema("coco").names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("{", "JSON"),
        ("[1, 2]", "is a list, not a COCO file"),
        ('{"shapes": []}', "no 'images'"),
        ('{"images": [], "categories": []}', "no category with keypoints"),
        ('{"images": [], "categories": [{"id": 1, "name": "box"}]}', "no category with keypoints"),
        ('{"images": [], "categories": [{"id": 1, "name": "a", "keypoints": 3}]}', "no category with keypoints"),
        ('{"categories": [{"id": 1, "name": "a"}]}', "no 'images'"),
        ('{"categories": 7}', "no 'images'"),
    ],
)
def test_what_describes_no_points_is_refused(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words) as messages:
        read_schemas(_file(tmp_path, content))
    assert "labels.json" in str(messages.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    for name in ("no.json", "no.toml", "no.py"):
        with pytest.raises(SchemaError, match=name):
            read_schemas(tmp_path / name)


@given(
    names=st.lists(st.text("abLRlr_左右 1", min_size=1, max_size=6), min_size=1, max_size=8, unique=True),
    pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=6),
)
def test_what_is_written_as_toml_or_as_a_category_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], pairs: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("schemas")
    schema = schema_from_names("own", names, [(a, b) for a, b in pairs if a < len(names) and b < len(names)])
    write_schema(folder / "own.toml", schema)
    assert read_schemas(folder / "own.toml") == [schema]
    record = json.loads(make_category(1, schema).encoded())
    (again,) = read_schemas(_file(folder, {"images": [], "categories": [record]}))
    assert again.num_keypoints == schema.num_keypoints
