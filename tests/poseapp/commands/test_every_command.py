"""Every row of the actions table is done by a person in the real window, with each of its keys or from the palette, and
does what it is for. An exercise fails if the verb does nothing."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from poseapp.window.actions import ACTIONS, BY_ID
from poseapp.window.main_window import MainWindow
from tests.patient_bot import PatientBot
from tests.poseapp.commands.steps import files, labelling, looking, models, tracks
from tests.poseapp.commands.steps.person import EXERCISES, PALETTE, Person, make_project
from tests.poseapp.conftest import Hands

assert all((files, labelling, looking, models, tracks))

GROUPS = [row.menu or "keys" for row in ACTIONS]


def ways(name: str) -> tuple[str, ...]:
    """Every key of a verb; the palette where it has none."""
    return BY_ID[name].keys or (PALETTE,)


@pytest.fixture
def person(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> Person:
    path = make_project(tmp_path)
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    qtbot.waitUntil(lambda: window.canvas.pixels is not None, timeout=5000)
    created = Person(window, Hands(window, qtbot), qtbot, tmp_path)
    created.base = created.steps()
    return created


def test_every_row_has_an_exercise() -> None:
    """A new row of the table wants one in tests/poseapp/verbs."""
    assert {row.id for row in ACTIONS} == set(EXERCISES)


@pytest.mark.slow
@pytest.mark.parametrize("group", dict.fromkeys(GROUPS))
def test_every_verb_does_what_it_is_for(person: Person, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "patch", monkeypatch.setattr)
    style = person.style
    failures = []
    for row in ACTIONS:
        if (row.menu or "keys") != group or row.id not in EXERCISES:
            continue
        for method in ways(row.id):
            person.verb, person.way = row.id, method
            person.clear(style)
            try:
                EXERCISES[row.id](person)
            except Exception:
                failures.append(f"{row.id} by {method}\n{traceback.format_exc(limit=-2)}")
            if person.window.session.path != person.folder / "verbs.pose":
                files.back_home(person)
    assert not failures, "\n".join(failures)


@pytest.mark.slow
def test_an_exercise_fails_if_its_verb_does_nothing(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the verb under test taken out of the window, its exercise must not pass."""
    style, passed = person.style, []
    for row in ACTIONS:
        if row.id in EXERCISES:
            person.verb, person.way = row.id, ways(row.id)[0]
            person.clear(style)
            if person.window.session.path != person.folder / "verbs.pose":
                files.back_home(person)
            with monkeypatch.context() as patched:
                patched.setattr(files, "patch", patched.setattr)
                patched.setattr(Person, "do", lambda _me: None)
                patched.setattr(PatientBot, "waitUntil", _hasty(QtBot.waitUntil))
                try:
                    EXERCISES[row.id](person)
                except Exception:
                    continue
            passed.append(row.id)
    assert passed == []


def _hasty(wait):  # type: ignore[no-untyped-def]
    def hasty(self, callback, *, timeout=100):  # type: ignore[no-untyped-def]
        return wait(self, callback, timeout=min(timeout, 100))

    return hasty
