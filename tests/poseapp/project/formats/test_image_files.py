"""Images are found where tools put them, and what is missing keeps its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseapp.project.formats.image_files import find_images


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("labels", "image", "name"),
    [
        ("labels.json", "a.png", "a.png"),
        ("labels.json", "images/a.png", "a.png"),
        ("labels.json", "images/a.png", "images/a.png"),
        ("labels.json", "images/a.png", "images\\a.png"),
        ("labels.json", "sub/a.png", "sub\\a.png"),
        ("labels.json", "a.png", "C:\\Users\\me\\a.png"),
        ("labels.json", "a.png", "/home/me/a.png"),
        ("labels.json", "a.png", "http://x.org/path/a.png?size=1"),
        ("labels.json", "a b.png", "file:///home/me/a%20b.png"),
        ("labels.json", "A.PNG", "a.png"),
        ("annotations/labels.json", "images/a.png", "a.png"),
        ("annotations/person_keypoints_val2017.json", "val2017/a.png", "a.png"),
        ("annotations/person_keypoints_val2017.json", "images/val2017/a.png", "a.png"),
        ("labels.json", "deep/down/a.png", "a.png"),
        ("labels.json", "other/a.png", "sub/a.png"),
    ],
)
def test_an_image_is_found(tmp_path: Path, labels: str, image: str, name: str) -> None:
    touch(tmp_path / labels, tmp_path / image)
    result = find_images([name], tmp_path / labels)
    assert result.missing == []
    assert (result.root / result.names[0]).resolve() == (tmp_path / image).resolve()


def test_a_bare_name_that_stands_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.png", tmp_path / "two" / "a.png")
    result = find_images(["a.png", "one/a.png"], tmp_path / "labels.json")
    assert result.missing == ["a.png"]
    assert result.names == ["a.png", "one/a.png"]


def test_the_same_name_in_two_folders_stays_two_images(tmp_path: Path) -> None:
    touch(tmp_path / "images/one/a.png", tmp_path / "images/two/a.png")
    result = find_images(["one/a.png", "two/a.png"], tmp_path / "labels.json")
    assert result.root == tmp_path / "images"
    assert result.names == ["one/a.png", "two/a.png"]


def test_a_given_root_is_the_only_place(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "there" / "b.png")
    result = find_images(["a.png", "b.png", "c.png"], tmp_path / "labels.json", tmp_path / "there")
    assert result.missing == ["a.png", "c.png"]
    assert result.root == tmp_path / "there"


def test_absolute_names_of_images_that_exist_are_taken(tmp_path: Path) -> None:
    touch(tmp_path / "far" / "a.png")
    (tmp_path / "near").mkdir()
    result = find_images([str(tmp_path / "far" / "a.png")], tmp_path / "near" / "labels.json")
    assert (result.root / result.names[0]).resolve() == tmp_path / "far" / "a.png"
    assert result.missing == []


def test_nothing_found_keeps_names_and_the_folder_of_the_file(tmp_path: Path) -> None:
    result = find_images(["x\\a.png"], tmp_path / "labels.json")
    assert (result.root, result.names, result.missing) == (tmp_path, ["x/a.png"], ["x\\a.png"])
