"""Questions about training runs: when the window closes while one goes on, and when one was left behind."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from poseapp.dialogs.common import button, label
from poseapp.jobs.training.runs import TRASH_DAYS, FoundRun


class Closing(StrEnum):
    """What becomes of the runs when the window closes."""

    STOP = "stop"
    LEAVE = "leave"
    DISCARD = "discard"


class Broken(StrEnum):
    """What becomes of a run that was interrupted."""

    RESUME = "resume"
    KEEP = "keep"
    DISCARD = "discard"
    LATER = "later"
    NEVER = "never"


class _Choice(QDialog):
    """A heading, sentences, and a column of buttons, each with what it does. It opens without blocking the window.

    Signals:
        chosen(str): the value of the button that was pressed.
    """

    chosen = Signal(str)

    def __init__(
        self, title: str, texts: Sequence[str], choices: Sequence[tuple[str, str, str]], parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(title, "heading"))
        for text in texts:
            column.addWidget(label(text, wrap=True))
        self.buttons = {}
        for index, (value, name, what_it_does) in enumerate(choices):
            widget = button(name, primary=index == 0)
            widget.clicked.connect(lambda _checked=False, value=value: self._choose(value))
            self.buttons[value] = widget
            row = QHBoxLayout()
            row.addWidget(widget)
            row.addWidget(label(what_it_does, "hint", wrap=True), 1)
            widget.setMinimumWidth(220)
            column.addLayout(row)

    def _choose(self, value: str) -> None:
        self.chosen.emit(value)
        self.accept()


class CloseDialog(_Choice):
    """Asks what becomes of training runs when the window closes; rejected = the window stays open.

    Args:
        names: of the runs that go on.
    """

    def __init__(self, names: Sequence[str], parent: QWidget | None = None) -> None:
        many = len(names) > 1
        text = f"{', '.join(names)} are still training." if many else f"{names[0]} is still training."
        super().__init__(
            "Close while a model is training?",
            [text],
            [
                (
                    Closing.LEAVE,
                    "Keep running in the background",
                    ("Training continues; the next start shows it or its result."),
                ),
                (
                    Closing.STOP,
                    "Stop early and keep the best so far",
                    "The window closes when the model is in the list.",
                ),
                (Closing.DISCARD, "Discard", f"It ends now. Its files stay in the trash for {TRASH_DAYS} days."),
            ],
            parent,
        )
        self.setObjectName("closeRunsDialog")
        self.cancel = button("Cancel")
        self.cancel.clicked.connect(self.reject)
        column = self.layout()
        assert column is not None
        column.addWidget(self.cancel)


class FoundRunDialog(_Choice):
    """Asks what becomes of a run that was interrupted; rejected = ask again at the next start."""

    def __init__(self, broken_run: FoundRun, parent: QWidget | None = None) -> None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(broken_run.when))
        texts = [f"Training {broken_run.plan.name} was interrupted; its last sign is of {when}."]
        if broken_run.message:
            texts.append(f"It ended with an error: {broken_run.message}")
        choices = []
        if broken_run.can_resume:
            choices.append((Broken.RESUME, "Resume", "Training continues from its last checkpoint."))
        if broken_run.has_best:
            choices.append((Broken.KEEP, "Keep its best model", "The best model so far is added to the list."))
        choices += [
            (Broken.DISCARD, "Discard", f"Its files stay in the trash for {TRASH_DAYS} days."),
            (Broken.NEVER, "Keep files", "Its files stay where they are; you will not be asked again."),
            (Broken.LATER, "Later", "You will be asked again at the next start."),
        ]
        super().__init__("A training run was interrupted", texts, choices, parent)
        self.setObjectName("foundRunDialog")
