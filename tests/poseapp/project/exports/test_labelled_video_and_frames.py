"""Labelled video and labelled frames, of a real video and of images."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import MediaError, ProjectError
from engine.media.images import read_image
from engine.media.video.reader import VideoReader
from engine.media.video.writer import write_mp4
from engine.schema.schema import schema_from_names
from poseapp.app.canvas_style import CanvasStyle, ColorMode
from poseapp.canvas.render.colors import instance_color, palette_for, unpack
from poseapp.canvas.render.pose_colors import pose_colors
from poseapp.project import edits
from poseapp.project.edits.basic import set_frame_state
from poseapp.project.exports.files import run_steps
from poseapp.project.exports.labelled_frames import export_labelled_frames
from poseapp.project.exports.labelled_video import DrawOptions, draw_instances, export_labelled_video
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.formats.images import import_folder
from poseapp.project.formats.videos import import_video
from poseapp.project.model import Category, FrameKey, FrameState
from poseapp.project.store import ProjectStore
from tests.poseapp.project.track_project import put

TIMES = [Fraction(n, 24) for n in (0, 1, 2, 4, 5, 9, 10, 11)]


@pytest.fixture
def media(store: ProjectStore, tmp_path: Path) -> int:
    """A video of 8 frames of variable rate, frame n of grey 20 n; poses in some of them."""
    shown = [np.full((96, 128, 3), 20 * n, np.uint8) for n in range(8)]
    list(write_mp4(tmp_path / "my clip.mp4", shown, TIMES, (128, 96), Fraction(1, 24)))
    index = import_video(store, tmp_path / "my clip.mp4").id
    put(store, FrameKey(index, 1), 30, 7, labelled=True)
    put(store, FrameKey(index, 5), 60, 7, labelled=True)
    put(store, FrameKey(index, 6), 60, 7)
    return index


def test_the_video_has_the_same_frames_and_times_with_poses(store: ProjectStore, media: int, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "new" / "poses.mp4"
    report = run_steps(export_labelled_video(store, out, media), lambda *n: seen.append(n))
    assert (report.count, report.problems) == (8, [])
    assert seen == [(n, 8) for n in range(1, 9)]
    with VideoReader(out) as created:
        assert [created.exact_time(n) for n in range(created.frame_count)] == TIMES
        for n in range(8):
            picture = created.read(n).astype(int)
            assert abs(picture[90, 120, 0] - 20 * n) <= 3
            drawn = np.abs(picture - 20 * n).max() > 60
            assert drawn == (n in (1, 5, 6))


def test_a_part_of_it_without_predictions(store: ProjectStore, media: int, tmp_path: Path) -> None:
    steps = export_labelled_video(
        store, tmp_path / "p.mp4", media, DrawOptions(include_predicted=False), first=5, last=6
    )
    assert run_steps(steps).count == 2
    with VideoReader(tmp_path / "p.mp4") as created:
        assert [created.exact_time(n) for n in range(created.frame_count)] == [0, Fraction(1, 24)]
        assert np.ptp(created.read(0).astype(int)) > 60
        assert np.ptp(created.read(1).astype(int)) < 10


def test_closed_early_no_file_is_left(store: ProjectStore, media: int, tmp_path: Path) -> None:
    steps = export_labelled_video(store, tmp_path / "out" / "p.mp4", media)
    assert next(steps) == (1, 8)
    steps.close()
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_made_is_told(store: ProjectStore, media: int, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no frames 9"):
        run_steps(export_labelled_video(store, tmp_path / "p.mp4", media, first=9))
    with pytest.raises(ProjectError, match="no media"):
        run_steps(export_labelled_video(store, tmp_path / "p.mp4", 99))
    (tmp_path / "my clip.mp4").unlink()
    with pytest.raises(MediaError, match="does not exist"):
        run_steps(export_labelled_video(store, tmp_path / "p.mp4", media))


def test_poses_without_box_or_points_are_drawn_as_far_as_they_go(store: ProjectStore, media: int) -> None:
    categories = {c.id: c for c in store.categories()}
    picture = np.zeros((96, 128, 3), np.uint8)
    boxless = put(store, FrameKey(media, 0), 30, 1, box=False)
    assert draw_instances(picture, [boxless], categories, DrawOptions()).any()
    assert not picture.any()
    assert not draw_instances(picture, [], categories, DrawOptions()).any()
    only = DrawOptions(include_predicted=False)
    assert not draw_instances(picture, [boxless], categories, only).any()


def test_labelled_frames_are_exact_and_import_again(store: ProjectStore, media: int, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    negative = FrameKey(media, 3)
    store.apply(set_frame_state(negative, FrameState(), negative=True))
    report = run_steps(export_labelled_frames(store, folder))
    assert (report.count, report.problems) == (3, [])
    data = json.loads((folder / "annotations.json").read_text())
    assert [(i["id"], i["file_name"], i["video"], i["frame_index"]) for i in data["images"]] == [
        (n, f"my clip/my clip_{index:06d}.png", "my clip.mp4", index) for n, index in enumerate((1, 3, 5), 1)
    ]
    assert [(a["image_id"], a["track_id"]) for a in data["annotations"]] == [(1, 7), (3, 7)]
    with VideoReader(tmp_path / "my clip.mp4") as source:
        for index in (1, 3, 5):
            written = read_image(folder / "images" / "my clip" / f"my clip_{index:06d}.png")
            assert np.array_equal(written, source.read(index))
    with ProjectStore.create(tmp_path / "again.pose") as again:
        result = import_coco(again, folder / "annotations.json")
        assert (result.images, result.annotations, result.problems) == (3, 2, [])
        (pose,) = again.instances(again.frame_keys()[0])
        assert pose.keypoints == pytest.approx(store.instances(FrameKey(media, 1))[0].keypoints)


def test_predictions_and_jpeg_where_wanted(store: ProjectStore, media: int, tmp_path: Path) -> None:
    steps = export_labelled_frames(store, tmp_path / "set", include_predicted=True, picture_format="jpg")
    assert run_steps(steps).count == 3
    names = sorted(p.name for p in (tmp_path / "set" / "images" / "my clip").iterdir())
    assert names == ["my clip_000001.jpg", "my clip_000005.jpg", "my clip_000006.jpg"]
    data = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert [a.get("score") for a in data["annotations"]] == [None, None, 0.9]


def test_image_files_are_copied_as_they_are(store: ProjectStore, tmp_path: Path) -> None:
    (tmp_path / "shots" / "a").mkdir(parents=True)
    for n in range(2):
        cv2.imwrite(str(tmp_path / "shots" / "a" / f"{n}.jpg"), np.full((20, 30, 3), 90 * n, np.uint8))
    import_folder(store, tmp_path / "shots")
    index = store.media()[-1].id
    for n in range(2):
        put(store, FrameKey(index, n), 5, labelled=True)
    (tmp_path / "shots" / "a" / "1.jpg").unlink()
    report = run_steps(export_labelled_frames(store, tmp_path / "set", media=[index]))
    assert report.count == 1
    assert len(report.problems) == 1
    origin = tmp_path / "shots" / "a" / "0.jpg"
    assert (tmp_path / "set" / "images" / "shots" / "a" / "0.jpg").read_bytes() == origin.read_bytes()
    data = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert [(i["file_name"], i["width"]) for i in data["images"]] == [("shots/a/0.jpg", 30)]
    assert len(data["annotations"]) == 1


def test_nothing_labelled_is_an_error_and_a_lost_video_a_sentence(
    store: ProjectStore, media: int, tmp_path: Path
) -> None:
    with pytest.raises(ProjectError, match="no labelled frames"):
        run_steps(export_labelled_frames(store, tmp_path / "set", media=[1]))
    with pytest.raises(ProjectError, match="png or jpg"):
        run_steps(export_labelled_frames(store, tmp_path / "set", picture_format="gif"))
    (tmp_path / "my clip.mp4").unlink()
    (tmp_path / "images").mkdir()
    put(store, FrameKey(1, 0), 5, labelled=True)
    with pytest.raises(ProjectError, match="none of the 3 labelled frames"):
        run_steps(export_labelled_frames(store, tmp_path / "set"))
    cv2.imwrite(str(store.frame_path(FrameKey(1, 0))), np.zeros((9, 9, 3), np.uint8))
    report = run_steps(export_labelled_frames(store, tmp_path / "set"))
    assert report.count == 1
    assert "2 labelled frames" in report.problems[0]


def test_a_video_has_the_colors_of_the_canvas() -> None:
    schema = schema_from_names("two", ["left_hand", "right_hand"], [(0, 1)])
    categories = {1: Category(1, "two", schema)}
    poses = [edits.make_instance(n, categories[1], [[20.0, 40.0 * n], [70.0, 40.0 * n]], track=n) for n in (1, 2)]
    picture = np.zeros((120, 100, 3), np.uint8)
    for mode in (ColorMode.INSTANCE, ColorMode.SIDE):
        style = CanvasStyle(color_mode=mode, dark=True)
        options = DrawOptions(track_numbers=False, colors=pose_colors(style))
        drawn = draw_instances(picture, poses, categories, options)
        palette = palette_for(dark=True)
        for n, pose in enumerate(poses):
            own = unpack(instance_color(palette, pose.id, pose.track))
            left, right = (unpack(palette.sides[side]) for side in (1, 2))
            expected = (own, own) if mode is ColorMode.INSTANCE else (left, right)
            row = 40 * (n + 1)
            assert (tuple(drawn[row, 20].tolist()), tuple(drawn[row, 70].tolist())) == expected
