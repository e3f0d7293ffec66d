"""How the canvas looks, as plain values that the settings store and the canvas paints by. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OWN_COLORS = ("left", "right", "middle", "human", "model")
"""Colors that a person may choose."""


class ColorMode(StrEnum):
    """What the color of a bone or point tells."""

    SIDE = "side"
    LIMB = "limb"
    INSTANCE = "instance"
    SCORE = "score"
    SOURCE = "source"
    PART = "part"


@dataclass(frozen=True)
class PictureStyle:
    """View settings of the picture; the file is never touched.

    ``brightness`` -1..1 is added (in units of the full range), ``contrast`` 0..3 multiplies about the middle grey,
    ``gamma`` 0.2..5 bends (above 1 lifts the shadows).
    """

    brightness: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0


@dataclass(frozen=True)
class CanvasStyle:
    """How poses are drawn. Sizes are in screen pixels (of the logical, unscaled kind) and do not change with the zoom.

    Attributes:
        point_size: diameter of a point where there is room for it.
        line_width: width of a bone.
        color_mode: what colors tell.
        dim: opacity of the poses that are not selected while something is selected, 0..1.
        show_labels: names at hovered and selected points.
        show_bones, show_boxes: whether bones and boxes are drawn.
        show_missing: whether the missing points of a prediction under correction can be seen and taken hold of.
        show_minimap: whether the whole picture is shown small while one is close to a part of it.
        hide_others: draw only the selected poses.
        parts: draw only the points of these schema parts ("focus part"), or None for all.
        dark: theme of the ground and the plates.
        font_size: of names, in points.
        colors: a person's own instead of the palette's: a name of OWN_COLORS and 0xRRGGBB.
        part_colors: the project's own colors of parts of the points, by name.
    """

    point_size: float = 9.0
    line_width: float = 2.5
    color_mode: ColorMode = ColorMode.SIDE
    dim: float = 0.5
    show_labels: bool = True
    show_bones: bool = True
    show_boxes: bool = False
    show_missing: bool = True
    show_minimap: bool = True
    hide_others: bool = False
    parts: frozenset[str] | None = None
    dark: bool = True
    font_size: float = 9.5
    picture: PictureStyle = PictureStyle()
    colors: tuple[tuple[str, int], ...] = ()
    part_colors: tuple[tuple[str, int], ...] = ()
