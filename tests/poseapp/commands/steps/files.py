"""What shows that the verbs of File work. The system's own file dialogs are answered, all else is real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from engine.media.source import open_media
from poseapp.dialogs.export_coco import ExportCocoDialog
from poseapp.dialogs.export_labels import ExportLabelsDialog
from poseapp.dialogs.import_labels import ImportLabelsDialog
from poseapp.dialogs.snapshots import SnapshotsDialog
from poseapp.project.store import ProjectStore
from tests.engine.media.video_clips import X264, Clip, make
from tests.poseapp.commands.steps.person import FRAMES, Person, make_project, verb

patch: Callable[[Any, str, Any], None] = setattr
"""Set by the test to what undoes it."""


def answer(name: str, value: object) -> None:
    patch(QFileDialog, name, lambda *_: value)


def aside(me: Person, name: str, pictures: tuple[str, ...] = ("one.png", "two.png")) -> Path:
    """A fresh folder with pictures."""
    folder = me.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for picture in pictures:
        assert cv2.imwrite(str(folder / picture), np.full((60, 80, 3), 90, np.uint8))
    return folder


def opened(me: Person, frames: int) -> None:
    home = me.folder / "verbs.pose"
    me.bot.waitUntil(lambda: me.session.store is not None and me.session.path != home, timeout=20000)
    me.idle()
    assert len(me.session.frames) == frames


def back_home(me: Person) -> None:
    """The project of the exercises again, unless the window is closed."""
    home = me.folder / "verbs.pose"
    if not me.window.isVisible():
        return
    me.idle()
    me.window.open_paths([home])
    me.bot.waitUntil(lambda: me.session.store is not None and me.session.path == home, timeout=8000)
    me.idle()


@verb("open_folder")
def _(me: Person) -> None:
    answer("getExistingDirectory", str(aside(me, "folder")))
    me.do()
    opened(me, 2)


@verb("open_images")
def _(me: Person) -> None:
    folder = aside(me, "some", ("a.png", "b.png", "c.png"))
    answer("getOpenFileNames", ([str(folder / "a.png"), str(folder / "c.png")], ""))
    me.do()
    opened(me, 2)


@verb("open_video")
def _(me: Person) -> None:
    folder = aside(me, "film", ())
    answer("getOpenFileName", (str(make(Clip("film.mp4", "libx264", X264, frames=9), folder)), ""))
    me.do()
    opened(me, 9)


@verb("open_coco")
def _(me: Person) -> None:
    folder = aside(me, "coco")
    labels = {
        "images": [{"id": 1, "file_name": "one.png", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "thing", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [5, 6, 2, 7, 8, 1], "num_keypoints": 2,
             "bbox": [4, 5, 5, 5], "area": 25, "iscrowd": 0}
        ],
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    answer("getOpenFileName", (str(folder / "labels.json"), ""))
    me.do()
    opened(me, 1)
    assert me.pose().visibility.tolist() == [2, 1]


@verb("open_labels")
def _(me: Person) -> None:
    folder = aside(me, "dlc", ())
    inner = folder / "labeled-data" / "v"
    inner.mkdir(parents=True)
    assert cv2.imwrite(str(inner / "img2.png"), np.zeros((20, 30, 3), np.uint8))
    table = "scorer,me,me,me,me\nbodyparts,snout,snout,tail,tail\ncoords,x,y,x,y\nlabeled-data/v/img2.png,1.5,2.5,3,4\n"
    (inner / "CollectedData_me.csv").write_text(table, encoding="utf-8")
    answer("getOpenFileName", (str(inner / "CollectedData_me.csv"), ""))
    me.do()
    opened(me, 1)
    assert me.pose().keypoints[0].tolist() == [1.5, 2.5]


@verb("open_project")
def _(me: Person) -> None:
    answer("getOpenFileName", (str(make_project(aside(me, "other", ()))), ""))
    me.do()
    opened(me, FRAMES)


@verb("find_video")
def _(me: Person) -> None:
    folder = aside(me, "film", ())
    film = make(Clip("film.mp4", "libx264", X264, frames=9), folder)
    me.window.open_paths([film])
    opened(me, 9)
    moved = aside(me, "moved", ()) / "renamed.mp4"
    shutil.copyfile(film, moved)
    answer("getOpenFileName", (str(moved), ""))
    me.do()
    me.bot.waitUntil(lambda: Path(me.store.media()[0].path) == moved, timeout=8000)
    me.idle()


@verb("open_sample")
def _(me: Person) -> None:
    me.do()
    opened(me, 3)


@verb("export_coco")
def _(me: Person) -> None:
    me.do()
    dialog = cast(ExportCocoDialog, me.dialog(ExportCocoDialog))
    target = aside(me, "out", ()) / "labels.json"
    dialog.path.setText(str(target))
    QTest.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    me.bot.waitUntil(lambda: target.exists(), timeout=8000)
    me.idle()
    assert json.loads(target.read_text("utf-8"))["annotations"]


@verb("import_labels")
def _(me: Person) -> None:
    frame = next(iter(me.store.frames()))
    image = me.store.frame_path(frame.key)
    target = image.parent / "job.xml"
    shape = f'<image id="0" name="{image.name}"><points label="eye" points="2.0,3.0"/></image>'
    target.write_text(f"<annotations><version>1.1</version><meta/>{shape}</annotations>")
    answer("getOpenFileName", (str(target), ""))
    poses = len(me.store.instances(frame.key))
    me.do()
    me.bot.waitUntil(lambda: me.window.findChild(ImportLabelsDialog) is not None, timeout=8000)
    dialog = cast(ImportLabelsDialog, me.dialog(ImportLabelsDialog))
    assert len(me.store.instances(frame.key)) == poses  # nothing has been done yet
    QTest.mouseClick(dialog.import_button, Qt.MouseButton.LeftButton)
    me.bot.waitUntil(
        lambda: me.window.session.store is not None and len(me.store.instances(frame.key)) == poses + 1, timeout=8000
    )
    me.idle()
    me.window.run("undo")
    assert len(me.store.instances(frame.key)) == poses
    target.unlink()


@verb("export_labels")
def _(me: Person) -> None:
    target = aside(me, "out", ()) / "labels.csv"
    me.do()
    dialog = cast(ExportLabelsDialog, me.dialog(ExportLabelsDialog))
    dialog.format.setCurrentIndex(dialog.format.findData("deeplabcut"))
    dialog.path.setText(str(target))
    QTest.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    me.bot.waitUntil(lambda: target.exists(), timeout=8000)
    me.idle()
    assert target.read_text("utf-8").startswith("scorer,")


@verb("export_tracks")
def _(me: Person) -> None:
    target = aside(me, "out", ()) / "poses.csv"
    answer("getSaveFileName", (str(target), "Table, one row per pose (*.csv)"))
    me.do()
    me.bot.waitUntil(lambda: target.exists(), timeout=8000)
    me.idle()
    assert target.read_text("utf-8").count("\n") > 10


@verb("export_frames")
def _(me: Person) -> None:
    target = aside(me, "out", ())
    answer("getExistingDirectory", str(target))
    me.do()
    me.bot.waitUntil(lambda: bool(list(target.rglob("*.json"))), timeout=20000)
    me.idle()
    assert len(list(target.rglob("*.png"))) == 4


@verb("export_video")
def _(me: Person) -> None:
    target = aside(me, "out", ()) / "drawn.mp4"
    answer("getSaveFileName", (str(target), ""))
    me.do()
    me.bot.waitUntil(lambda: target.exists(), timeout=20000)
    me.idle()
    with open_media(target) as source:
        assert source.frame_count == FRAMES


@verb("save_copy")
def _(me: Person) -> None:
    target = aside(me, "copies", ()) / "copy.pose"
    answer("getSaveFileName", (str(target.with_suffix("")), ""))
    me.do()
    me.bot.waitUntil(lambda: target.exists(), timeout=20000)
    me.idle()
    assert me.session.path == me.folder / "verbs.pose"
    assert me.session.store is not None
    with ProjectStore.open(target) as copy:
        assert copy.summary() == me.session.store.summary()


@verb("snapshots")
def _(me: Person) -> None:
    me.do()
    me.dialog(SnapshotsDialog)


@verb("close_project")
def _(me: Person) -> None:
    me.do()
    assert me.session.store is None
    assert me.window.middle.currentWidget() is me.window.empty
    with ProjectStore.open(me.folder / "verbs.pose") as store:
        assert store.summary().frames == FRAMES


@verb("quit")
def _(me: Person) -> None:
    assert me.window.isVisible()
    me.do()
    assert not me.window.isVisible()
