"""The poses of the frame as a tree: instance, part, keypoint; its selection is that of the canvas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QIcon, QMouseEvent, QShowEvent
from PySide6.QtWidgets import QHeaderView, QLabel, QMenu, QStackedLayout, QTreeView, QVBoxLayout, QWidget

from poseapp.i18n import tr
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Instance, State
from poseapp.session import PointRef, Session
from poseapp.theme import Tokens
from poseapp.widgets.icons import pixmap

Index = QModelIndex | QPersistentModelIndex
VISIBILITY_NAMES = {VISIBLE: "visible", OCCLUDED: "occluded", ABSENT: "absent"}
SIGN_WIDTH = 24
_ICONS = {VISIBLE: "visible", OCCLUDED: "occluded", ABSENT: "absent"}


class Node:
    """A row: an instance, a part of it, or a keypoint."""

    __slots__ = ("children", "instance", "parent", "part", "point", "row")

    def __init__(self, instance: Instance, parent: Node | None, row: int, part: str = "", point: int = -1) -> None:
        self.instance, self.parent, self.row, self.part, self.point = instance, parent, row, part, point
        self.children: list[Node] = []


class InstanceModel(QAbstractItemModel):
    """Built anew for each frame or edit: a frame holds few instances, and only shown rows are asked for."""

    def __init__(self, session: Session, colours: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.roots: list[Node] = []
        self.parts: frozenset[str] | None = None
        self.set_colours(colours)

    def set_colours(self, colours: Tokens) -> None:
        self._colours = colours
        tints = {VISIBLE: colours.text_soft, OCCLUDED: colours.warning, ABSENT: colours.text_faint}
        self._signs = {v: QIcon(pixmap(name, tints[v], 16, 2.0)) for v, name in _ICONS.items()}
        self._people = {
            State.LABELLED: QIcon(pixmap("person", colours.good, 16, 2.0)),
            State.PREDICTED: QIcon(pixmap("model", colours.predicted, 16, 2.0)),
        }

    def sign(self, visibility: int) -> QIcon:
        return self._signs[visibility]

    def read(self) -> None:
        self.beginResetModel()
        self.roots = []
        for row, instance in enumerate(self._session.instances):
            root = Node(instance, None, row)
            parts = self._session.schema_of(instance).parts
            for part, points in parts.items():
                above = root
                if len(parts) > 1:
                    above = Node(instance, root, len(root.children), part)
                    root.children.append(above)
                above.children += [
                    Node(instance, above, len(above.children) + i, part, k) for i, k in enumerate(points)
                ]
            self.roots.append(root)
        self.endResetModel()

    def update(self) -> bool:
        """Take over edited instances where the rows stay as they are; False when the tree must be read again."""
        now = self._session.instances
        if [(r.instance.id, r.instance.category) for r in self.roots] != [(i.id, i.category) for i in now]:
            return False
        for root, instance in zip(self.roots, now):
            if root.instance is not instance:
                self.dataChanged.emit(self.createIndex(root.row, 0, root), self.createIndex(root.row, 2, root))
                self._replace(root, instance)
        return True

    def _replace(self, node: Node, instance: Instance) -> None:
        """One signal for all rows of a branch: with 133 points the view has as little to do as with 17."""
        node.instance = instance
        for child in node.children:
            self._replace(child, instance)
        if node.children:
            first, last = node.children[0], node.children[-1]
            self.dataChanged.emit(self.createIndex(first.row, 0, first), self.createIndex(last.row, 2, last))

    # Qt's questions

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        nodes = self.roots if not parent.isValid() else self.node(parent).children
        return self.createIndex(row, column, nodes[row]) if 0 <= row < len(nodes) else QModelIndex()

    def parent(self, index: Index = QModelIndex()) -> Any:  # noqa: B008
        if not index.isValid():
            return QModelIndex()
        above = self.node(index).parent
        return QModelIndex() if above is None else self.createIndex(above.row, 0, above)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        if parent.column() > 0:
            return 0
        return len(self.roots) if not parent.isValid() else len(self.node(parent).children)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 3

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return tr(("Pose", "Visibility", "Score")[section])
        if role == Qt.ItemDataRole.TextAlignmentRole and section == 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        node, column = self.node(index), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return (self._name(node), self._visibility(node), self._score(node))[column]
        if role == Qt.ItemDataRole.DecorationRole and column == 0 and node.parent is None:
            return self._people[node.instance.state]
        if role == Qt.ItemDataRole.DecorationRole and column == 1 and node.point >= 0:
            return self._signs[int(node.instance.visibility[node.point])]
        if (
            role == Qt.ItemDataRole.ForegroundRole
            and node.point >= 0
            and node.instance.visibility[node.point] == ABSENT
        ):
            return QColor(self._colours.text_faint)
        if role == Qt.ItemDataRole.ForegroundRole and self.parts is not None and node.part not in ("", *self.parts):
            return QColor(self._colours.text_faint)
        if role == Qt.ItemDataRole.ForegroundRole and column > 0:
            return QColor(self._colours.text_soft)
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole and node.point >= 0:
            x, y = node.instance.keypoints[node.point]
            return f"{self._name(node)}: {x:.1f}, {y:.1f}"
        return None

    @staticmethod
    def node(index: Index) -> Node:
        found: Node = index.internalPointer()
        return found

    def find(self, instance: int, point: int | None = None) -> QModelIndex:
        """The row of an instance or of one of its points."""
        for root in self.roots:
            if root.instance.id == instance:
                if point is None:
                    return self.createIndex(root.row, 0, root)
                for node in _points(root):
                    if node.point == point:
                        return self.createIndex(node.row, 0, node)
        return QModelIndex()

    def _name(self, node: Node) -> str:
        if node.point >= 0:
            return tr(self._session.schema_of(node.instance).names[node.point].replace("_", " "))
        if node.part:
            return tr(node.part.replace("_", " ").capitalize())
        category = next((c.name for c in self._session.categories() if c.id == node.instance.category), "pose")
        return f"{node.row + 1}  {category}"

    def _visibility(self, node: Node) -> str:
        if node.point >= 0:
            return tr(VISIBILITY_NAMES[int(node.instance.visibility[node.point])])
        points = [n.point for n in _points(node)]
        seen = sum(int(node.instance.visibility[p] > 0) for p in points)
        if seen == 0 and node.parent is None and node.instance.box is not None:
            return tr("box only")
        return tr(f"{seen} of {len(points)}")

    @staticmethod
    def _score(node: Node) -> str:
        instance = node.instance
        if node.point >= 0:
            return "" if instance.scores is None else f"{instance.scores[node.point]:.2f}"
        if node.part or instance.score is None:
            return ""
        return f"{instance.score:.2f}"


def _points(node: Node) -> Iterable[Node]:
    for child in node.children:
        if child.point >= 0:
            yield child
        else:
            yield from _points(child)


class PoseTree(QTreeView):
    """A tree whose visibility signs are buttons.

    Signals:
        sign_clicked(QModelIndex): the sign of a keypoint was clicked; the selection stays.
    """

    sign_clicked = Signal(object)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = event.position().toPoint()
        index = self.indexAt(place)
        on_sign = index.column() == 1 and place.x() - self.visualRect(index).left() < SIGN_WIDTH
        if event.button() == Qt.MouseButton.LeftButton and on_sign and InstanceModel.node(index).point >= 0:
            self.sign_clicked.emit(index)
            return
        super().mousePressEvent(event)


class InstancesPanel(QWidget):
    """The tree, or a hint where the frame has no poses.

    Signals:
        visibility_requested(points, value): a sign was clicked (None: the next value) or a value chosen in the menu.
        parts_requested(frozenset or None): draw only these parts of the points; None for all.
    """

    visibility_requested = Signal(object, object)
    parts_requested = Signal(object)

    def __init__(self, session: Session, colours: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("instancesPanel")
        self._session = session
        self._following = False
        self._stale = False
        self.model = InstanceModel(session, colours, self)
        self.tree = PoseTree()
        self.tree.setModel(self.model)
        self.tree.setAccessibleName(tr("Poses of this image"))
        self.tree.setSelectionMode(QTreeView.SelectionMode.ExtendedSelection)
        self.tree.setUniformRowHeights(True)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)
        self.tree.sign_clicked.connect(self._on_sign)
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(1, 104)
        header.resizeSection(2, 54)
        self.hint = QLabel(
            tr("No poses in this image.\n\nCtrl+R lets the model find them,\nN draws a box, P places points.")
        )
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

    def set_colours(self, colours: Tokens) -> None:
        self.model.set_colours(colours)
        self.tree.viewport().update()

    def refresh(self, *_: object) -> None:
        """Read the frame; poses that stay keep their rows open. Behind another tab it waits until it is looked at."""
        self._stale = self.window().isVisible() and not self.isVisible()
        if self._stale:
            return
        opened = {n.instance.id for n in self.model.roots if self.tree.isExpanded(self.model.find(n.instance.id))}
        self._following = True
        self.model.read()
        self._following = False
        self._pages.setCurrentWidget(self.tree if self.model.roots else self.hint)
        for root in self.model.roots:
            if root.instance.id in opened:
                self.tree.setExpanded(self.model.find(root.instance.id), True)
        self._follow()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self.refresh()

    def _on_change(self, change: Any) -> None:
        if self._stale:
            return
        if change.structure or (self._session.frame in change.frames and not self.model.update()):
            self.refresh()

    def _follow(self) -> None:
        """Take over the session's selection."""
        if self._stale:
            return
        wanted = QItemSelection()
        rows = [self.model.find(i) for i in self._session.selected_instances]
        rows += [self.model.find(i, k) for i, k in self._session.selected_points]
        flag = QItemSelectionModel.SelectionFlag
        for index in rows:
            if index.isValid():
                wanted.select(index, index.siblingAtColumn(2))
        self._following = True
        self.tree.selectionModel().select(wanted, flag.ClearAndSelect)
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
                points.update((node.instance.id, child.point) for child in _points(node))
        self._following = True
        self._session.select(instances=instances, points=points)
        self._following = False

    def _on_sign(self, index: QModelIndex) -> None:
        node = self.model.node(index)
        clicked = (node.instance.id, node.point)
        chosen = self._session.selected_points
        self.visibility_requested.emit(chosen if clicked in chosen else {clicked}, None)

    def set_parts(self, parts: frozenset[str] | None) -> None:
        """Which parts of the points are drawn; None for all."""
        if parts != self.model.parts:
            self.model.parts = parts
            self.tree.viewport().update()

    def _menu(self, place: Any) -> None:
        menu = self.menu_at(place)
        if menu is not None:
            menu.popup(self.tree.viewport().mapToGlobal(place))

    def menu_at(self, place: QPoint) -> QMenu | None:
        """What can be done at a place of the tree."""
        points = self._session.selected_points
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        index = self.tree.indexAt(place)
        if index.isValid() and self.model.node(index).part:
            self._part_actions(menu, self.model.node(index))
            menu.addSeparator()
        for value, name in VISIBILITY_NAMES.items() if points else ():
            action = menu.addAction(self.model.sign(value), tr(name.capitalize()))
            action.triggered.connect(lambda _checked=False, v=value: self.visibility_requested.emit(points, v))
        if menu.isEmpty():
            menu.deleteLater()
            return None
        return menu

    def _part_actions(self, menu: QMenu, node: Node) -> None:
        """Show, hide, or show alone a part of the points: of all poses, for the view only."""
        every = frozenset(self._session.schema_of(node.instance).parts)
        if len(every) < 2:
            return
        drawn = every if self.model.parts is None else self.model.parts & every
        part = node.part
        shown = menu.addAction(tr("Show this part"))
        shown.setCheckable(True)
        shown.setChecked(part in drawn)
        alone, whole = menu.addAction(tr("Only this part")), menu.addAction(tr("All parts"))
        alone.setEnabled(drawn != {part})
        whole.setEnabled(self.model.parts is not None)
        toggled = drawn ^ {part}
        shown.triggered.connect(lambda: self.parts_requested.emit(None if toggled == every else toggled))
        alone.triggered.connect(lambda: self.parts_requested.emit(frozenset({part})))
        whole.triggered.connect(lambda: self.parts_requested.emit(None))
