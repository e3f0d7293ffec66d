"""Placing a pose point by point, in the order of the schema; of a pose that is there already, those it has not. No Qt.

Left button places visible, right button occluded; until the button comes up the point can be dragged. Tab skips,
Backspace or Delete takes the last one back, Enter ends, Esc gives up. The points to come are shown as a ghost, fitted
to those that are placed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.pose_geometry import apply_matrix, fit_similarity
from poseapp.canvas.tools.base import (
    Button,
    EventKind,
    Ghost,
    Host,
    KeyboardUse,
    PlacedPose,
    Placement,
    PointerEvent,
    Tool,
    ToolInfo,
)
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE

Floats = npt.NDArray[np.float64]

_GHOST_SHARE = 0.5
"""Height of the ghost before two points are placed, as a share of the picture's."""


class PlacementTool(Tool):
    """See the module's docstring. The host says what (``host.placement``)."""

    info = ToolInfo(
        id="place",
        title="Place points",
        tip="Click the keypoints in order; Tab skips one, right click marks it occluded",
        keys=("P",),
        icon="place",
        keyboard=KeyboardUse.CLICK,
        needs_placement=True,
        busy_hint="Finish this pose first: Enter keeps its keypoints, Esc discards them.",
    )

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._placement: Placement | None = None
        self._holding: int | None = None
        self._pointer: Floats | None = None
        self._restart()

    @property
    def busy(self) -> bool:
        return self._at > 0 or self._holding is not None

    @property
    def holds_points(self) -> bool:
        return self.busy

    @property
    def has_points(self) -> bool:
        """Whether a point is placed already."""
        return bool(self._visibility.any())

    @property
    def _schema(self) -> Schema | None:
        return None if self._placement is None else self._placement.schema

    @property
    def _next(self) -> int:
        """The keypoint that comes next; their number when there is none."""
        return self._order[self._at] if self._at < len(self._order) else len(self._points)

    @property
    def next_point(self) -> int | None:
        """The keypoint that the next press places, or None when there is no schema."""
        return self._next if self._at < len(self._order) else None

    def handle(self, event: PointerEvent) -> None:
        self.host.show_cursor(self.info.cursor)
        self._follow_schema()
        if self.next_point is None:
            return
        self._pointer = np.array([event.x, event.y])
        if event.kind in (EventKind.PRESS, EventKind.DOUBLE) and self._holding is None:
            # The second press of a quick pair comes as a double click.
            self._holding = OCCLUDED if event.button == Button.RIGHT else VISIBLE
        elif event.kind == EventKind.RELEASE and self._holding is not None:
            self._set(self._holding)
            self._holding = None
        self._show()

    def leave(self) -> None:
        self.host.show_ghost(None)

    def wants_key(self, name: str) -> bool:
        return name in ("tab", "backspace", "delete", "enter", "escape") and (self.busy or name == "tab")

    def key(self, name: str) -> bool:
        if not self.wants_key(name):
            return False
        if name == "tab":
            self._follow_schema()
            if self.next_point is not None:
                self._set(ABSENT)
        elif name in ("backspace", "delete"):
            self._back()
        elif name == "enter":
            self._finish()
        else:
            return self.cancel()
        self._show()
        return True

    def cancel(self) -> bool:
        was_busy = self.busy
        self._restart()
        self.host.show_ghost(None)
        return was_busy

    def finish(self) -> bool:
        is_kept = self.has_points and self.key("enter")
        if not is_kept:
            self.cancel()
        return is_kept

    def take_back(self) -> bool:
        return self.key("backspace")

    def _restart(self) -> None:
        k = 0 if self._schema is None else self._schema.num_keypoints
        pose = None if self._placement is None else self._placement.pose
        self._at = 0
        self._holding = None
        self._pointer = None
        self._given = np.zeros(k, dtype=np.bool_) if pose is None else pose.visibility != ABSENT
        points = None if self._placement is None else self._placement.points
        self._outside = np.zeros(k, dtype=np.bool_) if points is None else ~points
        self._order: list[int] = np.flatnonzero(~self._given & ~self._outside).tolist()
        self._points = np.zeros((k, 2)) if pose is None else pose.keypoints.copy()
        self._visibility = np.zeros(k, dtype=np.uint8)

    def _follow_schema(self) -> None:
        placement = self.host.placement
        if placement is not self._placement:
            self._placement = placement
            pointer = self._pointer
            self._restart()
            self._pointer = pointer

    def _set(self, visibility: int) -> None:
        if visibility != ABSENT and self._pointer is not None:
            self._points[self._next] = self._inside(self._pointer)
            self._visibility[self._next] = visibility
        self._at += 1
        if self.next_point is None:
            self._finish()

    def _inside(self, point: Floats) -> Floats:
        size = self.host.size
        return point.copy() if size is None else np.clip(point, -0.5, np.array(size) - 0.5)

    def _back(self) -> None:
        if self._holding is not None:
            self._holding = None
        elif self._at > 0:
            self._at -= 1
            self._visibility[self._next] = ABSENT

    def _finish(self) -> None:
        decided = np.zeros(len(self._points), dtype=np.bool_)
        decided[self._order[: self._at]] = True
        decided |= self._outside
        given = None if self._placement is None or self._placement.pose is None else self._placement.pose.id
        pose = PlacedPose(self._points.copy(), self._visibility.copy(), decided, given)
        pointer = self._pointer
        self._restart()
        self._pointer = pointer
        if (pose.visibility > 0).any():
            self.host.place(pose)

    def _show(self) -> None:
        if self._schema is None or self.next_point is None:
            self.host.show_ghost(None)
            return
        points, visibility = self._points.copy(), self._visibility.copy()
        if self._pointer is not None and self._holding is not None:
            points[self._next] = self._inside(self._pointer)
            visibility[self._next] = self._holding
        placed = visibility > 0
        known = placed | self._given
        ghost = self._ghost(points, known)
        ghost[known] = points[known]
        skipped = ((np.arange(len(points)) < self._next) | self._given | self._outside) & ~placed
        self.host.show_ghost(Ghost(self._schema, ghost, visibility, skipped, self._next, len(self._order) - self._at))

    def _ghost(self, points: Floats, placed: npt.NDArray[np.bool_]) -> Floats:
        """The template laid over the placed points, and over the pointer as the next one."""
        known, positions = np.flatnonzero(placed), points[placed]
        if not placed[self._next] and self._pointer is not None:
            known = np.append(known, self._next)
            positions = np.concatenate([positions, self._pointer[None]])
        assert self._placement is not None
        template = self._placement.template * self._default_scale(self._placement.template)
        if not len(known):
            return template
        matrix = fit_similarity(template[known], positions)
        return apply_matrix(matrix, template)

    def _default_scale(self, template: Floats) -> float:
        height = float(np.ptp(template[:, 1])) or 1.0
        size = self.host.size
        return _GHOST_SHARE * (size[1] if size else 400.0) / height
