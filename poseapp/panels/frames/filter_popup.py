"""The popup with the choices of the frame filter."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QMouseEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.project.queries.frame_query import FrameQuery, Labels, Points
from poseapp.project.store import ProjectStore
from poseapp.widgets.spin_box import DoubleSpinBox

ANY = "Any"
HOUR, DAY = 3600.0, 86400.0
MAX_TRACKS = 500
LABELS = {
    Labels.UNLABELLED: "Without poses",
    Labels.LABELLED: "Labelled, none to review",
    Labels.PREDICTED: "Predictions only",
    Labels.MIXED: "Labels and predictions",
    Labels.ANY_LABELLED: "With labels",
    Labels.ANY_PREDICTED: "To review",
}
POINTS = {
    Points.OCCLUDED: "With occluded points",
    Points.ABSENT: "With absent points",
    Points.NEITHER: "All points visible",
}
WHEN = {HOUR: "In the last hour", DAY: "In the last day", 7 * DAY: "In the last week", 30 * DAY: "In the last month"}
STATES = {
    "flagged": ("Flag", "Flagged", "Not flagged"),
    "reviewed": ("Reviewed", "Reviewed", "Not reviewed"),
    "negative": ("No objects in this frame", "No objects in this frame", "Not marked"),
    "nothing_found": ("Last run", "Nothing found", "Poses found, or not run yet"),
}


@dataclass(frozen=True)
class Names:
    """The values to choose from: category and media ids with their names, tracks."""

    categories: dict[int, str]
    media: dict[int, str]
    tracks: tuple[int, ...]

    @classmethod
    def of(cls, store: ProjectStore | None) -> Names:
        if store is None:
            return cls({}, {}, ())
        media = {m.id: m.path.replace("\\", "/").rstrip("/").rpartition("/")[2] or m.path for m in store.media()}
        return cls({c.id: c.name for c in store.categories()}, media, tuple(store.tracks()[:MAX_TRACKS]))


@guarded
class FilterChoices(QFrame):
    """One row per filter.

    Signals:
        changed(): a choice was made; :meth:`query` returns all of them.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("filterChoices")
        self.setProperty("role", "palette")
        self._filling = False
        self._base = FrameQuery()
        self.combos: dict[str, QComboBox] = {}
        form = QFormLayout(self)
        form.setContentsMargins(16, 14, 16, 14)
        form.setHorizontalSpacing(14)
        form.setVerticalSpacing(8)
        for name, title in (("labels", "Poses"), ("category", "Category"), ("media", "Folder")):
            self._add(form, name, title)
        form.addRow(tr("Min. score"), self._score_row())
        for name, title in (("points", "Points"), ("track", "Track")):
            self._add(form, name, title)
        for name, (title, _, _) in STATES.items():
            self._add(form, name, title)
        self._add(form, "changed_since", "Changed")
        self.clear_button = QPushButton(tr("Clear all"))
        self.clear_button.setAutoDefault(False)
        self.clear_button.clicked.connect(self.clear)
        form.addRow("", self.clear_button)
        self._form = form
        self._opener: QWidget | None = None
        self.hide()

    def _add(self, form: QFormLayout, name: str, title: str) -> None:
        combo = QComboBox()
        combo.setAccessibleName(tr(title))
        combo.setMinimumWidth(190)
        combo.currentIndexChanged.connect(self._tell)
        self.combos[name] = combo
        form.addRow(tr(title), combo)

    def _score_row(self) -> QWidget:
        self.low, self.high = DoubleSpinBox(), DoubleSpinBox()
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        for box, name, value in ((self.low, "Lowest score from", 0.0), (self.high, "Lowest score to", 1.0)):
            box.setRange(0.0, 1.0)
            box.setSingleStep(0.05)
            box.setValue(value)
            box.setAccessibleName(tr(name))
            box.valueChanged.connect(self._tell)
        line.addWidget(self.low)
        line.addWidget(QLabel(tr("to")))
        line.addWidget(self.high)
        return row

    def fill(self, names: Names, query: FrameQuery) -> None:
        """Fill in the values of the project and show a query."""
        self._filling = True
        self._base = query
        tracks: dict[Any, str] = {True: "With a track", False: "Without tracks"} if names.tracks else {}
        tracks.update({("track", n): f"Track {n}" for n in names.tracks})
        offers: dict[str, dict[Any, str]] = {
            "labels": dict(LABELS), "category": dict(names.categories), "media": dict(names.media),
            "points": dict(POINTS), "track": tracks, "changed_since": dict(WHEN),
            **{name: {True: yes, False: no} for name, (_, yes, no) in STATES.items()},
        }  # fmt: skip
        for name, offer in offers.items():
            _offer(self.combos[name], offer, self._shown(name, query))
        for name in ("category", "media", "track"):
            self._form.setRowVisible(self.combos[name], len(offers[name]) > 1)
        self.low.setValue(0.0 if query.min_score is None else query.min_score)
        self.high.setValue(1.0 if query.max_score is None else query.max_score)
        self._filling = False

    def query(self) -> FrameQuery:
        """The query of the current choices, with text and order of the query that was shown."""
        chosen: dict[str, Any] = {name: combo.currentData() for name, combo in self.combos.items()}
        track = chosen.pop("track")
        chosen["track"] = track[1] if isinstance(track, tuple) else None
        chosen["has_tracks"] = track if isinstance(track, bool) else None
        if chosen["changed_since"] is not None:
            chosen["changed_since"] = time.time() - chosen["changed_since"]
        chosen["min_score"] = self.low.value() if self.low.value() > 0.0 else None
        chosen["max_score"] = self.high.value() if self.high.value() < 1.0 else None
        return replace(self._base, **chosen)

    def clear(self) -> None:
        """Set all filters to "Any"; keep text and order."""
        self._filling = True
        for combo in self.combos.values():
            combo.setCurrentIndex(0)
        self.low.setValue(0.0)
        self.high.setValue(1.0)
        self._filling = False
        self._tell()

    def open_below(self, widget: QWidget) -> None:
        """Open over the window, below a widget of it; a click elsewhere or Esc closes it."""
        window = widget.window()
        self._opener = widget  # a press on it closes by itself
        self.setParent(window)
        self.adjustSize()
        corner = widget.mapTo(window, QPoint(widget.width() - self.width(), widget.height() + 4))
        x = max(4, min(corner.x(), window.width() - self.width() - 4))
        y = max(4, min(corner.y(), window.height() - self.height() - 4))
        self.move(x, y)
        self.show()
        self.raise_()
        self.combos["labels"].setFocus()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QApplication.instance().installEventFilter(self)  # type: ignore[union-attr]

    def hideEvent(self, event: QHideEvent) -> None:
        QApplication.instance().removeEventFilter(self)  # type: ignore[union-attr]
        super().hideEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Installed only while the popup is open."""
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and isinstance(watched, QWidget) and isinstance(event, QMouseEvent):
            inside = watched in (self, self._opener) or self.isAncestorOf(watched)
            if not inside and QApplication.activePopupWidget() is None and watched.window() is self.window():
                self.hide()
        elif kind == QEvent.Type.WindowDeactivate and watched is self.window():
            self.hide()
        return False

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self.hide()
                return True
        return super().event(event)

    @staticmethod
    def _shown(name: str, query: FrameQuery) -> Any:
        if name == "track":
            return query.has_tracks if query.track is None else ("track", query.track)
        if name == "changed_since":
            if query.changed_since is None:
                return None
            return min(WHEN, key=lambda span: abs(time.time() - span - (query.changed_since or 0.0)))
        return getattr(query, name)

    def _tell(self, *_: object) -> None:
        if not self._filling:
            self._base = self.query()
            self.changed.emit()


def _offer(combo: QComboBox, offer: dict[Any, str], chosen: Any) -> None:
    combo.clear()
    combo.addItem(tr(ANY), None)
    for value, text in offer.items():
        combo.addItem(tr(text), value)
        if value == chosen and type(value) is type(chosen):
            combo.setCurrentIndex(combo.count() - 1)
