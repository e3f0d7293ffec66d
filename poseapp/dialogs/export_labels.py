"""File > Export labels...: format, target and options; says what the format cannot keep before anything is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from engine.errors import LabelError
from engine.formats.registry import formats
from engine.labels.features import Feature, lost_features
from engine.labels.splitting import SplitBy, parse_fractions
from engine.utils.file_names import MAX_NAME_BYTES, byte_length
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, button_row, label
from poseapp.project.exports.registry import Export
from poseapp.project.model import Summary
from poseapp.session.background_queries import Queries

IMAGES = (
    ("copy", "Copy them"),
    ("link", "Link to them"),
    ("none", "Leave them where they are"),
    ("crop", "Crop one for each pose"),
)
SPLIT_BY = (("frame", "by image"), ("video", "by video or folder"), ("track", "by track"))


@dataclass(frozen=True)
class LabelExport:
    """What a person has chosen.

    Attributes:
        format: name of the export. target: file or folder.
        labelled_only: leave out frames without labels. include_predicted: also poses that nobody has accepted.
        images: "none", "copy", "link" or "crop". splits: "80/10/10", "" for none.
        split_by: see ``engine.labels.splitting``.
    """

    format: str
    target: Path
    labelled_only: bool = True
    include_predicted: bool = False
    images: Literal["none", "copy", "link", "crop"] = "copy"
    splits: str = ""
    split_by: SplitBy = "frame"

    def choices(self) -> dict[str, Any]:
        """What is remembered for the next export of the project."""
        return {key: value for key, value in asdict(self).items() if key != "target"}


class ExportLabelsDialog(QDialog):
    """Asks for a :class:`LabelExport`.

    Args:
        exports: to choose from. suggested: the target without its suffix.
        chosen: what was chosen last time (:meth:`LabelExport.choices`).

    Signals:
        accepted_export(LabelExport): Export was pressed.
    """

    accepted_export = Signal(object)

    def __init__(
        self,
        exports: Sequence[Export],
        summary: Summary,
        suggested: Path,
        chosen: dict[str, Any],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("exportLabelsDialog")
        self.setWindowTitle(tr("Export labels"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(560)
        self._exports = {export.name: export for export in exports}
        self._keeps = {format.name: format.keeps for format in formats()}
        self._with_images = {format.name for format in formats() if getattr(format, "writes_images", False)}
        self._features: Counter[Feature] | None = None
        self.queries = Queries(self)
        self.format = QComboBox()
        for export in exports:
            self.format.addItem(tr(export.title), export.name)
        self.path = QLineEdit(str(suggested))
        self.choose_button = button("Choose...")
        self.predicted = QCheckBox(tr(f"Also predictions nobody has accepted ({summary.predicted:,})"))
        self.predicted.setVisible(summary.predicted > 0)
        self.only_labelled = QCheckBox(tr("Leave out images without labels"))
        self.images = _combo(IMAGES)
        self.splits = QLineEdit()
        self.splits.setPlaceholderText(tr("none, or 80/10/10 for train, val and test"))
        self.split_by = _combo(SPLIT_BY)
        self.losses = label("", "hint", wrap=True)
        self.note = label("", "warning", wrap=True)
        self.export_button = button("Export", primary=True)
        self._lay_out(summary)
        self._choose_as(chosen)
        self._suffix = self._current().suffix
        self._set_suffix()
        self.format.currentIndexChanged.connect(lambda _index: self._set_suffix())
        for edit in (self.path, self.splits):
            edit.textChanged.connect(lambda _text: self._check())
        self.choose_button.clicked.connect(self._choose)
        self.export_button.clicked.connect(self._finish)
        self.finished.connect(lambda _result: self.queries.use(None))
        self._check()

    def _lay_out(self, summary: Summary) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Export labels", "heading"))
        text = f"{summary.labelled:,} labelled poses in {summary.labelled_frames:,} of {summary.frames:,} images."
        column.addWidget(label(text, "hint", wrap=True))
        form = QFormLayout()
        form.setSpacing(8)
        target = QHBoxLayout()
        target.setSpacing(8)
        target.addWidget(self.path, 1)
        target.addWidget(self.choose_button)
        splits = QHBoxLayout()
        splits.setSpacing(8)
        splits.addWidget(self.splits, 1)
        splits.addWidget(self.split_by)
        rows = (
            ("Format", self.format, self.format),
            ("Write to", target, self.path),
            ("Images", self.images, self.images),
            ("Splits", splits, self.splits),
        )
        for title, content, widget in rows:
            form.addRow(label(title), content)
            widget.setAccessibleName(tr(title))
        self.split_by.setAccessibleName(tr("What stays in one split"))
        column.addLayout(form)
        column.addWidget(self.only_labelled)
        column.addWidget(self.predicted)
        column.addWidget(self.losses)
        column.addWidget(self.note)
        column.addStretch(1)
        column.addLayout(button_row(self.reject, self.export_button))

    def _choose_as(self, chosen: dict[str, Any]) -> None:
        """Show what was chosen last time; what is unknown by now is as at first."""
        default = LabelExport("", Path())
        for combo, key in ((self.format, "format"), (self.images, "images"), (self.split_by, "split_by")):
            combo.setCurrentIndex(max(0, combo.findData(chosen.get(key))))
        self.only_labelled.setChecked(chosen.get("labelled_only", default.labelled_only) is True)
        self.predicted.setChecked(chosen.get("include_predicted", default.include_predicted) is True)
        splits = chosen.get("splits")
        self.splits.setText(splits if isinstance(splits, str) else "")

    def _current(self) -> Export:
        return self._exports[str(self.format.currentData())]

    def show_features(self, features: Counter[Feature]) -> None:
        """What the project holds, from which follows what a format cannot keep."""
        self._features = features
        self._check()

    def chosen(self) -> LabelExport:
        """What the dialog shows now."""
        export = self._current()
        path = Path(self.path.text().strip()).expanduser()
        if export.suffix and path.suffix == "":
            path = path.with_name(path.name + export.suffix) if path.name else path
        return LabelExport(
            export.name,
            path,
            self.only_labelled.isChecked(),
            self.predicted.isChecked() and self.predicted.isVisibleTo(self),
            self.images.currentData(),
            self.splits.text().strip(),
            self.split_by.currentData(),
        )

    def _set_suffix(self) -> None:
        """The suffix of the target follows the format."""
        suffix, text = self._current().suffix, self.path.text()
        bare = text.removesuffix(self._suffix) if self._suffix else text
        self._suffix = suffix
        self.path.setText(bare + suffix)
        self._check()

    def _choose(self) -> None:
        export = self._current()
        if export.suffix:
            entry = tr(f"{export.title} (*{export.suffix})")
            path, _ = QFileDialog.getSaveFileName(self, tr("Export labels"), self.path.text(), entry)
        else:
            folder = QFileDialog.getExistingDirectory(
                self, tr("A folder for the labels"), os.path.dirname(self.path.text())
            )
            path = os.path.join(folder, os.path.basename(self.path.text())) if folder else ""
        if path:
            self.path.setText(path)

    def _check(self) -> None:
        keeps = self._keeps.get(self._current().name)
        self.images.setEnabled(self._current().name in self._with_images)
        if self._features is None:
            self.losses.setText("")
        elif keeps is not None:
            lost = lost_features(self._features, {*keeps, Feature.UNKNOWN_KEYS})
            text = (
                f"This format cannot keep: {'; '.join(lost)}."
                if lost
                else "This format keeps everything of this project."
            )
            self.losses.setText(tr(text))
        trouble, is_fatal = self._trouble()
        self.note.setText(tr(trouble))
        self.note.setVisible(bool(trouble))
        self.export_button.setEnabled(not is_fatal)

    def _trouble(self) -> tuple[str, bool]:
        """What is wrong or worth knowing, and whether nothing can be exported so."""
        path, text = self.chosen().target, self.path.text().strip()
        if not text or not path.name:
            return "Name a file to write.", True
        if not os.path.isdir(path.parent):
            return f"There is no folder {path.parent}.", True
        if byte_length(path.name) > MAX_NAME_BYTES:
            return "This file name is too long.", True
        if os.path.isdir(path) and os.listdir(path):
            return "This folder is not empty; name a new one.", True
        if self.splits.text().strip():
            try:
                parse_fractions(self.splits.text())
            except LabelError:
                return "Write the splits as 80/20 or 80/10/10.", True
        if os.path.isfile(path):
            return "A file of this name exists; it will be replaced.", False
        return "", False

    def _finish(self) -> None:
        self.accepted_export.emit(self.chosen())
        self.accept()


def _combo(entries: Sequence[tuple[str, str]]) -> QComboBox:
    combo = QComboBox()
    for data, text in entries:
        combo.addItem(tr(text), data)
    return combo
