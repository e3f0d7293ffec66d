"""File > Export COCO: target file and options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QDialog, QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from engine.utils.file_names import MAX_NAME_BYTES, byte_length
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, button_row, label
from poseapp.project.model import Summary


@dataclass(frozen=True)
class ExportWish:
    """The options of a COCO export."""

    path: Path
    include_predicted: bool = False
    only_labelled_frames: bool = False
    unseen_frames: bool = False


class ExportCocoDialog(QDialog):
    """Asks for an :class:`ExportWish`.

    Signals:
        accepted_wish(ExportWish): Export was pressed.
    """

    accepted_wish = Signal(object)

    def __init__(self, summary: Summary, suggested: Path, parent: QWidget | None = None, unseen: int = 0) -> None:
        """``unseen``: number of images without labels that were never reviewed."""
        super().__init__(parent)
        self.setObjectName("exportCocoDialog")
        self.setWindowTitle(tr("Export COCO"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Export COCO keypoints", "heading"))
        column.addWidget(
            label(
                f"{summary.labelled:,} labelled poses in {summary.labelled_frames:,} of {summary.frames:,} images. "
                "Records of an imported COCO file that were not changed are written back exactly.",
                "hint",
                wrap=True,
            )
        )
        self.path = QLineEdit(str(suggested))
        self.path.setAccessibleName(tr("File to write"))
        choose = button("Choose...")
        choose.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.path, 1)
        row.addWidget(choose)
        column.addWidget(label("File"))
        column.addLayout(row)
        self.predicted = QCheckBox(
            tr(f"Also predictions nobody has accepted ({summary.predicted:,}), with their scores")
        )
        self.predicted.setVisible(summary.predicted > 0)
        self.only_labelled = QCheckBox(tr("Leave out images without labels"))
        self.unseen = QCheckBox(tr(f"Also images that nobody has looked at ({unseen:,}), as images without objects"))
        self.unseen.setToolTip(
            tr(
                "Left out by default: training treats an image without annotations as empty. Reviewed images "
                "and those of an imported COCO file are always written."
            )
        )
        self.unseen.setVisible(unseen > 0)
        self.only_labelled.toggled.connect(self.unseen.setDisabled)
        column.addWidget(self.predicted)
        column.addWidget(self.unseen)
        column.addWidget(self.only_labelled)
        self.note = label("", "warning", wrap=True)
        column.addWidget(self.note)
        column.addStretch(1)
        self.export_button = button("Export", primary=True)
        self.export_button.clicked.connect(self._finish)
        column.addLayout(button_row(self.reject, self.export_button))
        self.path.textChanged.connect(self._check)
        self._check()

    def wish(self) -> ExportWish:
        path = Path(self.path.text().strip()).expanduser()
        if path.suffix == "":
            path = path.with_suffix(".json")
        return ExportWish(path, self.predicted.isChecked(), self.only_labelled.isChecked(), self.unseen.isChecked())

    def _choose(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, tr("Export COCO"), self.path.text(), tr("COCO annotations (*.json)")
        )
        if chosen:
            self.path.setText(chosen)

    def _check(self) -> None:
        text = self.path.text().strip()
        path = Path(text).expanduser()
        trouble = ""
        if not text or os.path.isdir(path):
            trouble = "Name a file to write."
        elif not os.path.isdir(path.parent):
            trouble = f"There is no folder {path.parent}."
        elif byte_length(path.name) > MAX_NAME_BYTES:
            trouble = "This file name is too long."
        elif os.path.exists(path):
            trouble = "A file of this name exists; it will be replaced."
        self.note.setText(tr(trouble))
        self.note.setVisible(bool(trouble))
        self.export_button.setEnabled(not trouble or os.path.isfile(path))

    def _finish(self) -> None:
        self.accepted_wish.emit(self.wish())
        self.accept()
