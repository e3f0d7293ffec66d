"""Pictures are read ahead in the way that one goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from poseapp.main_window import MainWindow


def test_what_is_read_ahead_lies_in_the_way_one_goes(
    window: MainWindow, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20, 30, 3), 10 * number, np.uint8))
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
