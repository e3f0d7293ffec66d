"""Each image name of a label file finds its own file, or none and a word why."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.media.image_finder import Finding, FoundImages, Kind, find_images, likely_folders


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def search(root: Path, *names: str, labels: str = "labels.json") -> FoundImages:
    return find_images(names, likely_folders(root / labels))


def files(result: FoundImages, root: Path) -> list[str | None]:
    return [None if path is None else path.resolve().relative_to(root.resolve()).as_posix() for path in result.paths]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a.png", "A.PNG"),
        ("Photos/A.png", "photos/a.png"),
        ("a b.png", "a%20b.png"),
        ("a%20b.png", "a%20b.png"),
        ("sub/a.png", "sub\\a.png"),
        ("sub\\a.png", "sub\\a.png"),
        (unicodedata.normalize("NFD", "Übung_é.jpg"), unicodedata.normalize("NFC", "Übung_é.jpg")),
        (unicodedata.normalize("NFC", "Übung_é.jpg"), unicodedata.normalize("NFD", "Übung_é.jpg")),
        (unicodedata.normalize("NFC", "Übung/é.jpg"), unicodedata.normalize("NFD", "Übung/é.jpg")),
        ("images/default/a.png", "a.png"),
        ("deep/down/here/a.png", "down/here/a.png"),
    ],
)
def test_another_spelling_of_a_path_is_found_and_nothing_is_said(tmp_path: Path, image: str, name: str) -> None:
    touch(tmp_path / image)
    result = search(tmp_path, name)
    assert (files(result, tmp_path), result.findings) == ([image], [])


@pytest.mark.parametrize("name", ["a", "a.jpg", "images/a.jpeg", "./a.JPG"])
def test_another_extension_is_taken_and_told(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "images" / "a.png")
    result = search(tmp_path, name)
    assert files(result, tmp_path) == ["images/a.png"]
    assert [finding.kind for finding in result.findings] == [Kind.OTHER_EXTENSION]
    assert result.missing == []


def test_a_dot_in_a_name_without_extension_is_part_of_it(tmp_path: Path) -> None:
    touch(tmp_path / "frame.001.png", tmp_path / "frame.002.png")
    assert files(search(tmp_path, "frame.002"), tmp_path) == ["frame.002.png"]


def test_two_files_that_differ_in_extension_only_are_not_guessed_between(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "a.tif")
    result = search(tmp_path, "a")
    assert (result.paths, [finding.kind for finding in result.findings]) == ([None], [Kind.AMBIGUOUS])


def test_a_missing_image_is_not_replaced_by_another_of_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "images/val/one/000000.jpg")
    result = search(tmp_path, "images/val/one/000000.jpg", "images/val/two/000000.jpg", "images/val/three/000000.jpg")
    assert files(result, tmp_path) == ["images/val/one/000000.jpg", None, None]
    assert result.missing == ["images/val/two/000000.jpg", "images/val/three/000000.jpg"]
    assert {finding.kind for finding in result.findings} == {Kind.MISSING}


def test_a_file_that_belongs_to_another_name_is_not_taken(tmp_path: Path) -> None:
    touch(tmp_path / "one/mouse.jpg")
    result = search(tmp_path, "one/mouse.jpg", "two/mouse.jpg")
    assert files(result, tmp_path) == ["one/mouse.jpg", None]
    assert {finding.kind for finding in result.findings} == {Kind.CLAIMED}


def test_one_file_is_not_taken_for_two_records(tmp_path: Path) -> None:
    touch(tmp_path / "1.jpg")
    result = search(tmp_path, "a/1.jpg", "b/1.jpg")
    assert result.paths == [None, None]
    assert {finding.kind for finding in result.findings} == {Kind.AMBIGUOUS}


def test_two_spellings_of_two_records_do_not_share_a_file(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    result = search(tmp_path, "A.png", "a.png", "a.jpg", "images/../a.png")
    assert files(result, tmp_path) == [None, "a.png", None, "a.png"]
    assert {finding.name: finding.kind for finding in result.findings} == {
        "A.png": Kind.CLAIMED,
        "a.jpg": Kind.CLAIMED,
    }


def test_the_same_path_twice_is_the_same_image_twice(tmp_path: Path) -> None:
    touch(tmp_path / "sub" / "a.png")
    result = search(tmp_path, "sub/a.png", "sub\\a.png", "sub/a.png")
    assert files(result, tmp_path) == ["sub/a.png"] * 3
    assert result.findings == []


def test_the_last_folders_of_a_path_are_preferred_to_the_bare_name(tmp_path: Path) -> None:
    touch(tmp_path / "new/one/a.png", tmp_path / "new/two/a.png")
    result = search(tmp_path, "/old/two/a.png", "C:\\old\\one\\a.png")
    assert files(result, tmp_path) == ["new/two/a.png", "new/one/a.png"]
    assert result.findings == []


def test_a_bare_name_in_another_folder_is_told(tmp_path: Path) -> None:
    touch(tmp_path / "other" / "mouse.png")
    result = search(tmp_path, "sub/mouse.png")
    assert files(result, tmp_path) == ["other/mouse.png"]
    assert result.findings == [Finding(Kind.OTHER_FOLDER, "sub/mouse.png", tmp_path / "other" / "mouse.png")]


def test_a_numbered_frame_of_another_folder_is_not_taken(tmp_path: Path) -> None:
    touch(tmp_path / "camera2" / "img0007.png")
    assert search(tmp_path, "camera1/img0007.png").paths == [None]
    assert search(tmp_path, "/data/camera1/img0007.png").paths == [None]


def test_a_file_of_another_shape_is_not_taken_by_its_name(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mouse.png"), np.zeros((40, 100, 3), np.uint8))
    folders = likely_folders(tmp_path / "labels.json")
    assert find_images(["sub/mouse.png"], folders, [(100, 100)]).paths == [None]
    assert find_images(["sub/mouse.png"], folders, [(50, 20)]).paths == [tmp_path / "mouse.png"]
    assert find_images(["sub/mouse.png"], folders, [(0, 0)]).paths == [tmp_path / "mouse.png"]


def test_folders_links_to_nothing_and_pipes_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "c.png")
    assert search(tmp_path, "a.png", "b.png", "c.png").paths == [None] * 3


@pytest.mark.parametrize(
    "name", ["", "\0", "a\0b/c.png", "\ud83d.png", "..", "/", "x" * 5000, "%", "//", "../../../../.."]
)
def test_any_text_is_a_name_that_is_missing(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "a.png")
    assert search(tmp_path, name).paths == [None]


def test_a_folder_with_too_many_files_to_search_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "x/one.png", tmp_path / "x/two.png")
    monkeypatch.setattr("engine.media.image_finder.SEARCH_LIMIT", 1)
    result = search(tmp_path, "one.png")
    assert (result.paths, [finding.kind for finding in result.findings]) == ([None], [Kind.UNSEARCHED])


def test_an_escape_that_was_escaped_again_is_resolved(tmp_path: Path) -> None:
    touch(tmp_path / "a b.png")
    result = find_images(["a%2520b.png"], [tmp_path])
    assert result.paths == [tmp_path / "a b.png"]
    assert result.findings == []


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("photo.png", "1f2e3d4c-photo.png"),
        ("1f2e3d4c-photo.png", "photo.png"),
        ("my photo.png", "/data/upload/3/1f2e3d4c-my_photo.png"),
        ("photo.png", "https://studio.example/data/upload/3/1f2e3d4c-photo.png"),
        ("my photo.v2.png", "my-photo-v2_jpg.rf.0123456789abcdef0123456789abcdef.jpg"),
        ("train/images/photo_jpg.rf.0123456789abcdef0123456789abcdef.png", "photo.jpg"),
        ("photo_png.rf.aB3dE6gH9jK2mN5p.png", "1f2e3d4c-photo.png"),
    ],
)
def test_a_name_that_an_upload_changed_is_found_and_told(tmp_path: Path, image: str, name: str) -> None:
    touch(tmp_path / image)
    result = find_images([name], [tmp_path])
    assert result.paths == [tmp_path / image]
    assert [finding.kind for finding in result.findings] == [Kind.UPLOADED]


def test_several_exports_of_one_image_are_not_guessed_between(tmp_path: Path) -> None:
    for n in range(2):
        touch(tmp_path / f"photo_jpg.rf.{n}123456789abcdef0123456789abcdef.png")
    result = find_images(["photo.jpg"], [tmp_path])
    assert result.paths == [None]
    assert [finding.kind for finding in result.findings] == [Kind.AMBIGUOUS]
    touch(tmp_path / "one" / "photo.png")
    names = [f"{n}f2e3d4c-photo.png" for n in range(2)]
    assert find_images(names, [tmp_path / "one"]).paths == [None, None]


def test_an_upload_is_no_excuse_to_take_the_image_of_another_name(tmp_path: Path) -> None:
    touch(tmp_path / "photo.png")
    result = find_images(["1f2e3d4c-photo.png", "photo.png"], [tmp_path])
    assert result.paths == [None, tmp_path / "photo.png"]


def test_a_local_file_of_label_studio_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "set one/photo.png")
    result = find_images(["/data/local-files/?d=set%20one/photo.png"], [tmp_path])
    assert result.paths == [tmp_path / "set one" / "photo.png"]
    assert result.findings == []


def test_images_beside_a_folder_of_labels_are_not_searched_for_in_its_neighbours(tmp_path: Path) -> None:
    labels = tmp_path / "results"
    labels.mkdir()
    for name in ("neighbour/a.png", "b.png", "results/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    matches = find_images(["a.png", "b.png", "c.png"], likely_folders(labels))
    assert [None if path is None else path.name for path in matches.paths] == [None, "b.png", "c.png"]
