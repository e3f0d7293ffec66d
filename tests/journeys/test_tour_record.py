"""What the tour says when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from poseapp.app.application import make_application
from poseapp.tour.base import Summary, TourError, breathe, check, training_steps, wait_until
from poseapp.tour.driver import Hands
from poseapp.window.main_window import MainWindow


@pytest.fixture
def hands(qtbot: QtBot, tmp_path: Path) -> Iterator[Hands]:
    make_application()
    window = MainWindow()
    window.show()
    yield Hands(window, tmp_path, Summary(), [])
    window.close()


def test_a_failed_step_is_named(hands: Hands) -> None:
    with pytest.raises(TourError, match="step 1, 'Do it': nothing came"), hands.step("Do it"):
        check(False, "nothing came")
    assert hands.summary.steps == []


def test_an_error_in_a_slot_fails_the_step(hands: Hands) -> None:
    with pytest.raises(TourError, match="step 1, 'Do it': ValueError: odd"), hands.step("Do it", "done"):
        hands.defects.append("ValueError: odd")


def test_waiting_ends_with_what_was_waited_for(qtbot: QtBot) -> None:
    with pytest.raises(TourError, match="waited 0 s for rain"):
        wait_until(lambda: False, "rain", 0.01)


def test_waiting_lets_the_window_work(qtbot: QtBot) -> None:
    seen: list[int] = []
    QTimer.singleShot(20, lambda: seen.append(1))
    assert wait_until(lambda: seen, "the timer", 5) == [1]
    breathe(1)


def test_pictures_are_numbered_and_listed(hands: Hands) -> None:
    with hands.step("Look", "after") as checked:
        hands.picture("before")
        checked.append("seen")
    (row,) = hands.summary.steps
    assert row["pictures"] == ["01-before.png", "02-after.png"]
    assert (hands.folder / "02-after.png").stat().st_size > 1000


def test_the_summary_says_what_failed(tmp_path: Path) -> None:
    Summary((10, 10)).write(tmp_path, "step 3, 'x': y")
    assert json.loads((tmp_path / "summary.json").read_text())["failed"] == "step 3, 'x': y"
    assert "Failed: step 3, 'x': y" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(("given", "steps"), [("", 120), ("12", 12), ("1", 4), ("many", 120)])
def test_the_number_of_training_steps_can_be_set(given: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEAPP_TOUR_STEPS", given)
    assert training_steps() == steps
