"""The start page, shown while no project is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.widgets.icons import pixmap
from resources import resource_path

CHOICES = (
    ("open_sample", "Try the sample", "Three photos to try things on"),
    ("open_folder", "Open a folder", "Label the images in it"),
    ("open_video", "Open a video", "Label its frames and track who is who"),
    ("open_coco", "Open a COCO file", "Correct existing keypoints"),
    ("open_labels", "Open labels", "From SLEAP, DeepLabCut and others"),
    ("open_project", "Open a project", "Continue where you stopped"),
)
WIDTH = 640


class ChoiceButton(QPushButton):
    """A button with an icon, a title and a description."""

    def __init__(self, text: str, tip: str) -> None:
        super().__init__()
        self.setProperty("role", "choice")
        self.setAccessibleName(tr(text))
        self.setAccessibleDescription(tr(tip))
        self.sign, title, hint = QLabel(), QLabel(tr(text)), QLabel(tr(tip))
        title.setProperty("role", "heading")
        hint.setProperty("role", "hint")
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addStretch(1)
        words.addWidget(title)
        words.addWidget(hint)
        words.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(16)
        row.addWidget(self.sign)
        row.addLayout(words, 1)
        for part in (self.sign, title, hint):
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)


class EmptyPage(QFrame):
    """Ways to start, and the recent projects.

    Signals:
        path_chosen(Path): a recent project.
    """

    path_chosen = Signal(object)

    def __init__(
        self, run: Callable[[str], None], icons: Mapping[str, str], colors: Tokens, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._icons = icons
        self.setObjectName("emptyPage")
        self.setProperty("role", "empty")
        self.buttons: dict[str, ChoiceButton] = {}
        middle = QWidget()
        middle.setFixedWidth(WIDTH)
        column = QVBoxLayout(middle)
        column.setSpacing(8)
        picture = QLabel()
        image = QPixmap(str(resource_path("icons/poseapp.png"))).scaled(
            QSize(144, 144), Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        image.setDevicePixelRatio(2.0)
        picture.setPixmap(image)
        picture.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        title = QLabel(tr("Start labelling"))
        title.setProperty("role", "title")
        title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        hint = QLabel(tr("Or drop images, a folder, a video, a label file or a project anywhere in this window."))
        hint.setProperty("role", "hint")
        hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        grid = QGridLayout()
        grid.setSpacing(12)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        for row, (command, text, tip) in enumerate(CHOICES):
            choice = ChoiceButton(text, tip)
            choice.clicked.connect(lambda _checked=False, name=command: run(name))
            self.buttons[command] = choice
            grid.addWidget(choice, row // 2, row % 2)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        column.addWidget(picture)
        column.addSpacing(8)
        column.addWidget(title)
        column.addWidget(hint)
        column.addSpacing(16)
        column.addLayout(grid)
        column.addSpacing(12)
        column.addLayout(self._recent)
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        outer.addWidget(middle, 0, Qt.AlignmentFlag.AlignHCenter)
        outer.addStretch(3)
        self.set_colors(colors)

    def set_colors(self, colors: Tokens) -> None:
        for command, choice in self.buttons.items():
            choice.sign.setPixmap(pixmap(self._icons[command], colors.accent, 24, 2.0))

    def set_recent(self, paths: Sequence[str]) -> None:
        """Show the recent projects, newest first."""
        while self._recent.count():
            item = self._recent.takeAt(0)
            line = None if item is None else item.widget()
            if line is not None:
                line.deleteLater()
        if paths:
            head = QLabel(tr("Recent projects"))
            head.setProperty("role", "hint")
            head.setContentsMargins(8, 0, 0, 4)
            self._recent.addWidget(head)
        for path in paths[:4]:
            project_path = Path(path)
            line = QPushButton()
            words = line.fontMetrics().elidedText(
                f"{project_path.stem}    {project_path.parent}", Qt.TextElideMode.ElideMiddle, WIDTH - 40
            )
            line.setText(words)
            line.setProperty("role", "flat")
            line.setAccessibleName(tr(f"Open {project_path.stem}"))
            line.setToolTip(path)
            line.clicked.connect(lambda _checked=False, chosen=project_path: self.path_chosen.emit(chosen))
            self._recent.addWidget(line)
