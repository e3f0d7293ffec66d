"""File names that are not UTF-8: opened, stored, exported and found again."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.formats.coco.dataset import CocoDataset
from engine.predict.inputs import find_annotated_images
from poseapp.project.exports.labelled_frames import export_labelled_frames
from poseapp.project.exports.tables import export_csv, export_parquet
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.opening import open_any
from poseapp.project.storage.file_names import from_stored, readable, to_stored

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


@given(st.binary(max_size=12))
def test_any_name_comes_back_from_what_is_stored(name: bytes) -> None:
    text = os.fsdecode(name)
    stored = to_stored(text)
    stored.encode("utf-8")
    readable(text).encode("utf-8")
    assert from_stored(stored) == text


def test_names_that_are_utf8_are_stored_as_they_are() -> None:
    for name in ("a.jpg", "ü 2/猫.png", "\U0001f42d.png", "\uf7e9.png"):
        assert to_stored(name) == from_stored(name) == readable(name) == name


def test_a_surrogate_that_stands_for_no_byte_names_no_file() -> None:
    assert to_stored("a\ud800.jpg") == "a?.jpg"


@pytest.fixture
def folder(resources_dir: Path, tmp_path: Path) -> Path:
    """Two pictures below a folder, whose names are Latin-1."""
    path = tmp_path / os.fsdecode(b"m\xe4use")
    (path / os.fsdecode(b"caf\xe9")).mkdir(parents=True)
    shutil.copy(resources_dir / "sample/astronaut.jpg", path / os.fsdecode(b"f_\xfc.jpg"))
    shutil.copy(resources_dir / "sample/astronaut.jpg", path / os.fsdecode(b"caf\xe9/a.jpg"))
    return path


@only_linux
def test_a_folder_of_such_names_is_opened_again_and_exported(folder: Path, tmp_path: Path) -> None:
    with open_any(folder) as store:
        assert [frame.name for frame in store.frames()] == ["f_\udcfc.jpg", "caf\udce9/a.jpg"]
        assert all(store.frame_path(frame.key).is_file() for frame in store.frames())
    with open_any(folder) as store:
        assert store.frame_count() == 2
        export_coco(store, tmp_path / "out.json", unseen_frames=True)
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    assert "f_\\udcfc.jpg" in text
    names = [image["file_name"] for image in json.loads(text)["images"]]
    assert all((folder / name).is_file() for name in names)
    sources = find_annotated_images(CocoDataset.read(tmp_path / "out.json"), [folder], "out.json")
    assert [source.path for source in sources] == [folder / name for name in names]


@only_linux
def test_poses_on_such_pictures_go_into_every_table(folder: Path, tmp_path: Path) -> None:
    labels = folder / "labels.json"
    labels.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "f_\udcfc.jpg"}, {"id": 2, "file_name": "caf\udce9/a.jpg"}],
                "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": []}],
                "annotations": [
                    {"id": n, "image_id": n, "category_id": 1, "keypoints": [5, 6, 2, 7, 8, 2], "bbox": [1, 2, 30, 40]}
                    for n in (1, 2)
                ],
            }
        )
    )
    with open_any(labels) as store:
        assert len(list(store.frames())) == 2
        assert all(store.frame_path(frame.key).is_file() for frame in store.frames())
        export_csv(store, tmp_path / "t.csv")
        with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
            cells = {cell for row in csv.reader(file) for cell in row}
        assert any("f_\\udcfc.jpg" in cell for cell in cells)
        if _has_pyarrow():
            export_parquet(store, tmp_path / "t.parquet")
        steps = export_labelled_frames(store, tmp_path / "frames")
        report = _finish(steps)
        assert report.count == 2
        assert not report.problems
    result = json.loads((tmp_path / "frames" / "annotations.json").read_text(encoding="utf-8"))
    assert all((tmp_path / "frames" / "images" / image["file_name"]).is_file() for image in result["images"])


def _has_pyarrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def _finish(steps):  # type: ignore[no-untyped-def]
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value
