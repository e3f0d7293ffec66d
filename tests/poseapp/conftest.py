"""A window on a small real project: three drawn pictures, two labelled poses, one prediction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.schema import schema_from_dict
from poseapp.app.application import make_application
from poseapp.project import edits
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow

SIZE = (320, 240)
SCHEMA = schema_from_dict(
    {
        "name": "tee",
        "category": "figure",
        "keypoints": [
            {"name": "head"},
            {"name": "left_hand", "swap": "right_hand"},
            {"name": "right_hand", "swap": "left_hand"},
            {"name": "foot"},
        ],
        "limbs": [
            {"from": "head", "to": "foot"},
            {"from": "left_hand", "to": "head"},
            {"from": "right_hand", "to": "head"},
        ],
    }
)
POSE = np.array([[100.0, 60.0], [150.0, 90.0], [50.0, 90.0], [100.0, 180.0]])


WINDOWS_OF_A_FAST_RUN = frozenset({"test_main_window.py", "test_panels.py", "test_commands.py", "test_startup.py"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a whole window are slow ones, but for those that look at all of its parts."""
    for item in items:
        if "window" in getattr(item, "fixturenames", ()) and item.path.name not in WINDOWS_OF_A_FAST_RUN:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project file with frames a.png, b.png, c.png: two labels on the first, a prediction on the second."""
    for shade, name in enumerate("abc"):
        picture = np.full((SIZE[1], SIZE[0], 3), 60 + 50 * shade, np.uint8)
        cv2.circle(picture, (100, 120), 40, (200, 180, 90), -1)
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    path = tmp_path / "small.pose"
    with ProjectStore.create(path) as store:
        media = store.add_media("images", tmp_path)
        first, second, _ = store.add_frames(media.id, [(f"{name}.png", *SIZE) for name in "abc"])
        category = store.add_category("figure", SCHEMA)
        one, two, three = store.new_ids(3)
        store.apply(
            edits.add_instance(
                first,
                edits.make_instance(one, category, POSE, box=[40, 50, 160, 190]),
                edits.make_instance(two, category, POSE + np.array([140, 10]), [2, 1, 2, 0], box=[180, 60, 300, 200]),
            )
        )
        guess = Instance(
            three,
            category.id,
            POSE + np.array([60.0, 0.0]),
            np.full(4, 2, np.uint8),
            np.zeros(4, bool),
            scores=np.array([0.9, 0.8, 0.4, 0.7]),
            score=0.7,
            box=np.array([100.0, 50, 220, 190]),
            source="a_model",
            state=State.PREDICTED,
        )
        store.apply(edits.add_instance(second, guess))
    return path


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    """An empty main window, closed and waited for at the end."""
    make_application()
    created = MainWindow()
    created.resize(1200, 800)
    created.show()
    created.resize(1200, 800)
    yield created
    created.close()
    created.deleteLater()


@pytest.fixture
def opened(window: MainWindow, project: Path, qtbot: QtBot) -> MainWindow:
    """The window with the project open and the first picture shown."""
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None, timeout=5000)
    qtbot.waitUntil(lambda: window.canvas.image_size == SIZE and not window.runner.active(), timeout=5000)
    window.canvas.setFocus()
    return window


def show_poses(window: MainWindow, bot: QtBot) -> None:
    """Bring the list of poses to the front; a panel behind another tab is not kept up to date."""
    window.docks[1].raise_()
    bot.waitUntil(window.instances.isVisible, timeout=5000)


class Hands:
    """Mouse and keys on a window's canvas, in image pixels."""

    def __init__(self, window: MainWindow, qtbot: QtBot) -> None:
        self.window, self.bot = window, qtbot

    def at(self, x: float, y: float) -> QPoint:
        return self.window.canvas.to_view(x, y).toPoint()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        view = self.window.canvas.viewport()
        a, b = self.at(*start), self.at(*end)
        QTest.mouseMove(view, a)
        QTest.mousePress(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, a)
        for share in (0.3, 0.6, 1.0):
            QTest.mouseMove(view, a + (b - a) * share)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, b)

    def click(self, x: float, y: float, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
        view = self.window.canvas.viewport()
        QTest.mouseMove(view, self.at(x, y))
        QTest.mouseClick(view, button, Qt.KeyboardModifier.NoModifier, self.at(x, y))

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.window.canvas, key, modifier)

    def instance(self, index: int = 0, frame: FrameKey | None = None) -> Instance:
        store = self.window.session.store
        assert store is not None
        key = frame or self.window.session.frame
        assert key is not None
        return store.instances(key)[index]


@pytest.fixture
def hands(opened: MainWindow, qtbot: QtBot) -> Hands:
    return Hands(opened, qtbot)
