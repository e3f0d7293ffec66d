"""The bar above the frame list: search text, filters and order; one chip per active filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QToolButton, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.panels.frames.filter_popup import LABELS, POINTS, STATES, WHEN, FilterChoices, Names
from poseapp.project.queries.frame_query import FrameQuery, Sort
from poseapp.session.session import Session
from poseapp.widgets.flow_layout import FlowLayout
from poseapp.widgets.icons import icon
from poseapp.widgets.line_edit import LineEdit

SORTS = {
    Sort.NUMBER: "Number",
    Sort.NAME: "Name",
    Sort.SCORE: "Lowest score first",
    Sort.CHANGED: "Recently changed first",
}


class FilterBar(QWidget):
    """Makes a :class:`FrameQuery`.

    Signals:
        query_changed(FrameQuery)
    """

    query_changed = Signal(object)

    def __init__(self, session: Session, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("filterBar")
        self._session = session
        self.query = FrameQuery()
        self._names = Names({}, {}, ())
        self.search = LineEdit()
        self.search.setPlaceholderText(tr("Find by name"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Find images by name"))
        self.more = _button("Choose which images are listed")
        self.order = _button("Order of the images")
        self.order.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.order.setMenu(self._order_menu())
        self.choices = FilterChoices(self)
        self.chips: list[QToolButton] = []
        self.count = QLabel()
        self.count.setProperty("role", "hint")
        self._lay_out()
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(120)
        self._typing.timeout.connect(self._on_text)
        self.search.textChanged.connect(lambda: self._typing.start())
        self.more.clicked.connect(self.open_choices)
        self.choices.changed.connect(lambda: self.set_query(self.choices.query()))
        session.project_changed.connect(self._on_project)
        self.set_colors(colors)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self.search, 1)
        top.addWidget(self.more)
        top.addWidget(self.order)
        self.strip = QWidget()
        self.flow = FlowLayout(self.strip)
        self.flow.setContentsMargins(0, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 10, 10, 8)
        column.setSpacing(6)
        column.addLayout(top)
        column.addWidget(self.strip)
        self.flow.addWidget(self.count)
        self.strip.hide()

    def _order_menu(self) -> QMenu:
        menu = QMenu(self)
        group = QActionGroup(menu)
        self.orders: dict[Sort, QAction] = {}
        for sort, text in SORTS.items():
            action = menu.addAction(tr(text))
            action.setCheckable(True)
            group.addAction(action)
            action.triggered.connect(lambda _checked=False, chosen=sort: self._sort(chosen))
            self.orders[sort] = action
        self.orders[Sort.NUMBER].setChecked(True)
        menu.addSeparator()
        self.backwards = menu.addAction(tr("Reverse"))
        self.backwards.setCheckable(True)
        self.backwards.triggered.connect(lambda: self._sort(self.query.sort))
        return menu

    def set_colors(self, colors: Tokens) -> None:
        self.more.setIcon(icon("filter", colors))
        self.order.setIcon(icon("sort", colors))

    def rest(self) -> None:
        """Stop all timers before the window closes."""
        self._typing.stop()
        self.choices.hide()

    def set_query(self, query: FrameQuery) -> None:
        """Show a query and emit ``query_changed``."""
        if query == self.query:
            return
        self.query = query
        self._show_chips()
        self.query_changed.emit(query)

    def set_count(self, shown: int, of: int) -> None:
        """Show how many frames are listed, if some are filtered out."""
        self.count.setText(tr(f"{shown:,} of {of:,}"))

    def clear(self) -> None:
        """Remove all filters and the search text; keep the order."""
        self.search.clear()
        self._typing.stop()
        self.set_query(FrameQuery(sort=self.query.sort, descending=self.query.descending))

    def open_choices(self) -> None:
        """Open the filter popup, or close it if it is open."""
        if self.choices.isVisible():
            self.choices.hide()
            return
        self._names = Names.of(self._session.store)
        self.choices.fill(self._names, self.query)
        self.choices.open_below(self.more)

    def _on_project(self) -> None:
        """Clear the filters: those of another project do not apply."""
        self._typing.stop()
        self.search.blockSignals(True)
        self.search.clear()
        self.search.blockSignals(False)
        self._names = Names({}, {}, ())
        self.query = FrameQuery(sort=self.query.sort, descending=self.query.descending)
        self._show_chips()

    def _on_text(self) -> None:
        self.set_query(replace(self.query, text=self.search.text().strip()))

    def _sort(self, sort: Sort) -> None:
        # Lowest score and last change are asked for from their interesting end.
        turned = self.backwards.isChecked() != (sort is Sort.CHANGED)
        self.set_query(replace(self.query, sort=sort, descending=turned))

    def _show_chips(self) -> None:
        for chip in self.chips:
            self.flow.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self.chips = [self._chip(text, without) for text, without in chips_of(self.query, self._names)]
        self.more.setChecked(bool(self.chips))
        # The count stands behind the chips.
        self.flow.removeWidget(self.count)
        for widget in (*self.chips, self.count):
            self.flow.addWidget(widget)
            widget.show()
        self.strip.setVisible(self.query.filters)
        self.strip.updateGeometry()

    def _chip(self, text: str, without: FrameQuery) -> QToolButton:
        chip = QToolButton(self.strip)
        chip.setProperty("role", "chip")
        chip.setText(tr(f"{text}  ×"))
        chip.setAccessibleName(tr(f"Remove condition: {text}"))
        chip.setToolTip(tr("Remove this filter"))
        chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        chip.clicked.connect(lambda: self.set_query(without))
        return chip


def chips_of(query: FrameQuery, names: Names) -> Iterator[tuple[str, FrameQuery]]:
    """Each filter as text, with the query without it. The search text has its own field."""
    if query.labels is not None:
        yield LABELS[query.labels], replace(query, labels=None)
    if query.category is not None:
        yield names.categories.get(query.category, "Category"), replace(query, category=None)
    if query.media is not None:
        yield names.media.get(query.media, "Folder"), replace(query, media=None)
    if query.min_score is not None or query.max_score is not None:
        low, high = query.min_score or 0.0, 1.0 if query.max_score is None else query.max_score
        yield f"Score {low:.2f} to {high:.2f}", replace(query, min_score=None, max_score=None)
    if query.points is not None:
        yield POINTS[query.points], replace(query, points=None)
    if query.track is not None:
        yield f"Track {query.track}", replace(query, track=None)
    if query.has_tracks is not None:
        yield "With a track" if query.has_tracks else "Without tracks", replace(query, has_tracks=None)
    for name, (_, yes, no) in STATES.items():
        value = getattr(query, name)
        if value is not None:
            yield yes if value else no, replace(query, **{name: None})  # type: ignore[arg-type]
    if query.changed_since is not None:
        yield (
            f"Changed {WHEN[FilterChoices._shown('changed_since', query)].lower()}",
            replace(query, changed_since=None),
        )


def _button(tip: str) -> QToolButton:
    tool_button = QToolButton()
    tool_button.setToolTip(tr(tip))
    tool_button.setAccessibleName(tr(tip))
    tool_button.setIconSize(QSize(18, 18))
    tool_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return tool_button
