"""A running fine-tune: curves, figures in plain words, time left, stop early or cancel; at the end, use the model."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDesktopServices
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from engine.errors import PoseError, TrainingError
from engine.models.catalog import find_model
from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label, sign_pixmap
from poseapp.dialogs.training.series import TrainingSeries
from poseapp.jobs.training.run import RunState, TrainingRun

REDRAW_MS = 250
MOST_NOTES = 3

STATE_TEXTS = {
    RunState.PREPARING: "Exporting the labels…",
    RunState.STARTING: "Starting: reading the labels and the model…",
    RunState.STOPPING: "Stopping: saving the best model so far…",
    RunState.KEEPING: "Adding the model to the list…",
}


@guarded
class TrainingMonitor(QDialog):
    """Shows one :class:`TrainingRun`. Closing it leaves the run alone; it may be opened again for the same run.

    Signals:
        use_requested(str): "Use this model" was pressed; the model's id.
        resume_requested(): "Resume" was pressed after the run had failed.
    """

    use_requested = Signal(str)
    resume_requested = Signal()

    def __init__(self, run: TrainingRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("trainingMonitor")
        self.setWindowTitle(tr(f"Training {run.plan.name}"))
        self.run = run
        self.series = TrainingSeries()
        self._start_title = _title_of(run.plan.model)
        self._build()
        self._redraw = QTimer(self, singleShot=True, interval=REDRAW_MS)
        self._redraw.timeout.connect(self.refresh)
        for event in run.events:
            self.series.take(event)
        run.reported.connect(self._on_event)
        run.state_changed.connect(self._on_state)
        run.finished.connect(self._on_finished)
        self.refresh()

    def _build(self) -> None:
        from poseapp.dialogs.training.plot import TrainingPlots  # pyqtgraph is loaded only when somebody looks

        self.resize(860, 580)
        self.setMinimumSize(640, 460)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(f"Training {self.run.plan.name}", "heading"))
        self.about = label("", "hint")
        column.addWidget(self.about)
        self.notes = label("", "hint", wrap=True)
        self.notes.hide()
        column.addWidget(self.notes)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        column.addWidget(self.bar)
        self.progress = label("")
        column.addWidget(self.progress)
        self._cards_row = QHBoxLayout()
        self._cards_row.setSpacing(12)
        self.cards = [_Card(self) for _ in range(3)]
        for card in self.cards:
            self._cards_row.addWidget(card, 1)
        column.addLayout(self._cards_row)
        self.plots = TrainingPlots(self)
        column.addWidget(self.plots, 1)
        column.addWidget(self._outcome_row())
        column.addLayout(self._buttons())

    def _outcome_row(self) -> QWidget:
        self.outcome = QFrame(self)
        self.outcome.setProperty("role", "card")
        row = QHBoxLayout(self.outcome)
        row.setContentsMargins(12, 10, 12, 10)
        row.setSpacing(8)
        self.outcome_sign = QLabel(self.outcome)
        self.outcome_sign.setFixedSize(16, 16)
        self.outcome_text = label("", wrap=True)
        self.outcome_text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row.addWidget(self.outcome_sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.outcome_text, 1)
        self.outcome.hide()
        return self.outcome

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.folder_button = button("Open folder", tip="Log, configuration and checkpoints of this run")
        self.sure = label("Discard this run? Its files stay in the trash for 30 days.")
        self.discard_button = button("Discard")
        self.go_on_button = button("Go on training")
        self.stop_button = button("Stop early", tip="Save and stop now; the best model so far is kept")
        self.cancel_button = button("Discard…", tip="Stop now and move the run to the trash")
        self.resume_button = button("Resume", tip="Continue from the last checkpoint")
        self.keep_button = button("Keep its best model", tip="Add the best model so far to the list")
        self.close_button = button("Close")
        self.use_button = button("Use this model", primary=True)
        row.addWidget(self.folder_button)
        row.addStretch(1)
        for widget in (
            self.sure, self.go_on_button, self.discard_button, self.stop_button, self.cancel_button,
            self.resume_button, self.keep_button, self.close_button, self.use_button,
        ):  # fmt: skip
            row.addWidget(widget)
        self.folder_button.clicked.connect(self._open_folder)
        self.stop_button.clicked.connect(self.run.stop_early)
        self.cancel_button.clicked.connect(lambda: self._ask_cancel(True))
        self.go_on_button.clicked.connect(lambda: self._ask_cancel(False))
        self.discard_button.clicked.connect(self.run.cancel)
        self.resume_button.clicked.connect(self._resume)
        self.keep_button.clicked.connect(self._keep)
        self.close_button.clicked.connect(self.close)
        self.use_button.clicked.connect(self._use)
        self._asking = False
        return row

    @Slot()
    def refresh(self) -> None:
        """Bring everything to what is known now."""
        run, phase = self.run, self.series.current
        fraction = 1.0 if run.state is RunState.DONE else self.series.fraction()
        busy = fraction is None and not run.is_over
        self.bar.setRange(0, 0 if busy else 1000)
        self.bar.setValue(0 if fraction is None else round(fraction * 1000))
        self.progress.setText(tr(STATE_TEXTS.get(run.state) or self._progress_text()))
        self.about.setText(tr(self._about_text()))
        shown = run.notes[:MOST_NOTES] + (
            [f"and {len(run.notes) - MOST_NOTES} more"] if len(run.notes) > MOST_NOTES else []
        )
        self.notes.setText(tr("\n".join(shown)))
        self.notes.setToolTip(tr("\n".join(run.notes)))
        self.notes.setVisible(bool(run.notes))
        for card, values in zip(
            self.cards,
            [*(self.series.final_cards() if run.is_over else self.series.cards()), None, None, None],
            strict=False,
        ):
            card.show_values(values)
        self.plots.show_phase(self.series.phases.get("pose", phase) if run.is_over else phase)
        self._update_buttons()

    def _progress_text(self) -> str:
        if not self.run.is_over:
            return self.series.progress_text()
        epochs = len(self.series.current.epoch_numbers) if self.series.current else 0
        return f"Ended after {epochs} {'epoch' if epochs == 1 else 'epochs'}." if epochs else "Ended."

    def _about_text(self) -> str:
        parts = [f"from {self._start_title}"]
        phase = self.series.phases.get("pose") or self.series.current
        if phase is not None and phase.train_instances:
            parts.append(f"{phase.train_instances} poses to learn from")
            aside = (
                f"{phase.val_instances} for validation"
                if phase.val_instances
                else ("metrics are measured on the training poses")
            )
            parts.append(aside)
        elif self.run.files is not None:
            parts.append(f"{self.run.files.instances} poses in {self.run.files.image_count} images")
        if phase is not None and phase.device:
            parts.append(phase.device)
        return " · ".join(parts)

    def _update_buttons(self) -> None:
        state = self.run.state
        over = state.is_over
        asking = self._asking and not over
        training = state in (RunState.STARTING, RunState.TRAINING)
        self.sure.setVisible(asking)
        self.discard_button.setVisible(asking)
        self.go_on_button.setVisible(asking)
        self.stop_button.setVisible(not over and not asking)
        self.stop_button.setEnabled(training)
        self.cancel_button.setVisible(not over and not asking)
        self.close_button.setVisible(over)
        self.use_button.setVisible(state is RunState.DONE)
        failed = state is RunState.FAILED
        self.resume_button.setVisible(failed and self.run.can_resume)
        self.keep_button.setVisible(failed and self.run.has_best)
        self.folder_button.setEnabled(self.run.files is not None and state is not RunState.CANCELLED)
        self.outcome.setVisible(over)
        if over:
            kind = {RunState.DONE: "ok", RunState.CANCELLED: "warning"}.get(state, "error")
            self.outcome_sign.setPixmap(sign_pixmap(kind, self.palette(), self.devicePixelRatioF()))
            self.outcome_text.setText(tr(self.run.message))

    @Slot(dict)
    def _on_event(self, event: dict[str, Any]) -> None:
        self.series.take(event)
        if not self._redraw.isActive():
            self._redraw.start()

    @Slot(object)
    def _on_state(self, _state: RunState) -> None:
        self.refresh()

    @Slot(bool, str)
    def _on_finished(self, _ok: bool, _message: str) -> None:
        self._redraw.stop()
        self.refresh()

    def _ask_cancel(self, asking: bool) -> None:
        self._asking = asking
        self._update_buttons()

    @Slot()
    def _open_folder(self) -> None:
        if self.run.files is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.run.files.folder)))

    @Slot()
    def _use(self) -> None:
        if self.run.model is not None:
            self.use_requested.emit(self.run.model)
            self.close()

    @Slot()
    def _resume(self) -> None:
        self.resume_requested.emit()
        self.close()

    @Slot()
    def _keep(self) -> None:
        try:
            self.run.keep()
        except TrainingError as error:
            self.outcome_text.setText(tr(str(error)))

    def closeEvent(self, event: QCloseEvent) -> None:
        self._redraw.stop()
        super().closeEvent(event)


def _title_of(model: str) -> str:
    try:
        return find_model(model).title
    except PoseError:
        return model


class _Card(QFrame):
    """One figure, large, with its name above and small print below."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.setSpacing(2)
        self.title = label("", "hint")
        self.value = label("", "heading")
        self.small = label("", "hint")
        for widget in (self.title, self.value, self.small):
            column.addWidget(widget)

    def show_values(self, values: tuple[str, str, str] | None) -> None:
        self.setVisible(values is not None)
        if values is not None:
            for widget, text in zip((self.title, self.value, self.small), values, strict=True):
                widget.setText(tr(text))
            self.small.setVisible(bool(values[2]))
