"""Another file in place of a labelled video: it is told, the labels find their frames, undo brings the old one back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from poseapp.commands.relink import link_video
from poseapp.dialogs.relink import AS_IT_IS, PICTURES, TIME, RelinkDialog
from poseapp.project import edits
from poseapp.project.model import FrameKey, FrameState
from poseapp.project.opening import open_any
from poseapp.project.relink.fingerprints import fingerprints
from poseapp.project.relink.frame_images import kept_pictures
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import HEIGHT, WIDTH, X264, Clip, make, number_in, picture
from tests.poseapp.conftest import SCHEMA
from tests.poseapp.project.relink.test_remap import content

LABELLED = (3, 20, 21, 40, 61, 80, 99, 118)


def write(path: Path, values: Iterable[int], rate: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A video in another codec whose frames show these numbers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "4", "g": "12"})
        stream.width, stream.height = size
        for index in values:
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(*size, format="yuv420p")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """The project of a video of 120 frames; point 0 of each pose has the number of its frame as y."""
    with open_any(make(Clip("film.mp4", "libx264", X264, frames=120), tmp_path)) as store:
        category = store.add_category("figure", SCHEMA)
        (media,) = store.media()
        for index in LABELLED:
            (value,) = store.new_ids(1)
            pose = edits.make_instance(value, category, np.full((4, 2), float(index)), track=1)
            store.apply(edits.add_instance(FrameKey(media.id, index), pose))
        store.apply(edits.set_frame_state(FrameKey(media.id, 61), FrameState(), flagged=True))
        return store.path


def opened(window: MainWindow, project: Path, qtbot: QtBot) -> ProjectStore:
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=10000)
    assert window.session.store is not None
    return window.session.store


def asked(window: MainWindow, qtbot: QtBot) -> RelinkDialog:
    """The dialog, when it has found out what it can."""
    qtbot.waitUntil(lambda: window.findChild(RelinkDialog) is not None, timeout=10000)
    dialog = window.findChild(RelinkDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=15000)
    return dialog


def labels_by_number(store: ProjectStore, values: list[int]) -> dict[int, int]:
    """The number that each labelled frame of the new file shows, and that which its label was made on."""
    results = {}
    for key, instance in store.all_instances():
        results[values[key.index]] = round(float(instance.keypoints[0, 1]))
    return results


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        (list(range(30, 120)), 30),  # the head is cut off
        ([i for i in range(120) if i % 6 != 5], 25),  # 30 to 25 frames a second
        (list(range(0, 120, 2)), 30),  # every second frame, at double speed
        (list(range(1, 100, 2)), 15),  # every other second frame, and the tail cut off
        ([i for i in range(18, 110) if i % 6 != 5], 25),
    ],
)
def test_every_label_goes_to_the_frame_of_the_same_number(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot, values: list[int], rate: int
) -> None:
    store = opened(window, film, qtbot)  # with the very file: pictures of the labelled frames are kept
    (media,) = store.media()
    before = content(store)
    new = write(tmp_path / "other.mp4", values, rate)
    (tmp_path / "film.mp4").unlink()
    link_video(window.context, media.id, new)
    dialog = asked(window, qtbot)
    assert content(store) == before
    assert dialog.way == PICTURES
    assert dialog.table.rowCount() > 0
    dialog.do_button.click()
    present = {i for i in LABELLED if i in values}
    assert labels_by_number(store, values) == {i: i for i in present}
    assert len(store.frames(media.id)) == len(values)
    flagged = [frame.key.index for frame in store.frames(media.id) if frame.state.flagged]
    assert flagged == ([values.index(61)] if 61 in values else [])
    shown: dict[int, int] = {}
    window.loader.loaded.connect(lambda key, pixels: shown.update({key.index: number_in(pixels)}))
    target = FrameKey(media.id, values.index(min(present)))
    window.session.go_to(target)
    qtbot.waitUntil(lambda: shown.get(target.index) == min(present), timeout=5000)
    window.run("undo")
    assert content(store) == before
    assert Path(store.media()[0].path).name == "film.mp4"
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)


def test_a_file_is_compared_with_the_old_one_where_that_can_still_be_read(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    values = [*range(10, 50), *range(54, 120)]  # cut at the start, and four frames lost in the middle
    store = opened(window, film, qtbot)
    store.database.run("DELETE FROM frame_picture")
    (media,) = store.media()
    link_video(window.context, media.id, write(tmp_path / "other.mp4", values, 30))
    dialog = asked(window, qtbot)
    window.session.go_to(FrameKey(media.id, 60))
    dialog.do_button.click()
    assert labels_by_number(store, values) == {i: i for i in LABELLED if i in values}
    assert window.session.frame == FrameKey(media.id, values.index(60))  # where one was


def test_what_was_cut_is_told_in_the_time_of_the_labelled_video(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    write(tmp_path / "film.mp4", range(30, 120), 25)
    opened(window, film, qtbot)
    dialog = asked(window, qtbot)
    assert "1.00 s are cut off at the start" in dialog.found.text()
    cells = [label.text() for label in dialog.findChildren(QLabel)]
    assert "0:04.00" in cells  # 120 frames at 30 a second
    assert "0:03.60" in cells  # 90 frames at 25


def test_it_is_asked_at_opening_and_nothing_is_done_before(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    with ProjectStore.open(film, read_only=True) as store:
        before = content(store)
    write(tmp_path / "film.mp4", range(30, 120), 30)
    store = opened(window, film, qtbot)
    dialog = asked(window, qtbot)
    assert "sampled frames are in this file" in dialog.found.text()
    assert "1.00 s are cut off at the start" in dialog.found.text()
    assert "3 frames are not in this file; their 3 poses go" in dialog.outcome.text()
    dialog.set_way(TIME)
    assert "keep theirs" in dialog.outcome.text()
    dialog.leave_button.click()
    assert content(store) == before
    assert store.history_length()[0] == len(LABELLED) + 1


def test_another_size_scales_the_points(window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot) -> None:
    write(tmp_path / "film.mp4", range(120), 30, (WIDTH * 2, HEIGHT * 2))
    store = opened(window, film, qtbot)
    dialog = asked(window, qtbot)
    dialog.do_button.click()
    for key, instance in store.all_instances():
        assert np.allclose(instance.keypoints, (key.index + 0.5) * 2 - 0.5)


def test_another_film_can_only_be_taken_as_it_is_or_by_time(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    write(tmp_path / "film.mp4", range(2000, 2060), 30)
    store = opened(window, film, qtbot)
    dialog = asked(window, qtbot)
    assert "it shows something else" in dialog.found.text()
    assert dialog.choice.findData(PICTURES) < 0
    assert dialog.way == AS_IT_IS
    before = content(store)
    dialog.do_button.click()
    assert content(store)["instance"] == before["instance"]
    assert len(store.frames()) == 119  # up to the last label
    window.run("undo")
    assert content(store) == before


def test_closing_while_it_compares_stops_that(window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot) -> None:
    write(tmp_path / "film.mp4", range(30, 120), 30)
    window.open_paths([film])
    qtbot.waitUntil(lambda: window.findChild(RelinkDialog) is not None, timeout=10000)
    dialog = window.findChild(RelinkDialog)
    assert dialog is not None
    dialog.leave_button.click()
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=8000)


def test_a_frame_is_known_again_from_when_it_was_labelled(window: MainWindow, film: Path, qtbot: QtBot) -> None:
    store = opened(window, film, qtbot)
    key = fingerprints(store)[1].split(":")[1]
    assert set(kept_pictures(store, key)) == set(LABELLED)
    shown: list[int] = []
    window.loader.loaded.connect(lambda key, _pixels: shown.append(key.index))
    frame = FrameKey(1, 50)
    window.session.go_to(frame)
    qtbot.waitUntil(lambda: shown[-1:] == [50], timeout=5000)
    category = store.categories()[0]
    pose = edits.make_instance(store.new_ids(1)[0], category, np.zeros((4, 2)))
    window.session.apply(edits.add_instance(frame, pose))
    assert 50 in kept_pictures(store, key)


def test_frames_of_the_new_file_are_known_again_too(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    write(tmp_path / "film.mp4", range(30, 120), 30)
    store = opened(window, film, qtbot)
    asked(window, qtbot).do_button.click()
    shown: list[int] = []
    window.loader.loaded.connect(lambda key, _pixels: shown.append(key.index))
    window.session.go_to(FrameKey(1, 33))
    qtbot.waitUntil(lambda: shown[-1:] == [33], timeout=5000)
    pose = edits.make_instance(store.new_ids(1)[0], store.categories()[0], np.zeros((4, 2)))
    window.session.apply(edits.add_instance(FrameKey(1, 33), pose))
    assert set(kept_pictures(store, fingerprints(store)[1].split(":")[1])) == {33}


def test_the_last_frame_is_shown_when_the_one_in_sight_is_gone(
    window: MainWindow, film: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    store = opened(window, film, qtbot)
    window.session.go_to(FrameKey(1, 110))
    link_video(window.context, 1, write(tmp_path / "other.mp4", range(60), 30))
    asked(window, qtbot).do_button.click()
    assert window.session.frame == FrameKey(1, 59)
    assert len(store.frames(1)) == 60
    window.run("undo")
    assert len(window.session.frames) == 120
