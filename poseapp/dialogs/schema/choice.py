"""Choice of the skeleton for new poses, with a preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import Schema
from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label
from poseapp.dialogs.schema.source import SchemaSource
from poseapp.jobs.runner import JobRunner
from poseapp.project.model import Category
from poseapp.widgets.line_edit import LineEdit

SIDES = {"left": "#4aa3ff", "right": "#ff9a3c", "middle": "#9aa6b5"}
"""Colors of the preview, those of the canvas at work."""
FIRST = ("coco", "coco_wholebody", "coco_wholebody_hand", "coco_wholebody_face", "animalpose", "ap10k")
"""Kinds asked for most; the others follow by name."""
Layout = Callable[[Schema], npt.NDArray[np.float64]]
CHOICE_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True)
class KindChoice:
    """Name and schema of the chosen category."""

    name: str
    schema: Schema


class SchemaChoiceDialog(QDialog):
    """Asks for a :class:`KindChoice`.

    Signals:
        kind_chosen(KindChoice)

    Args:
        present: categories that the project has; they come first.
        layout: where the points of a schema lie on a figure at rest, (K, 2), for the preview.
        current: the one in use.
        runner: reads large files in the background.
    """

    kind_chosen = Signal(object)

    def __init__(
        self,
        present: Sequence[Category],
        layout: Layout,
        current: Category | None = None,
        parent: QWidget | None = None,
        runner: JobRunner | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("schemaChoiceDialog")
        self.setWindowTitle(tr("Skeleton for new poses"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(720, 520)
        self.search = LineEdit()
        self.search.setPlaceholderText(tr("Find a skeleton: person, hand, face..."))
        self.search.setAccessibleName(tr("Find a skeleton"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Skeletons"))
        self.list.setUniformItemSizes(True)
        self.list.currentItemChanged.connect(self._show)
        self.list.itemDoubleClicked.connect(lambda _item: self._finish())
        self.preview = SchemaPreview(layout)
        self.facts = label("", "hint", wrap=True)
        self.note = label("", "error", wrap=True)
        self.note.hide()
        self.use_button = button("Use this", primary=True)
        self.use_button.clicked.connect(self._finish)
        self.source = SchemaSource(runner, self)
        self.source.read.connect(self._add_file)
        self.source.failed.connect(self._on_failed)
        self.finished.connect(self.source.stop)
        self._lay_out()
        self._fill(present, current)
        self.search.setFocus()

    def _lay_out(self) -> None:
        own = button("From file...", tip="A TOML file, the categories of a COCO file or MMPose metainfo")
        own.clicked.connect(self._choose_file)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Skeleton for new poses", "heading"))
        middle = QHBoxLayout()
        middle.setSpacing(16)
        left, right = QVBoxLayout(), QVBoxLayout()
        left.setSpacing(8)
        right.setSpacing(8)
        left.addWidget(self.search)
        left.addWidget(self.list, 1)
        right.addWidget(self.preview, 1)
        right.addWidget(self.facts)
        middle.addLayout(left, 3)
        middle.addLayout(right, 2)
        column.addLayout(middle, 1)
        column.addWidget(self.note)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(own)
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.use_button)
        column.addLayout(buttons)

    def _fill(self, present: Sequence[Category], current: Category | None) -> None:
        for category in present:
            self._add(KindChoice(category.name, category.schema), f"{category.name}, in this project")
        present_names = {category.schema.names for category in present}
        names = [*FIRST, *(name for name in builtin_schemas() if name not in FIRST)]
        for schema in map(find_schema, names):
            if schema.names not in present_names:
                self._add(KindChoice(schema.category or schema.name, schema), schema.title or schema.name)
        index = next((i for i, category in enumerate(present) if current and category.id == current.id), 0)
        self.list.setCurrentRow(index)

    def _add(self, choice: KindChoice, text: str) -> QListWidgetItem:
        item = QListWidgetItem(tr(text))
        item.setData(CHOICE_ROLE, choice)
        self.list.addItem(item)
        return item

    def choice(self) -> KindChoice | None:
        item = self.list.currentItem()
        return None if item is None or item.isHidden() else item.data(CHOICE_ROLE)

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        first: QListWidgetItem | None = None
        for row in range(self.list.count()):
            item = self.list.item(row)
            choice: KindChoice = item.data(CHOICE_ROLE)
            haystack = f"{item.text()} {choice.name} {choice.schema.name}".lower()
            item.setHidden(not all(word in haystack for word in words))
            first = item if first is None and not item.isHidden() else first
        if first is not None and (self.choice() is None or words):
            self.list.setCurrentItem(first)
        self._show()

    def _show(self, *_: object) -> None:
        choice = self.choice()
        self.use_button.setEnabled(choice is not None)
        self.preview.set_schema(None if choice is None else choice.schema)
        if choice is None:
            self.facts.setText(tr("No skeleton has this name. You can also load one from a file."))
            return
        schema = choice.schema
        parts = ", ".join(f"{tr(part.replace('_', ' '))} {len(points)}" for part, points in schema.parts.items())
        self.facts.setText(tr(f"{choice.name}: {schema.num_keypoints} points, {len(schema.limbs)} limbs ({parts})"))

    def _choose_file(self) -> None:
        path = self.source.choose(self)
        if path is not None:
            self.take_file(path)

    def take_file(self, path: Path) -> None:
        """Add the skeletons of a file to the list and choose the first; errors are shown below the list."""
        self.note.hide()
        self.source.open(path)

    def _on_failed(self, text: str) -> None:
        self.note.setText(tr(text))
        self.note.show()

    def _add_file(self, path: Path, schemas: list[Schema]) -> None:
        self.search.clear()
        items = [self._add(KindChoice(s.category or s.name, s), _file_text(s, path)) for s in schemas]
        self.list.setCurrentItem(items[0])
        self.list.scrollToItem(items[-1])
        self.list.scrollToItem(items[0])

    def _finish(self) -> None:
        choice = self.choice()
        if choice is not None:
            self.accept()
            self.kind_chosen.emit(choice)


def _file_text(schema: Schema, path: Path) -> str:
    return f"{schema.category or schema.title or schema.name}, from {path.name}"


@guarded
class SchemaPreview(QWidget):
    """Draws the keypoints and limbs of a schema on a figure at rest.

    Signals:
        point_clicked(int): position of the keypoint nearest to a click.

    Attributes:
        own_colors: the schema's colors where it has some, else those of the sides.
    """

    point_clicked = Signal(int)
    own_colors = False

    def __init__(self, layout: Layout, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = layout
        self._schema: Schema | None = None
        self._points = np.zeros((0, 2))
        self._marked = -1
        self.setMinimumWidth(220)

    def sizeHint(self) -> QSize:
        return QSize(260, 320)

    def set_schema(self, schema: Schema | None) -> None:
        self._schema = schema
        self._points = np.zeros((0, 2)) if schema is None else self._layout(schema)
        self.setAccessibleName(tr("" if schema is None else f"Skeleton {schema.title}"))
        self.update()

    def mark(self, point: int) -> None:
        """Highlight a keypoint by a ring and its name; -1 for none."""
        self._marked = point
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if len(self._points):
            away = [(p - event.position()).manhattanLength() for p in self._places()]
            self.point_clicked.emit(away.index(min(away)))

    def _paint_mark(self, painter: QPainter, center: QPointF, name: str) -> None:
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Text), 1.6))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(center, 8, 8)
        room = painter.fontMetrics().boundingRect(name)
        x = min(max(center.x() + 12, 8), self.width() - room.width() - 8)
        painter.drawText(QPointF(x, max(center.y() - 12, room.height())), name)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
        painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 8, 8)
        schema = self._schema
        if schema is None or not len(self._points):
            return
        points = self._places()
        own = [point.color if self.own_colors else "" for point in schema.keypoints]
        tints = [QColor(color or SIDES[side]) for color, side in zip(own, schema.sides)]
        for limb in schema.limbs:
            a, b = schema.index[limb.start], schema.index[limb.end]
            tint = tints[a] if schema.sides[a] == schema.sides[b] else QColor(SIDES["middle"])
            if self.own_colors and limb.color:
                tint = QColor(limb.color)
            painter.setPen(QPen(tint, 2.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(points[a], points[b])
        radius = 4.5 if schema.num_keypoints <= 30 else 2.5
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Base), 1))
        for position, tint in zip(points, tints):
            painter.setBrush(tint)
            painter.drawEllipse(position, radius, radius)
        if 0 <= self._marked < len(points):
            self._paint_mark(painter, points[self._marked], schema.names[self._marked])
        painter.end()

    def _places(self) -> list[QPointF]:
        low, high = self._points.min(axis=0), self._points.max(axis=0)
        room = np.array([self.width() - 56, self.height() - 56], dtype=float)
        scale = float((room / np.maximum(high - low, 1e-6)).min())
        middle = (low + high) / 2
        points = (self._points - middle) * scale + (self.width() / 2, self.height() / 2)
        return [QPointF(x, y) for x, y in points.tolist()]
