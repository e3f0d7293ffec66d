"""Pose > Convert to another skeleton: all poses of a category, with a table that maps the keypoints."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QComboBox, QDialog, QGridLayout, QHBoxLayout, QTableWidgetItem, QVBoxLayout, QWidget

from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import Schema
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label
from poseapp.dialogs.schema.tables import NONE, ChoiceDelegate, put, table_of
from poseapp.project.model import Category
from poseapp.project.schema.migration import Sources, lost_points, match_points

PRESENT, NEW = QPalette.ColorRole.WindowText, QPalette.ColorRole.PlaceholderText
SHOWN = 6
"""Names of lost points that are told; the others are counted."""


class ChangePointsDialog(QDialog):
    """Asks for the source of each keypoint.

    Signals:
        change_requested(Category, Schema, tuple): category, new schema, and the source of each of its keypoints.
    """

    change_requested = Signal(object, object, object)

    def __init__(
        self, categories: Sequence[Category], current: Category | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("changePointsDialog")
        self.setWindowTitle(tr("Convert to another skeleton"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(560, 600)
        self.kind, self.target = QComboBox(), QComboBox()
        self.kind.setAccessibleName(tr("Poses of category"))
        self.target.setAccessibleName(tr("New skeleton"))
        for category in categories:
            self.kind.addItem(tr(f"{category.name}, {category.schema.num_keypoints} points"), category)
        own = {c.schema.name for c in categories}
        for category in categories:
            self.target.addItem(tr(f"{category.name}, in this project"), category.schema)
        for name in builtin_schemas():
            schema = find_schema(name)
            if name not in own:
                self.target.addItem(tr(schema.title or name), schema)
        self.sources: list[int | None] = []
        self.table = table_of(("New keypoint", "Source"), "Mapping")
        self.table.horizontalHeader().resizeSection(1, 220)
        self._old = ChoiceDelegate(lambda: [NONE, *self.source.schema.names], self.table)
        self.table.setItemDelegateForColumn(1, self._old)
        self.facts = label("", "hint", wrap=True)
        self.change_button = button("Convert poses", primary=True)
        self._lay_out()
        index = next((i for i, c in enumerate(categories) if current is not None and c.id == current.id), 0)
        self.kind.setCurrentIndex(index)
        self.target.setCurrentIndex(self._likely())
        self.kind.currentIndexChanged.connect(self._match)
        self.target.currentIndexChanged.connect(self._match)
        self.table.cellChanged.connect(self._on_cell)
        self.change_button.clicked.connect(self._finish)
        self._match()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Convert to another skeleton", "heading"))
        form = QGridLayout()
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(8)
        form.setColumnStretch(1, 1)
        for row, (text, widget) in enumerate((("Poses of category", self.kind), ("New skeleton", self.target))):
            form.addWidget(label(text), row, 0)
            form.addWidget(widget, row, 1)
        column.addLayout(form)
        column.addWidget(self.table, 1)
        column.addWidget(self.facts)
        bottom = QHBoxLayout()
        cancel = button("Cancel")
        cancel.clicked.connect(self.close)
        bottom.addStretch(1)
        bottom.addWidget(cancel)
        bottom.addWidget(self.change_button)
        column.addLayout(bottom)

    @property
    def source(self) -> Category:
        category: Category = self.kind.currentData()
        return category

    @property
    def schema(self) -> Schema:
        schema: Schema = self.target.currentData()
        return schema

    def _likely(self) -> int:
        """The schema that shares most keypoints with the current one; the first if none shares half."""
        schemas: list[Schema] = [self.target.itemData(row) for row in range(self.target.count())]
        old = self.source.schema
        counts = [sum(at is not None for at in match_points(old, schema)) for schema in schemas]
        enough = [row for row, count in enumerate(counts) if 2 * count >= old.num_keypoints]
        others = [row for row in enough if schemas[row].names != old.names]
        return max(others, key=lambda row: (counts[row], -schemas[row].num_keypoints), default=0)

    def _match(self) -> None:
        self.sources = list(match_points(self.source.schema, self.schema))
        self._fill()

    def _fill(self) -> None:
        old = self.source.schema.names
        with QSignalBlocker(self.table):
            self.table.setRowCount(self.schema.num_keypoints)
            for row, (name, at) in enumerate(zip(self.schema.names, self.sources)):
                put(self.table, row, 0, name)
                self._cell(row, 0).setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                put(self.table, row, 1, "" if at is None else old[at])
                self._cell(row, 0).setForeground(self.palette().brush(PRESENT if at is not None else NEW))
        lost = lost_points(self.source.schema, self.sources)
        mapped = sum(at is not None for at in self.sources)
        words = f"{mapped} of {self.schema.num_keypoints} keypoints are mapped; the others start absent."
        if lost:
            more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
            words += f" Left out: {', '.join(lost[:SHOWN])}{more}."
        same = self.schema.names == self.source.schema.names
        if same:
            words = "The poses already have this skeleton."
        elif not mapped:
            words = "No keypoint is mapped yet: choose the source of at least one below."
        else:
            words += " One step, which Undo takes back."
        self.facts.setText(tr(words))
        self.change_button.setEnabled(mapped > 0 and not same)

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.table.item(row, column)
        assert item is not None
        return item

    def _on_cell(self, row: int, column: int) -> None:
        if column == 1:
            self.sources[row] = self.source.schema.index.get(self._cell(row, 1).text())
            self._fill()

    def _finish(self) -> None:
        chosen: Sources = tuple(self.sources)
        source, schema = self.source, self.schema
        self.close()
        self.change_requested.emit(source, schema, chosen)
