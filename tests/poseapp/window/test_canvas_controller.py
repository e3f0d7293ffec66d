"""Pictures are read ahead in the way that one goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from poseapp.window.main_window import MainWindow


def test_what_is_read_ahead_lies_in_the_way_one_goes(
    window: MainWindow, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(9):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((20, 30, 3), 10 * index, np.uint8))
    window.open_paths([tmp_path])
    qtbot.waitUntil(lambda: len(window.session.frames) == 9 and not window.runner.active(), timeout=8000)
    asked: list[tuple[int, list[int]]] = []

    def request(key: Any, _path: Path, near: Any) -> None:
        asked.append((key.index, [k.index for k, _ in near]))

    monkeypatch.setattr(window.loader, "request", request)
    for verb in ("next_ten", "previous_frame", "previous_frame", "next_frame", "first_frame", "next_frame"):
        window.run(verb)
    assert asked == [
        (8, [7]),
        (7, [6, 5, 8]),
        (6, [5, 4, 7]),
        (7, [8, 6]),
        (0, [1]),
        (1, [2, 3, 0]),
    ]


def test_a_picture_of_another_size_than_its_labels_were_made_on_is_told_of_once(
    project: Path, window: MainWindow, qtbot: QtBot
) -> None:
    cv2.imwrite(str(project.parent / "b.png"), np.zeros((100, 50, 3), np.uint8))  # has a prediction
    cv2.imwrite(str(project.parent / "c.png"), np.zeros((90, 60, 3), np.uint8))  # has nothing
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    store = window.session.store
    assert store is not None
    second, third = store.frame_keys()[1:3]
    messages: list[str] = []
    window.toasts.show_message = lambda text, *_: messages.append(text)  # type: ignore[method-assign]
    for frame, size in ((second, (50, 100)), (third, (60, 90)), (second, (50, 100))):
        window.session.go_to(frame)
        qtbot.waitUntil(lambda size=size: window.canvas.image_size == size, timeout=5000)
    assert [text for text in messages if "pixels" in text] == [
        "This image is 50 x 100 pixels, but its labels were made on 320 x 240. "
        "Was it replaced? Check the positions of the labels."
    ]
    assert (store.frame(second).width, store.frame(second).height) == (320, 240)
    assert (store.frame(third).width, store.frame(third).height) == (60, 90)


def test_pictures_of_the_size_that_the_project_has_are_not_told_of(opened: MainWindow, qtbot: QtBot) -> None:
    for _ in range(2):
        opened.run("next_frame")
        qtbot.waitUntil(lambda: opened.canvas.image_size is not None, timeout=5000)
    assert not any("pixels, but its labels" in text for text in opened.toasts.messages())
