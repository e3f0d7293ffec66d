"""What a tool is made of: the pointer as plain values, what the canvas offers, and the facts that menus show. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

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


Gesture = Generator[None, PointerEvent, None]
"""What happens from a press to a release: code before the first ``yield`` is the press, each ``yield`` waits for the
next event, closing the generator cancels."""


class KeyboardUse(StrEnum):
    """What the arrow keys and Space do while a tool is active."""

    NONE = "none"
    CLICK = "click"
    """The arrows move the pointer; Space presses and releases."""
    DRAG = "drag"
    """The arrows move the pointer; Space presses, the next one releases."""


@dataclass(frozen=True)
class ToolInfo:
    """All facts about a tool. Menu, tool bar, command palette, shortcuts and their settings are made from these.

    Attributes:
        id: names it in the code; its action is called ``tool_<id>``, also in the settings.
        title: what menus say.
        tip: what it does, in a sentence: tool tip and status bar.
        keys: default shortcuts, portable text of QKeySequence.
        icon: file of ``resources/icons``, without its ending; "" for none.
        cursor: the mouse cursor while nothing else is said.
        writes: whether it changes the project, and so is disabled where the project is open for reading only.
        needs: what must be there before it can be chosen, one of ``poseapp.window.actions.NEEDS``.
        menu, group: the menu that it is in, and the part of that menu.
        toolbar: group in the tool bar, counted from 1 at the top; 0 to leave it out.
        keyboard: what arrow keys and Space do.
        needs_placement: whether it needs :attr:`Host.placement`; choosing it asks which points a new pose has.
        busy_hint: why the frame cannot be left while a gesture is under way.
        mouse: what the mouse does with it, for the page of shortcuts: (what is done, how).
    """

    id: str
    title: str
    tip: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    cursor: CursorRole = CursorRole.CROSS
    writes: bool = True
    needs: str = "frame"
    menu: str = "Pose"
    group: int = 0
    toolbar: int = 1
    keyboard: KeyboardUse = KeyboardUse.NONE
    needs_placement: bool = False
    busy_hint: str = "Finish what you are drawing first, or press Esc."
    mouse: tuple[tuple[str, str], ...] = ()

    @property
    def action(self) -> str:
        """Id of the action that chooses it."""
        return f"tool_{self.id}"


class Tool:
    """One mode of the pointer; override what it needs.

    Attributes:
        info: its facts.
        host: the canvas.
    """

    info: ClassVar[ToolInfo]

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return False

    @property
    def holds_points(self) -> bool:
        """Whether points have been placed that undo takes back one by one, and that redo must not drop."""
        return False

    def handle(self, event: PointerEvent) -> None:
        """The pointer did something."""

    def leave(self) -> None:
        """The pointer left the canvas."""
        self.host.hover(None)
        self.host.show_crosshair(None)

    def wants_key(self, name: str) -> bool:
        """Whether :meth:`key` would act on a key now."""
        return name == "escape" and self.busy

    def key(self, name: str) -> bool:
        """Act on a key ("tab", "backspace", "delete", "enter", "escape"); False when it has no use for it now."""
        return name == "escape" and self.cancel()

    def cancel(self) -> bool:
        """Give up what is under way; False when nothing was."""
        return False

    def finish(self) -> bool:
        """Keep what is under way if it makes sense as it is, else give it up; True when something was kept."""
        self.cancel()
        return False

    def take_back(self) -> bool:
        """Take back the last part of what is under way; False when there is none."""
        return False


class GestureTool(Tool):
    """A tool that runs at most one gesture (:data:`Gesture`) at a time.

    The pointer's moves and releases go to the gesture; any other event starts one in :meth:`press`.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._gesture: Gesture | None = None

    def press(self, event: PointerEvent) -> Gesture | None:
        """The gesture that a press begins; None for none."""
        return None

    def hover(self, event: PointerEvent) -> None:
        """The pointer moved without a gesture."""

    def handle(self, event: PointerEvent) -> None:
        if self.busy:
            if event.kind in (EventKind.MOVE, EventKind.RELEASE):
                self.send(event)
                if not self.busy:
                    self.hover(event)
        elif event.kind in (EventKind.PRESS, EventKind.DOUBLE):  # a quick second press comes as a double click
            gesture = self.press(event)
            if gesture is not None:
                self.begin(gesture)
        elif event.kind == EventKind.MOVE:
            self.hover(event)

    @property
    def busy(self) -> bool:
        return self._gesture is not None

    def begin(self, gesture: Gesture) -> None:
        """Run a gesture up to its first wait."""
        self._gesture = gesture
        next(gesture, None)

    def send(self, event: PointerEvent) -> None:
        """Pass an event on to the gesture; after its end the tool is idle."""
        assert self._gesture is not None
        try:
            self._gesture.send(event)
        except StopIteration:
            self._gesture = None
        except BaseException:
            self._gesture = None
            raise

    def cancel(self) -> bool:
        if self._gesture is None:
            return False
        self._gesture.close()
        self._gesture = None
        return True
