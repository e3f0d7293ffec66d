"""Every verb can be asked for at any time: with nothing open, in a project, with poses and points selected."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QDialog, QFileDialog
from pytestqt.qtbot import QtBot

from poseapp.project.model import OCCLUDED
from poseapp.window.actions import ACTIONS, BY_ID, NEEDS
from poseapp.window.main_window import MainWindow
from poseapp.window.menus import met_needs

ENDS = {"quit", "close_project"}
TAKES_LONG = {"run_frame", "assist"}
"""Load a network; tested with the jobs."""
VERBS = [row.id for row in ACTIONS if row.id not in ENDS | TAKES_LONG]


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """File dialogs are closed without a choice."""
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([], ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))


def close_dialogs(window: MainWindow, qtbot: QtBot) -> None:
    for dialog in window.findChildren(QDialog):
        dialog.close()
    window.palette_box.close_palette()
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)


def test_every_need_of_the_table_is_known() -> None:
    assert {row.needs for row in ACTIONS} <= {"", *NEEDS}


@pytest.mark.slow
def test_every_verb_is_harmless_on_the_first_page(window: MainWindow, qtbot: QtBot) -> None:
    for name in VERBS:
        if name != "open_sample":
            BY_ID[name].run(window.context)
            close_dialogs(window, qtbot)
    assert window.session.store is None


@pytest.mark.slow
@pytest.mark.parametrize("selected", ["nothing", "pose", "points"])
def test_every_verb_can_be_taken_back(opened: MainWindow, qtbot: QtBot, selected: str) -> None:
    store, session = opened.session.store, opened.session
    assert store is not None
    frame = session.frames[0]
    before = store.instances(frame)
    steps = sum(step.done for step in store.history())
    for name in VERBS:
        if name in ("undo", "redo", "open_sample"):
            continue
        session.go_to(frame)
        first = session.instances[0].id
        if selected == "pose":
            session.select(instances=[first])
        elif selected == "points":
            session.select(instances=[first], points=[(first, 0), (first, 1)])
        opened.run(name)
        close_dialogs(opened, qtbot)
        while sum(step.done for step in store.history()) > steps:
            session.undo()
    after = store.instances(frame)
    assert [i.id for i in after] == [i.id for i in before]
    assert all(a.same_as(b) for a, b in zip(after, before))


def test_a_verb_is_on_offer_only_when_what_it_needs_is_there(opened: MainWindow) -> None:
    session = opened.session
    for points in (False, True):
        first = session.instances[0].id
        session.select(instances=[first], points=[(first, 0)] if points else [])
        present = met_needs(session)
        assert ("points" in present) is points
        opened.refresh_actions_now()
        for name, action in opened.actions_by_id.items():
            needs = BY_ID[name].needs
            assert action.isEnabled() is (not needs or needs in present), name


def test_closing_the_project_goes_back_to_the_first_page(opened: MainWindow) -> None:
    opened.run("close_project")
    assert opened.session.store is None
    assert opened.middle.currentWidget() is opened.empty
    assert not any(dock.isVisible() for dock in opened.docks)


def test_the_undo_action_says_what_it_takes_back(opened: MainWindow) -> None:
    first = opened.session.instances[0].id
    opened.session.select(instances=[first], points=[(first, 3)])
    opened.run("occluded")
    assert opened.session.instances[0].visibility[3] == OCCLUDED
    opened.refresh_actions_now()
    text = opened.actions_by_id["undo"].text()
    assert text.startswith("Undo ")
    assert "foot" in text


def test_accepting_everywhere_is_one_step(opened: MainWindow) -> None:
    store = opened.session.store
    assert store is not None
    steps = len(store.history())
    opened.run("accept_everywhere")
    assert store.summary().predicted == 0
    assert len(store.history()) == steps + 1
    opened.run("undo")
    assert store.summary().predicted == 1


def test_a_read_only_project_refuses_edits_and_leaves_the_switch_alone(opened: MainWindow, project: Path) -> None:
    from poseapp.project.store import ProjectStore

    opened.session.set_store(ProjectStore.open(project, read_only=True))
    opened.run("flag")
    opened.refresh_actions_now()
    assert not opened.actions_by_id["flag"].isChecked()
    assert opened.toasts.messages() != []
