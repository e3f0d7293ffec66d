"""What the canvas shows, without Qt: poses, selection, hover and preview, and the arrays made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.app.canvas_style import CanvasStyle
from poseapp.canvas.hit_test import HitKind, HitTarget, hit_test, points_inside
from poseapp.canvas.missing_points import MissingPoints, missing_points
from poseapp.canvas.pose_geometry import handle_positions
from poseapp.canvas.render.pose_arrays import PoseArrays, build_arrays
from poseapp.canvas.tools.base import Ghost, PointerEvent, PointRef
from poseapp.canvas.tools.gestures import pose_box
from poseapp.project.edits.locks import keep_locked_points, locked_flags
from poseapp.project.model import VISIBLE, Instance, State
from poseapp.project.schema.subsets import possible_points

Flags = npt.NDArray[np.bool_]

_HANDLE_REACH = 7.0


class CanvasScene:
    """Poses in two layers: the *still* ones, painted once and kept, and the *live* ones on top, painted every time.

    Live are the selected, the hovered and the previewed instances.
    """

    def __init__(self) -> None:
        self.schemas: Mapping[int, Schema] = {}
        self.style = CanvasStyle()
        self.arrays = build_arrays((), {})
        self.selected: frozenset[int] = frozenset()
        self.points: frozenset[PointRef] = frozenset()
        self.hovered: HitTarget | None = None
        self.preview: Mapping[int, Instance] = {}
        self.handles = False
        self.ghosts = build_arrays((), {})
        self.hidden: frozenset[int] = frozenset()
        self.locked: frozenset[int] = frozenset()
        self.hidden_points: frozenset[PointRef] = frozenset()
        self.locked_points: frozenset[PointRef] = frozenset()
        self._instances: tuple[Instance, ...] = ()
        self.size: tuple[int, int] | None = None
        self.correcting: frozenset[int] = frozenset()
        self.offering = True
        self._missing: tuple[tuple[object, ...], MissingPoints | None] = ((), None)
        self._live: PoseArrays | None = None
        self._rows: dict[int, int] = {}

    def set_instances(self, instances: Sequence[Instance], schemas: Mapping[int, Schema]) -> None:
        self.schemas = schemas
        self._instances = tuple(instances)
        self.arrays = self._built(instances)
        self._rows = {instance.id: row for row, instance in enumerate(self.arrays.instances)}
        if self.hovered is not None and not self._still_there(self.hovered):
            self.hovered = None
        self.refresh()

    def hide_and_lock_points(self, hidden: frozenset[PointRef], locked: frozenset[PointRef]) -> None:
        """Set the keypoints that are hidden, and those that are locked: drawn, but not selectable."""
        anew = hidden != self.hidden_points
        self.hidden_points, self.locked_points = hidden, locked
        if anew:
            self.set_instances(self._instances, self.schemas)

    def _built(self, instances: Sequence[Instance]) -> PoseArrays:
        """The arrays of poses, in which hidden points are not shown."""
        arrays = build_arrays(instances, self.schemas)
        rows = _point_rows(arrays, self.hidden_points)
        if not len(rows):
            return arrays
        shown = arrays.shown.copy()
        shown[rows] = False
        return replace(arrays, shown=shown, limb_shown=arrays.limb_shown & shown[arrays.limbs].all(axis=1))

    def _loose(self) -> Flags | None:
        """(P,) points of the arrays that are not locked; None for all."""
        rows = _point_rows(self.arrays, self.locked_points)
        if not len(rows):
            return None
        loose = np.ones(len(self.arrays.points), dtype=np.bool_)
        loose[rows] = False
        return loose

    def held(self, instance: Instance) -> Instance:
        """A preview in which locked keypoints stay in place."""
        now = self.instance(instance.id)
        return instance if now is None else keep_locked_points(now, instance, self.locked_points)

    def set_ghosts(self, instances: Sequence[Instance]) -> None:
        self.ghosts = build_arrays(instances, self.schemas)

    def refresh(self) -> None:
        """Forget the live arrays; to be called after any change of selection, hover, preview or style."""
        self._live = None

    def instance(self, instance_id: int) -> Instance | None:
        row = self._rows.get(instance_id)
        return None if row is None else self.arrays.instances[row]

    def shown(self, instance_id: int) -> Instance | None:
        """The instance as it is drawn now: its preview, if there is one."""
        return self.preview.get(instance_id) or self.instance(instance_id)

    def live_arrays(self) -> PoseArrays:
        """Instances of the upper layer: hovered, then selected, then those under way."""
        if self._live is None:
            hovered = [] if self.hovered is None else [self.hovered.instance_id]
            order = [id_ for id_ in hovered if id_ not in self.selected and self._drawable(id_)]
            order += [i.id for i in self.arrays.instances if i.id in self.selected and i.id not in self.preview]
            order += [id_ for id_ in self.preview if id_ in self._rows]
            instances = [self.shown(id_) for id_ in dict.fromkeys(order)]
            self._live = self._built([i for i in instances if i is not None])
        return self._live

    def still_rows(self) -> Flags:
        """(N,) instances of the lower layer."""
        above = self.selected | set(self.preview)
        return self.drawable_rows() & ~np.isin(self.arrays.ids, np.array(sorted(above), dtype=np.int64))

    def drawable_rows(self) -> Flags:
        """(N,) instances that are drawn."""
        if self.style.hide_others and self.selected:
            return np.isin(self.arrays.ids, np.array(sorted(self.selected), dtype=np.int64))
        if self.hidden:
            return ~np.isin(self.arrays.ids, np.array(sorted(self.hidden), dtype=np.int64))
        return np.ones(len(self.arrays), dtype=np.bool_)

    def pickable_rows(self) -> Flags:
        """(N,) instances that the pointer can hit."""
        rows = self.drawable_rows()
        return rows & ~np.isin(self.arrays.ids, np.array(sorted(self.locked), dtype=np.int64)) if self.locked else rows

    def missing(self) -> MissingPoints | None:
        """The missing keypoints that can be dragged: those of the only selected pose, while it is under correction."""
        if not (self.offering and self.style.show_missing) or len(self.selected) != 1:
            return None
        instance_id = next(iter(self.selected))
        instance, schema = self.instance(instance_id), None
        if instance is not None and instance_id in self.correcting - self.hidden - self.locked:
            schema = self.schemas.get(instance.category)
        if instance is None or schema is None:
            return None
        hidden_or_locked = self.locked_points, self.hidden_points, self.hidden, self.style.hide_others
        state = (instance, self.arrays, self.ghosts, self.size, *hidden_or_locked)
        if len(state) != len(self._missing[0]) or any(a is not b for a, b in zip(state, self._missing[0])):
            drawn = self.drawable_rows() & (self.arrays.ids != instance_id)
            others = self.arrays.points[self.arrays.shown & drawn[self.arrays.owner]]
            proposed = next((i for i in self.ghosts.instances if i.id == instance_id), None)
            excluded = locked_flags(instance, self.locked_points | self.hidden_points)
            excluded = excluded | ~possible_points(schema, instance.visibility)
            offered = missing_points(
                instance, schema, self.size, others=others, proposed=proposed, hidden_or_locked=excluded
            )
            self._missing = state, offered
        offered, preview = self._missing[1], self.preview.get(instance_id)
        if offered is None or preview is None:
            return offered
        return offered.without(preview.visibility > 0)

    def missing_place(self, instance_id: int, index: int) -> tuple[float, float] | None:
        """Where a missing point is offered, or None."""
        offered = self.missing()
        if offered is None or offered.instance.id != instance_id or not offered.missing[index]:
            return None
        x, y = offered.places[index].tolist()
        return x, y

    def hit(self, x: float, y: float, scale: float) -> HitTarget | None:
        """A placed keypoint takes precedence over a missing one, and that over a limb or box."""
        target = self._hit_placed(x, y, scale)
        if target is not None and target.kind == HitKind.POINT:
            return target
        offered = self.missing()
        if offered is None:
            return target
        absent = hit_test(offered.arrays, x, y, scale, parts=self.style.parts, with_limbs=False)
        if absent is None or absent.kind != HitKind.POINT:
            return target
        return HitTarget(HitKind.MISSING, absent.instance_id, absent.index)

    def _hit_placed(self, x: float, y: float, scale: float) -> HitTarget | None:
        return hit_test(
            self.arrays,
            x,
            y,
            scale,
            selected=self.selected,
            pickable=self.pickable_rows(),
            loose=self._loose(),
            parts=self.style.parts,
            with_limbs=self.style.show_bones,
            boxes=self.style.show_boxes,
        )

    def points_inside(self, first: PointerEvent, last: PointerEvent) -> frozenset[PointRef]:
        corners = first.x, first.y, last.x, last.y
        rows, loose = self.pickable_rows(), self._loose()
        with_limbs = self.style.show_bones
        return points_inside(self.arrays, *corners, last.scale, rows, self.style.parts, loose, with_limbs)

    def handle_owner(self) -> Instance | None:
        """The instance whose box has handles now: the only selected one, while Alt is down or boxes are shown."""
        if not (self.handles or self.style.show_boxes) or len(self.selected) != 1:
            return None
        return self.shown(next(iter(self.selected)))

    def hit_handle(self, x: float, y: float, scale: float) -> tuple[int, int] | None:
        """(instance id, handle) under the pointer."""
        owner = self.handle_owner()
        box = None if owner is None else pose_box(owner)
        if owner is None or box is None:
            return None
        distances = np.abs(handle_positions(box, scale) - (x, y)).max(axis=1) * scale
        nearest = int(np.argmin(distances))
        return (owner.id, nearest) if distances[nearest] <= _HANDLE_REACH else None

    def _still_there(self, target: HitTarget) -> bool:
        return target.instance_id in self._rows

    def _drawable(self, instance_id: int) -> bool:
        row = self._rows.get(instance_id)
        return row is not None and bool(self.drawable_rows()[row])


def _point_rows(arrays: PoseArrays, points: frozenset[PointRef]) -> npt.NDArray[np.int64]:
    """Rows in ``arrays.points`` of those points that it has."""
    if not points:
        return np.zeros(0, dtype=np.int64)
    rows = {
        instance_id: (int(start), i.num_keypoints)
        for instance_id, start, i in zip(arrays.ids, arrays.start, arrays.instances)
    }
    indices = [rows[i][0] + k for i, k in points if i in rows and k < rows[i][1]]
    return np.array(indices, dtype=np.int64)


def ghost_arrays(ghost: Ghost) -> tuple[PoseArrays, PoseArrays]:
    """A pose being placed as two: keypoints to come, drawn as predicted, and those placed, drawn as labelled."""
    k = ghost.schema.num_keypoints
    visibility = np.where(ghost.skipped, 0, VISIBLE).astype(np.uint8)
    nobody, human = np.zeros(k, dtype=np.bool_), np.ones(k, dtype=np.bool_)
    to_come = Instance(0, 0, ghost.points.copy(), visibility, nobody, state=State.PREDICTED)
    placed = Instance(0, 0, ghost.points.copy(), ghost.visibility.copy(), human)
    schemas = {0: ghost.schema}
    return build_arrays([to_come], schemas), build_arrays([placed], schemas)
