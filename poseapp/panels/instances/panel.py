"""The poses of the frame as a tree of instances, parts and keypoints; it shares the selection of the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QMouseEvent, QShowEvent
from PySide6.QtWidgets import QHeaderView, QLabel, QMenu, QStackedLayout, QTreeView, QVBoxLayout, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.panels.instances.menu import add_lock_and_hide_actions, add_part_actions
from poseapp.panels.instances.tree_model import VISIBILITY_NAMES, InstanceModel, points_below
from poseapp.session.session import PointRef, Session

SIGN_WIDTH = 24
NO_POSES = "No poses in this image.\n\nCtrl+R lets the model find them,\nN draws a box, P places points."
NOTHING_FOUND = "Nothing found.\n\nEnter confirms that nothing is here,\nN draws a box, P places points."


@guarded
class PoseTree(QTreeView):
    """A tree whose visibility icons are buttons.

    Signals:
        sign_clicked(QModelIndex): the icon of a keypoint was clicked; the selection is kept.
    """

    sign_clicked = Signal(object)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        position = event.position().toPoint()
        index = self.indexAt(position)
        on_sign = index.column() == 1 and position.x() - self.visualRect(index).left() < SIGN_WIDTH
        if event.button() == Qt.MouseButton.LeftButton and on_sign and InstanceModel.node(index).point >= 0:
            self.sign_clicked.emit(index)
            return
        super().mousePressEvent(event)


@guarded
class InstancesPanel(QWidget):
    """The tree, or a hint if the frame has no poses.

    Signals:
        visibility_requested(points, value): a sign was clicked (None: the next value) or a value chosen in the menu.
        parts_requested(frozenset or None): draw only these parts of the points; None for all.
        part_color_requested(str, int or None): a color 0xRRGGBB for a part, None for that of the palette.
    """

    visibility_requested = Signal(object, object)
    parts_requested = Signal(object)
    part_color_requested = Signal(str, object)

    def __init__(self, session: Session, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("instancesPanel")
        self._session = session
        self._following = False
        self._stale = False
        self.part_color: Callable[[str], int] = lambda _part: 0
        self.own_colors: frozenset[str] = frozenset()
        self.model = InstanceModel(session, colors, self)
        self.tree = PoseTree()
        self.tree.setModel(self.model)
        self.tree.setAccessibleName(tr("Poses of this image"))
        self.tree.setSelectionMode(QTreeView.SelectionMode.ExtendedSelection)
        self.tree.setUniformRowHeights(True)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)
        self.tree.sign_clicked.connect(self._on_sign)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of parts often begin alike
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(1, 104)
        header.resizeSection(2, 54)
        self.hint = QLabel(tr(NO_POSES))
        self.hint.setProperty("role", "hint")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setWordWrap(True)
        self._pages = QStackedLayout()
        self._pages.addWidget(self.hint)
        self._pages.addWidget(self.tree)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(self._pages)
        self.tree.selectionModel().selectionChanged.connect(self._on_selected)
        session.project_changed.connect(self.refresh)
        session.frame_changed.connect(self.refresh)
        session.changed.connect(self._on_change)
        session.selection_changed.connect(self._follow)
        session.hidden_changed.connect(self.tree.viewport().update)

    def set_colors(self, colors: Tokens) -> None:
        self.model.set_colors(colors)
        self.tree.viewport().update()

    def refresh(self, *_: object) -> None:
        """Read the frame and keep the expanded rows of poses that are still there.

        A hidden tab waits for the next show.
        """
        self._stale = self.window().isVisible() and not self.isVisible()
        if self._stale:
            return
        opened = {n.instance.id for n in self.model.roots if self.tree.isExpanded(self.model.find(n.instance.id))}
        self._following = True
        self.model.read()
        self._following = False
        self._show_hint()
        self._pages.setCurrentWidget(self.tree if self.model.roots else self.hint)
        for root in self.model.roots:
            if root.instance.id in opened:
                self.tree.setExpanded(self.model.find(root.instance.id), True)
        self._follow()

    def _show_hint(self) -> None:
        self.hint.setText(tr(NOTHING_FOUND if self._session.nothing_found else NO_POSES))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self.refresh()

    def _on_change(self, change: Any) -> None:
        if self._stale:
            return
        self._show_hint()
        if change.structure or (self._session.frame in change.frames and not self.model.update()):
            self.refresh()

    def _follow(self) -> None:
        """Show the selection of the session."""
        if self._stale:
            return
        selection = QItemSelection()
        rows = [self.model.find(i) for i in self._session.selected_instances]
        rows += [self.model.find(i, k) for i, k in self._session.selected_points]
        flag = QItemSelectionModel.SelectionFlag
        for index in rows:
            if index.isValid():
                selection.select(index, index.siblingAtColumn(2))
        self._following = True
        self.tree.selectionModel().select(selection, flag.ClearAndSelect)
        if rows and rows[-1].isValid():
            # A chosen pose shows its parts or points; of dense poses only the chosen part opens.
            for instance in self._session.selected_instances:
                self.tree.setExpanded(self.model.find(instance), True)
            self.tree.scrollTo(rows[-1])
        self._following = False

    def _on_selected(self, *_: object) -> None:
        if self._following:
            return
        instances: set[int] = set()
        points: set[PointRef] = set()
        for index in self.tree.selectionModel().selectedRows(0):
            node = self.model.node(index)
            instances.add(node.instance.id)
            if node.point >= 0:
                points.add((node.instance.id, node.point))
            elif node.part:
                points.update((node.instance.id, child.point) for child in points_below(node))
        self._following = True
        self._session.select(instances=instances, points=points)
        self._following = False

    def _on_sign(self, index: QModelIndex) -> None:
        node = self.model.node(index)
        clicked = (node.instance.id, node.point)
        chosen = self._session.selected_points
        self.visibility_requested.emit(chosen if clicked in chosen else {clicked}, None)

    def set_look(
        self,
        parts: frozenset[str] | None,
        color_of: Callable[[str], int],
        own_colors: frozenset[str],
        swatches: bool,
    ) -> None:
        """Which parts of the points are drawn (None for all); the color 0xRRGGBB of each, which of them have one of
        their own in this project, and whether the canvas shows them."""
        self.part_color, self.own_colors = color_of, own_colors
        if (parts, swatches) != (self.model.parts, self.model.part_color is not None) or swatches:
            self.model.parts = parts
            self.model.part_color = color_of if swatches else None
            self.tree.viewport().update()

    @property
    def session(self) -> Session:
        return self._session

    def _menu(self, position: Any) -> None:
        menu = self.menu_at(position)
        if menu is not None:
            menu.popup(self.tree.viewport().mapToGlobal(position))

    def menu_at(self, position: QPoint) -> QMenu | None:
        """The context menu at a position of the tree."""
        points = self._session.selected_points
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        index = self.tree.indexAt(position)
        if index.isValid():
            node = self.model.node(index)
            if node.part and node.point < 0:
                add_part_actions(menu, self, node)
                menu.addSeparator()
            add_lock_and_hide_actions(menu, self, node)
            menu.addSeparator()
        for value, name in VISIBILITY_NAMES.items() if points else ():
            action = menu.addAction(self.model.sign(value), tr(name.capitalize()))
            action.triggered.connect(lambda _checked=False, v=value: self.visibility_requested.emit(points, v))
        if menu.isEmpty():
            menu.deleteLater()
            return None
        return menu
