"""YOLO-pose data sets: layouts of their makers, rows of all kinds, damaged rows, and round trips."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels, write_labels
from engine.formats.frame_images import FrameImages
from engine.formats.registry import NO, ReadOptions, WriteOptions
from engine.formats.yolo.layout import names_split, split_of
from engine.labels import ABSENT, OCCLUDED, VISIBLE, Category, Frame, Instance, LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

YAML = "kpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\nnames: ['mouse']\n"


def image(path: Path, width: int = 40, height: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def roboflow(folder: Path) -> Path:
    """train, valid and test with ``images`` and ``labels`` in each, named one folder too high."""
    text(folder / "data.yaml", "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\n" + YAML)
    for split, count in (("train", 2), ("valid", 1)):
        for index in range(count):
            image(folder / split / "images" / f"{split}{index}.jpg")
            text(folder / split / "labels" / f"{split}{index}.txt", "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.5 0.25 1 0 0 0\n")
    return folder


def read(path: Path, **options: object) -> tuple[LabelReader, list[str]]:
    context = Context()
    labels = format_named("yolo").read(path, context, ReadOptions(**options))  # type: ignore[arg-type]
    return labels, context.findings.sentences()


def test_a_roboflow_folder_is_read_with_its_splits(tmp_path: Path) -> None:
    folder = roboflow(tmp_path)
    assert find_format(folder).name == find_format(folder / "data.yaml").name == "yolo"
    labels, remarks = read(folder)
    assert [frame.name for frame in labels.frames()] == [
        "train/images/train0.jpg",
        "train/images/train1.jpg",
        "valid/images/valid0.jpg",
    ]
    first = next(labels.instances())
    assert first.keypoints is not None
    assert first.keypoints[:2].tolist() == [[10, 10], [20, 5]]
    assert first.visibility is not None
    assert first.visibility.tolist() == [VISIBLE, OCCLUDED, ABSENT]
    assert first.box is not None
    assert first.box.tolist() == [10, 5, 30, 15]
    assert first.key == "train/labels/train0.txt:1"
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.flip_indices.tolist() == [0, 2, 1]
    assert remarks == ["Images of the split test not found, left out: ../test/images"]


def test_only_the_requested_split_is_read(tmp_path: Path) -> None:
    labels, _ = read(roboflow(tmp_path), split="val")
    assert [frame.name for frame in labels.frames()] == ["valid/images/valid0.jpg"]


def test_lists_of_images_are_read_and_missing_images_told(tmp_path: Path) -> None:
    text(tmp_path / "data.yaml", "Train: train.txt\nTrain2: x\ntrain: train.txt\n" + YAML)
    text(tmp_path / "train.txt", "data/images/train/a.png\n./images/train/b.png\nimages/train/gone.png\n")
    for name in "ab":
        image(tmp_path / "images/train" / f"{name}.png")
    text(tmp_path / "labels/train/a.txt", "0 .5 .5 .5 .5 .1 .1 2 .2 .2 2 .3 .3 2\n")
    text(tmp_path / "labels/train/gone.txt", "0 .5 .5 .5 .5 .1 .1 2 .2 .2 2 .3 .3 2\n")
    labels, remarks = read(tmp_path)
    assert [frame.name for frame in labels.frames()] == ["images/train/a.png", "images/train/b.png"]
    assert labels.num_instances() == 1
    assert any("gone.png" in remark for remark in remarks)
    assert any("rows: 1" in remark and "gone.txt" in remark for remark in remarks)


def test_one_folder_of_labels_is_read_with_the_description_above(tmp_path: Path) -> None:
    roboflow(tmp_path)
    assert find_format(tmp_path / "valid/labels").name == "yolo"
    assert format_named("yolo").sniff(tmp_path / "valid/images") == NO
    labels, _ = read(tmp_path / "valid/labels")
    assert [frame.name for frame in labels.frames()] == ["valid/images/valid0.jpg"]


def test_two_images_of_one_label_file_are_told(tmp_path: Path) -> None:
    roboflow(tmp_path)
    image(tmp_path / "train/images/train0.png")
    labels, remarks = read(tmp_path)
    assert len(list(labels.frames())) == 3
    assert "Image that has the same labels as train/images/train0.jpg, left out: train/images/train0.png" in remarks


def test_images_of_labels_alone_are_taken_from_a_named_folder(tmp_path: Path) -> None:
    """CVAT exports data sets without their images."""
    text(tmp_path / "set/data.yaml", f"train: train.txt\n{YAML}")
    text(tmp_path / "set/train.txt", "data/images/train/a.jpg\ndata/images/train/b.jpg\n")
    text(tmp_path / "set/labels/train/a.txt", "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.5 0.25 1 0 0 0\n")
    image(tmp_path / "pictures/a.jpg")
    labels, remarks = read(tmp_path / "set", images=tmp_path / "pictures")
    assert [(frame.name, frame.width) for frame in labels.frames()] == [("images/train/a.jpg", 40)]
    assert labels.num_instances() == 1
    assert labels.image_folder == tmp_path / "pictures"
    assert FrameImages(labels).path(0) == tmp_path / "pictures/a.jpg"
    assert remarks == [
        "Labels whose images data.yaml does not list, read: images/train/a.jpg",
        "Image not found, left out with its labels: data/images/train/b.jpg",
    ]


def test_labels_that_no_split_lists_are_read(tmp_path: Path) -> None:
    roboflow(tmp_path)
    image(tmp_path / "more/images/x.jpg")
    text(tmp_path / "more/labels/x.txt", "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.5 0.25 1 0 0 0\n")
    labels, remarks = read(tmp_path)
    assert "more/images/x.jpg" in [frame.name for frame in labels.frames()]
    assert "Labels whose images data.yaml does not list, read: more/images/x.jpg" in remarks


def test_a_split_that_only_a_list_says_is_told(tmp_path: Path) -> None:
    text(tmp_path / "data.yaml", f"train: train.txt\nval: val.txt\n{YAML}")
    for split in ("train", "val"):
        image(tmp_path / f"images/{split}0.jpg")
        text(tmp_path / f"{split}.txt", f"./images/{split}0.jpg\n")
    labels, remarks = read(tmp_path)
    assert [frame.name for frame in labels.frames()] == ["images/train0.jpg", "images/val0.jpg"]
    assert remarks == [
        "Images of the split val in a folder that does not say so, read; a data set that is written of them has them "
        "in train: images/val0.jpg"
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train/images/a.jpg", ("train", "a.jpg")),
        ("images/val2017/a.jpg", ("val", "a.jpg")),
        ("valid/images/day/a.jpg", ("val", "day/a.jpg")),
        ("test/a.jpg", ("test", "a.jpg")),
        ("images/a.jpg", ("train", "a.jpg")),
        ("mouse/test/a.jpg", ("train", "mouse/test/a.jpg")),
        ("test01/a.jpg", ("train", "test01/a.jpg")),
    ],
)
def test_the_split_of_an_image_is_said_by_its_folders(name: str, split: tuple[str, str]) -> None:
    assert split_of(name) == split
    assert names_split(name) == (name not in ("images/a.jpg", "mouse/test/a.jpg", "test01/a.jpg"))


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    text(roboflow(tmp_path) / "data.yaml", "train: train/images\nkpt_shape: [3, 3]\nnc: 2\n")
    assert [c.name for c in read(tmp_path)[0].categories] == ["class_0", "class_1"]


def test_two_values_a_point_mean_visible_unless_at_zero(tmp_path: Path) -> None:
    text(tmp_path / "data.yaml", "train: images/train\nkpt_shape: [3, 2]\nnames: {0: mouse}\n")
    image(tmp_path / "images/train/a.png")
    text(tmp_path / "labels/train/a.txt", "0 .5 .5 .5 .5 .1 .2 0 0 .5 .5")
    instance = next(read(tmp_path)[0].instances())
    assert instance.visibility is not None
    assert instance.visibility.tolist() == [VISIBLE, ABSENT, VISIBLE]


def test_rows_of_a_model_are_predictions_with_scores(tmp_path: Path) -> None:
    text(tmp_path / "data.yaml", "train: images\n" + YAML)
    image(tmp_path / "images/a.png")
    text(tmp_path / "labels/a.txt", "0 .5 .5 .5 .5 .1 .2 .9 .2 .2 .4 .3 .3 0 .75\n0 .5 .5 .5 .5\n0 .5 .5 .5 .5 .6\n")
    pose, box, scored = read(tmp_path)[0].instances()
    assert pose.is_prediction
    assert pose.score == 0.75
    assert pose.scores is not None
    assert pose.scores.tolist() == [0.9, 0.4, 0]
    assert box.keypoints is None
    assert not box.is_prediction
    assert scored.score == 0.6


@pytest.mark.parametrize(
    "row",
    [
        "0 .5 .5",
        "x .5 .5 .5 .5",
        "7 .5 .5 .5 .5",
        "0 nan .5 .5 .5",
        "0 1e308 .5 .5 .5",
        "-1 .5 .5 .5 .5",
        "0.5 .5 .5 .5 .5",
        "1e400 1 1 1 1",
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_the_others_are_read(tmp_path: Path, row: str) -> None:
    text(tmp_path / "data.yaml", "train: images\n" + YAML)
    image(tmp_path / "images/a.png")
    text(tmp_path / "labels/a.txt", f"{row}\n0 .5 .5 .5 .5 .1 .2 2 .2 .2 2 .3 .3 2\n")
    labels, remarks = read(tmp_path)
    assert labels.num_instances() == 1
    assert len(remarks) == 1
    assert "labels/a.txt:1" in remarks[0]


@pytest.mark.parametrize(
    "content",
    [
        "kpt_shape: 3\nnames: [a]",
        "kpt_shape: [3, 4]\nnames: [a]",
        "kpt_shape: [100000000, 3]\nnames: [a]",
        "kpt_shape: [3, 3]",
        "kpt_shape: [3, 3]\nnames: {a: b}",
        "kpt_shape: [3, 3]\nnames: [a]\ntrain: [1, {}]",
        "kpt_shape: [3",
    ],
)
def test_a_description_that_cannot_be_used_is_an_error(tmp_path: Path, content: str) -> None:
    path = text(tmp_path / "data.yaml", content)
    with pytest.raises(LabelError, match=r"data\.yaml"):
        format_named("yolo").read(path)


def test_a_detection_data_set_is_not_taken(tmp_path: Path) -> None:
    path = text(tmp_path / "data.yaml", "train: images\nnames: [a]\n")
    assert format_named("yolo").sniff(path) == format_named("yolo").sniff(tmp_path) == NO


@pytest.mark.parametrize(
    ("yaml", "names"),
    [
        ("kpt_shape: [17, 3]\nnames: [person]\n", ("nose", "left_eye")),
        ("kpt_shape: [17, 3]\nnames: [horse]\n", ("point_1", "point_2")),
        ("kpt_shape: [2, 3]\nnames: [a]\nkpt_names: {0: [tip, tail]}\n", ("tip", "tail")),
        ("kpt_shape: [2, 3]\nnames: [a]\nkpt_names: [tip, tail]\n", ("tip", "tail")),
    ],
)
def test_names_of_keypoints(tmp_path: Path, yaml: str, names: tuple[str, str]) -> None:
    text(tmp_path / "data.yaml", "train: images\n" + yaml)
    image(tmp_path / "images/a.png")
    schema = read(tmp_path)[0].categories[0].schema
    assert schema is not None
    assert schema.names[:2] == names


def labels_of(folder: Path, poses: list[list[tuple[float, float, int]]]) -> Labels:
    image(folder / "val/images/a.png", 640, 480)
    image(folder / "b/c.png", 640, 480)
    schema = schema_from_names("mouse", ["nose", "left_ear", "right_ear"], [(0, 1)])
    instances = []
    for index, pose in enumerate(poses):
        points = np.array(pose)
        visibility = points[:, 2].astype(np.uint8)
        instances.append(Instance(index % 2, 0, points[:, :2], visibility, box=np.array([10.0, 20, 300, 400])))
    frames = [Frame("val/images/a.png", width=640, height=480), Frame("b/c.png", index=1)]
    return Labels(frames, instances, [Category("mouse", schema)], path=folder / "labels.json")


points = st.tuples(st.floats(0, 639, width=32), st.floats(0, 479, width=32), st.sampled_from([0, 1, 2]))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(points, min_size=3, max_size=3), max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, poses: list) -> None:
    folder = tmp_path_factory.mktemp("yolo")
    labels = labels_of(folder, poses)
    format_named("yolo").write(labels, folder / "out", WriteOptions(images="link"))
    again, remarks = read(folder / "out")
    assert remarks == []
    assert [frame.name for frame in again.frames()] == ["images/train/b/c.png", "images/val/a.png"]
    assert again.categories[0].schema is not None
    assert again.categories[0].schema.names == ("nose", "left_ear", "right_ear")
    expected = sorted(labels.instances(), key=lambda i: -i.frame)
    for one, other in zip(expected, again.instances(), strict=True):
        assert one.visibility is not None
        assert other.keypoints is not None
        assert one.keypoints is not None
        np.testing.assert_array_equal(one.visibility, other.visibility)
        present = one.visibility > 0
        np.testing.assert_allclose(one.keypoints[present], other.keypoints[present], atol=1e-4)
        np.testing.assert_allclose(one.box, other.box, atol=1e-4)


def test_writing_again_gives_the_same_files(tmp_path: Path) -> None:
    format_named("yolo").write(read(roboflow(tmp_path / "in"))[0], tmp_path / "a", WriteOptions(images="copy"))
    format_named("yolo").write(read(tmp_path / "a")[0], tmp_path / "b", WriteOptions(images="copy"))
    files = [sorted(p.relative_to(tmp_path / f) for p in (tmp_path / f).rglob("*.*")) for f in "ab"]
    assert files[0] == files[1]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files[0])
    assert (tmp_path / "a/images/val/valid0.jpg").exists()
    description = yaml.safe_load((tmp_path / "a/data.yaml").read_text())
    assert "path" not in description  # Ultralytics takes a relative one from the folder that it runs in
    assert (description["train"], description["val"]) == ("images/train", "images/val")
    assert (description["kpt_shape"], description["flip_idx"]) == ([3, 3], [0, 2, 1])


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    text(tmp_path / "out/precious.txt", "mine")
    with pytest.raises(LabelError, match="not an empty folder"):
        format_named("yolo").write(labels_of(tmp_path, []), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "out", "val"]


def test_points_outside_the_image_are_told_and_absent(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, [[(700, 10, 2), (20, 20, 2), (30, 30, 2)]])
    context = Context()
    format_named("yolo").write(labels, tmp_path / "out", WriteOptions(images="copy"), context)
    assert "Keypoints outside the image" in context.findings.sentences()[0]
    instance = next(read(tmp_path / "out")[0].instances())
    assert instance.visibility is not None
    assert instance.visibility.tolist() == [ABSENT, VISIBLE, VISIBLE]


def test_categories_with_other_keypoints_get_a_folder_of_their_own(tmp_path: Path) -> None:
    image(tmp_path / "a.png", 64, 48)
    categories = [
        Category("mouse", schema_from_names("mouse", ["nose", "tail"])),
        Category("hand", schema_from_names("hand", ["a", "b", "c"])),
        Category("rat", schema_from_names("rat", ["nose", "tail"])),
    ]
    instances = [Instance(0, n, np.full((k, 2), 5.0), np.full(k, VISIBLE, np.uint8)) for n, k in enumerate((2, 3, 2))]
    context = Context()
    labels = Labels([Frame("a.png")], instances, categories, path=tmp_path / "x.json")
    format_named("yolo").write(labels, tmp_path / "out", WriteOptions(images="copy"), context)
    (main, remarks), (hands, _) = read(tmp_path / "out"), read(tmp_path / "out/hand")
    assert remarks == ["Splits of the same images, read once: train, val"]
    assert [c.name for c in main.categories] == ["mouse", "rat"]
    assert [i.category for i in main.instances()] == [0, 1]
    assert [c.name for c in hands.categories] == ["hand"]
    assert any("hand" in remark for remark in context.findings.sentences())


def test_coco_to_yolo_and_back_keeps_the_numbers(tmp_path: Path) -> None:
    image(tmp_path / "a.png", 640, 480)
    keypoints = [100.25, 50.5, 2, 200, 60, 1, 0, 0, 0]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 640, "height": 480}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "keypoints": keypoints, "bbox": [90, 40, 150, 60], "iscrowd": 0}
        ],
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2]]}],
    }
    text(tmp_path / "labels.json", json.dumps(data))
    with read_labels(tmp_path / "labels.json") as labels:
        format_named("yolo").write(labels, tmp_path / "out", WriteOptions(images="copy"))
    instance = next(read(tmp_path / "out")[0].instances())
    assert instance.keypoints is not None
    np.testing.assert_allclose(instance.keypoints, [[100.25, 50.5], [200, 60], [0, 0]], atol=1e-4)
    np.testing.assert_allclose(instance.box, [90, 40, 240, 100], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "states"), [("yolov8_pose", [2, 2, 2]), ("yolov8_pose_two_values_per_point", [2] * 3)]
)
def test_real_data_sets(shared: Path, name: str, states: list[int]) -> None:
    folder = shared / "data/formats/yolo-datumaro" / name
    labels, remarks = read(folder)
    assert remarks == []
    (instance,) = labels.instances()
    row = [float(cell) for cell in (folder / "labels/train/1.txt").read_text().split()]
    (frame,) = labels.frames()
    assert frame.name == "images/train/1.jpg"
    assert instance.keypoints is not None
    assert instance.visibility is not None
    assert instance.visibility.tolist() == states
    np.testing.assert_allclose(instance.keypoints[0], [row[5] * frame.width, row[6] * frame.height])


def test_labels_of_images_in_a_folder_called_images_are_where_programs_look_for_them(tmp_path: Path) -> None:
    (tmp_path / "set/images/one").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set/images/one/a.png"), np.zeros((20, 30, 3), np.uint8))
    labels = Labels(
        [Frame("set/images/one/a.png", 0, 0, 30, 20)],
        [Instance(0, 0, np.array([[3.0, 4.0]]), np.array([VISIBLE], np.uint8), key="a")],
        [Category("mouse", schema_from_names("mouse", ["nose"]))],
        path=tmp_path / "labels.json",
    )
    write_labels(labels, tmp_path / "out", format="yolo", options=WriteOptions(images="copy"))
    assert (tmp_path / "out/images/train/set/images/one/a.png").is_file()
    assert (tmp_path / "out/images/train/set/labels/one/a.txt").is_file()
    assert read_labels(tmp_path / "out").num_instances() == 1
