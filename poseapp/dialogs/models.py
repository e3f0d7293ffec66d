"""Models > Models: list bundled and own models; choose, import, download and remove them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices, QFont
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from engine.errors import ModelError, PoseError
from engine.models.catalog import RUN_FILES, ModelEntry, list_models, user_models_dir
from engine.models.metadata import read_info
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label
from poseapp.dialogs.figures import say_figures

TASKS = {"pose": "keypoints", "detector": "boxes"}
COLUMNS = ("Model", "Detects", "Skeleton", "Input", "Size", "Metrics", "Source")
FIGURES = 5
ROW_HEIGHT = 28


class ModelsDialog(QDialog):
    """The model list. Non-modal.

    Signals:
        model_chosen(str): id of the pose model for Run.
        download_wanted(ModelEntry): download the weights of a published model.

    Args:
        current: id of the model in use, shown in bold.
    """

    model_chosen = Signal(str)
    download_wanted = Signal(object)

    def __init__(self, current: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("modelsDialog")
        self.setWindowTitle(tr("Models"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._current = current
        self._entries: list[ModelEntry] = []
        self._build()
        self.refresh()

    def _build(self) -> None:
        self.resize(880, 520)
        self.setMinimumSize(640, 400)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        top = QHBoxLayout()
        top.addWidget(label("Models", "heading"))
        top.addStretch(1)
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Models"))
        self.which.addItem(tr("On this computer"), True)
        self.which.addItem(tr("All, including downloadable ones"), False)
        self.which.currentIndexChanged.connect(lambda: self.refresh())
        top.addWidget(self.which)
        column.addLayout(top)
        self.list = self._make_list()
        column.addWidget(self.list, 1)
        column.addWidget(self._make_details())
        self.note = label("", "soft", wrap=True)
        self.note.hide()
        column.addWidget(self.note)
        column.addLayout(self._make_buttons())

    def _make_list(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setHeaderLabels([tr(head) for head in list(COLUMNS)])
        tree.setRootIsDecorated(False)
        tree.setUniformRowHeights(True)
        tree.setAccessibleName(tr("Models"))
        header = tree.header()
        header.setStretchLastSection(False)
        for section in range(len(COLUMNS)):
            mode = QHeaderView.ResizeMode.Stretch if section == FIGURES else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(section, mode)
        tree.currentItemChanged.connect(self._check)
        tree.itemDoubleClicked.connect(self._use)
        return tree

    def _make_details(self) -> QFrame:
        card = QFrame(self)
        card.setProperty("role", "card")
        form = QFormLayout(card)
        form.setContentsMargins(14, 12, 14, 12)
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.details: dict[str, QLabel] = {}
        for name in ("For", "Metrics", "File", "License"):
            value = label("", "soft", wrap=name == "For")
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.details[name] = value
            form.addRow(label(name, "hint"), value)
        return card

    def _make_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.import_button = button("Import file...", tip="Import a model trained with poseapp on another computer")
        self.download_button = button("Download", tip="Download the published weights of the selected model")
        self.download_button.clicked.connect(self._download)
        self.folder_button = button("Open folder", tip="Open the folder of your own models")
        self.remove_button = button("Remove", tip="Remove one of your own models from the list; its files are kept")
        self.close_button = button("Close")
        self.use_button = button("Use this model", primary=True)
        self.import_button.clicked.connect(self._choose_import)
        self.folder_button.clicked.connect(self._open_folder)
        self.remove_button.clicked.connect(self._remove)
        self.close_button.clicked.connect(self.close)
        self.use_button.clicked.connect(self._use)
        for widget in (self.import_button, self.folder_button, self.remove_button, self.download_button):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.close_button)
        row.addWidget(self.use_button)
        return row

    @Slot()
    def refresh(self, select: str | None = None) -> None:
        """Read the list again, and show ``select`` (the model in use by default)."""
        preferred = select or self._current
        self._entries = list_models(available=bool(self.which.currentData()))
        self.list.clear()
        for entry in self._entries:
            item = QTreeWidgetItem([tr(cell) for cell in _row(entry)])
            item.setData(0, Qt.ItemDataRole.UserRole, entry.id)
            item.setSizeHint(len(COLUMNS) - 1, QSize(76, ROW_HEIGHT))
            if entry.id == self._current:
                font = item.font(0)
                font.setWeight(QFont.Weight.DemiBold)
                item.setFont(0, font)
            self.list.addTopLevelItem(item)
            if entry.id == preferred:
                self.list.setCurrentItem(item)
        self._check()

    def entry(self) -> ModelEntry | None:
        """The selected model."""
        item = self.list.currentItem()
        chosen = None if item is None else item.data(0, Qt.ItemDataRole.UserRole)
        return next((entry for entry in self._entries if entry.id == chosen), None)

    def ids(self) -> list[str]:
        """Ids in the order of the list."""
        return [entry.id for entry in self._entries]

    @Slot()
    def _check(self) -> None:
        entry = self.entry()
        values = {} if entry is None else _details(entry)
        for name, value in self.details.items():
            text = values.get(name, "")
            value.setText(tr(text or "-"))
            value.setToolTip(tr(text))
        here = entry is not None and entry.file is not None
        self.use_button.setEnabled(here and entry is not None and entry.task == "pose")
        self.download_button.setVisible(entry is not None and entry.file is None)
        self.download_button.setEnabled(entry is not None and bool(entry.url))
        self.remove_button.setEnabled(entry is not None and entry.source == "user")

    @Slot()
    def _use(self) -> None:
        entry = self.entry()
        if entry is not None and entry.task == "pose" and entry.file is not None:
            self._current = entry.id
            self.model_chosen.emit(entry.id)
            self.close()

    @Slot()
    def _download(self) -> None:
        entry = self.entry()
        if entry is not None and entry.url:
            self.download_button.setEnabled(False)
            self.download_wanted.emit(entry)

    @Slot()
    def _choose_import(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Import a model"), "", tr("Models (*.safetensors)"))
        if chosen:
            self.import_file(Path(chosen))

    def import_file(self, file: Path) -> None:
        """Check a checkpoint and copy it into the models folder, with the detector next to it."""
        try:
            name = import_model(file)
        except PoseError as error:
            self._say(f"Not imported. {error}")
            return
        self._say(f"{name} is in the list.")
        self.refresh(name)

    @Slot()
    def _open_folder(self) -> None:
        folder = user_models_dir()
        folder.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    @Slot()
    def _remove(self) -> None:
        entry = self.entry()
        if entry is None or entry.source != "user" or entry.file is None:
            return
        try:
            kept_folder = remove_model(entry.file)
        except PoseError as error:
            self._say(f"Not removed. {error}")
            return
        self._say(f"{entry.id} is out of the list. Its files are kept in {kept_folder}.")
        self.refresh()

    def _say(self, text: str) -> None:
        self.note.setText(tr(text))
        self.note.show()


def _row(entry: ModelEntry) -> list[str]:
    width, height = entry.input_size
    origin = {"embedded": "bundled", "user": "yours"}.get(entry.source, "published" if entry.file else "to download")
    return [
        entry.title,
        TASKS.get(entry.task, entry.task),
        entry.schema or "-",
        f"{width} x {height}",
        _file_size(entry.file),
        say_figures(entry.metrics, limit=1),
        origin,
    ]


def _details(entry: ModelEntry) -> dict[str, str]:
    figures = say_figures(entry.metrics)
    on = f"  ({entry.metrics_on})" if figures and entry.metrics_on and entry.source != "user" else ""
    return {
        "For": " ".join([entry.use, *entry.problems]) or f"Trained on labels of your own ({entry.architecture}).",
        "Metrics": f"{figures}{on}",
        "File": f"{entry.id}    {_short(entry.file) or entry.url}",
        "License": entry.licence,
    }


def _short(file: Path | None) -> str:
    """A path with the home folder as ``~``."""
    if file is None:
        return ""
    home = Path.home()
    return f"~{os.sep}{file.relative_to(home)}" if file.is_relative_to(home) and home != Path("/") else str(file)


def _file_size(file: Path | None) -> str:
    try:
        return "-" if file is None else f"{file.stat().st_size / 1e6:.1f} MB"
    except OSError:
        return "missing"


def _free(path: Path) -> Path:
    """The path, or the first of ``NAME-2``, ``NAME-3``, ... that does not exist."""
    suffix, free = 1, path
    while free.exists():
        suffix += 1
        free = path.with_name(f"{path.stem}-{suffix}{path.suffix}")
    return free


def import_model(file: Path) -> str:
    """Copy a checkpoint into the user's models folder; returns its id there.

    The ``best.safetensors`` of a run is named after its folder; the detector next to it is copied too.

    Raises:
        ModelError: not a checkpoint of this program, or the folder cannot be written.
    """
    read_info(file)
    best, detector = RUN_FILES
    run = file.name in (best, "last.safetensors")
    try:
        target = _free(user_models_dir() / (file.parent.name if run else file.stem))
        part = target.with_name(f".{target.name}.part")
        part.mkdir(parents=True)
        shutil.copyfile(file, part / best)
        if run and (file.parent / detector).is_file():
            shutil.copyfile(file.parent / detector, part / detector)
        os.replace(part, target)
    except OSError as error:
        raise ModelError(f"cannot be copied ({error.strerror})", where=file) from None
    return target.name


def remove_model(file: Path) -> Path:
    """Move one of the user's models into the folder ``removed-models``; returns its new path.

    Raises:
        ModelError: the files cannot be moved.
    """
    folder = user_models_dir()
    what = file if file.parent == folder else file.parent
    try:
        aside = folder.parent / "removed-models"
        aside.mkdir(parents=True, exist_ok=True)
        target = _free(aside / what.name)
        shutil.move(what, target)
    except OSError as error:
        raise ModelError(f"cannot be moved ({error.strerror})", where=what) from None
    return target
