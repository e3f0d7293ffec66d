"""The timeline below the canvas: a ruler, rows of marks, and one lane per track."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QScrollBar, QSizePolicy, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.frames.playback_decoder import Shown
from poseapp.jobs.frames.timeline_previews import TimelinePreviews
from poseapp.panels.timeline.data import MediaData
from poseapp.panels.timeline.hover_preview import Pointer, Scrub
from poseapp.panels.timeline.lanes import Sight, clock_text
from poseapp.panels.timeline.painting import (
    GAP,
    HEADER,
    LEFT,
    RIGHT,
    ROW,
    ROWS,
    Look,
    lanes_top,
    paint_cursor,
    paint_ground,
    small_font,
)
from poseapp.project.model import Change, FrameKey
from poseapp.project.store import ProjectStore
from poseapp.session.frame_range import Scope, scope_of
from poseapp.session.session import Session

ONE_BY_ONE = 500
"""From more changed frames on, all marks and lanes are read at once."""
WHEEL_FACTOR = 1.25
CLICK_PIXELS = 4
LOWEST = HEADER + 2 * GAP + len(ROWS) * ROW
SEEN_LANES = 5


@guarded
class Timeline(QWidget):
    """The frames of one video, or all images of a project.

    The wheel zooms about the pointer, with Shift it goes sideways; over the names it scrolls the tracks. A drag goes
    through the frames, a drag on the ruler moves what is in sight. A click on a lane selects the track's pose.

    Args:
        color_of: 0xRRGGBB of a track, as on the canvas.

    Signals:
        frame_chosen(FrameKey)
        lanes_changed(int): so many tracks there are.
        project_shown(): another project is shown.
    """

    frame_chosen = Signal(object)
    lanes_changed = Signal(int)
    project_shown = Signal()

    def __init__(
        self,
        session: Session,
        loader: FrameLoader,
        colors: Tokens,
        color_of: Callable[[int], int],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("timeline")
        self.setAccessibleName(tr("Timeline"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMinimumHeight(LOWEST)
        self.setMouseTracking(True)
        self._session, self._colors, self._color_of = session, colors, color_of
        self.previews = TimelinePreviews(self)
        self._marks: npt.NDArray[np.bool_] = np.zeros((len(ROWS), 0), dtype=np.bool_)
        self._scope, self._lane_count = Scope(), 0
        self.sight = Sight.whole(0)
        self.data = MediaData(self.previews, self)
        self.data.changed.connect(self._on_data)
        self._ground: QPixmap | None = None
        self._played: Shown | None = None
        self._rate = ""
        self._pressed: QPointF | None = None
        self._panning = self._dragged = False
        self._hand: FrameKey | None = None
        self._pointer = Pointer(self.previews, self, colors)
        self._scrub = Scrub(loader, self)
        self._scrub.wanted.connect(self.frame_chosen)
        self._bar = QScrollBar(Qt.Orientation.Vertical, self)
        self._bar.setAccessibleName(tr("Tracks"))
        self._bar.valueChanged.connect(self.update_lanes)
        session.project_changed.connect(self.project_shown)
        session.project_changed.connect(self.refresh)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._on_frame)
        session.selection_changed.connect(self.update_lanes)
        session.frame_range.changed.connect(self.update_lanes)

    def sizeHint(self) -> QSize:
        lanes = min(len(self.data.lanes), SEEN_LANES)
        return QSize(400, LOWEST + (lanes * ROW + GAP if lanes else 0))

    def set_colors(self, colors: Tokens) -> None:
        self._colors = colors
        self._pointer.set_colors(colors)
        self.update_lanes()

    def rest(self) -> None:
        """Stop all threads before the window closes."""
        self._pointer.leave()
        self.previews.shutdown()

    # --- what there is

    def refresh(self) -> None:
        """Read the marks of all frames and the tracks of the media shown."""
        store = self._session.store
        if self._marks.shape[1] != len(self._session.frames):
            self._marks = np.zeros((len(ROWS), len(self._session.frames)), dtype=np.bool_)
        if store is not None:
            self._session.queries.ask("marks", ProjectStore.frame_marks, self._on_marks)
        else:
            self.previews.shutdown()
            self._pointer.leave()
        self._follow(self._session.frame, anew=True)
        self.update_lanes()

    def _on_marks(self, bits: npt.NDArray[np.uint8]) -> None:
        if len(bits) == len(self._session.frames):
            self._marks = (bits >> np.arange(len(ROWS), dtype=np.uint8)[:, None] & 1).astype(np.bool_)
            self.update_lanes()

    def _on_change(self, change: Change) -> None:
        store = self._session.store
        many = len(change.frames) > ONE_BY_ONE
        if store is None or change.structure or many or self._marks.shape[1] != len(self._session.frames):
            self.refresh()
            return
        for key in change.frames:
            position = self._session.position(key)
            if position >= 0:
                counts = store.frame_counts(key)
                state = store.frame(key).state
                self._marks[:, position] = counts.labelled > 0, counts.predicted > 0, state.reviewed, state.flagged
        self.data.frames_changed(change.frames)
        self.update_lanes()

    def _on_frame(self, key: FrameKey | None) -> None:
        self._played, self._rate = None, ""
        self._follow(key)
        self.update()

    def _follow(self, key: FrameKey | None, *, anew: bool = False) -> None:
        """Show the media of a frame, scrolled to the frame."""
        session = self._session
        store, position = session.store, session.position(key)
        if store is None or key is None or position < 0:
            self._scope, self.sight = Scope(), Sight.whole(0)
            self.data.show(None, -1, None)
            return
        if anew or key.media != self.data.media:
            before, self._scope = self._scope, scope_of(session.frames, store.media(), position)
            if self._scope != before:
                self.sight, self._ground = Sight.whole(self._scope.count), None
            self.data.show(store, key.media, None if self._scope.media is None else store.frame_path(key))
        self._look_at(self.sight.showing(position - self._scope.first))

    def _on_data(self) -> None:
        if len(self.data.lanes) != self._lane_count:
            self._lane_count = len(self.data.lanes)
            self._fit_bar()
            self.updateGeometry()
            self.lanes_changed.emit(self._lane_count)
        self.update_lanes()

    def _fit_bar(self) -> None:
        area = self._look().lanes_area
        hidden = len(self.data.lanes) * ROW - int(area.height())
        self._bar.setRange(0, max(hidden, 0))
        self._bar.setSingleStep(ROW)
        self._bar.setPageStep(max(int(area.height()), 1))
        self._bar.setVisible(hidden > 0 and area.height() > ROW)
        self._bar.setGeometry(int(area.right()) + 4, int(area.top()), 11, int(area.height()))
        self._ground = None

    # --- playback

    def show_playing(self, shown: Shown, rate: tuple[float, float]) -> None:
        """Move the cursor during playback and show how many frames are dropped."""
        self._played = shown
        self._rate = f"{rate[0]:.0f} of {rate[1]:.0f} fps" if rate[0] < 0.93 * rate[1] else ""
        position = self._session.position(shown.key) - self._scope.first
        self._look_at(self.sight.showing(position, page=True))
        self.update()

    @property
    def frame(self) -> FrameKey | None:
        """The frame at the cursor: under the pointer, else the one playing, else the current one."""
        if self._hand is not None:
            return self._hand
        return self._session.frame if self._played is None else self._played.key

    @property
    def _origin(self) -> int:
        """Number of the first frame: video frames are counted from 0, as in all exported files."""
        return 1 if self._scope.media is None else 0

    def _number(self, position: int) -> str:
        return f"{position + self._origin:,}" if self._origin else tr(f"frame {position:,}")

    # --- painting

    def update_lanes(self, *_: object) -> None:
        """Repaint the marks next time."""
        self._ground = None
        self.update()

    def _look_at(self, sight: Sight) -> None:
        if sight != self.sight:
            self.sight = sight
            self.update_lanes()

    def set_controls(self, controls: QWidget) -> None:
        """Set the buttons above the names."""
        controls.setParent(self)
        controls.setGeometry(0, 0, LEFT, HEADER)
        controls.show()

    def zoom(self, factor: float, share: float = 0.5) -> None:
        """Zoom in or out; the frame at this fraction of the width stays in place."""
        self._look_at(self.sight.zoomed(factor, share))

    def _look(self) -> Look:
        scope, session = self._scope, self._session
        marked = session.frame_range.places(session.frames)
        shift = 0
        if self.data.media >= 0 and len(session.frames):
            shift = int(np.searchsorted(session.frames.packed, self.data.media << 32)) - scope.first
        return Look(
            self.width(),
            self.height(),
            self.sight,
            self._marks[:, scope.first : scope.stop],
            self.data.times,
            self.data.lanes,
            shift,
            self._bar.value(),
            None if marked is None else (marked[0] - scope.first, marked[1] - scope.first),
            next((i.track for i in session.selected if i.track is not None), None),
            self._color_of,
            self._origin,
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit_bar()
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        ratio, look = self.devicePixelRatioF(), self._look()
        if self._ground is None or self._ground.devicePixelRatio() != ratio:
            self._ground = QPixmap(round(self.width() * ratio), round(self.height() * ratio))
            self._ground.setDevicePixelRatio(ratio)
            with QPainter(self._ground) as painter:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setFont(small_font(self.font()))
                paint_ground(painter, look, self._colors)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._ground)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self.font()))
        position = self._session.position(self.frame) - self._scope.first
        if 0 <= position < self._scope.count:
            lines = [self._number(position), tr(f"of {self._scope.count:,}")]
            seconds = self.data.time(position)
            if seconds is not None:
                lines.append(clock_text(seconds))
            paint_cursor(painter, look, position, lines, tr(self._rate), self._colors)
        painter.end()

    # --- the hand

    def wheelEvent(self, event: QWheelEvent) -> None:
        down, across = event.angleDelta().y(), event.angleDelta().x()
        sideways = event.modifiers() & Qt.KeyboardModifier.ShiftModifier or abs(across) > abs(down)
        x, area = event.position().x(), self._look().lanes_area
        if sideways:
            self._look_at(self.sight.moved(-(across or down) / 1200 * self.sight.count))
        elif x < LEFT and event.position().y() >= area.top():
            self._bar.setValue(self._bar.value() - down * ROW // 60)
        elif down:
            self.zoom(WHEEL_FACTOR ** (down / 120), self._share(x))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed, self._dragged = event.position(), False
        middle = event.button() == Qt.MouseButton.MiddleButton
        on_ruler = event.position().y() < HEADER and not self.sight.is_whole
        self._panning = middle or on_ruler
        self._pointer.leave()
        if not self._panning and event.button() == Qt.MouseButton.LeftButton and event.position().x() >= LEFT - 6:
            self._go(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            self._hover(event.position())
            return
        moved = event.position().x() - self._pressed.x()
        if not self._dragged and (event.position() - self._pressed).manhattanLength() < CLICK_PIXELS:
            return
        self._dragged = True
        if self._panning:
            self._pressed = event.position()
            self._look_at(self.sight.moved(-moved / self._span_width() * self.sight.count))
        elif event.buttons() & Qt.MouseButton.LeftButton and self._hand is not None:
            self._go(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            return
        left = event.button() == Qt.MouseButton.LeftButton
        if self._panning and not self._dragged and left and pressed.x() >= LEFT - 6:
            self._go(pressed)
        self._panning, self._hand = False, None
        self._scrub.finish()
        if left and not self._dragged:
            self._pick(pressed)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """On the ruler: show all frames."""
        if event.position().y() < HEADER:
            self._look_at(Sight.whole(self._scope.count))
        else:
            self.mousePressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._pointer.leave()
        super().leaveEvent(event)

    def _go(self, at: QPointF) -> None:
        key = self._key_at(at.x())
        if key is not None:
            self._hand = key
            self._scrub.want(key)
            self.update()

    def _pick(self, at: QPointF) -> None:
        """A click on a lane selects the pose of the track; a click on its name, in the current frame."""
        look, session = self._look(), self._session
        if not look.lanes_area.contains(at):
            return
        lane = int((at.y() - lanes_top(look, 0)) // ROW)
        if 0 <= lane < len(self.data.lanes):
            track = self.data.lanes.tracks[lane]
            session.select(instances=[i.id for i in session.instances if i.track == track])

    def _hover(self, at: QPointF) -> None:
        """Preview the frame under the pointer."""
        key = self._key_at(at.x()) if LEFT <= at.x() <= self.width() - RIGHT else None
        store = self._session.store
        if key is None or store is None or self._played is not None:
            self._pointer.leave()
            return
        position = self._session.position(key) - self._scope.first
        text, path = self._number(position), store.frame_path(key)
        seconds = self.data.time(position)
        text = f"{text}   {path.name if seconds is None else clock_text(seconds)}"
        self._pointer.point_at(key, path, text, at.x())

    def _key_at(self, x: float) -> FrameKey | None:
        if not self._scope.count:
            return None
        index = int(np.clip(np.floor(self.sight.at(self._share(x))), 0, self._scope.count - 1))
        return self._session.frames[self._scope.first + index]

    def _share(self, x: float) -> float:
        return float(np.clip((x - LEFT) / self._span_width(), 0.0, 1.0))

    def _span_width(self) -> float:
        return self._look().span.width()
