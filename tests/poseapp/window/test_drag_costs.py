"""What one drag of a point costs: counted, in the real window with a real mouse."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import engine.models.catalog as catalog
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import Hands


def settled(window: MainWindow, bot: QtBot) -> None:
    """Wait for what opening and an edit set going: images, lists that read later, the model, the refresh."""
    loader = window.loader
    bot.waitUntil(lambda: not (loader._frames._pending or loader._thumbnail_worker._pending), timeout=10000)
    window.repaint()
    QApplication.processEvents()  # what has been asked for is painted
    panels = (window.media._later, window.review._later, window.history._later, window.controller.refinement._pause)
    bot.waitUntil(lambda: not any(timer.isActive() for timer in (*panels, window._refresh)), timeout=5000)
    bot.waitUntil(lambda: not window.runner.active(), timeout=5000)


def test_a_drag_of_a_point_reads_little_and_refreshes_the_actions_once(
    hands: Hands, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, store = hands.window, hands.window.session.store
    assert store is not None
    window.settings.assist = True
    settled(window, qtbot)
    hands.drag((150, 90), (155, 95))  # the first press activates the window, and what it shows is painted anew
    settled(window, qtbot)
    counts: Counter[str] = Counter()
    selects: list[str] = []

    def counted(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        return call

    def note(statement: str) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            selects.append(statement)

    monkeypatch.setattr(window.window_actions, "refresh", counted("refresh", window.window_actions.refresh))
    monkeypatch.setattr(catalog, "read_table", counted("catalog", catalog.read_table))
    monkeypatch.setattr(catalog, "list_models", counted("catalog", catalog.list_models))
    store.database.connection.set_trace_callback(note)
    hands.drag((100, 60), (112, 70))
    settled(window, qtbot)
    store.database.connection.set_trace_callback(None)

    assert hands.instance().keypoints[0].tolist() == pytest.approx([112, 70], abs=1), "the point has moved"
    assert window.actions_by_id["undo"].text() == "Undo move head"
    assert len(selects) <= 6, "\n".join(selects)
    assert counts == {"refresh": 1}


def test_a_panel_behind_another_tab_reads_nothing_until_it_is_shown(hands: Hands, qtbot: QtBot) -> None:
    window = hands.window
    settled(window, qtbot)
    assert window.media.isVisible()
    assert not window.history.isVisible()
    before = window.history.model.position
    hands.drag((100, 60), (112, 70))
    settled(window, qtbot)
    assert window.history.model.position == before
    window.docks[3].raise_()
    qtbot.waitUntil(lambda: window.history.model.position == before + 1, timeout=5000)


def test_a_key_pressed_right_after_an_edit_finds_the_actions_refreshed(hands: Hands) -> None:
    window = hands.window
    while window.session.store is not None and window.session.store.undo_text() is not None:
        window.session.undo()
    window.refresh_actions_now()
    assert not window.actions_by_id["undo"].isEnabled()
    window.session.redo()  # no event is handled before the key
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.store is not None
    assert window.session.store.history_length()[1] == 0
