"""The box tool: draw a box around somebody, and the model fills in the pose. No Qt."""

from __future__ import annotations

from poseapp.canvas.tools.base import (
    CLICK_SLACK,
    Button,
    EventKind,
    Gesture,
    GestureTool,
    Host,
    KeyboardUse,
    PointerEvent,
    ToolInfo,
)


class BoxTool(GestureTool):
    """Draw a box, corner to corner, with a crosshair over the whole picture."""

    info = ToolInfo(
        id="box",
        title="New pose by box",
        tip="Draw a box; the model fills in the keypoints",
        keys=("N", "R"),
        icon="box",
        keyboard=KeyboardUse.DRAG,
    )

    def handle(self, event: PointerEvent) -> None:
        self.host.show_cursor(self.info.cursor)
        self.host.show_crosshair((event.x, event.y))
        super().handle(event)

    def press(self, event: PointerEvent) -> Gesture | None:
        is_left_press = event.kind == EventKind.PRESS and event.button == Button.LEFT
        return draw_box(self.host, event) if is_left_press else None

    def cancel(self) -> bool:
        self.host.show_crosshair(None)
        return super().cancel()


def draw_box(host: Host, press: PointerEvent) -> Gesture:
    """A box from corner to corner: by a drag, or by two clicks."""
    event = press
    clicked = False
    try:
        while True:
            event = yield
            host.show_crosshair((event.x, event.y))
            host.show_band((press.x, press.y, event.x, event.y), box=True)
            large = min(abs(event.x - press.x), abs(event.y - press.y)) * event.scale >= CLICK_SLACK
            if event.kind == EventKind.RELEASE and large:
                break
            if event.kind == EventKind.RELEASE and clicked:
                return  # a second click on the spot: no box was meant
            clicked = clicked or event.kind == EventKind.RELEASE
    finally:
        host.show_band(None, box=True)
    x1, x2 = sorted((press.x, event.x))
    y1, y2 = sorted((press.y, event.y))
    host.draw_box(*_clipped(host.size, x1, y1, x2, y2))


def _clipped(
    size: tuple[int, int] | None, x1: float, y1: float, x2: float, y2: float
) -> tuple[float, float, float, float]:
    if size is None:
        return x1, y1, x2, y2
    width, height = size
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
