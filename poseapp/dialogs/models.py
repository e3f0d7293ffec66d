"""Models > Models: what there is, built in and trained here; choose one, bring one in, take one away."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from engine.checkpoint_info import read_info
from engine.contract.errors import PoseError
from engine.zoo import ModelEntry, list_models, user_models_dir
from poseapp.dialogs.figures import say_figures
from poseapp.dialogs.parts import button, label

TASKS = {"pose": "Poses", "detector": "Finds objects"}


class ModelsDialog(QDialog):
    """The model list.

    Signals:
        model_chosen(str): id of the pose model that Run is to use.
    """

    model_chosen = Signal(str)

    def __init__(self, current: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("modelsDialog")
        self.setWindowTitle("Models")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._current = current
        self._entries: list[ModelEntry] = []
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Model", "Does", "Points", "Figures", "From"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setAccessibleName("Models")
        self.about = label("", "hint", wrap=True)
        self.note = label("", "warning", wrap=True)
        self.note.hide()
        self._build()
        self.refresh()

    def _build(self) -> None:
        self.resize(860, 460)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Models", "heading"))
        column.addWidget(self.list, 1)
        column.addWidget(self.about)
        column.addWidget(self.note)
        header = self.list.header()
        header.setStretchLastSection(False)
        for section in range(5):
            stretch = section == 3
            mode = QHeaderView.ResizeMode.Stretch if stretch else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(section, mode)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.bring_button = button("Bring in a file...", tip="A model trained elsewhere with this program")
        self.folder_button = button("Open folder")
        self.remove_button = button("Remove")
        self.use_button = button("Use this model", primary=True)
        self.bring_button.clicked.connect(self._bring)
        self.folder_button.clicked.connect(self._folder)
        self.remove_button.clicked.connect(self._remove)
        self.use_button.clicked.connect(self._use)
        for made in (self.bring_button, self.folder_button, self.remove_button):
            row.addWidget(made)
        row.addStretch(1)
        row.addWidget(self.use_button)
        column.addLayout(row)
        self.list.currentItemChanged.connect(lambda *_: self._check())
        self.list.itemDoubleClicked.connect(lambda *_: self._use())

    def refresh(self, select: str | None = None) -> None:
        """Read the list again."""
        wanted = select or self._current
        self._entries = list_models()
        self.list.clear()
        for entry in self._entries:
            origin = "built in" if entry.source == "embedded" else "yours"
            size = f"{entry.input_size[0]} x {entry.input_size[1]}"
            item = QTreeWidgetItem(
                [entry.title, TASKS.get(entry.task, entry.task), entry.schema, say_figures(entry.metrics), origin]
            )
            item.setData(0, Qt.ItemDataRole.UserRole, entry.id)
            item.setToolTip(0, f"{entry.id}\n{entry.architecture}, {size}")
            if entry.id == self._current:
                font = item.font(0)
                font.setBold(True)
                item.setFont(0, font)
            self.list.addTopLevelItem(item)
            if entry.id == wanted:
                self.list.setCurrentItem(item)
        self._check()

    def entry(self) -> ModelEntry | None:
        item = self.list.currentItem()
        chosen = None if item is None else item.data(0, Qt.ItemDataRole.UserRole)
        return next((entry for entry in self._entries if entry.id == chosen), None)

    def ids(self) -> list[str]:
        return [entry.id for entry in self._entries]

    def _check(self) -> None:
        entry = self.entry()
        own = entry is not None and entry.source == "user"
        self.about.setText(
            "" if entry is None else f"{entry.id}: {entry.use or entry.architecture}. {entry.metrics_on}".strip()
        )
        self.use_button.setEnabled(entry is not None and entry.task == "pose")
        self.remove_button.setEnabled(own)

    def _use(self) -> None:
        entry = self.entry()
        if entry is not None and entry.task == "pose":
            self._current = entry.id
            self.model_chosen.emit(entry.id)
            self.close()

    def _bring(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "A trained model", "", "Models (*.safetensors)")
        if chosen:
            self.bring_in(Path(chosen))

    def bring_in(self, file: Path) -> None:
        """Copy a checkpoint into the user's models folder, after a look at what it says of itself."""
        try:
            info = read_info(file)
            folder = user_models_dir()
            folder.mkdir(parents=True, exist_ok=True)
            name = file.stem if file.stem not in ("best", "last") else file.parent.name
            target = folder / f"{name}.safetensors"
            number = 2
            while target.exists():
                target = folder / f"{name}-{number}.safetensors"
                number += 1
            part = target.with_suffix(".part")
            shutil.copyfile(file, part)
            os.replace(part, target)
        except (PoseError, OSError) as error:
            self._say(f"Not brought in: {error}")
            return
        self._say(f"{target.stem} is in the list ({info.architecture}).")
        self.refresh(target.stem)

    def _folder(self) -> None:
        folder = user_models_dir()
        folder.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _remove(self) -> None:
        """Move one of the user's own models out of the list; its files stay in ``removed`` beside it."""
        entry = self.entry()
        if entry is None or entry.source != "user" or entry.file is None:
            return
        folder = user_models_dir()
        what = entry.file if entry.file.parent == folder else entry.file.parent
        bin_folder = folder.parent / "removed-models"
        try:
            bin_folder.mkdir(parents=True, exist_ok=True)
            target = bin_folder / what.name
            number = 2
            while target.exists():
                target = bin_folder / f"{what.stem}-{number}{what.suffix}"
                number += 1
            shutil.move(what, target)
        except OSError as error:
            self._say(f"Not removed: {error}")
            return
        self._say(f"{entry.id} is out of the list; its files are in {target}.")
        self.refresh()

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.show()
