"""The pointer as plain values, and what a tool may ask of the canvas. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.hit_test import HitTarget
from poseapp.project.model import Edit, FrameKey, Instance

Floats = npt.NDArray[np.float64]
PointRef = tuple[int, int]
"""(instance id, keypoint number)."""

CLICK_SLACK = 3.0
"""Screen pixels that a hand may tremble during a click."""


class EventKind(StrEnum):
    PRESS = "press"
    MOVE = "move"
    RELEASE = "release"
    DOUBLE = "double"
    WHEEL = "wheel"


class Button(StrEnum):
    NONE = "none"
    LEFT = "left"
    RIGHT = "right"


SHIFT, CTRL, ALT = "shift", "ctrl", "alt"


@dataclass(frozen=True)
class PointerEvent:
    """Something the pointer did at x, y (image pixels) while ``scale`` screen pixels made an image pixel.

    ``steps`` are the notches of a wheel event, upwards positive.
    """

    kind: EventKind
    x: float
    y: float
    button: Button = Button.NONE
    modifiers: frozenset[str] = frozenset()
    scale: float = 1.0
    steps: float = 0.0

    def screen_distance(self, other: PointerEvent) -> float:
        """Screen pixels between two events, at this one's zoom."""
        return float(np.hypot(self.x - other.x, self.y - other.y)) * self.scale


class CursorRole(StrEnum):
    """What the mouse cursor says."""

    ARROW = "arrow"
    POINT = "point"
    POSE = "pose"
    CROSS = "cross"
    GRAB = "grab"
    MOVE = "move"
    SCALE_FALLING = "scale_falling"
    SCALE_RISING = "scale_rising"
    SCALE_ACROSS = "scale_across"
    SCALE_UP = "scale_up"
    ROTATE = "rotate"


@dataclass(frozen=True, eq=False)
class Ghost:
    """A pose that is not there yet: ``points`` (K, 2), of which ``next_point`` is to be placed next.

    ``visibility`` (K,): 0 still to be placed (drawn faintly), 1 and 2 as placed. ``skipped`` (K,) are not drawn.
    ``left``: how many are still to be placed, the next one counted.
    """

    schema: Schema
    points: Floats
    visibility: npt.NDArray[np.uint8]
    skipped: npt.NDArray[np.bool_]
    next_point: int | None
    left: int


@dataclass(frozen=True, eq=False)
class Placement:
    """What is placed: a schema, a pose (K, 2) of any size and place for the ghost, and the pose whose missing points
    are placed, None for a new one. ``points`` (K,) bool: only these can be placed; None for all."""

    schema: Schema
    template: Floats
    pose: Instance | None = None
    points: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class PlacedPose:
    """The outcome of placement: (K, 2) image pixels and (K,) visibility 0, 1, 2.

    ``decided`` (K,) marks points that were placed or skipped, the others were not come to; None for all. ``instance``
    is the pose that gets the points, None for a new one.
    """

    keypoints: Floats
    visibility: npt.NDArray[np.uint8]
    decided: npt.NDArray[np.bool_] | None = None
    instance: int | None = None


class Host(Protocol):
    """The canvas, as a tool sees it."""

    @property
    def frame(self) -> FrameKey | None: ...
    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the frame."""

    @property
    def selected_instances(self) -> frozenset[int]: ...
    @property
    def selected_points(self) -> frozenset[PointRef]: ...
    @property
    def placement(self) -> Placement | None:
        """What the placement tool places."""

    def instance(self, instance_id: int) -> Instance | None: ...
    def schema_of(self, instance: Instance) -> Schema | None: ...
    def hit(self, event: PointerEvent) -> HitTarget | None: ...
    def hit_handle(self, event: PointerEvent) -> tuple[int, int] | None:
        """(instance id, handle) when the handles of a box are shown and the pointer is on one."""

    def missing_place(self, instance_id: int, index: int) -> tuple[float, float] | None:
        """Image position at which a missing point is offered, or None."""

    def points_inside(self, first: PointerEvent, last: PointerEvent) -> frozenset[PointRef]: ...

    def hover(self, target: HitTarget | None) -> None: ...
    def preview(self, instances: Mapping[int, Instance]) -> None:
        """Draw these in the place of the instances with their ids; an empty mapping ends it."""

    def show_ghost(self, ghost: Ghost | None) -> None: ...
    def show_band(self, corners: tuple[float, float, float, float] | None, *, box: bool) -> None: ...
    def show_crosshair(self, at: tuple[float, float] | None) -> None: ...
    def show_cursor(self, role: CursorRole) -> None: ...
    def pan(self, event: PointerEvent, anchor: tuple[float, float]) -> None:
        """Scroll so that the image point ``anchor`` comes to lie under the pointer."""

    def commit(self, edit: Edit) -> None: ...
    def select(self, instances: Collection[int], points: Collection[PointRef]) -> None: ...
    def request_visibility(self, points: Collection[PointRef], value: int | None) -> None: ...
    def accept(self, instance_id: int) -> None: ...
    def draw_box(self, x1: float, y1: float, x2: float, y2: float) -> None: ...
    def place(self, pose: PlacedPose) -> None: ...
