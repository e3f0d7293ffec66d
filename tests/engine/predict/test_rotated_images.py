"""Labels made before a picture was turned upright or resized: predict and evaluate move them along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image as PIL
import pytest

from engine.evaluate import __main__ as evaluate
from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.labels.image_size import GridTransform
from engine.predict import __main__ as predict
from engine.schema.builtin import find_schema

BOX = np.array([20.0, 8.0, 360.0, 500.0])
MODEL = ("--model", "movenet_lightning", "--device", "cpu", "--boxes", "gt", "--progress", "none")


@pytest.fixture(scope="module")
def upright(resources_dir: Path) -> PIL.Image:
    """A person, 400 x 512 pixels."""
    with PIL.open(resources_dir / "sample/astronaut.jpg") as image:
        return image.crop((0, 0, 400, 512)).convert("RGB")


@pytest.fixture(scope="module")
def pose(upright: PIL.Image, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """(17, 3) what the model sees in the upright picture."""
    folder = tmp_path_factory.mktemp("upright")
    points = np.column_stack([np.linspace(100, 300, 17), np.linspace(100, 400, 17), np.full(17, 2)])
    write_labels(folder, (400, 512), points, BOX)
    upright.save(folder / "a.png")
    annotation = predicted(folder)["annotations"][0]
    return np.array(annotation["keypoints"]).reshape(-1, 3)


def write_labels(folder: Path, size: tuple[int, int], points: np.ndarray, box: np.ndarray) -> None:
    data = CocoDataset(categories=[make_category(1, find_schema("coco"))], images=[make_image(1, "a.png", *size)])
    x1, y1, x2, y2 = box.tolist()
    data.annotations.append(make_annotation(1, 1, 1, points, [x1, y1, x2 - x1, y2 - y1], area=90000.0))
    data.write(folder / "labels.json")


def predicted(folder: Path) -> Any:
    out = folder / "out.json"
    assert predict.main([str(folder), *MODEL, "--annotations", str(folder / "labels.json"), "--out", str(out)]) == 0
    return json.loads(out.read_text())


def stored(upright: PIL.Image, orientation: int) -> PIL.Image:
    """The pixels that a file with this EXIF orientation holds."""
    back = {
        2: PIL.Transpose.FLIP_LEFT_RIGHT, 3: PIL.Transpose.ROTATE_180, 4: PIL.Transpose.FLIP_TOP_BOTTOM,
        5: PIL.Transpose.TRANSPOSE, 6: PIL.Transpose.ROTATE_90, 7: PIL.Transpose.TRANSVERSE,
        8: PIL.Transpose.ROTATE_270,
    }  # fmt: skip
    return upright.transpose(back[orientation])


def turned_set(folder: Path, upright: PIL.Image, pose: np.ndarray, orientation: int) -> GridTransform:
    """Labels in the pixels that the file stores, beside a file that says how to turn them."""
    exif = PIL.Exif()
    exif[0x0112] = orientation
    image = stored(upright, orientation)
    image.save(folder / "a.png", exif=exif)
    move = GridTransform(image.size, upright.size, orientation)
    points = np.column_stack([move.points_back(pose[:, :2]), np.where(pose[:, 2] > 0, 2, 0)])
    write_labels(folder, image.size, points, move.boxes_back(BOX))
    return move


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_predictions_in_labelled_boxes_are_those_of_the_upright_picture(
    upright: PIL.Image, pose: np.ndarray, tmp_path: Path, orientation: int, caplog: pytest.LogCaptureFixture
) -> None:
    turned_set(tmp_path, upright, pose, orientation)
    (annotation,) = predicted(tmp_path)["annotations"]
    np.testing.assert_allclose(np.array(annotation["keypoints"]).reshape(-1, 3), pose, atol=1.0)
    assert "1 of 1 images were turned or resized after they were labelled" in caplog.text


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_model_is_measured_in_the_pixels_of_the_labels(
    upright: PIL.Image, pose: np.ndarray, tmp_path: Path, orientation: int
) -> None:
    turned_set(tmp_path, upright, pose, orientation)
    report = measured(tmp_path)
    assert report["measured"]["EPE"] < 1
    assert any("turned or resized" in note for note in report["notes"])


def test_a_smaller_copy_is_measured_in_the_pixels_of_the_labels(
    upright: PIL.Image, pose: np.ndarray, tmp_path: Path
) -> None:
    upright.resize((200, 256)).save(tmp_path / "a.png")
    points = np.column_stack([pose[:, :2], np.where(pose[:, 2] > 0, 2, 0)])
    write_labels(tmp_path, upright.size, points, BOX)
    assert measured(tmp_path)["measured"]["EPE"] < 8  # of 400 pixels; the copy is less sharp


def test_a_size_that_fits_in_no_way_is_said_and_labels_stay(
    upright: PIL.Image, pose: np.ndarray, tmp_path: Path
) -> None:
    upright.save(tmp_path / "a.png")
    write_labels(tmp_path, (777, 512), np.column_stack([pose[:, :2], np.full(17, 2)]), BOX)
    report = measured(tmp_path)
    assert any("another size than the labels say" in note for note in report["notes"])


def measured(folder: Path) -> Any:
    out = folder / "report.json"
    given = [*MODEL, "--annotations", str(folder / "labels.json"), "--images", str(folder), "--no-flip-test"]
    assert evaluate.main([*given, "--metrics", "epe", "--out", str(out)]) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_labels_of_a_picture_that_keeps_its_size_follow_the_other_pictures_of_their_file(
    upright: PIL.Image, pose: np.ndarray, tmp_path: Path, orientation: int
) -> None:
    data = CocoDataset(categories=[make_category(1, find_schema("coco"))])
    for index, turn in enumerate((orientation, 6), 1):
        exif = PIL.Exif()
        exif[0x0112] = turn
        image = stored(upright, turn)
        image.save(tmp_path / f"{index}.png", exif=exif)
        move = GridTransform(image.size, upright.size, turn)
        points = np.column_stack([move.points_back(pose[:, :2]), np.where(pose[:, 2] > 0, 2, 0)])
        x1, y1, x2, y2 = move.boxes_back(BOX).tolist()
        data.images.append(make_image(index, f"{index}.png", *image.size))
        data.annotations.append(make_annotation(index, index, 1, points, [x1, y1, x2 - x1, y2 - y1], area=90000.0))
    data.write(tmp_path / "labels.json")
    report = measured(tmp_path)
    assert report["measured"]["EPE"] < 1
    assert any("2 of 2 images were turned or resized" in note for note in report["notes"])
    data.images, data.annotations = data.images[:1], data.annotations[:1]
    data.write(tmp_path / "labels.json")
    report = measured(tmp_path)
    assert report["measured"]["EPE"] > 20  # nothing shows in which pixels the labels are
    assert any("turned or mirrored by their EXIF orientation and keep their size" in n for n in report["notes"])
