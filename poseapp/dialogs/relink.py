"""Relinking a video to another file: the differences, the frame mapping, and the effect on the labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label, set_role
from poseapp.jobs.video_relink import FileFacts, Proposal
from poseapp.project.relink.remap import Mapping, RemapPlan

PICTURE = QSize(96, 54)
PICTURES, TIME, AS_IT_IS = "pictures", "time", "as_it_is"
_WAYS = {
    PICTURES: "Re-map labels by image content",
    TIME: "Re-map labels by presentation time",
    AS_IT_IS: "Use it unchanged: every label keeps its frame number",
}


class RelinkDialog(QDialog):
    """Asks what to do with a file that is not the labelled one. The dialog itself changes nothing.

    Args:
        old, new: what is known of both files.
        plan: the effect of a mapping on the labels; see :func:`poseapp.project.relink.remap.plan_remap`.

    Signals:
        remap_requested(Proposal, ndarray): re-map the labels by this mapping.
        use_requested(): use the file unchanged.
        other_requested(): choose another file.
        left(): closed without any of these; what was being compared is not wanted any more.
    """

    remap_requested = Signal(object, object)
    use_requested = Signal()
    other_requested = Signal()
    left = Signal()

    def __init__(
        self,
        old: FileFacts | None,
        new: FileFacts,
        why: str,
        plan: Callable[[Mapping], RemapPlan],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("relinkDialog")
        self.setWindowTitle(tr("Another video file"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 700)
        self._old, self._new, self._plan = old, new, plan
        self._proposal: Proposal | None = None
        self._plans: dict[str, RemapPlan] = {}
        self.why = label(why, "hint", wrap=True)
        self.found = label("Searching for the labelled frames in this file", "hint", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress"))
        self.bar.setRange(0, 0)
        self.choice = QComboBox()
        self.choice.setAccessibleName(tr("What to do with this file"))
        self.outcome = label("", "hint", wrap=True)
        self.table = self._make_table()
        self.other_button = button("Choose another file...")
        self.leave_button = button("Cancel")
        self.do_button = button("Re-map labels", primary=True)
        self._lay_out()
        self._offer((AS_IT_IS,))
        self.choice.currentIndexChanged.connect(self._show_way)
        self.other_button.clicked.connect(self._choose_other)
        self.leave_button.clicked.connect(self.reject)
        self.do_button.clicked.connect(self._do)
        self.rejected.connect(self.left)
        self._show_way()

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 4)
        table.setAccessibleName(tr("Labelled frames and their new positions"))
        table.setHorizontalHeaderLabels([tr(head) for head in ("Frame", "Labelled", "New frame", "This file")])
        table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        table.setShowGrid(False)
        table.setIconSize(PICTURE)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(PICTURE.height() + 6)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in range(4):
            header.setSectionResizeMode(column, header.ResizeMode.Stretch)
        table.hide()
        return table

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("This is not the file that was labelled", "heading"))
        column.addWidget(self.why)
        column.addLayout(self._facts())
        column.addWidget(self.found)
        column.addWidget(self.bar)
        column.addWidget(self.choice)
        column.addWidget(self.outcome)
        column.addWidget(self.table, 1)
        column.addStretch(0)
        bottom = QHBoxLayout()
        bottom.setSpacing(8)
        bottom.addWidget(self.other_button)
        bottom.addStretch(1)
        bottom.addWidget(self.leave_button)
        bottom.addWidget(self.do_button)
        column.addLayout(bottom)

    def _facts(self) -> QGridLayout:
        """Both files side by side, with differences highlighted."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(3, 1)
        grid.addWidget(label("Labelled", "hint"), 0, 1)
        grid.addWidget(label("This file", "hint"), 0, 2)
        for row, (name, say) in enumerate(_FACTS, 1):
            before, now = ("-" if self._old is None else say(self._old)), say(self._new)
            grid.addWidget(label(name), row, 0)
            for column, text in ((1, before), (2, now)):
                cell = label("", "value" if before == now else "warning")
                cell.setText(text)
                grid.addWidget(cell, row, column)
        return grid

    def show_progress(self, done: int, total: int) -> None:
        if self._proposal is None and total:
            self.bar.setRange(0, total)
            self.bar.setValue(done)

    def show_failure(self, text: str) -> None:
        """The file could not be compared; it can still be used unchanged."""
        self.bar.hide()
        set_role(self.found, "error")
        self.found.setText(tr(text))

    def show_proposal(self, proposal: Proposal) -> None:
        """Show the result of the comparison and select the best mapping."""
        self._proposal = proposal
        self.bar.hide()
        self._plans = {choice: self._plan(mapping) for choice, mapping in proposal.mappings.items()}
        if PICTURES in self._plans:
            said = f"{proposal.found} of {proposal.sampled} sampled frames are in this file. {_say_line(proposal)}"
        else:
            set_role(self.found, "warning")
            said = f"None of the {proposal.sampled} sampled frames is in this file: it shows something else."
        self.found.setText(tr(said))
        choices = (*self._plans, AS_IT_IS)
        self._offer(choices if PICTURES in self._plans else tuple(reversed(choices)))
        self._show_way()

    @property
    def way(self) -> str:
        return str(self.choice.currentData())

    def set_way(self, choice: str) -> None:
        """Select one of the offered mappings."""
        self.choice.setCurrentIndex(self.choice.findData(choice))

    def _offer(self, choices: tuple[str, ...]) -> None:
        """List the offered actions, the most likely first."""
        with QSignalBlocker(self.choice):
            self.choice.clear()
            for choice in choices:
                self.choice.addItem(tr(_WAYS[choice]), choice)

    def _show_way(self) -> None:
        plan = self._plans.get(self.way)
        self.do_button.setText(tr("Use this file" if self.way == AS_IT_IS else "Re-map labels"))
        if plan is None:
            self.outcome.setText(tr(self._say_as_it_is()))
        else:
            self.outcome.setText(tr(_say_plan(plan)))
        self._fill()

    def _say_as_it_is(self) -> str:
        if self._old is not None and self._new.frame_count < self._old.frame_count:
            return f"Labels from frame {self._new.frame_count:,} on will have no image. Undo reverts it."
        return "Labels may end up on other frames than those they were made on. Undo reverts it."

    def _fill(self) -> None:
        proposal, choice = self._proposal, self.way
        self.table.setVisible(proposal is not None and bool(proposal.previews))
        if proposal is None:
            return
        self.table.setRowCount(len(proposal.previews))
        for row, preview in enumerate(proposal.previews):
            new_index = preview.index if choice == AS_IT_IS else preview.places.get(choice, -1)
            is_in_file = new_index >= 0 and new_index < proposal.new.frame_count
            cells = (
                _cell(str(preview.index)),
                _cell("", preview.picture),
                _cell(str(new_index) if is_in_file else tr("not in this file")),
                _cell("", proposal.shown.get(new_index)),
            )
            for column, cell in enumerate(cells):
                self.table.setItem(row, column, cell)

    def _do(self) -> None:
        proposal, plan = self._proposal, self._plans.get(self.way)
        self.accept()
        if proposal is None or plan is None:
            self.use_requested.emit()
        else:
            self.remap_requested.emit(proposal, plan.mapping)

    def _choose_other(self) -> None:
        self.reject()
        self.other_requested.emit()


