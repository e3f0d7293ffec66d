"""Models > Run on: model, frames, and what happens to earlier predictions. Non-modal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from engine.models.catalog import list_models
from engine.models.mirroring import flip_test_problem_of
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, button_row, device_combo, fill_models, label
from poseapp.jobs.inference import ModelChoice
from poseapp.project.model import FrameKey, Media
from poseapp.project.tables.sources import frames_of_model
from poseapp.session.session import Session
from poseapp.widgets.spin_box import DoubleSpinBox, SpinBox

CURRENT, ALL, EMPTY, RANGE, GO_ON = "current", "all", "empty", "range", "go on"


@dataclass(frozen=True)
class RunPlan:
    """The settings of a run.

    Attributes:
        frames: in the order of the list.
        score_threshold: poses with a lower score are left out.
        replace_predicted: remove earlier predictions of the same category.
        flip_test: average with the mirrored image.
        detect_every: run the detector on every n-th frame of a video.
    """

    choice: ModelChoice
    frames: tuple[FrameKey, ...]
    score_threshold: float = 0.2
    replace_predicted: bool = True
    flip_test: bool = False
    detect_every: int = 1


class RunModelDialog(QDialog):
    """Asks for a :class:`RunPlan`.

    Args:
        adds: name of the category that a model would add to the project, "" for none.

    Signals:
        run_requested(RunPlan): Run was pressed; the dialog closes.
    """

    run_requested = Signal(object)

    def __init__(
        self,
        session: Session,
        model: str,
        parent: QWidget | None = None,
        *,
        adds: Callable[[str], str] = lambda _model: "",
    ) -> None:
        super().__init__(parent)
        self.setObjectName("runModelDialog")
        self.setWindowTitle(tr("Run a model"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(480)
        self._session = session
        self._adds = adds
        self.model = QComboBox()
        self._models = {entry.id: entry for entry in list_models("pose", available=True)}
        fill_models(self.model, list(self._models.values()), model)
        self.which = QComboBox()
        self.device = device_combo()
        self.threshold = DoubleSpinBox()
        self.threshold.setRange(0.0, 1.0)
        self.threshold.setSingleStep(0.05)
        self.threshold.setValue(0.2)
        self.replace = QCheckBox(tr("Replace earlier predictions (labels are always kept)"))
        self.replace.setChecked(True)
        self.flip = QCheckBox(tr("Flip test-time augmentation (slower, slightly more accurate)"))
        self.every = SpinBox()
        self.every.setRange(1, 30)
        self.every.setAccessibleName(tr("Run detector every N frames"))
        self.every.setToolTip(tr("In between, boxes are tracked from frame to frame: faster on videos"))
        self.first, self.last = SpinBox(), SpinBox()
        self.first.setAccessibleName(tr("First image"))
        self.last.setAccessibleName(tr("Last image"))
        marked = session.frame_range.places(session.frames)
        self._video = self._set_range(marked)
        self._build()
        self._fill_which()
        if marked is not None:
            self.which.setCurrentIndex(self.which.findData(RANGE))
        self.which.currentIndexChanged.connect(self._check)
        self.model.currentIndexChanged.connect(self._check)
        self.model.currentIndexChanged.connect(self._check_flip)
        self.first.valueChanged.connect(self._check)
        self.last.valueChanged.connect(self._check)
        self._check()
        self._check_flip()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Run a model", "heading"))
        column.addWidget(label("Results are added as predictions to review.", "hint", wrap=True))
        form = QFormLayout()
        form.setVerticalSpacing(10)
        form.setHorizontalSpacing(16)
        self.range_row = QWidget()
        row = QHBoxLayout(self.range_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.first)
        row.addWidget(label("to", "hint"))
        row.addWidget(self.last)
        row.addStretch(1)
        form.addRow(tr("Model"), self.model)
        form.addRow(tr("Images"), self.which)
        form.addRow("", self.range_row)
        form.addRow(tr("Min. score"), self.threshold)
        form.addRow(tr("Device"), self.device)
        form.addRow(tr("Run detector every N frames"), self.every)
        column.addLayout(form)
        column.addWidget(self.replace)
        column.addWidget(self.flip)
        self.note = label("", "hint")
        column.addWidget(self.note)
        column.addStretch(1)
        self.run_button = button("Run", primary=True)
        self.run_button.clicked.connect(self._run)
        column.addLayout(button_row(self.close, self.run_button))

    def _set_range(self, marked: tuple[int, int] | None) -> Media | None:
        """Set the limits of the range: frame numbers in a video (whose path is returned), else positions in the list.

        Video frames are counted from 0, images from 1.
        """
        session, frames = self._session, self._session.frames
        here = session.frame if marked is None else frames[marked[0]]
        media = () if session.store is None else session.store.media()
        video = next((m for m in media if here is not None and m.id == here.media and m.kind == "video"), None)
        if video is not None and here is not None:
            indices = frames.packed[frames.packed >> 32 == video.id] & 0xFFFFFFFF
            least, most = int(indices.min(initial=here.index)), int(indices.max(initial=here.index))
            low, high = (here.index, most) if marked is None else (here.index, frames[marked[1]].index)
        else:
            least, most = 1, max(len(frames), 1)
            low, high = (max(session.position(), 0) + 1, most) if marked is None else (marked[0] + 1, marked[1] + 1)
        for box, value in ((self.first, low), (self.last, high)):
            box.setRange(least, most)
            box.setValue(value)
        return video

    def _range(self) -> tuple[FrameKey, ...]:
        low, high = sorted((self.first.value(), self.last.value()))
        frames = self._session.frames
        if self._video is None:
            return tuple(frames[low - 1 : high])
        first, last = (self._video.id << 32) + low, (self._video.id << 32) + high
        inside = np.flatnonzero((frames.packed >= first) & (frames.packed <= last))
        return tuple(frames[int(position)] for position in inside)

    def _fill_which(self) -> None:
        store, video = self._session.store, self._video
        several = video is not None and store is not None and len(store.media()) > 1
        titles = {
            ALL: "All frames",
            EMPTY: "Frames without labels",
            GO_ON: "Frames without poses of this model",
            CURRENT: "This frame",
            RANGE: f"From ... to, in {Path(video.path).name}" if several and video is not None else "From ... to",
        }
        for which, title in titles.items():
            self.which.addItem(tr(title), which)

    def frames(self) -> tuple[FrameKey, ...]:
        session, which = self._session, self.which.currentData()
        if session.store is None:
            return ()
        if which == CURRENT:
            return () if session.frame is None else (session.frame,)
        if which == RANGE:
            return self._range()
        if which == EMPTY:
            counts = session.store.counts()
            return tuple(key for key in session.frames if not counts[key].labelled)
        if which == GO_ON:  # an interrupted run goes on where it was
            done = frames_of_model(session.store, self.model.currentData() or "")
            return tuple(key for key in session.frames if key not in done)
        return tuple(session.frames)

    def plan(self) -> RunPlan:
        choice = ModelChoice(self.model.currentData(), device=self.device.currentData())
        return RunPlan(
            choice,
            self.frames(),
            self.threshold.value(),
            self.replace.isChecked(),
            self.flip.isChecked(),
            self.every.value(),
        )

    def _check(self) -> None:
        self.range_row.setVisible(self.which.currentData() == RANGE)
        count = len(self.frames())
        note = f"{count:,} {'image' if count == 1 else 'images'}"
        added = self._adds(self.model.currentData() or "")
        if added:
            note += f". Adds the category {added} to the project"
        self.note.setText(tr(note))
        self.run_button.setEnabled(count > 0 and self.model.count() > 0)

    def _check_flip(self) -> None:
        """Enable flip augmentation only for models that it does not harm."""
        entry = self._models.get(self.model.currentData() or "")
        problem = "" if entry is None else flip_test_problem_of(entry)
        self.flip.setEnabled(not problem)
        if problem:
            self.flip.setChecked(False)
        tip = (
            f"Not for this model: {problem}"
            if problem
            else ("Averages the prediction with that of the mirrored image; some models gain, others do not")
        )
        self.flip.setToolTip(tr(tip))

    def _run(self) -> None:
        self.run_requested.emit(self.plan())
        self.close()
