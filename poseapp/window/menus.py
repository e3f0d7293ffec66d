"""Qt's side of the actions table: actions with keys and icons, the menus and the tool bar made of them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QToolBar, QToolButton

from poseapp.app import theme
from poseapp.app.i18n import tr
from poseapp.app.shortcuts import Keymap
from poseapp.session.session import Session
from poseapp.widgets.icons import icon
from poseapp.window.actions import ACTIONS, BY_ID, MENUS, Action, writes

EXCLUSIVE = ("tool:", "color:", "theme:")
"""Switches of one of these kinds exclude each other."""


class WindowActions:
    """One QAction for every row of the table.

    Args:
        window: gets the actions, so that their keys work everywhere in it.
        run: does a verb by its id.
        is_on: how a switch of the table's ``check`` column stands.
    """

    def __init__(
        self, window: QMainWindow, colours: theme.Tokens, run: Callable[[str], None], is_on: Callable[[str], bool]
    ) -> None:
        self._is_on = is_on
        self.by_id: dict[str, QAction] = {}
        groups: dict[str, QActionGroup] = {}
        for row in ACTIONS:
            made = _make(row, window)
            made.triggered.connect(lambda _checked=False, name=row.id: run(name))
            for prefix in EXCLUSIVE:
                if row.check.startswith(prefix):
                    groups.setdefault(prefix, QActionGroup(window)).addAction(made)
            self.by_id[row.id] = made
            window.addAction(made)
        self.set_colours(colours)

    def set_keys(self, keymap: Keymap) -> None:
        """Give every verb its keys, and say the first in its tool tip."""
        for row in ACTIONS:
            keys = keymap.get(row.id, row.keys)
            action = self.by_id[row.id]
            action.setShortcuts([QKeySequence(key) for key in keys])
            action.setToolTip(_tip(row, keys))

    def set_colours(self, colours: theme.Tokens) -> None:
        for row in ACTIONS:
            if row.icon:
                self.by_id[row.id].setIcon(icon(row.icon, colours))

    def fill_menus(self, window: QMainWindow) -> None:
        bar = window.menuBar()
        for name in MENUS:
            menu = QMenu(tr(name), window)
            bar.addMenu(menu)
            group = 0
            below: dict[str, QMenu] = {}
            for row in ACTIONS:
                if row.menu != name:
                    continue
                if row.group != group:
                    menu.addSeparator()
                    group = row.group
                if row.under and row.under not in below:
                    below[row.under] = menu.addMenu(tr(row.under))
                below.get(row.under, menu).addAction(self.by_id[row.id])

    def make_toolbar(self) -> QToolBar:
        bar = QToolBar(tr("Tools"))
        bar.setObjectName("tools")
        bar.setMovable(False)
        bar.setIconSize(theme.ICON_SIZE)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        before = 1
        for row in sorted((r for r in ACTIONS if r.toolbar), key=lambda r: r.toolbar):
            if row.toolbar != before:
                bar.addSeparator()
                before = row.toolbar
            action = self.by_id[row.id]
            bar.addAction(action)
            button = bar.widgetForAction(action)
            if isinstance(button, QToolButton):
                button.setAccessibleName(tr(row.name))
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return bar

    def refresh(self, session: Session) -> None:
        """Which verbs can be done now, and how the switches stand. Called at every frame: asks for each fact once."""
        there = satisfied(session)
        for row in ACTIONS:
            action = self.by_id[row.id]
            action.setEnabled((not row.needs or row.needs in there) and not (session.read_only and writes(row)))
            if row.check:
                action.setChecked(self._is_on(row.check))
        store = session.store
        _set_text(self.by_id["undo"], "Undo", None if store is None else store.undo_text())
        _set_text(self.by_id["redo"], "Redo", None if store is None else store.redo_text())

    def can_run(self, name: str, session: Session) -> bool:
        needs = BY_ID[name].needs
        if session.read_only and writes(BY_ID[name]):
            return False
        return not needs or needs in satisfied(session)


def satisfied(session: Session) -> set[str]:
    """Which ``needs`` of the table are met."""
    store = session.store
    if store is None:
        return set()
    facts = {
        "project": True,
        "frame": session.frame is not None,
        "selection": bool(session.selected),
        "points": bool(session.selected_points),
        "predictions": session.proposal is not None
        or bool(session.predicted())
        or session.nothing_found
        or any(i.id in session.correcting for i in session.selected),
        "undo": store.undo_text() is not None,
        "redo": store.redo_text() is not None,
    }
    return {name for name, met in facts.items() if met}


def _make(row: Action, window: QMainWindow) -> QAction:
    made = QAction(tr(row.text), window)
    made.setObjectName(row.id)
    made.setProperty("english", row.name)  # found in the palette by both names
    made.setShortcuts([QKeySequence(key) for key in row.keys])
    made.setToolTip(_tip(row, row.keys))
    made.setStatusTip(tr(row.tip))
    made.setCheckable(bool(row.check))
    return made


def _tip(row: Action, keys: tuple[str, ...]) -> str:
    shown = f"  ({native(keys[0])})" if keys else ""
    return f"{tr(row.text).removesuffix('...')}{shown}\n{tr(row.tip)}".strip()


def _set_text(action: QAction, verb: str, step: str | None) -> None:
    said = tr(step) if step else ""
    action.setText(f"{tr(verb)} {said[0].lower()}{said[1:]}" if said else tr(verb))


def native(key: str) -> str:
    """A shortcut as this system writes it."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
