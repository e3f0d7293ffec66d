"""The tree model of :mod:`poseapp.panels.instances.panel`: instances, parts, keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QIcon
from PySide6.QtWidgets import QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.project.edits.locks import PointRef
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Instance, State
from poseapp.session.session import Session
from poseapp.widgets.icons import pixmap

Index = QModelIndex | QPersistentModelIndex
VISIBILITY_NAMES = {VISIBLE: "visible", OCCLUDED: "occluded", ABSENT: "absent"}
_ICONS = {VISIBLE: "visible", OCCLUDED: "occluded", ABSENT: "absent"}


class Node:
    """A row: an instance, a part of it, or a keypoint. The rows below it are made when they are asked for: of twenty
    poses with 133 points most stay closed.

    Args:
        grow: makes the rows below.
    """

    __slots__ = ("_children", "_grow", "instance", "parent", "part", "point", "row")

    def __init__(
        self,
        instance: Instance,
        parent: Node | None,
        row: int,
        part: str = "",
        point: int = -1,
        grow: Callable[[Node], list[Node]] | None = None,
    ) -> None:
        self.instance, self.parent, self.row, self.part, self.point = instance, parent, row, part, point
        self._grow = grow
        self._children: list[Node] | None = None if grow is not None else []

    @property
    def children(self) -> list[Node]:
        if self._children is None:
            assert self._grow is not None
            self._children = self._grow(self)
        return self._children

    @property
    def made(self) -> list[Node]:
        """The rows below as far as they have been asked for."""
        return self._children or []


@guarded
class InstanceModel(QAbstractItemModel):
    """Rebuilt for each frame or edit: a frame has few instances, and only visible rows are requested."""

    def __init__(self, session: Session, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.roots: list[Node] = []
        self.parts: frozenset[str] | None = None
        self.part_color: Callable[[str], int] | None = None
        self.set_colors(colors)

    def set_colors(self, colors: Tokens) -> None:
        self._colors = colors
        tints = {VISIBLE: colors.text_soft, OCCLUDED: colors.warning, ABSENT: colors.text_faint}
        self._signs = {v: QIcon(pixmap(name, tints[v], 16, 2.0)) for v, name in _ICONS.items()}
        self._people = {
            State.LABELLED: QIcon(pixmap("person", colors.good, 16, 2.0)),
            State.PREDICTED: QIcon(pixmap("model", colors.predicted, 16, 2.0)),
        }

        self._hidden_or_locked = {name: QIcon(pixmap(name, colors.text_soft, 16, 2.0)) for name in ("lock", "hide")}

    def sign(self, visibility: int) -> QIcon:
        return self._signs[visibility]

    def read(self) -> None:
        self.beginResetModel()
        self.roots = [
            Node(instance, None, row, grow=self._below) for row, instance in enumerate(self._session.instances)
        ]
        self.endResetModel()

    def _below(self, root: Node) -> list[Node]:
        """The parts of a pose, or its keypoints if it has only one part."""
        parts = self._session.schema_of(root.instance).parts
        if len(parts) > 1:
            return [Node(root.instance, root, row, part, grow=self._points_of) for row, part in enumerate(parts)]
        return [
            Node(root.instance, root, row, part, k) for part, points in parts.items() for row, k in enumerate(points)
        ]

    def _points_of(self, above: Node) -> list[Node]:
        points = self._session.schema_of(above.instance).parts[above.part]
        return [Node(above.instance, above, row, above.part, k) for row, k in enumerate(points)]

    def update(self) -> bool:
        """Update edited instances in place; False if the rows change and the tree must be read again."""
        now = self._session.instances
        if [(r.instance.id, r.instance.category) for r in self.roots] != [(i.id, i.category) for i in now]:
            return False
        for root, instance in zip(self.roots, now):
            if root.instance is not instance:
                self.dataChanged.emit(self.createIndex(root.row, 0, root), self.createIndex(root.row, 2, root))
                self._replace(root, instance)
        return True

    def _replace(self, node: Node, instance: Instance) -> None:
        """One signal for all rows of a branch: 133 keypoints cost the view as little as 17."""
        node.instance = instance
        for child in node.made:
            self._replace(child, instance)
        if node.made:
            first, last = node.made[0], node.made[-1]
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

    def hasChildren(self, parent: Index = QModelIndex()) -> bool:  # noqa: B008
        """Without making them."""
        if not parent.isValid():
            return bool(self.roots)
        return parent.column() == 0 and self.node(parent).point < 0

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
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return self._decoration(node)
        if role == Qt.ItemDataRole.DecorationRole and column == 1 and node.point >= 0:
            return self._signs[int(node.instance.visibility[node.point])]
        if (
            role == Qt.ItemDataRole.ForegroundRole
            and node.point >= 0
            and node.instance.visibility[node.point] == ABSENT
        ):
            return QColor(self._colors.text_faint)
        if role == Qt.ItemDataRole.ForegroundRole and self.parts is not None and node.part not in ("", *self.parts):
            return QColor(self._colors.text_faint)
        if role == Qt.ItemDataRole.ForegroundRole and column > 0:
            return QColor(self._colors.text_soft)
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole and node.point >= 0:
            x, y = node.instance.keypoints[node.point]
            return f"{self._name(node)}: {x:.1f}, {y:.1f}"
        if role == Qt.ItemDataRole.ToolTipRole and node.parent is None and node.instance.track is not None:
            return tr(f"Track {node.instance.track}")
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._name(node)
        return None

    def _decoration(self, node: Node) -> QIcon | QColor | None:
        """A lock or a struck-out eye for what is withheld, else the sign of a pose, or a part's color."""
        hidden_or_locked = self.hidden_or_locked(node)
        if hidden_or_locked:
            return self._hidden_or_locked[hidden_or_locked]
        if node.parent is None:
            return self._people[node.instance.state]
        if self.part_color is not None and node.part and node.point < 0:
            return QColor(self.part_color(node.part))
        return None

    def hidden_or_locked(self, node: Node) -> str:
        """ "lock", "hide" or "": what holds for the whole row."""
        session = self._session
        for name, poses, points in (
            ("lock", session.locked, session.locked_points),
            ("hide", session.hidden, session.hidden_points),
        ):
            if node.instance.id in poses or (points and self.points_of(node) <= points):
                return name
        return ""

    def points_of(self, node: Node) -> frozenset[PointRef]:
        """The keypoints of a row."""
        if node.point >= 0:
            return frozenset({(node.instance.id, node.point)})
        return frozenset((node.instance.id, child.point) for child in points_below(node))

    @staticmethod
    def node(index: Index) -> Node:
        node: Node = index.internalPointer()
        return node

    def find(self, instance: int, point: int | None = None) -> QModelIndex:
        """The row of an instance or of one of its points."""
        for root in self.roots:
            if root.instance.id == instance:
                if point is None:
                    return self.createIndex(root.row, 0, root)
                for node in points_below(root):
                    if node.point == point:
                        return self.createIndex(node.row, 0, node)
        return QModelIndex()

    def _name(self, node: Node) -> str:
        if node.point >= 0:
            return tr(self._session.schema_of(node.instance).names[node.point].replace("_", " "))
        if node.part:
            return tr(node.part.replace("_", " ").capitalize())
        category = next((c.name for c in self._session.categories() if c.id == node.instance.category), "pose")
        track = node.instance.track
        known = "" if track is None else f"  #{track}"
        return f"{node.row + 1}  {category}{known}"

    def _visibility(self, node: Node) -> str:
        if node.point >= 0:
            return tr(VISIBILITY_NAMES[int(node.instance.visibility[node.point])])
        parts = self._session.schema_of(node.instance).parts
        points = [k for part, indices in parts.items() if node.part in ("", part) for k in indices]
        seen = int((node.instance.visibility[points] > 0).sum())
        if seen == 0 and node.parent is None and node.instance.box is not None:
            return tr("box only")
        return tr(f"{seen} of {len(points)}")

    @staticmethod
    def _score(node: Node) -> str:
        instance = node.instance
        if node.point >= 0:
            unsaid = instance.scores is None or instance.by_human[node.point]  # what a person has set needs no score
            return "" if unsaid else f"{instance.scores[node.point]:.2f}"  # type: ignore[index]
        if node.part or instance.score is None:
            return ""
        return f"{instance.score:.2f}"


def points_below(node: Node) -> Iterable[Node]:
    for child in node.children:
        if child.point >= 0:
            yield child
        else:
            yield from points_below(child)
