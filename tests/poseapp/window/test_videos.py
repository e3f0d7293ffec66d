"""A project of a video: another file in its place is noticed, and a moved one found again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.media.alignment.fingerprint import Fingerprint
from poseapp.commands.relink import find_video, link_video
from poseapp.dialogs.relink import RelinkDialog
from poseapp.dialogs.run_model import RunModelDialog
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.model import FrameKey
from poseapp.project.opening import open_any
from poseapp.project.relink.fingerprints import fingerprints, keep_fingerprint
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import X264, Clip, make, number_in


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """The project of a video of 90 frames."""
    with open_any(make(Clip("film.mp4", "libx264", X264, frames=90), tmp_path)) as store:
        return store.path


def opened(window: MainWindow, project: Path, qtbot: QtBot) -> list[str]:
    """Open a project; what the window then tells."""
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    return window.toasts.messages()


def test_the_labelled_file_is_opened_without_a_word(window: MainWindow, film: Path, qtbot: QtBot) -> None:
    assert opened(window, film, qtbot) == []


def test_a_video_coded_anew_is_told(window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot) -> None:
    make(Clip("film.mp4", "mpeg4", {"g": "12"}, frames=90), tmp_path)
    (text,) = opened(window, film, qtbot)
    assert "film.mp4 was re-encoded" in text
    assert "of its frames agree" in text


def test_another_number_of_frames_is_told(window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot) -> None:
    with ProjectStore.open(film) as store:
        ((media, text),) = fingerprints(store).items()
        result = Fingerprint.from_text(text)
        keep_fingerprint(store, media, replace(result, key="0" * 32, frame_count=91).to_text())
    (messages,) = opened(window, film, qtbot)
    assert "91 frames of 160 x 96, now 90" in messages


def test_another_video_in_its_place_is_told(window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot) -> None:
    make(Clip("film.mp4", "libx264", X264, frames=90, turn=90), tmp_path)
    (text,) = opened(window, film, qtbot)
    assert "is not the video that was labelled" in text


def test_a_video_that_is_gone_is_told_and_found_again(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    moved = Path(shutil.move(tmp_path / "film.mp4", other / "renamed.mp4"))
    assert "film.mp4: does not exist" in opened(window, film, qtbot)[0]
    store = window.session.store
    assert store is not None
    (media,) = store.media()
    wrong = make(Clip("wrong.mp4", "libx264", X264, frames=90, turn=90), other)
    link_video(window.context, media.id, wrong)
    qtbot.waitUntil(lambda: window.findChild(RelinkDialog) is not None, timeout=8000)
    dialog = window.findChild(RelinkDialog)
    assert dialog is not None
    assert "is not the video that was labelled" in dialog.why.text()
    dialog.leave_button.click()
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=8000)
    assert Path(store.media()[0].path) == tmp_path / "film.mp4"
    shown: dict[int, int] = {}
    window.loader.loaded.connect(lambda key, pixels: shown.update({key.index: number_in(pixels)}))
    link_video(window.context, media.id, moved)
    qtbot.waitUntil(lambda: Path(store.media()[0].path) == moved, timeout=8000)
    qtbot.waitUntil(lambda: shown == {0: 0}, timeout=5000)
    window.session.go_to(window.session.frames[44])
    qtbot.waitUntil(lambda: shown.get(44) == 44, timeout=5000)
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)


def test_a_picture_has_no_video_to_be_found(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    opened(window, project, qtbot)
    find_video(window.context)
    assert "not of a video" in window.toasts.messages()[-1]


def test_fingerprints_are_kept_with_the_project(film: Path) -> None:
    with ProjectStore.open(film) as store:
        (media,) = store.media()
        assert list(fingerprints(store)) == [media.id]
        keep_fingerprint(store, media.id, "another")
    with ProjectStore.open(film, read_only=True) as store:
        assert fingerprints(store) == {media.id: "another"}


def test_a_project_without_any_has_none(project: Path) -> None:
    with ProjectStore.open(project, read_only=True) as store:
        assert fingerprints(store) == {}


def test_frames_of_a_video_are_exported_with_their_number(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.json"
    with ProjectStore.open(film, read_only=True) as store:
        export_coco(store, out, unseen_frames=True)
    images = json.loads(out.read_text(encoding="utf-8"))["images"]
    assert [(image["video"], image["frame_index"]) for image in images] == [("film.mp4", n) for n in range(90)]
    assert images[12]["file_name"] == "film/film_000012.png"
    assert (images[12]["width"], images[12]["height"]) == (160, 96)


def test_scrubbing_shows_near_frames_without_poses_and_ends_on_the_exact_one(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    opened(window, film, qtbot)
    shown: dict[int, int] = {}
    near: list[int] = []
    window.loader.loaded.connect(lambda key, pixels: shown.update({key.index: number_in(pixels)}))

    def look(key: FrameKey, pixels: np.ndarray) -> None:
        near.append(number_in(pixels))
        assert window.canvas._host.frame is None

    window.loader.previewed.connect(look)
    frames = window.session.frames
    for position in (80, 2, 45, 85, 3, 40):
        count = len(near)
        window.session.go_to(frames[position])
        qtbot.waitUntil(lambda: len(near) > count or position in shown, timeout=5000)  # noqa: B023
    window.session.go_to(frames[83])
    qtbot.waitUntil(lambda: shown.get(83) == 83, timeout=5000)
    assert all(index == value for index, value in shown.items())
    assert set(near) <= {0, 48}
    assert window.canvas._host.frame == frames[83]
    assert window.toasts.messages() == []


def test_the_range_of_a_run_counts_the_frames_of_the_video_in_sight(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    for name, frames in (("one.mp4", 20), ("two.mp4", 12)):
        make(Clip(name, "libx264", X264, frames=frames), tmp_path)
    with open_any([tmp_path / "one.mp4", tmp_path / "two.mp4"]) as store:
        path = store.path
    opened(window, path, qtbot)
    keys, rows = list(window.session.frames), window.media.model
    assert [rows.data(rows.index(row)) for row in (3, 23)] == ["one.mp4  000003", "two.mp4  000003"]
    window.session.go_to(keys[23])
    window.run("mark_in")
    window.session.go_to(keys[26])
    window.run("mark_out")
    window.run("run_range")
    dialog = window.findChild(RunModelDialog)
    assert isinstance(dialog, RunModelDialog)
    assert (dialog.first.value(), dialog.last.value()) == (3, 6)
    assert (dialog.first.minimum(), dialog.last.maximum()) == (0, 11)
    assert dialog.frames() == tuple(keys[23:27])
    assert "two.mp4" in dialog.which.currentText()
    dialog.last.setValue(11)
    assert dialog.frames() == tuple(keys[23:])
    dialog.close()


def test_a_video_that_is_gone_is_looked_for_from_where_its_picture_is_missing(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "elsewhere" / "film.mp4"
    moved.parent.mkdir()
    (tmp_path / "film.mp4").rename(moved)
    opened(window, film, qtbot)
    notice = window.notice
    qtbot.waitUntil(lambda: notice.isVisible(), timeout=5000)
    assert notice.seek.isVisible()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(moved), ""))
    QTest.mouseClick(notice.seek, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.canvas.image_size == (160, 96) and not notice.isVisible(), timeout=8000)
    store = window.session.store
    assert store is not None
    assert Path(store.media()[0].path) == moved
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)
