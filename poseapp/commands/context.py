"""What a verb may reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from poseapp.app.reports import Report
from poseapp.app.settings import Settings
from poseapp.app.shortcuts import ListedAction
from poseapp.canvas.view import CanvasView
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.inference import ModelChoice, ModelHost
from poseapp.jobs.runner import JobRunner
from poseapp.project.model import Instance
from poseapp.session.model_memory import ModelMemory
from poseapp.session.session import Session

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from poseapp.jobs.training.run import TrainingRun
    from poseapp.session.playback import Player


class Window(Protocol):
    """The main window, as verbs see it."""

    playback: Player

    @property
    def action_table(self) -> Sequence[ListedAction]:
        """All actions of the window."""

    def widget(self) -> QWidget: ...
    def tell(self, text: str, kind: str = "info") -> None: ...
    def report(self, report: Report) -> None: ...
    def show_report(self) -> None: ...
    def show_import_reports(self) -> None: ...
    def check_labels(self) -> None: ...
    def open_paths(self, paths: list[Path]) -> None: ...
    def preview_labels(self, path: Path) -> None: ...
    def set_theme(self, theme: str) -> None: ...
    def show_palette(self) -> None: ...
    def show_keys(self) -> None: ...
    def refresh_actions(self) -> None: ...
    def follow_training(self, run: TrainingRun) -> None: ...
    def set_keys(self, keymap: dict[str, tuple[str, ...]]) -> None: ...
    def close_window(self) -> None: ...


@dataclass
class Context:
    """Everything a command works with. Commands ask first (a dialog that may refuse) and then do."""

    window: Window
    session: Session
    canvas: CanvasView
    runner: JobRunner
    host: ModelHost
    loader: FrameLoader
    settings: Settings
    clipboard: list[Instance] = field(default_factory=list)
    clipboard_project: Path | None = None
    """Where the copied poses come from: their tracks mean nothing in another project."""
    last_objects: dict[int, str] = field(default_factory=dict)
    """Per category with the points of several kinds of objects, the one that was chosen last."""
    hovered: frozenset[tuple[int, int]] = frozenset()
    """(instance id, keypoint) under the pointer, at most one."""

    def __post_init__(self) -> None:
        self.memory = ModelMemory(self.settings)
        self.runner.before_submit = self.session.chunked_edits.finish

    @property
    def model(self) -> str:
        """Id of the model that Run uses: chosen in this project although it fits no category yet, else the one for the
        category of new poses."""
        session = self.session
        return self.memory.unmatched_choice(session.path) or self.memory.model_for(session.path, session.category)

    @property
    def choice(self) -> ModelChoice:
        """The model that fills boxes and follows corrections: the one for the category of new poses."""
        return ModelChoice(self.memory.model_for(self.session.path, self.session.category))


def finish_placing(context: Context) -> None:
    """Before something that needs the canvas: points that are placed are kept, any other gesture is given up."""
    if context.canvas.finish():
        context.window.tell("The keypoints placed so far were kept as a pose; Ctrl+Z removes it.")
