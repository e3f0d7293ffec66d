"""The actions table as QActions with shortcuts and icons, and the menus and tool bar made of them."""

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
from poseapp.window.actions import ACTIONS, BY_ID, MENUS, Action

EXCLUSIVE = ("tool:", "color:", "theme:")
"""Of the switches with one of these prefixes only one is on."""


class WindowActions:
    """One QAction for every row of the actions table.

    Args:
        window: gets the actions, so that their shortcuts work everywhere in it.
        run: runs an action by its id.
        is_on: whether a switch of the ``check`` column is on.
    """

    def __init__(
        self, window: QMainWindow, colors: theme.Tokens, run: Callable[[str], None], is_on: Callable[[str], bool]
    ) -> None:
        self._is_on = is_on
        self.by_id: dict[str, QAction] = {}
        groups: dict[str, QActionGroup] = {}
        for row in ACTIONS:
            action = _make(row, window)
            action.triggered.connect(lambda _checked=False, name=row.id: run(name))
            for prefix in EXCLUSIVE:
                if row.check.startswith(prefix):
                    groups.setdefault(prefix, QActionGroup(window)).addAction(action)
            self.by_id[row.id] = action
            window.addAction(action)
        self.set_colors(colors)

    def set_keys(self, keymap: Keymap) -> None:
        """Set the shortcuts of every action; the first is shown in its tool tip."""
        for row in ACTIONS:
            keys = keymap.get(row.id, row.keys)
            action = self.by_id[row.id]
            action.setShortcuts([QKeySequence(key) for key in keys])
            action.setToolTip(_tip(row, keys))

    def set_colors(self, colors: theme.Tokens) -> None:
        for row in ACTIONS:
            if row.icon:
                self.by_id[row.id].setIcon(icon(row.icon, colors))

    def fill_menus(self, window: QMainWindow) -> None:
        bar = window.menuBar()
        for name in MENUS:
            menu = QMenu(tr(name), window)
            bar.addMenu(menu)
            group = 0
            submenus: dict[str, QMenu] = {}
            for row in ACTIONS:
                if row.menu != name:
                    continue
                if row.group != group:
                    menu.addSeparator()
                    group = row.group
                if row.under and row.under not in submenus:
                    submenus[row.under] = menu.addMenu(tr(row.under))
                submenus.get(row.under, menu).addAction(self.by_id[row.id])

    def make_toolbar(self) -> QToolBar:
        bar = QToolBar(tr("Tools"))
        bar.setObjectName("tools")
        bar.setMovable(False)
        bar.setIconSize(theme.ICON_SIZE)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        previous = 1
        for row in sorted((r for r in ACTIONS if r.toolbar), key=lambda r: r.toolbar):
            if row.toolbar != previous:
                bar.addSeparator()
                previous = row.toolbar
            action = self.by_id[row.id]
            bar.addAction(action)
            button = bar.widgetForAction(action)
            if isinstance(button, QToolButton):
                button.setAccessibleName(tr(row.name))
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return bar

    def refresh(self, session: Session) -> None:
        """Update which actions are enabled and which are checked; asks the session for each fact once."""
        met, read_only = met_needs(session), session.read_only
        for row in ACTIONS:
            action = self.by_id[row.id]
            action.setEnabled((not row.needs or row.needs in met) and not (read_only and row.writes))
            if row.check:
                action.setChecked(self._is_on(row.check))
        store = session.store
        _set_text(self.by_id["undo"], "Undo", None if store is None else store.undo_text())
        _set_text(self.by_id["redo"], "Redo", None if store is None else store.redo_text())

    def can_run(self, name: str, session: Session) -> bool:
        action = BY_ID[name]
        if action.writes and session.read_only:
            return False
        return not action.needs or action.needs in met_needs(session)


def met_needs(session: Session) -> set[str]:
    """The ``needs`` of the table that are met now."""
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
    action = QAction(tr(row.text), window)
    action.setObjectName(row.id)
    action.setProperty("english", row.name)  # the palette finds it by both names
    action.setShortcuts([QKeySequence(key) for key in row.keys])
    action.setToolTip(_tip(row, row.keys))
    action.setStatusTip(tr(row.tip))
    action.setCheckable(bool(row.check))
    return action


def _tip(row: Action, keys: tuple[str, ...]) -> str:
    shown = f"  ({native(keys[0])})" if keys else ""
    return f"{tr(row.text).removesuffix('...')}{shown}\n{tr(row.tip)}".strip()


def _set_text(action: QAction, verb: str, step: str | None) -> None:
    said = tr(step) if step else ""
    action.setText(f"{tr(verb)} {said[0].lower()}{said[1:]}" if said else tr(verb))


def native(key: str) -> str:
    """A shortcut in the notation of this system."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
