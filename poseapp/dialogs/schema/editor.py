"""Pose > Edit skeleton: keypoints, left/right pairs, parts and limbs, with a live preview."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QComboBox, QDialog, QFileDialog, QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from engine.errors import SchemaError
from engine.schema.schema import Schema
from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label, set_role
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.schema.choice import Layout, SchemaPreview
from poseapp.dialogs.schema.source import SchemaSource
from poseapp.dialogs.schema.tables import LimbsTable, PointsTable
from poseapp.jobs.runner import JobRunner
from poseapp.project.model import Category
from poseapp.project.schema.draft import SchemaDraft, write_schema
from poseapp.widgets.line_edit import LineEdit

FILES = "Keypoint schemas (*.toml)"


@guarded
class SchemaEditorDialog(QDialog):
    """Edits a draft; the project changes only with "Use in project".

    Signals:
        use_requested(str, SchemaDraft, object): name of the skeleton, the draft, and the category it was made from, or
            None for a new skeleton.

    Args:
        categories: of the project.
        layout: where points lie on a figure at rest.
        current: the one to begin with.
        runner: reads large files in the background.
    """

    use_requested = Signal(str, object, object)

    def __init__(
        self,
        categories: Sequence[Category],
        layout: Layout,
        current: Category | None = None,
        parent: QWidget | None = None,
        runner: JobRunner | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("schemaEditorDialog")
        self.setWindowTitle(tr("Edit skeleton"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(980, 620)
        self.base: Category | None = None
        self.draft = SchemaDraft()
        self._title = ""
        self.kind = QComboBox()
        self.kind.setAccessibleName(tr("Skeleton"))
        for category in categories:
            self.kind.addItem(category.name, category)
        self.kind.addItem(tr("New skeleton"), None)
        self.name = LineEdit()
        self.name.setAccessibleName(tr("Name of the skeleton"))
        self.points, self.limbs = PointsTable(self.draft, self), LimbsTable(self.draft, self)
        self.preview = SchemaPreview(layout)
        self.preview.own_colors = True
        self.note = label("", "hint", wrap=True)
        self.source = SchemaSource(runner, self)
        self._make_buttons()
        self._lay_out()
        self._connect()
        index = next((i for i, c in enumerate(categories) if current is not None and c.id == current.id), 0)
        self.kind.setCurrentIndex(index)
        self._on_kind()

    def _make_buttons(self) -> None:
        self.add_button, self.remove_button = button("Add"), button("Remove")
        self.up_button, self.down_button = button("Up"), button("Down")
        self.pairs_button = button("Pair left and right", tip="Pair left and right keypoints by their names")
        self.add_limb, self.remove_limb = button("Add"), button("Remove")
        self.open_button, self.save_button = button("Open file..."), button("Save as file...")
        self.open_button.setToolTip(tr("Load a skeleton from a TOML file, a COCO category or MMPose metainfo"))
        self.use_button = button("Use in project", primary=True)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(8)
        for widget, stretch in ((label("Skeleton"), 0), (self.kind, 1), (label("Name"), 0), (self.name, 1)):
            top.addWidget(widget, stretch)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        many = (self.add_button, self.remove_button, self.up_button, self.down_button, self.pairs_button)
        self.tabs.addTab(_page(self.points.table, many), tr("Points"))
        self.tabs.addTab(_page(self.limbs.table, (self.add_limb, self.remove_limb)), tr("Limbs"))
        middle = QHBoxLayout()
        middle.setSpacing(16)
        middle.addWidget(self.tabs, 5)
        middle.addWidget(self.preview, 2)
        bottom = QHBoxLayout()
        bottom.setSpacing(8)
        cancel = button("Cancel")
        cancel.clicked.connect(self.close)
        bottom.addWidget(self.open_button)
        bottom.addWidget(self.save_button)
        bottom.addStretch(1)
        bottom.addWidget(cancel)
        bottom.addWidget(self.use_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addLayout(top)
        column.addLayout(middle, 1)
        column.addWidget(self.note)
        column.addLayout(bottom)

    def _connect(self) -> None:
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.name.textChanged.connect(self.check)
        for part in (self.points, self.limbs):
            part.edited.connect(self._on_edited)
        self.points.refused.connect(self._on_refused)
        self.points.table.currentCellChanged.connect(lambda row, *_: self.preview.mark(row))
        self.preview.point_clicked.connect(self._on_point)
        self.add_button.clicked.connect(self._add)
        self.remove_button.clicked.connect(self._remove)
        self.up_button.clicked.connect(lambda: self._move(-1))
        self.down_button.clicked.connect(lambda: self._move(1))
        self.pairs_button.clicked.connect(self._propose)
        self.add_limb.clicked.connect(lambda: self.limbs.add())
        self.remove_limb.clicked.connect(lambda: self.limbs.remove())
        self.open_button.clicked.connect(self._choose_file)
        self.source.read.connect(self._on_read)
        self.source.failed.connect(lambda text: self._tell(text, "error"))
        self.save_button.clicked.connect(self._choose_target)
        self.use_button.clicked.connect(self._use)

    # --- what is edited

    def show_draft(self, draft: SchemaDraft, name: str) -> None:
        # A title of its own stays; one that only repeats the name (or, of earlier versions, its first letter) follows.
        self._title = draft.title if draft.title not in ("", name, name[:1]) else ""
        self.draft = self.points.draft = self.limbs.draft = draft
        self.name.setText(name)
        self.points.fill(0)
        self._on_edited()

    def _on_kind(self) -> None:
        self.base = self.kind.currentData()
        if self.base is None:
            self.show_draft(SchemaDraft("own"), "")
        else:
            self.show_draft(SchemaDraft.of(self.base.schema), self.base.name)

    def _on_edited(self) -> None:
        self.limbs.fill()
        self.check()

    def _on_refused(self, text: str) -> None:
        self._tell(text, "warning")

    def schema(self) -> Schema | None:
        """The schema of the draft, None while it is invalid."""
        name = self.name.text().strip()
        self.draft.category = name
        self.draft.name = re.sub(r"\W+", "_", name).strip("_").lower() or "own"
        self.draft.title = self._title or name
        try:
            return self.draft.schema()
        except SchemaError:
            return None

    def check(self) -> None:
        """Update the preview and list what is missing."""
        schema = self.schema()
        problem = "" if self.name.text().strip() else "Give the skeleton a name."
        if schema is None:
            try:
                self.draft.schema()
            except SchemaError as error:
                problem = str(error) if self.draft.points else "Add the first keypoint."
        else:
            self.preview.set_schema(schema)
            self.preview.mark(self.points.table.currentRow())
        self.use_button.setEnabled(not problem)
        self.save_button.setEnabled(schema is not None)
        self._tell(problem or self._facts(), "warning" if problem else "hint")

    def _facts(self) -> str:
        pairs = sum(bool(row.point.swap) for row in self.draft.points) // 2
        text = f"{len(self.draft.points)} points, {pairs} left and right pairs, {len(self.draft.limbs)} limbs."
        if self.moves_points:
            text += " Poses with this skeleton are converted in one step, which Undo reverts."
        return text

    @property
    def moves_points(self) -> bool:
        """Whether keypoints were added, removed or reordered, so that poses must be converted."""
        count = 0 if self.base is None else self.base.schema.num_keypoints
        return self.base is not None and self.draft.sources() != tuple(range(count))

    # --- buttons

    def _add(self) -> None:
        row = self.points.table.currentRow()
        row_index = self.draft.add(row if row >= 0 else None)
        self.points.fill(row_index)
        self._on_edited()
        self.points.table.setCurrentCell(row_index, PointsTable.NAME)
        self.points.table.setFocus()

    def _remove(self) -> None:
        row = self.points.table.currentRow()
        if 0 <= row < len(self.draft.points):
            self.draft.remove(row)
            self.points.fill(min(row, len(self.draft.points) - 1))
            self._on_edited()

    def _move(self, by: int) -> None:
        row = self.points.table.currentRow()
        if 0 <= row < len(self.draft.points):
            self.points.fill(self.draft.move(row, by))
            self._on_edited()

    def _propose(self) -> None:
        pairs = self.draft.propose_swaps()
        self.points.fill()
        self._on_edited()
        if not pairs:
            self.note.setText(tr("The names suggest no further left/right pairs."))

    def _on_point(self, point: int) -> None:
        self.tabs.setCurrentIndex(0)
        self.points.table.setCurrentCell(point, PointsTable.NAME)

    def _choose_file(self) -> None:
        path = self.source.choose(self)
        if path is not None:
            self.open_file(path)

    def open_file(self, path: Path) -> None:
        """Load a skeleton from a file, see :class:`SchemaSource`; an error is shown and changes nothing."""
        self._tell(f"Reading {path.name}", "hint")
        self.source.open(path)

    def _on_read(self, path: Path, schemas: list[Schema]) -> None:
        self.check()
        if len(schemas) == 1:
            self.show_schema(schemas[0])
            return
        choices = [(f"{s.category or s.name}, {s.num_keypoints} points", s) for s in schemas]
        asked = AskDialog("Choose a skeleton", f"{path.name} describes several.", "Open", self, choices=choices)
        asked.ask(lambda answer: self.show_schema(answer.chosen()))

    def show_schema(self, schema: object) -> None:
        """Edit a schema as a new skeleton."""
        if isinstance(schema, Schema):
            self.kind.setCurrentIndex(self.kind.count() - 1)
            self.show_draft(SchemaDraft.of(schema), schema.category or schema.name)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.source.stop()
        super().closeEvent(event)

    def _tell(self, text: str, role: str) -> None:
        set_role(self.note, role)
        self.note.setText(tr(text))

    def _choose_target(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save skeleton"), f"{self.draft.name}.toml", tr(FILES))
        if chosen:
            self.save_file(Path(chosen))

    def save_file(self, path: Path) -> None:
        schema = self.schema()
        if schema is None:
            return
        try:
            write_schema(path, schema)
        except SchemaError as error:
            self._tell(str(error), "error")
            return
        self._tell(f"Written to {path.name}.", "hint")

    def _use(self) -> None:
        if self.schema() is not None:
            name, draft, base = self.name.text().strip(), self.draft, self.base
            self.close()
            self.use_requested.emit(name, draft, base)


def _page(table: QWidget, buttons: Sequence[QWidget]) -> QWidget:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 8, 0, 0)
    row = QHBoxLayout()
    row.setSpacing(8)
    for widget in buttons:
        row.addWidget(widget)
    row.addStretch(1)
    column.addWidget(table, 1)
    column.addLayout(row)
    return page
