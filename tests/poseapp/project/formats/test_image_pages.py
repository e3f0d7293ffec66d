from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.predict.inputs import find_images
from engine.utils.skipped import Skipped
from poseapp.project.formats import images, label_files
from poseapp.project.formats.images import import_folder, import_images
from poseapp.project.formats.label_files import look_into
from poseapp.project.store import ProjectStore
from tests.engine.media.test_pages import save


def test_files_of_several_pictures_are_media_of_their_own(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    save(photos / "stack.tif", 3)
    save(photos / "single.tif", 1)
    save(photos / "film.gif", 2)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        report = import_folder(store, photos)
        assert [(m.kind, Path(m.path).name, len(store.frame_names(m.id))) for m in store.media()] == [
            ("images", "photos", 1), ("video", "film.gif", 2), ("video", "stack.tif", 3),
        ]  # fmt: skip
    assert (report.images, report.problems) == (6, [])


def test_so_is_a_single_file(tmp_path: Path) -> None:
    path = save(tmp_path / "stack.tif", 4)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        assert import_images(store, [path]).images == 4


def test_files_behind_those_that_are_looked_at_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_MAX_CHECKED", 1)
    save(tmp_path / "a.tif", 1)
    save(tmp_path / "b.tif", 3)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        report = import_folder(store, tmp_path)
    assert report.images == 2
    assert report.problems == ["Not looked at for further pictures, only the first is shown: b.tif"]


def test_prediction_reads_all_pictures(tmp_path: Path) -> None:
    save(tmp_path / "stack.tif", 3)
    save(tmp_path / "single.png", 1)
    skipped = Skipped("images")
    sources = find_images([tmp_path], skipped)
    assert [(source.path.name, source.frame, source.is_frame) for source in sources] == [
        ("single.png", 0, False), ("stack.tif", 0, True), ("stack.tif", 1, True), ("stack.tif", 2, True),
    ]  # fmt: skip
    record = json.loads(sources[2].image.raw)
    assert (record["file_name"], record["video"], record["frame_index"]) == (
        "stack/stack_000001.png", "stack.tif", 1,
    )  # fmt: skip
    assert not list(skipped)


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
