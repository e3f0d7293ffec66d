"""The image list: found, filtered and ordered by hand."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.panels.frames.filter_popup import Names
from poseapp.project import edits
from poseapp.project.model import FrameState
from poseapp.project.queries.frame_query import FrameQuery, Labels, Points, Sort
from poseapp.window.main_window import MainWindow


def _names(window: MainWindow) -> list[str]:
    model = window.media.model
    return [model.data(model.index(row))[0] for row in range(model.rowCount())]


def _choose(window: MainWindow, name: str, value: object) -> None:
    combo = window.media.filter.choices.combos[name]
    position = next(i for i in range(combo.count()) if combo.itemData(i) == value)
    combo.setCurrentIndex(position)


def test_the_list_is_found_by_name(opened: MainWindow, qtbot: QtBot) -> None:
    QTest.keyClicks(opened.media.search, "C.p")
    qtbot.waitUntil(lambda: _names(opened) == ["c"], timeout=2000)
    opened.media.filter.search.clear()
    qtbot.waitUntil(lambda: _names(opened) == ["a", "b", "c"], timeout=2000)


def test_conditions_are_chosen_in_a_box_and_taken_away_as_chips(opened: MainWindow, qtbot: QtBot) -> None:
    bar = opened.media.filter
    qtbot.mouseClick(bar.more, Qt.MouseButton.LeftButton)
    assert bar.choices.isVisible()
    _choose(opened, "labels", Labels.ANY_LABELLED)
    assert _names(opened) == ["a"]
    _choose(opened, "labels", Labels.UNLABELLED)
    assert _names(opened) == ["c"]
    _choose(opened, "labels", None)
    _choose(opened, "points", Points.ABSENT)
    assert _names(opened) == ["a"]
    bar.choices.low.setValue(0.5)
    assert _names(opened) == []
    bar.choices.hide()
    assert [chip.text() for chip in bar.chips] == ["Score 0.50 to 1.00  ×", "With absent points  ×"]
    assert bar.count.text() == "0 of 3"
    qtbot.mouseClick(bar.chips[1], Qt.MouseButton.LeftButton)
    assert _names(opened) == ["b"]
    qtbot.mouseClick(bar.chips[0], Qt.MouseButton.LeftButton)
    assert _names(opened) == ["a", "b", "c"]
    assert not bar.strip.isVisible()


def test_a_list_that_nothing_fits_offers_all_images(opened: MainWindow, qtbot: QtBot) -> None:
    panel = opened.media
    panel.filter.open_choices()
    _choose(opened, "flagged", True)
    panel.filter.choices.hide()
    assert panel.show_all.isVisible()
    qtbot.mouseClick(panel.show_all, Qt.MouseButton.LeftButton)
    assert _names(opened) == ["a", "b", "c"]
    store, key = opened.session.store, opened.session.frames[1]
    assert store is not None
    opened.session.apply(edits.set_frame_state(key, FrameState(), flagged=True))
    panel.filter.open_choices()
    _choose(opened, "flagged", True)
    assert _names(opened) == ["b"]
    panel.filter.choices.hide()


def test_the_list_is_ordered_and_the_frame_shown_stays_marked(opened: MainWindow) -> None:
    bar, panel = opened.media.filter, opened.media
    opened.session.step(1)
    bar.orders[Sort.SCORE].trigger()
    assert _names(opened) == ["b", "a", "c"]
    assert panel.view.currentIndex().row() == 0
    bar.backwards.trigger()
    bar.orders[Sort.NUMBER].trigger()
    assert _names(opened) == ["c", "b", "a"]
    assert opened.session.position() == 1
    assert panel.view.currentIndex().row() == 1


def test_another_project_starts_without_conditions(opened: MainWindow) -> None:
    opened.media.filter.open_choices()
    _choose(opened, "labels", Labels.ANY_PREDICTED)
    opened.media.filter.choices.hide()
    opened.run("close_project")
    assert not opened.media.filter.query.filters
    assert opened.media.filter.chips == []


def test_the_frame_shown_is_brought_into_sight(opened: MainWindow, qtbot: QtBot) -> None:
    store, panel = opened.session.store, opened.media
    assert store is not None
    store.add_frames(1, [(f"more_{n}.png", 320, 240) for n in range(200)])
    opened.session.structure_changed()
    for position in (150, 3, 202):
        opened.session.go_to(opened.session.frames[position])
        shown = panel.view.visualRect(panel.model.index(position))
        assert panel.view.viewport().rect().contains(shown)


def test_a_large_project_is_looked_through_in_the_background(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.session
    session.queries.at_once_below = 0  # as if it were large
    opened.media.filter.set_query(FrameQuery(labels=Labels.ANY_PREDICTED))
    assert _names(opened) == ["a", "b", "c"]
    qtbot.waitUntil(lambda: _names(opened) == ["b"], timeout=5000)
    assert opened.media.filter.count.text() == "1 of 3"
    opened.docks[2].raise_()
    qtbot.waitUntil(lambda: opened.review.model.keys == [session.frames[1]], timeout=5000)
    opened.docks[0].raise_()
    session.step(1)
    opened.run("accept_all")
    qtbot.waitUntil(lambda: _names(opened) == [], timeout=5000)
    assert opened.media.filter.count.text() == "0 of 3"
    opened.run("undo")
    qtbot.waitUntil(lambda: _names(opened) == ["b"], timeout=5000)
    opened.media.filter.clear()
    assert _names(opened) == ["a", "b", "c"]
    assert not opened.media.busy.isVisible()


def test_a_list_under_conditions_follows_the_edits(opened: MainWindow, qtbot: QtBot) -> None:
    opened.media.filter.set_query(FrameQuery(flagged=True))
    assert _names(opened) == []
    opened.run("flag")
    qtbot.waitUntil(lambda: _names(opened) == ["a"], timeout=5000)
    opened.run("flag")
    qtbot.waitUntil(lambda: _names(opened) == [], timeout=5000)


def test_both_bounds_of_the_score_are_asked_for(opened: MainWindow) -> None:
    choices = opened.media.filter.choices
    choices.fill(Names.of(opened.session.store), FrameQuery())
    assert (choices.query().min_score, choices.query().max_score) == (None, None)
    choices.low.setValue(0.3)
    choices.high.setValue(0.6)
    assert (choices.query().min_score, choices.query().max_score) == (0.3, 0.6)
    choices.fill(Names.of(opened.session.store), FrameQuery(min_score=0.2, max_score=0.7))
    assert (choices.low.value(), choices.high.value()) == (0.2, 0.7)
    choices.clear()
    assert choices.query().is_plain


def test_the_highest_score_leaves_frames_out(opened: MainWindow, qtbot: QtBot) -> None:
    bar = opened.media.filter
    bar.open_choices()
    bar.choices.high.setValue(0.65)  # the only prediction scores 0.7
    qtbot.waitUntil(lambda: opened.media.model.rowCount() == 0, timeout=3000)
    bar.choices.high.setValue(0.75)
    qtbot.waitUntil(lambda: opened.media.model.rowCount() == 1, timeout=3000)
    bar.choices.hide()
    bar.clear()


def test_frames_in_which_nothing_was_found_can_be_listed(opened: MainWindow, qtbot: QtBot) -> None:
    session, store = opened.session, opened.session.store
    assert store is not None
    last = session.frames[2]
    category = session.categories()[0]
    session.apply(edits.add_predictions(last, (), [], category, [], "net", state=store.frame(last).state))
    opened.media.filter.set_query(FrameQuery(nothing_found=True))
    qtbot.waitUntil(lambda: opened.media.model.rowCount() == 1, timeout=3000)
    assert "nothing found" in str(opened.media.model.index(0).data(Qt.ItemDataRole.AccessibleTextRole))
    opened.media.filter.clear()
