"""Crops: one image for each pose, with coordinates of the crop."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.convert import convert
from engine.errors import LabelError
from engine.formats import read_labels
from engine.formats.crops import CroppedLabels
from engine.formats.registry import WriteOptions
from engine.labels import ABSENT, VISIBLE, Category, Frame, Instance, Labels
from engine.media.images import read_image
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

WIDTH, HEIGHT = 60, 40
MOUSE = Category("mouse", schema_from_names("mouse", ["nose", "tail"]))


def picture() -> np.ndarray:
    """Each pixel has its column and row for colors."""
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.uint8), np.arange(HEIGHT, dtype=np.uint8))
    return np.dstack([x, y, np.zeros_like(x)])


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), picture()[..., ::-1])
    seen, half = np.full(2, VISIBLE, np.uint8), np.array([VISIBLE, ABSENT], np.uint8)
    instances = [
        Instance(0, 0, np.array([[10.0, 10], [30, 20]]), seen, key="one"),
        Instance(0, 0, np.array([[1.0, 2], [999, 999]]), half, box=np.array([0.0, 0, 8, 8]), track=4, key="edge"),
        Instance(1, 0, np.array([[5.0, 5], [6, 6]]), seen, key="missing"),
        Instance(0, 0, np.array([[500.0, 500], [510, 510]]), seen, key="outside"),
        Instance(0, 0, box=np.array([0.0, 0, 5, 5]), is_crowd=True, key="crowd"),
    ]
    frames = [Frame("a.png", 0, 0), Frame("gone.png", 0, 1)]
    return Labels(frames, instances, [MOUSE], path=tmp_path / "in/labels.json")


def test_each_pose_gets_an_image_with_its_own_coordinates(labels: Labels) -> None:
    context = Context()
    crops = CroppedLabels(labels, 0.25, context)
    assert [(frame.name, frame.width, frame.height) for frame in crops.frames()] == [
        ("a_1.png", 31, 17),
        ("a_2.png", 11, 11),
    ]
    one, edge = crops.instances()
    assert one.keypoints is not None
    assert one.keypoints.tolist() == [[5, 3], [25, 13]]  # the crop begins at 5, 7
    assert edge.box is not None
    assert (edge.box.tolist(), edge.track) == ([0, 0, 8, 8], 4)
    data = crops.embedded_image(0)
    assert data is not None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels[..., ::-1][3, 5].tolist() == [10, 10, 0]
    text = " ".join(map(str, context.findings.sentences()))
    assert all(name in text for name in ("gone.png", "outside", "crowd"))


@pytest.mark.parametrize("target", ["yolo", "coco", "labelme"])
def test_crops_are_written_with_their_images(tmp_path: Path, labels: Labels, target: str) -> None:
    source = tmp_path / "in/labels.json"
    convert_labels(labels, source)
    out = tmp_path / ("out" if target != "coco" else "out/labels.json")
    out.parent.mkdir(exist_ok=True)
    convert(source, out, to_format=target, crop_margin=0.0)
    back = read_labels(out)
    assert [Path(frame.name).name for frame in back.frames()] == ["a_1.png", "a_2.png"]
    first = next(iter(back.instances()))
    assert first.keypoints is not None
    assert np.abs(first.keypoints - [[0, 0], [20, 10]]).max() < 0.01
    (image,) = (tmp_path / "out").rglob("a_1.png")
    assert read_image(image)[0, 0].tolist() == [10, 10, 0]


def convert_labels(labels: Labels, path: Path) -> None:
    from engine.formats import write_labels

    write_labels(labels, path)


@pytest.mark.parametrize("how", ["copy", "link"])
def test_images_are_placed_where_a_label_file_names_them(tmp_path: Path, how: str) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "in/sub/a.png"), picture())
    document = {
        "images": [{"id": n, "file_name": f"sub/{name}.png"} for n, name in enumerate(["a", "gone"])],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}],
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"]}],
    }
    source = tmp_path / "in/labels.json"
    source.write_text(json.dumps(document))
    (tmp_path / "out").mkdir()
    options = WriteOptions(images="copy" if how == "copy" else "link")
    done = convert(source, tmp_path / "out/labels.json", write_options=options)
    assert read_image(tmp_path / "out/sub/a.png").shape == (HEIGHT, WIDTH, 3)
    assert any("gone.png" in str(finding) for finding in done.findings)


def test_an_image_that_is_called_like_a_crop_is_not_taken_for_it(tmp_path: Path, labels: Labels) -> None:
    for name in ("a_1.png", "a_2.png"):  # as of an earlier export into the folder of the images
        cv2.imwrite(str(tmp_path / "in" / name), np.full((17, 31, 3), 255, np.uint8))
    source = tmp_path / "in/labels.json"
    convert_labels(labels, source)
    convert(source, tmp_path / "out", to_format="yolo", crop_margin=0.25)
    (image,) = (tmp_path / "out").rglob("a_1.png")
    assert read_image(image)[3, 5].tolist() == [10, 10, 0]


def test_an_image_that_is_called_like_a_crop_is_not_replaced(tmp_path: Path, labels: Labels) -> None:
    source = tmp_path / "in/labels.json"
    convert_labels(labels, source)
    convert(source, tmp_path / "in/crops.json", crop_margin=0.25)
    convert(source, tmp_path / "in/crops.json", crop_margin=0.25)  # the same crops once more
    (tmp_path / "in/a_1.png").write_bytes(b"a photo")
    with pytest.raises(LabelError, match=r"a_1\.png: is another image"):
        convert(source, tmp_path / "in/crops.json", crop_margin=0.25)
    assert (tmp_path / "in/a_1.png").read_bytes() == b"a photo"
