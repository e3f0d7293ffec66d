"""The context menu of the list of poses: visibility, lock and hide, and the drawing of parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QMenu

from poseapp.app.i18n import tr
from poseapp.project.edits.locks import PointRef

if TYPE_CHECKING:
    from poseapp.panels.instances.panel import InstancesPanel
    from poseapp.panels.instances.tree_model import Node


def add_lock_and_hide_actions(menu: QMenu, panel: InstancesPanel, node: Node) -> None:
    """Lock and hide the row's pose or keypoints, or the whole selection if the row is selected."""
    session, model = panel.session, panel.model
    if node.part or node.point >= 0:
        own = model.points_of(node)
        points = session.selected_points if own <= session.selected_points else own
        locked, hidden = points <= session.locked_points, points <= session.hidden_points
        _switch(menu, "Lock", locked, lambda: _set_points(panel, points, locked=not locked))
        _switch(menu, "Hide", hidden, lambda: _set_points(panel, points, hidden=not hidden))
        return
    instance_id = node.instance.id
    poses = session.selected_instances if instance_id in session.selected_instances else frozenset({instance_id})
    locked, hidden = poses <= session.locked, poses <= session.hidden
    _switch(
        menu, "Lock", locked,
        lambda: session.hide_and_lock(session.hidden, session.locked - poses if locked else session.locked | poses),
    )  # fmt: skip
    _switch(
        menu, "Hide", hidden,
        lambda: session.hide_and_lock(session.hidden - poses if hidden else session.hidden | poses, session.locked),
    )  # fmt: skip


def _set_points(
    panel: InstancesPanel, points: frozenset[PointRef], *, locked: bool | None = None, hidden: bool | None = None
) -> None:
    session = panel.session
    by_mark = {"locked": session.locked_points, "hidden": session.hidden_points}
    for name, value in (("locked", locked), ("hidden", hidden)):
        if value is not None:
            by_mark[name] = by_mark[name] | points if value else by_mark[name] - points
    session.hide_and_lock_points(by_mark["hidden"], by_mark["locked"])


def _switch(menu: QMenu, text: str, on: bool, do: Callable[[], None]) -> None:
    action = menu.addAction(tr(text))
    action.setCheckable(True)
    action.setChecked(on)
    action.triggered.connect(lambda _checked=False: do())


def add_part_actions(menu: QMenu, panel: InstancesPanel, node: Node) -> None:
    """Show, hide or isolate a part, and set its color: for all poses, in the view only."""
    part = node.part
    every = frozenset(panel.session.schema_of(node.instance).parts)
    if len(every) > 1:
        drawn = every if panel.model.parts is None else panel.model.parts & every
        shown = menu.addAction(tr("Show this part"))
        shown.setCheckable(True)
        shown.setChecked(part in drawn)
        alone, whole = menu.addAction(tr("Only this part")), menu.addAction(tr("All parts"))
        alone.setEnabled(drawn != {part})
        whole.setEnabled(panel.model.parts is not None)
        toggled = drawn ^ {part}
        shown.triggered.connect(lambda: panel.parts_requested.emit(None if toggled == every else toggled))
        alone.triggered.connect(lambda: panel.parts_requested.emit(frozenset({part})))
        whole.triggered.connect(lambda: panel.parts_requested.emit(None))
    menu.addAction(tr("Color of this part...")).triggered.connect(lambda: ask_color(panel, part))
    default = menu.addAction(tr("Default color"))
    default.setEnabled(part in panel.own_colors)
    default.triggered.connect(lambda: panel.part_color_requested.emit(part, None))


def ask_color(panel: InstancesPanel, part: str) -> QColorDialog:
    """A non-modal color dialog; the callback runs when it is accepted."""
    dialog = QColorDialog(QColor(panel.part_color(part)), panel)
    dialog.setWindowTitle(tr(f"Color of {part.replace('_', ' ')}"))
    dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
    dialog.colorSelected.connect(lambda color: panel.part_color_requested.emit(part, color.rgb() & 0xFFFFFF))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
