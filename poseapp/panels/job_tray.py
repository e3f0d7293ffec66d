"""The corner of the status bar that shows running jobs: title, progress, rate, remaining time and a button to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.jobs.base import Progress, say_duration, say_rate
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training.run import RunState, TrainingRun

SHOW_AFTER_MS = 250
"""Work that ends sooner is not shown: a flash in the corner only distracts."""
REFRESH_MS = 200


@dataclass
class TrayEntry:
    """One job as shown in the tray. ``fraction`` is None while the total is unknown."""

    text: str
    fraction: float | None
    detail: str
    cancel: Callable[[], None]
    opens: object | None = None
    stopping: bool = False


class JobTray(QWidget):
    """Shows the newest job or training run, and how many more there are. Hidden while nothing runs.

    Signals:
        open_requested(object): the text of a training run was clicked; the run.
    """

    open_requested = Signal(object)

    def __init__(self, runner: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobTray")
        self._runner = runner
        self._jobs: dict[int, Progress] = {}
        self._runs: dict[TrainingRun, dict[str, object]] = {}
        self._build()
        self._delay = QTimer(self, singleShot=True, interval=SHOW_AFTER_MS)
        self._delay.timeout.connect(self.refresh)
        self._clock = QTimer(self, interval=REFRESH_MS)
        self._clock.timeout.connect(self.refresh)
        runner.submitted.connect(self._on_submitted)
        runner.progress.connect(self._on_progress)
        runner.finished.connect(self._on_finished)
        self.hide()

    def _build(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(8)
        self.text = _ElidedLabel(self)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedSize(QSize(120, 6))
        self.detail = QLabel(self)
        self.detail.setProperty("role", "hint")
        self.button = QToolButton(self)
        self.button.setText(tr("Cancel"))
        self.button.setToolTip(tr("Stop this job; results so far are kept"))
        self.button.setAutoRaise(True)
        self.button.clicked.connect(self._cancel)
        self.text.clicked.connect(self._open)
        for widget in (self.text, self.bar, self.detail, self.button):
            row.addWidget(widget)

    def add_run(self, run: TrainingRun) -> None:
        """Show a training run beside the jobs until it is over."""
        self._runs[run] = {}
        run.reported.connect(lambda event, run=run: self._on_event(run, event))
        run.finished.connect(lambda *_, run=run: self._drop_run(run))
        self._wake()

    def entries(self) -> list[TrayEntry]:
        """All running and waiting jobs, newest first, training runs last."""
        jobs = [e for job_id in reversed(list(self._jobs)) if (e := self._job_entry(job_id)) is not None]
        return jobs + [self._run_entry(run) for run in reversed(list(self._runs))]

    @Slot()
    def refresh(self) -> None:
        entries = self.entries()
        if not entries:
            self._clock.stop()
            self.hide()
            return
        first = entries[0]
        more = f"  (+{len(entries) - 1} more)" if len(entries) > 1 else ""
        self.text.set_text(first.text + more, clickable=first.opens is not None)
        self.bar.setRange(0, 0 if first.fraction is None else 1000)
        if first.fraction is not None:
            self.bar.setValue(round(first.fraction * 1000))
        self.detail.setText(tr("stopping…" if first.stopping else first.detail))
        self.button.setEnabled(not first.stopping)
        self.setToolTip(tr("\n".join(f"{e.text}: {e.detail}" if e.detail else e.text for e in entries)))
        self.show()
        if not self._clock.isActive():
            self._clock.start()

    def _job_entry(self, job_id: int) -> TrayEntry | None:
        job = self._runner.job(job_id)
        if job is None:
            return None
        shown = self._jobs[job_id]
        rate, left = self._runner.rate(job_id), self._runner.seconds_left(job_id)
        waiting = not self._runner.is_running(job_id)
        parts = [f"{shown.done} of {shown.total}"] if shown.total > 1 else []
        if rate is not None and shown.total > 1:
            parts.append(say_rate(rate, "images"))
        if left is not None and shown.done:
            parts.append(f"{say_duration(left)} left")
        return TrayEntry(
            text=job.title if waiting or not shown.text else shown.text,
            fraction=shown.done / shown.total if shown.total and shown.done else None,
            detail="waiting" if waiting else " · ".join(parts),
            cancel=lambda: self._runner.cancel(job_id),
            stopping=self._runner.is_cancelling(job_id),
        )

    def _run_entry(self, run: TrainingRun) -> TrayEntry:
        event = self._runs[run]
        step, total = event.get("step"), event.get("total_steps")
        left = event.get("seconds_left")
        known = isinstance(step, int) and isinstance(total, int) and total > 0
        return TrayEntry(
            text=f"Training {run.plan.name}",
            fraction=step / total if known else None,  # type: ignore[operator]
            detail=f"{say_duration(float(left))} left" if isinstance(left, int | float) else "",
            cancel=lambda: self.open_requested.emit(run),  # hours of work: stop early or cancel is asked for there
            opens=run,
            stopping=run.state is RunState.STOPPING,
        )

    def _wake(self) -> None:
        if self._clock.isActive():
            self.refresh()
        elif not self._delay.isActive():
            self._delay.start()

    @Slot(int)
    def _on_submitted(self, job_id: int) -> None:
        self._jobs[job_id] = Progress(0, 0)
        self._wake()

    @Slot(int, object)
    def _on_progress(self, job_id: int, progress: Progress) -> None:
        self._jobs[job_id] = progress

    @Slot(int, object)
    def _on_finished(self, job_id: int, _outcome: object) -> None:
        self._jobs.pop(job_id, None)
        self._rest()

    def _on_event(self, run: TrainingRun, event: dict[str, object]) -> None:
        if run in self._runs and event.get("event") == "step":
            self._runs[run] = event

    def _drop_run(self, run: TrainingRun) -> None:
        self._runs.pop(run, None)
        self._rest()

    def _rest(self) -> None:
        if self._jobs or self._runs:
            return
        self._delay.stop()
        self._clock.stop()
        self.hide()

    @Slot()
    def _cancel(self) -> None:
        entries = self.entries()
        if entries:
            entries[0].cancel()
            self.refresh()

    @Slot()
    def _open(self) -> None:
        entries = self.entries()
        if entries and entries[0].opens is not None:
            self.open_requested.emit(entries[0].opens)


@guarded
class _ElidedLabel(QLabel):
    """A label that elides its text when the status bar is narrow."""

    clicked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._full = ""
        self._clickable = False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(60)

    def set_text(self, text: str, *, clickable: bool) -> None:
        self._full, self._clickable = tr(text), clickable
        self.setCursor(Qt.CursorShape.PointingHandCursor if clickable else Qt.CursorShape.ArrowCursor)
        self.updateGeometry()
        self._elide()

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        return QSize(min(QFontMetrics(self.font()).horizontalAdvance(self._full) + 4, 360), hint.height())

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._elide()

    def mouseReleaseEvent(self, event: object) -> None:
        super().mouseReleaseEvent(event)  # type: ignore[arg-type]
        if self._clickable:
            self.clicked.emit()

    def _elide(self) -> None:
        metrics = QFontMetrics(self.font())
        self.setText(metrics.elidedText(self._full, Qt.TextElideMode.ElideRight, max(self.width(), 60)))
