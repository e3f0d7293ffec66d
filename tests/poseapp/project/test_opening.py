"""Whatever is pointed at is opened; what was opened before is found again; what fails leaves nothing behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import CocoError, ProjectError
from poseapp.project import edits, opening
from poseapp.project.model import FrameKey
from poseapp.project.opening import open_any, open_with_report, project_path
from poseapp.project.store import ProjectStore

COCO = {
    "images": [{"id": 1, "file_name": "img2.png"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}],
    "categories": [{"id": 1, "name": "fly", "keypoints": ["head"]}],
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("img10.png", "img2.png", "img1.png"):
        cv2.imwrite(str(folder / name), np.zeros((2, 3, 3), np.uint8))
    (folder / "notes.txt").write_text("x")
    return folder


def names(store: ProjectStore) -> list[str]:
    return [frame.name for frame in store.frames()]


def test_a_folder(photos: Path) -> None:
    with open_any(photos) as store:
        assert store.path == photos / "photos.pose"
        assert names(store) == ["img1.png", "img2.png", "img10.png"]
    cv2.imwrite(str(photos / "img3.png"), np.zeros((2, 3, 3), np.uint8))
    store, report = open_with_report(str(photos))
    with store:
        assert report.images == 1
        assert names(store) == ["img1.png", "img2.png", "img10.png", "img3.png"]
    with open_any(photos / "photos.pose") as store:
        assert store.frame_count() == 4


def test_images_and_what_is_none(photos: Path) -> None:
    with open_any([photos / "img2.png", photos / "img1.png"]) as store:
        assert store.path == photos / "photos.pose"
        assert names(store) == ["img2.png", "img1.png"]
        assert store.frame_path(FrameKey(1, 0)) == photos / "img2.png"
    with open_any(photos / "img10.png") as store:
        assert names(store) == ["img2.png", "img1.png", "img10.png"]


def test_a_coco_file_is_imported_once(photos: Path) -> None:
    labels = photos / "labels.json"
    labels.write_text(json.dumps(COCO))
    with open_any(labels) as store:
        assert store.path == photos / "labels.pose"
        assert store.summary().labelled == 1
        key, instance = next(store.all_instances())
        store.apply(edits.delete_instances(key, [instance]))
    with open_any(labels) as store:
        assert store.summary().labelled == 0
        assert store.undo_text() == "Delete pose"


def test_a_folder_with_its_labels(photos: Path) -> None:
    (photos / "labels.json").write_text(json.dumps(COCO))
    with open_any([photos, photos / "labels.json"]) as store:
        assert store.frame_count() == 3
        assert len(store.instances(FrameKey(1, 1))) == 1


def test_labels_into_an_open_project(photos: Path) -> None:
    open_any(photos).close()
    (photos / "labels.json").write_text(json.dumps(COCO))
    with open_any([photos / "photos.pose", photos / "labels.json"]) as store:
        assert store.summary().labelled == 1


def test_a_failed_import_leaves_nothing(photos: Path) -> None:
    (photos / "labels.json").write_text("{")
    before = sorted(os.listdir(photos))
    with pytest.raises(CocoError):
        open_any(photos / "labels.json")
    assert sorted(os.listdir(photos)) == before


def test_an_import_that_the_power_cut_short_is_done_again(photos: Path) -> None:
    (photos / "labels.json").write_text(json.dumps(COCO))
    ProjectStore.create(photos / "labels.pose").close()
    with open_any(photos / "labels.json") as store:
        assert store.summary().labelled == 1


@pytest.mark.parametrize("name", ["none.json", "notes.txt"])
def test_what_cannot_be_opened_is_told(photos: Path, name: str) -> None:
    before = sorted(os.listdir(photos))
    with pytest.raises(ProjectError, match=r"does not exist|cannot be opened"):
        open_any(photos / name)
    assert sorted(os.listdir(photos)) == before
    with pytest.raises(ProjectError, match="nothing to open"):
        open_any([])


@pytest.mark.parametrize("content", ["", "notes.txt", "package.json"])
def test_a_folder_with_nothing_to_open_is_refused_and_no_project_is_left(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    if content:
        (folder / content).write_text("{}")
    with pytest.raises(ProjectError, match="holds no images, videos or labels"):
        open_any(folder)
    assert [path.name for path in folder.iterdir()] == ([content] if content else [])


def test_a_project_open_elsewhere_is_told_and_left(photos: Path) -> None:
    with open_any(photos), pytest.raises(ProjectError, match="another window"):
        open_any(photos)
    assert (photos / "photos.pose").exists()


def test_a_folder_that_cannot_be_written_has_its_project_among_the_users_data(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(opening.os, "access", lambda path, mode: False)
    monkeypatch.setattr(opening, "user_data_dir", lambda name: str(tmp_path / "data" / name))
    home = project_path([photos])
    assert home.parent == tmp_path / "data" / "poseapp" / "projects"
    with open_any(photos) as store:
        assert store.path == home
        assert store.frame_path(FrameKey(1, 0)) == photos / "img1.png"


def test_a_deeplabcut_project(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "project_path", lambda paths: tmp_path / "x.pose")
    for path in ("openfield-mouse", "openfield-mouse/labeled-data/m4s1"):
        with open_any(shared / "data" / path) as store:
            assert store.summary().labelled == 92
            assert store.frame_count() == 92
