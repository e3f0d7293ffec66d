"""Files of several pictures in a project: each is a media with its frames, as a video is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.media.reader import FrameReader
from engine.media.source import is_video
from poseapp.project import edits
from poseapp.project.exporting import ProjectLabels
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.model import FrameKey, State
from poseapp.project.opening import open_any, open_with_report
from poseapp.project.store import ProjectStore
from tests.engine.media.test_pages_reader import COUNT, SIZE, pictures, tiff, write

CATEGORY = {"id": 1, "name": "thing", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}


def annotation(id: int, image: int) -> dict[str, Any]:
    points = [5 + id, 6, 2, 20, 30, 2]
    return {"id": id, "image_id": image, "category_id": 1, "keypoints": points, "num_keypoints": 2, "iscrowd": 0,
            "bbox": [4, 5, 30, 30], "area": 900}  # fmt: skip


def coco(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [CATEGORY]}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two images, a TIFF of seven pages between them by name, and an animated WebP."""
    folder = tmp_path / "photos"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "a.png"), pictures(1)[0][..., ::-1])
    assert cv2.imwrite(str(folder / "z.png"), pictures(1)[0][..., ::-1])
    write(folder / "m.tif", pictures())
    write(folder / "n.webp", pictures())
    return folder


def test_a_folder_of_images_and_stacks_has_all_of_their_frames(folder: Path) -> None:
    store, report = open_with_report(folder)
    with store:
        assert [(media.kind, Path(media.path).name) for media in store.media()] == [
            ("images", "photos"), ("video", "m.tif"), ("video", "n.webp"),
        ]  # fmt: skip
        assert [len(store.frame_names(media.id)) for media in store.media()] == [2, COUNT, COUNT]
        assert report.images == 2 + 2 * COUNT
        assert report.problems == []
        with FrameReader() as reader:
            for key in store.frame_keys():
                image = reader.read(store.frame_path(key), key.index)
                expected = pictures()[key.index if key.media > 1 else 0]
                np.testing.assert_array_equal(image, expected)
        frame = store.frame(FrameKey(2, 3))
        assert (frame.width, frame.height) == SIZE
    with open_any(folder) as store:  # nothing is added a second time
        assert store.frame_count() == 2 + 2 * COUNT


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".gif", ".png"])
def test_one_file_is_opened_as_a_project_of_its_frames(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"stack{suffix}", pictures())
    with open_any(path) as store:
        assert store.path == tmp_path / "stack.pose"
        assert [(media.kind, len(store.frame_names(media.id))) for media in store.media()] == [("video", COUNT)]


def test_labels_of_pages_go_out_as_coco_and_come_back(folder: Path, tmp_path: Path) -> None:
    with open_any(folder) as store:
        category = store.add_category("thing", open_category())
        for key in (FrameKey(1, 1), FrameKey(2, 0), FrameKey(2, 5), FrameKey(3, 2)):
            pose = edits.make_instance(
                store.new_ids(1)[0], category, [[5 + key.index, 6], [20, 30]], box=[4, 5, 30, 30 + key.media]
            )
            store.apply(edits.add_instance(key, pose))
        export_coco(store, folder / "labels.json", only_labelled_frames=True)
        before = {(key, i.keypoints.tobytes()) for key, i in store.all_instances()}
    data = json.loads((folder / "labels.json").read_text())
    assert [(image["file_name"], image.get("video"), image.get("frame_index")) for image in data["images"]] == [
        ("z.png", None, None),
        ("m/m_000000.png", "m.tif", 0),
        ("m/m_000005.png", "m.tif", 5),
        ("n/n_000002.png", "n.webp", 2),
    ]
    (folder / "photos.pose").unlink()
    with open_any(folder / "labels.json") as store:
        names = {Path(media.path).name: media.id for media in store.media()}
        again = {(key, i.keypoints.tobytes()) for key, i in store.all_instances()}
        assert {(key.index, points) for key, points in again if key.media == names["m.tif"]} == {
            (key.index, points) for key, points in before if key.media == 2
        }
        assert len(again) == 4


def open_category() -> Any:
    from engine.schema.schema import schema_from_names

    return schema_from_names("thing", ["a", "b"], [(0, 1)], category="thing")


def test_labels_that_name_a_stack_belong_to_its_first_page(folder: Path) -> None:
    images = [{"id": 3, "file_name": "m.tif", "width": SIZE[0], "height": SIZE[1]}]
    path = coco(folder / "labels.json", images, [annotation(1, 3)])
    with open_any(path) as store:
        ((key, pose),) = store.all_instances(State.LABELLED)
        assert (Path(store.media()[key.media - 1].path).name, key.index) == ("m.tif", 0)
        assert len(store.frame_names(key.media)) == COUNT
        assert pose.keypoints.tolist() == [[6, 6], [20, 30]]
        export_coco(store, folder / "again.json", only_labelled_frames=True)
    data = json.loads((folder / "again.json").read_text())
    assert data["images"] == images
    assert data["annotations"] == [annotation(1, 3)]


def test_a_stack_that_a_project_has_as_an_image_stays_one(folder: Path) -> None:
    """Projects of earlier versions have labels of the first picture, at a place among the images of a folder."""
    path = folder / "old.pose"
    with ProjectStore.create(path) as store:
        media = store.add_media("images", folder)
        store.add_frames(media.id, [(name, *SIZE) for name in ("a.png", "m.tif", "n.webp", "z.png")])
    with ProjectStore.open(path) as store, FrameReader() as reader:
        for key in store.frame_keys():
            file = store.frame_path(key)
            assert not is_video(file)
            np.testing.assert_array_equal(reader.read(file, key.index), pictures(1)[0])
    with open_any([path, folder]) as store:
        assert store.frame_count() == 4
    with open_any([path, coco(folder / "labels.json", [{"id": 3, "file_name": "m.tif"}], [annotation(1, 3)])]) as store:
        ((key, _),) = store.all_instances()
        assert key == FrameKey(1, 1)


def test_a_project_is_labels_of_videos_to_other_formats(folder: Path) -> None:
    with open_any(folder) as store:
        labels = ProjectLabels(store)
        assert [media.type for media in labels.media] == ["images", "video", "video"]


def test_a_stack_that_cannot_be_read_does_not_keep_the_folder_closed(folder: Path) -> None:
    (folder / "m.tif").write_bytes(tiff([(1 << 20, 1 << 20, b"\0" * 16)] * 2))
    store, report = open_with_report(folder)
    with store:
        assert store.frame_count() == 2 + COUNT
    (problem,) = report.problems
    assert problem.startswith("File of several pictures cannot be read: ")
    assert "m.tif: is too large" in problem
