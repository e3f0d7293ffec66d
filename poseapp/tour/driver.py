"""What the tour acts and looks with: mouse and keys on the real window, and pictures of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from poseapp.project.model import Instance
from poseapp.tour.base import Summary, TourError, breathe, check, wait_until
from poseapp.window.main_window import MainWindow

NO_MODIFIER = Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton
SHADE = QColor(0, 0, 0, 110)
SHADOW_WIDTH = 18
SEAM = QColor(128, 136, 148, 120)


class Hands:
    """Acts on the window as a person does, and keeps the record.

    Args:
        folder: where the pictures go.
        summary: gets a row for every step.
        defects: errors that Qt slots raised so far; one more ends the step.
    """

    def __init__(self, window: MainWindow, folder: Path, summary: Summary, defects: list[str]) -> None:
        self.window, self.folder, self.summary, self.defects = window, folder, summary, defects
        self._pictures: list[str] = []
        self._count = 0

    # --- acting

    def to_front(self) -> None:
        """Give the window the keys; after a dialog has closed, not every desktop does."""
        if QApplication.activeWindow() is not self.window:
            self.window.activateWindow()
            self.window.raise_()
            breathe(60)

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NO_MODIFIER, widget: QWidget | None = None) -> None:
        """Press a key, on the canvas unless another widget is meant."""
        if widget is None:
            self.to_front()
            self.window.canvas.setFocus()
        QTest.keyClick(widget or self.window.canvas, key, modifier)
        breathe(60)

    def at(self, x: float, y: float) -> QPoint:
        """Place in the canvas of image pixels."""
        return self.window.canvas.to_view(x, y).toPoint()

    def drag(self, start: QPoint, end: QPoint) -> None:
        view = self.window.canvas.viewport()
        self.to_front()
        QTest.mouseMove(view, start)
        breathe(15)
        QTest.mousePress(view, LEFT, NO_MODIFIER, start)
        for share in np.linspace(0.2, 1.0, 6):
            QTest.mouseMove(view, start + (end - start) * float(share))
            breathe(15)
        QTest.mouseRelease(view, LEFT, NO_MODIFIER, end)
        breathe(80)

    def click(self, point: QPoint, button: Qt.MouseButton = LEFT) -> None:
        view = self.window.canvas.viewport()
        self.to_front()
        QTest.mouseMove(view, point)
        breathe(30)
        QTest.mouseClick(view, button, NO_MODIFIER, point)
        breathe(60)

    def press(self, widget: QWidget) -> None:
        """Click a button; it must be there to be clicked."""
        check(widget.isVisible() and widget.isEnabled(), f"the button {widget.property('text')!r} cannot be pressed")
        QTest.mouseClick(widget, LEFT)
        breathe(80)

    def write(self, widget: QWidget, text: str) -> None:
        """Replace a line's text by typing."""
        widget.setFocus()
        QTest.keyClick(widget, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(widget, text)
        breathe(40)

    def dialog(self, kind: type[QDialog]) -> Any:
        """The dialog of that kind, once it is shown."""
        dialog = wait_until(
            lambda: [d for d in self.window.findChildren(kind) if d.isVisible()], f"the dialog {kind.__name__}", 20
        )
        breathe(150)
        return dialog[-1]

    # --- looking

    @property
    def instances(self) -> tuple[Instance, ...]:
        return self.window.session.instances

    @property
    def store(self) -> Any:
        store = self.window.session.store
        check(store is not None, "no project is open")
        return store

    def idle(self) -> bool:
        return not self.window.runner.active()

    def quiet(self) -> None:
        """Wait until nothing runs, and let the messages of before go away."""
        wait_until(self.idle, "the work to end")
        self.window.toasts.clear()

    # --- the record

    def picture(self, name: str, dialog: QWidget | None = None) -> None:
        """A numbered picture of the window, with a dialog over it as a desktop shows it."""
        breathe(120)
        self._count += 1
        shot = self.window.grab()
        if dialog is not None:
            _lay_over(shot, dialog.grab(), self.window.size())
        file = f"{self._count:02d}-{name}.png"
        check(not shot.isNull() and shot.save(str(self.folder / file)), f"{file} could not be written")
        self._pictures.append(file)

    @contextmanager
    def step(self, title: str, name: str = "") -> Iterator[list[str]]:
        """One step: what is checked is appended to the list; at its end a picture is taken. A failure names the step.

        Raises:
            TourError: the step failed, or a slot of the window raised.
        """
        step_number = len(self.summary.steps) + 1
        start, checked, known = time.monotonic(), [], len(self.defects)  # type: ignore[var-annotated]
        self._pictures = []
        try:
            yield checked
            if name:
                self.picture(name)
            if len(self.defects) > known:
                raise TourError(self.defects[known])
        except TourError as error:
            raise TourError(f"step {step_number}, {title!r}: {error}") from None
        row = {"number": step_number, "step": title, "checked": "; ".join(checked), "pictures": self._pictures}
        self.summary.steps.append({**row, "seconds": round(time.monotonic() - start, 2)})


def _lay_over(ground: QPixmap, dialog: QPixmap, window: QSize) -> None:
    """Paint a dialog in the middle of the window's picture, with a shadow around it."""
    ratio = dialog.devicePixelRatio()
    width, height = dialog.width() / ratio, dialog.height() / ratio
    left, top = (window.width() - width) / 2, max((window.height() - height) / 2, 8)
    target_rect = QRectF(left, top, width, height)
    painter = QPainter(ground)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.fillRect(QRectF(0, 0, window.width(), window.height()), SHADE)
    for i in range(SHADOW_WIDTH, 0, -1):
        path = QPainterPath()
        path.addRoundedRect(target_rect.adjusted(-i, -i + 4, i, i + 4), 8 + i, 8 + i)
        painter.fillPath(path, QColor(0, 0, 0, round(60 / SHADOW_WIDTH)))
    painter.drawPixmap(target_rect.topLeft(), dialog)
    painter.setPen(QPen(SEAM, 1))
    painter.drawRect(target_rect)
    painter.end()
