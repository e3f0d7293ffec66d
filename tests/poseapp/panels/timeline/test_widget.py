"""The timeline in the window: zoom, scrubbing, lanes of tracks, marked range, pictures under the pointer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.run_model import RANGE, RunModelDialog
from poseapp.panels.timeline.lanes import LABELLED_POSE, PREDICTED_POSE
from poseapp.panels.timeline.painting import HEADER, ROW, lanes_top
from poseapp.panels.timeline.widget import LOWEST, Timeline
from poseapp.project import edits
from poseapp.project.model import FrameKey, State
from poseapp.project.opening import open_any
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import X264, Clip, make, number_in
from tests.poseapp.conftest import POSE, SCHEMA, show_poses

FRAMES = 60
NONE, LEFT_BUTTON = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton


@pytest.fixture
def film(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """A video of 60 frames; track 1 labelled in 0..19 and predicted in 30..39, track 2 predicted in 10..49."""
    video = make(Clip("film.mp4", "libx264", {**X264, "g": "12", "preset": "ultrafast"}, frames=FRAMES), tmp_path)
    with open_any(video) as store:
        category = store.add_category("figure", SCHEMA)
        items = []
        for key in store.frame_keys():
            for track, present in ((1, key.index < 20 or 30 <= key.index < 40), (2, 10 <= key.index < 50)):
                if present:
                    pose = edits.make_instance(store.new_ids(1)[0], category, POSE * 0.4 + 5 * track)
                    state = State.LABELLED if track == 1 and key.index < 20 else State.PREDICTED
                    items.append(edits.add_instance(key, replace(pose, track=track, state=state)))
        store.apply(edits.combined("Poses", items))
        path = store.path
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    qtbot.waitUntil(lambda: window.canvas.image_size == (160, 96), timeout=5000)
    data = window.timeline.data
    qtbot.waitUntil(lambda: len(data.lanes) == 2 and data.times is not None, timeout=5000)
    return window


def at(line: Timeline, frame: float, y: float | None = None) -> QPoint:
    """Where a frame is, by default in the rows of marks."""
    return QPoint(round(line._look().x_of(frame)), round(HEADER + 20 if y is None else y))


def lane_y(line: Timeline, lane: int) -> float:
    return lanes_top(line._look(), lane) + ROW / 2


def wheel(line: Timeline, where: QPoint, steps: int, modifier: Qt.KeyboardModifier = NONE) -> None:
    event = QWheelEvent(
        QPointF(where),
        QPointF(line.mapToGlobal(where)),
        QPoint(),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(line, event)


def drag(line: Timeline, start: QPoint, end: QPoint) -> None:
    QTest.mousePress(line, LEFT_BUTTON, NONE, start)
    for share in (0.25, 0.5, 0.75, 1.0):
        QTest.mouseMove(line, start + (end - start) * share)
    QTest.mouseRelease(line, LEFT_BUTTON, NONE, end)


def test_the_wheel_zooms_about_the_pointer_down_to_frames_and_back(film: MainWindow) -> None:
    line = film.timeline
    assert line.sight.is_whole
    where = at(line, 41.5)
    wheel(line, where, 3)
    assert line.sight.count == pytest.approx(FRAMES / 1.25**3)
    assert line._look().x_of(41.5) == pytest.approx(where.x(), abs=1)
    wheel(line, where, 30)
    assert line.sight.count == 12
    before = line.sight.start
    wheel(line, where, 1, Qt.KeyboardModifier.ShiftModifier)
    assert line.sight.start < before
    wheel(line, where, -40)
    assert line.sight.is_whole


def test_a_drag_on_the_ruler_moves_what_is_in_sight_a_click_goes_there(film: MainWindow) -> None:
    line = film.timeline
    line.zoom(3)
    start = line.sight.start
    drag(line, at(line, start + 10, 10), at(line, start + 14, 10))
    assert line.sight.start == pytest.approx(start - 4, abs=0.2)
    assert film.session.position() == 0
    position = int(line.sight.start) + 7
    QTest.mouseClick(line, LEFT_BUTTON, NONE, at(line, position + 0.5, 10))
    assert film.session.position() == position


def test_a_step_out_of_sight_brings_the_frame_into_sight(film: MainWindow) -> None:
    line = film.timeline
    line.zoom(4, 0.0)
    film.session.go_to(film.session.frames[55])
    assert line.sight.start <= 55 < line.sight.start + line.sight.count


def test_a_drag_shows_frames_and_ends_on_the_one_under_the_hand(film: MainWindow, qtbot: QtBot) -> None:
    shown: list[int] = []
    film.loader.loaded.connect(lambda key, pixels: shown.append(number_in(pixels)))
    line = film.timeline
    drag(line, at(line, 3.5), at(line, 52.5))
    assert film.session.position() == 52
    qtbot.waitUntil(lambda: shown[-1:] == [52], timeout=5000)
    qtbot.waitUntil(lambda: film.canvas._host.frame == film.session.frame, timeout=5000)


def test_frames_are_not_queued_up_while_the_hand_moves(film: MainWindow, qtbot: QtBot) -> None:
    line, gone = film.timeline, []
    film.session.frame_changed.connect(gone.append)
    QTest.mousePress(line, LEFT_BUTTON, NONE, at(line, 0.5))
    for position in range(1, 50):
        QTest.mouseMove(line, at(line, position + 0.5))
    assert len(gone) <= 3
    QTest.mouseRelease(line, LEFT_BUTTON, NONE, at(line, 49.5))
    assert film.session.position() == 49


def test_a_click_on_a_lane_selects_its_pose(film: MainWindow, qtbot: QtBot) -> None:
    line = film.timeline
    qtbot.waitUntil(lambda: line._look().lanes_area.height() >= 2 * ROW, timeout=2000)
    for lane in (0, 1):
        QTest.mouseClick(line, LEFT_BUTTON, NONE, at(line, 15.5, lane_y(line, lane)))
        assert film.session.position() == 15
        assert [i.track for i in film.session.selected] == [lane + 1]
    QTest.mouseClick(line, LEFT_BUTTON, NONE, at(line, 25.5, lane_y(line, 0)))
    assert film.session.position() == 25
    assert film.session.selected == []


def test_lanes_follow_an_edit_and_its_undo(film: MainWindow) -> None:
    line, session = film.timeline, film.session
    key = session.frames[12]
    store = session.store
    assert store is not None
    session.go_to(key)
    (one,) = [i for i in store.instances(key) if i.track == 1]
    session.apply(edits.set_track(key, [one], 7))
    assert line.data.lanes.tracks == (1, 2, 7)
    assert line.data.lanes.of(7)[0].tolist() == [12]
    assert 12 not in line.data.lanes.of(1)[0]
    session.undo()
    assert line.data.lanes.tracks == (1, 2)
    (two,) = [i for i in store.instances(key) if i.track == 2]
    session.select(instances=[two.id])
    film.run("accept")
    indices, kinds = line.data.lanes.of(2)
    assert kinds[indices == 12].tolist() == [LABELLED_POSE]
    assert kinds[indices == 13].tolist() == [PREDICTED_POSE]


def test_a_change_of_many_frames_reads_the_lanes_anew(film: MainWindow, qtbot: QtBot) -> None:
    session, store = film.session, film.session.store
    assert store is not None
    items = [edits.delete_instances(key, [i for i in store.instances(key) if i.track == 2]) for key in session.frames]
    session.apply(edits.combined("Delete a track", [e for e in items if e.frames]))
    qtbot.waitUntil(lambda: film.timeline.data.lanes.tracks == (1,), timeout=5000)


def test_the_range_is_marked_by_keys(film: MainWindow, qtbot: QtBot) -> None:
    session = film.session
    film.canvas.setFocus()
    session.go_to(session.frames[20])
    qtbot.keyClick(film.canvas, Qt.Key.Key_BracketLeft)
    assert film.timeline._look().range == (20, FRAMES - 1)
    session.go_to(session.frames[30])
    qtbot.keyClick(film.canvas, Qt.Key.Key_BracketRight)
    assert film.timeline._look().range == (20, 30)
    session.go_to(session.frames[10])
    film.run("mark_out")
    assert film.timeline._look().range == (0, 10)


def test_the_pointer_shows_a_picture_of_its_frame(film: MainWindow, qtbot: QtBot) -> None:
    line, pictures = film.timeline, []
    line.previews.previewed.connect(lambda key, pixels, exact: pictures.append((key.index, number_in(pixels), exact)))
    QTest.mouseMove(line, at(line, 43.5))
    preview = line._pointer.preview
    assert preview is not None
    assert preview.isVisible()
    assert "frame 43 " in preview._text
    assert "0:00:01.433" in preview._text
    qtbot.waitUntil(lambda: preview.exact, timeout=5000)
    assert pictures[-1] == (43, 43, True)
    assert all(index % 12 == 0 for _, index, exact in pictures if not exact)
    assert preview.geometry().bottom() < line.mapTo(film, QPoint(0, 0)).y()
    QTest.mousePress(line, LEFT_BUTTON, NONE, at(line, 43.5))
    assert not preview.isVisible()
    QTest.mouseRelease(line, LEFT_BUTTON, NONE, at(line, 43.5))


def test_the_height_follows_the_tracks_until_it_is_dragged(film: MainWindow, qtbot: QtBot) -> None:
    assert film.timeline.height() >= film.timeline.sizeHint().height() > LOWEST
    film.splitter._on_moved(0, 0)
    film.splitter.setSizes([400, 250])
    high = film.timeline.height()
    store = film.session.store
    assert store is not None
    (one, *_) = store.instances(FrameKey(1, 0))
    film.session.apply(edits.set_track(FrameKey(1, 0), [one], 9))
    assert len(film.timeline.data.lanes) == 3
    assert film.timeline.height() == high


def test_the_cursor_and_the_rate_follow_playback(film: MainWindow, qtbot: QtBot) -> None:
    line = film.timeline
    line.zoom(4, 0.0)
    film.playback.set_speed(4.0)
    seen: list[int] = []
    film.playback.shown.connect(lambda shown: seen.append(line.frame.index - shown.key.index))
    QTest.mouseClick(film.play_bar.play, LEFT_BUTTON)
    assert film.playback.playing
    qtbot.waitUntil(lambda: not film.playback.playing, timeout=8000)
    assert line.frame == film.session.frame == film.session.frames[-1]
    assert line.sight.start + line.sight.count == pytest.approx(FRAMES)
    assert set(seen) <= {0}


def test_speed_and_loop_are_chosen_with_the_buttons(film: MainWindow) -> None:
    film.play_bar.loop.click()
    assert film.playback.loop
    menu = film.play_bar.speed.menu()
    assert [action.text() for action in menu.actions()] == ["0.1×", "0.25×", "0.5×", "1×", "2×", "4×"]
    menu.actions()[1].trigger()
    assert film.playback.speed == 0.25
    assert film.play_bar.speed.text() == "0.25×"


def test_every_state_can_be_painted_in_both_themes(film: MainWindow, qtbot: QtBot) -> None:
    line = film.timeline
    line.data.times = None
    for theme in ("dark", "light"):
        film.set_theme(theme)
        for zoom in (1.0, 3.0, 100.0):
            line.zoom(zoom, 0.9)
            picture = line.grab().toImage()
            assert picture.width() > 0
    film.splitter.setSizes([5000, LOWEST])
    line.grab()
    film.session.close()
    line.grab()
    assert line.frame is None


def test_jumps_go_to_the_next_of_a_kind(film: MainWindow) -> None:
    session = film.session
    run = film.run
    session.go_to(session.frames[25])
    for verb, position in (
        ("previous_labelled", 19),
        ("next_predicted", 20),
        ("next_labelled", 20),
        ("previous_predicted", 19),
        ("previous_keyframe", 18),
    ):
        run(verb)
        assert session.position() == position, verb
    session.apply(
        edits.set_frame_state(session.frames[50], session.store.frame(session.frames[50]).state, flagged=True)
    )
    run("next_flagged")
    assert session.position() == 50
    run("next_flagged")
    assert session.position() == 50
    assert any("No flagged frame" in text for text in film.toasts.messages())
    session.go_to(session.frames[35])
    session.select(instances=[i.id for i in session.instances if i.track == 2])
    run("track_start")
    assert session.position() == 10
    run("track_end")
    assert session.position() == 49
    assert [i.track for i in session.selected] == [2]


def test_values_of_the_pictures_rows_agree_with_the_store(film: MainWindow) -> None:
    marks = film.timeline._marks
    assert np.flatnonzero(marks[0]).tolist() == list(range(20))
    assert np.flatnonzero(marks[1]).tolist() == list(range(10, 50))


def test_frames_of_a_video_are_counted_from_nought_everywhere(film: MainWindow, qtbot: QtBot) -> None:
    session = film.session
    film.show()
    film.run("go_to_frame")
    dialog = film.findChild(AskDialog)
    assert (dialog.number.minimum(), dialog.number.maximum()) == (0, FRAMES - 1)
    dialog.number.setValue(37)
    qtbot.keyClick(dialog.number, Qt.Key.Key_Return)
    assert session.frame.index == 37
    assert film.status.place.text().endswith("frame 37")
    assert film.timeline._number(37) == "frame 37"
    assert film.timeline._look().origin == 0
    film.run("run_range")
    chosen = film.findChild(RunModelDialog)
    assert (chosen.first.value(), chosen.last.value()) == (37, FRAMES - 1)
    chosen.which.setCurrentIndex(chosen.which.findData(RANGE))
    chosen.last.setValue(39)
    assert [key.index for key in chosen.frames()] == [37, 38, 39]
    chosen.close()


def test_the_list_of_poses_says_who_is_who(film: MainWindow, qtbot: QtBot) -> None:
    show_poses(film, qtbot)
    film.session.go_to(film.session.frames[15])
    model = film.instances.model
    names = [model.data(model.index(row, 0)) for row in range(model.rowCount())]
    assert names == ["1  figure  #1", "2  figure  #2"]


def test_a_marked_range_is_what_a_model_is_run_on(film: MainWindow) -> None:
    session = film.session
    session.go_to(session.frames[11])
    film.run("mark_in")
    session.go_to(session.frames[14])
    film.run("mark_out")
    film.run("run_range")
    chosen = film.findChild(RunModelDialog)
    assert chosen.which.currentData() == RANGE
    assert [key.index for key in chosen.frames()] == [11, 12, 13, 14]
    chosen.close()


def test_the_next_unlabelled_frame_and_the_middle_between_keyframes(film: MainWindow) -> None:
    session = film.session
    session.go_to(session.frames[3])
    film.run("next_unlabelled")
    assert session.position() == 20
    state = session.store.frame(session.frames[21]).state
    session.apply(edits.set_frame_state(session.frames[21], state, negative=True))
    film.run("next_unlabelled")
    assert session.position() == 22  # "nothing here" is an answer too
    film.run("previous_unlabelled")
    film.run("previous_unlabelled")
    assert session.position() == 20
    assert any("No unlabelled frame before" in text for text in film.toasts.messages())
    session.go_to(session.frames[22])
    film.run("between_keyframes")
    assert session.position() == 22
    assert any("on both sides" in text for text in film.toasts.messages())
    session.go_to(session.frames[35])
    session.select(instances=[i.id for i in session.instances if i.track == 1])
    film.run("accept")
    session.go_to(session.frames[22])
    film.run("between_keyframes")
    assert session.position() == (19 + 35) // 2
