from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.predict.inputs import find_images
from engine.utils.skipped import Skipped
from poseapp.project.formats import label_files
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.formats.images import import_folder, import_images
from poseapp.project.formats.label_files import look_into
from poseapp.project.store import ProjectStore
from tests.engine.media.test_pages import save


def test_a_folder_says_which_files_hold_more_pictures_than_are_shown(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    save(photos / "stack.tif", 3)
    save(photos / "single.tif", 1)
    save(photos / "film.gif", 2)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        report = import_folder(store, photos)
    assert report.images == 3
    assert len(report.problems) == 2
    assert any("3 pictures; only the first is read" in text and "stack.tif" in text for text in report.problems)
    assert any("2 pictures; only the first is read" in text and "film.gif" in text for text in report.problems)


def test_so_does_a_single_file(tmp_path: Path) -> None:
    path = save(tmp_path / "stack.tif", 4)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        assert "4 pictures" in import_images(store, [path]).problems[0]


def test_prediction_lists_the_pictures_that_it_does_not_read(tmp_path: Path) -> None:
    save(tmp_path / "stack.tif", 3)
    save(tmp_path / "single.png", 1)
    skipped = Skipped("images")
    assert len(find_images([tmp_path], skipped)) == 2
    (item,) = skipped
    assert item.where.endswith("stack.tif")
    assert "only the first" in item.reason


def test_labels_of_a_file_of_several_pictures_say_so(tmp_path: Path) -> None:
    save(tmp_path / "stack.tif", 3)
    image = {"id": 1, "file_name": "stack.tif", "width": 30, "height": 20}
    category = {"id": 1, "name": "mouse", "keypoints": ["nose"], "skeleton": []}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"images": [image], "annotations": [], "categories": [category]}))
    with ProjectStore.create(tmp_path / "p.pose") as store:
        assert any("3 pictures; only the first is read" in text for text in import_coco(store, path).problems)


def test_a_folder_that_is_not_searched_to_its_end_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a/b/c/d/e/f/g"
    deep.mkdir(parents=True)
    assert any("not looked for" in text for text in look_into(tmp_path).unsupported)
    assert not look_into(tmp_path / "a").unsupported
    for folder in (deep, deep.parent):
        for index in range(3):
            (folder / f"{index}.png").touch()
    monkeypatch.setattr(label_files, "_MAX_ENTRIES", 2)
    assert any("not looked for" in text for text in look_into(deep.parent).unsupported)
    assert not look_into(deep).unsupported
