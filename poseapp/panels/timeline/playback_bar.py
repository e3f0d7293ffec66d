"""The playback buttons, and the splitter that sets the height of the timeline."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSplitter, QToolButton, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.panels.timeline.widget import LOWEST, Timeline
from poseapp.session.playback import SPEEDS, Player
from poseapp.widgets.icons import icon

MOST_SHARE = 0.4
"""Of the height, which the timeline takes by itself at most."""


class PlayBar(QWidget):
    """Play, speed and loop. Fits above the names of the timeline.

    Signals:
        play_requested()
    """

    play_requested = Signal()

    def __init__(self, player: Player, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._player = player
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 0, 0)
        row.setSpacing(1)
        self.play, self.speed, self.loop = (QToolButton() for _ in range(3))
        for button, name in ((self.play, "Play or pause"), (self.speed, "Speed"), (self.loop, "Loop")):
            button.setAccessibleName(tr(name))
            button.setToolTip(tr(name))
            button.setStyleSheet("QToolButton { padding: 2px; }")
            button.setIconSize(QSize(16, 16))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setFixedHeight(24)
            row.addWidget(button)
        row.addStretch(1)
        self.speed.setFixedWidth(46)
        self.speed.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.speed.setMenu(self._speeds())
        self.loop.setCheckable(True)
        self.play.clicked.connect(self.play_requested)
        self.loop.toggled.connect(player.set_loop)
        player.playing_changed.connect(lambda _playing: self._show())
        player.pace_changed.connect(self._show)
        self.set_colors(colors)

    def set_colors(self, colors: Tokens) -> None:
        self._colors = colors
        self.loop.setIcon(icon("loop", colors))
        self._show()

    def _speeds(self) -> QMenu:
        menu, group = QMenu(self), QActionGroup(self)
        for speed in SPEEDS:
            action = QAction(_speed_text(speed), menu, checkable=True, checked=speed == self._player.speed)
            action.setData(speed)
            action.triggered.connect(lambda _checked=False, speed=speed: self._player.set_speed(speed))
            group.addAction(action)
            menu.addAction(action)
        return menu

    def _show(self) -> None:
        self.play.setIcon(icon("pause" if self._player.playing else "play", self._colors))
        self.speed.setText(_speed_text(self._player.speed))
        self.loop.setChecked(self._player.loop)


class TimelineSplitter(QSplitter):
    """Canvas above, timeline below. The timeline has the height its tracks need until the user drags the handle."""

    def __init__(self, canvas: QWidget, timeline: Timeline, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Vertical, parent)
        self.setObjectName("timelineSplitter")
        self._timeline, self._by_hand, self._fitted = timeline, False, False
        self.addWidget(canvas)
        self.addWidget(timeline)
        self.setStretchFactor(0, 1)
        self.setStretchFactor(1, 0)
        self.setCollapsible(0, False)
        self.setCollapsible(1, False)
        self.setHandleWidth(3)
        self.splitterMoved.connect(self._on_moved)
        timeline.lanes_changed.connect(self._on_lanes)
        timeline.project_shown.connect(self._on_project)

    def restore(self, state: QByteArray | None) -> None:
        """Restore the height that the user had chosen, as returned by :meth:`saveState`; None for none."""
        self._by_hand = state is not None and self.restoreState(state)
        self.setHandleWidth(3)

    @property
    def by_hand(self) -> bool:
        """Whether the user has chosen the height."""
        return self._by_hand

    def _on_project(self) -> None:
        """Reset the height for another project."""
        self._fitted = False

    def _on_lanes(self, count: int) -> None:
        """The first tracks of a project enlarge the timeline. Later ones do not: the image would shrink and move
        under the pointer with each new track; the lanes scroll."""
        if count and not self._fitted:
            self._fitted = True
            self._fit()
        elif not count:
            self._fitted = False
            self._fit()

    def _on_moved(self, _place: int, _index: int) -> None:
        self._by_hand = True

    def _fit(self) -> None:
        whole = sum(self.sizes())
        if not self._by_hand and whole > 0:
            wrapper = min(self._timeline.sizeHint().height(), max(int(whole * MOST_SHARE), LOWEST))
            self.setSizes([whole - wrapper, wrapper])


def stacked(above: QWidget, below: QWidget) -> QWidget:
    """Two widgets stacked without a gap; the lower one grows."""
    position = QWidget()
    column = QVBoxLayout(position)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(above)
    column.addWidget(below, 1)
    return position


def _speed_text(speed: float) -> str:
    return f"{speed:g}×"
