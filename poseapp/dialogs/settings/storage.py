"""Settings > Data: storage folders and their sizes; move and empty them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shiboken6
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label, set_role
from poseapp.jobs.base import Ending, Outcome, Progress
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.storage import ClearJob, Copied, CopyFolderJob, FolderSize, SizesJob


@dataclass(frozen=True)
class DataPlace:
    """A row of the page.

    Attributes:
        id: its name in signals.
        path: a file or folder.
        cleared: folders that Empty clears; none if it cannot be emptied.
        movable: whether it can be moved.
        why_not: the reason why it cannot.
    """

    id: str
    name: str
    path: Path
    hint: str = ""
    cleared: tuple[Path, ...] = ()
    movable: bool = False
    why_not: str = ""


class DataSettings(QWidget):
    """Moves and empties by itself, in the runner's io lane; what has begun goes on when the page is closed.

    Args:
        places: asked again after each change.
        use: takes over a place (id) that has been copied to a folder; the old files go when it returns.
        busy: says what must end before data can be moved, "" for nothing.
    """

    def __init__(
        self,
        folders: Callable[[], Sequence[DataPlace]],
        runner: JobRunner,
        use: Callable[[str, Path], None],
        busy: Callable[[], str] = lambda: "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._places, self._runner, self._use, self._busy = folders, runner, use, busy
        self._job: int | None = None
        self.rows: dict[str, PlaceRow] = {}
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addWidget(
            label("Every change is written to disk immediately; there is no need to save.", "hint", wrap=True)
        )
        for folder in folders():
            row = self.rows[folder.id] = PlaceRow(folder)
            row.change.clicked.connect(lambda _checked=False, name=folder.id: self._choose(name))
            row.empty.clicked.connect(lambda _checked=False, name=folder.id: self.empty(name))
            column.addWidget(row)
        column.addStretch(1)
        foot = QHBoxLayout()
        self.note = label("", "hint", wrap=True)
        self.stop = button("Stop")
        self.stop.clicked.connect(self._stop)
        self.stop.hide()
        foot.addWidget(self.note, 1)
        foot.addWidget(self.stop)
        column.addLayout(foot)
        runner.progress.connect(self._on_progress)
        self.measure()

    def measure(self) -> None:
        """Measure the folders again."""
        folders = [(folder.id, folder.path) for folder in self._places() if folder.path.is_dir()]
        for folder in self._places():
            self.rows[folder.id].show_place(folder)
        if folders:
            self._runner.submit(SizesJob(folders), on_results=self._show_sizes)

    def _show_sizes(self, sizes: list[Any]) -> None:
        for size in sizes:
            if isinstance(size, FolderSize) and size.id in self.rows and self._alive():
                self.rows[size.id].show_size(size)

    # --- moving

    def _choose(self, name: str) -> None:
        folder = self._place(name)
        start = str(folder.path.parent)
        chosen = QFileDialog.getExistingDirectory(self, tr(f"New folder for {folder.name}"), start)
        if chosen:
            self.move_to(name, Path(chosen))

    def move_to(self, name: str, folder: Path) -> None:
        """Move a folder; a target that is not empty gets a subfolder for the data."""
        reason = self._busy()
        if reason or self._job is not None:
            self._tell(reason or "Wait until the current move has ended.", "warning")
            return
        source = self._place(name)
        target = folder / f"poseapp-{name}" if _has_things(folder) and folder != source.path else folder
        copies: list[Copied] = []

        def end(outcome: Outcome) -> None:
            self._job = None
            if copies:
                self._settle(name, copies[0])
            elif self._alive():
                self._lock(False)
                cancelled = outcome.ending is Ending.CANCELLED
                text = "Stopped; everything is where it was." if cancelled else f"Not moved. {outcome.error}"
                self._tell(text, "hint" if cancelled else "error")

        self._lock(True)
        self._tell(f"Moving {source.name}", "hint")
        job = CopyFolderJob(source.path, target, source.name)
        self._job = self._runner.submit(job, on_results=copies.extend, on_finished=end)

    def _settle(self, name: str, copied: Copied) -> None:
        """The copy is complete: use it, then clear the old folder."""
        self._use(name, copied.target)

        def end(_outcome: Outcome) -> None:
            if self._alive():
                self._lock(False)
                left = copied.source.is_dir() and any(copied.source.iterdir())
                text = f"Moved to {copied.target}."
                if left:
                    text += f" Some files could not be removed from {copied.source}."
                self._tell(text, "warning" if left else "good")
                self.measure()

        self._runner.submit(ClearJob((copied.source,), "Removing the old folder", copied.files), on_finished=end)

    def _stop(self) -> None:
        if self._job is not None:
            self._runner.cancel(self._job)

    def _on_progress(self, job: int, progress: Progress) -> None:
        if job == self._job and progress.total and self._alive():
            self._tell(f"{progress.text} - {progress.done / progress.total:.0%}", "hint")

    # --- emptying

    def empty(self, name: str) -> None:
        """Remove what can be rebuilt."""
        folder = self._place(name)

        def take(sizes: list[Any]) -> None:
            if self._alive():
                self._tell(f"{_size_text(sizes[-1].files, sizes[-1].bytes)} removed.", "good")
                self.measure()

        self._runner.submit(ClearJob(folder.cleared, f"Emptying {folder.name}"), on_results=take)

    # --- words

    def _place(self, name: str) -> DataPlace:
        return next(folder for folder in self._places() if folder.id == name)

    def _tell(self, text: str, role: str) -> None:
        set_role(self.note, role)
        self.note.setText(tr(text))

    def _lock(self, on: bool) -> None:
        for row in self.rows.values():
            row.lock(on)
        self.stop.setVisible(on)

    def _alive(self) -> bool:
        """Whether the page still exists; jobs outlive it."""
        return shiboken6.isValid(self)


class PlaceRow(QFrame):
    """Name, size and path of a folder, with its buttons."""

    def __init__(self, folder: DataPlace) -> None:
        super().__init__()
        self._place = folder
        self.setProperty("role", "card")
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 8, 8, 8)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        name = label(folder.name, "value")
        name.setToolTip(tr(folder.hint))
        self.taken = label("", "hint")
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(name)
        head.addWidget(self.taken)
        head.addStretch(1)
        self.path = label("", "soft", wrap=True)
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid.addLayout(head, 0, 0)
        grid.addWidget(self.path, 1, 0)
        self.show_button = button("Show in folder")
        self.change, self.empty = button("Change..."), button("Empty")
        self.change.setVisible(folder.movable or bool(folder.why_not))
        self.empty.setVisible(bool(folder.cleared))
        for column, widget in enumerate((self.empty, self.change, self.show_button), 1):
            widget.setAccessibleName(f"{tr(folder.name)}: {widget.text()}")
            grid.addWidget(widget, 0, column, 2, 1, Qt.AlignmentFlag.AlignVCenter)
        self.show_button.clicked.connect(lambda: _open_folder(self._place.path))
        self.show_place(folder)

    def show_place(self, folder: DataPlace) -> None:
        self._place = folder
        self.path.setText(str(folder.path))
        self.path.setToolTip(tr(folder.why_not or folder.hint))
        if not folder.path.exists():
            self.taken.setText(tr("empty"))
        elif folder.path.is_file():
            self.taken.setText(_size_text(1, folder.path.stat().st_size))
        else:
            self.taken.clear()
        self.lock(False)

    def show_size(self, size: FolderSize) -> None:
        self.taken.setText(tr(_size_text(size.files, size.bytes)))

    def lock(self, on: bool) -> None:
        """Disable moving and emptying while one is in progress."""
        self.change.setEnabled(self._place.movable and not on)
        self.change.setToolTip(tr(self._place.why_not))
        self.empty.setEnabled(not on)
        self.show_button.setEnabled(_nearest(self._place.path) is not None)

    def buttons(self) -> tuple[QPushButton, ...]:
        return self.empty, self.change, self.show_button


def _size_text(files: int, num_bytes: int) -> str:
    if num_bytes >= 1e9:
        size = f"{num_bytes / 1e9:,.2f} GB"
    else:
        size = f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:,.1f} kB"
    return size if files == 1 else f"{size} in {files:,} files"


def _has_things(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError:
        return False  # the move tells what is wrong


def _nearest(path: Path) -> Path | None:
    """The folder, or its nearest existing parent."""
    return next((p for p in (path, *path.parents) if p.is_dir()), None)


def _open_folder(path: Path) -> None:
    folder = _nearest(path)
    if folder is not None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