def _say_seconds(facts: FileFacts) -> str:
    minutes, seconds = divmod(facts.duration, 60)
    return f"{int(minutes)}:{seconds:05.2f}" if facts.seconds else "-"


_FACTS: tuple[tuple[str, Callable[[FileFacts], str]], ...] = (
    ("File", lambda facts: facts.name),
    ("Frames", lambda facts: f"{facts.frame_count:,}"),
    ("Duration", _say_seconds),
    ("Frames per second", lambda facts: f"{facts.rate:.4g}" if facts.rate else "-"),
    ("Size", lambda facts: f"{facts.size[0]} x {facts.size[1]}"),
)


def _say_line(proposal: Proposal) -> str:
    """The timing of the new file, compared with the old one."""
    said: list[str] = []
    if proposal.offset < 0:
        missing = -proposal.offset / proposal.speed  # in the time of the labelled one, of which they were cut
        said.append(f"{missing:.2f} s are cut off at the start")
    elif proposal.offset > 0:
        said.append(f"it starts {proposal.offset:.2f} s later")
    if proposal.speed != 1:
        said.append(f"it runs {1 / proposal.speed:.4g} times as fast")
    return (
        f"Beside the labelled one, {' and '.join(said)}." if said else ("It has the same timing as the labelled video.")
    )


def _say_plan(plan: RemapPlan) -> str:
    stay, move = len(plan.kept), len(plan.moved)
    said = f"{stay + move:,} frames with labels: {move:,} get another number, {stay:,} keep theirs."
    gone = len(plan.lost) + len(plan.collided)
    if gone:
        said += f" {gone:,} frames are not in this file; their {plan.poses_gone:,} poses go, and Undo brings them back."
    return said + " One step."


def _cell(text: str, picture: npt.NDArray[np.uint8] | None = None) -> QTableWidgetItem:
    cell = QTableWidgetItem(text)
    if picture is not None:
        height, width = picture.shape[:2]
        image = QImage(np.ascontiguousarray(picture).data, width, height, 3 * width, QImage.Format.Format_RGB888)
        aspect = Qt.AspectRatioMode.KeepAspectRatio
        cell.setIcon(
            QIcon(
                QPixmap.fromImage(image.copy()).scaled(PICTURE * 2, aspect, Qt.TransformationMode.SmoothTransformation)
            )
        )
    return cell
