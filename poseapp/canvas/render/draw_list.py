"""Poses made ready for painting at one zoom, sorted so that what is drawn alike is drawn together. No Qt.

Sorting and coloring is done once for a zoom; a repaint then only shifts, leaves out what is out of sight,
and walks over runs of equal keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from poseapp.app.canvas_style import CanvasStyle
from poseapp.canvas.render.colors import RIGHT, Palette
from poseapp.canvas.render.pose_arrays import HIDDEN, SMALL, TINY, PoseArrays
from poseapp.canvas.render.pose_colors import ALPHA_STEPS, colors_of, opacities_of
from poseapp.canvas.render.schema_layout import OUTLINE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SOLID, DASHED, SHORT_DASHED, TICKED = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class DrawList:
    """Lines (n, 4) and points (m, 2) in screen pixels from the image's origin, each sorted by key.

    A key packs, from the top: size (HIDDEN..FULL), dash or look, opacity in ALPHA_STEPS, color.
    """

    lines: Floats
    line_keys: Ints
    line_owner: Ints
    ticked: Flags
    points: Floats
    point_keys: Ints
    point_owner: Ints

    def lines_in(self, clip: tuple[float, float, float, float], margin: float, drawn: Flags) -> Ints:
        """Rows of the lines of ``drawn`` (N,) instances that may be seen in left, top, right, bottom."""
        left, top, right, bottom = clip
        x1, y1, x2, y2 = self.lines.T
        seen = (np.maximum(x1, x2) > left - margin) & (np.minimum(x1, x2) < right + margin)
        seen &= (np.maximum(y1, y2) > top - margin) & (np.minimum(y1, y2) < bottom + margin)
        return np.flatnonzero(seen & drawn[self.line_owner])

    def points_in(self, clip: tuple[float, float, float, float], margin: float, drawn: Flags) -> Ints:
        """Rows of the points of ``drawn`` (N,) instances that may be seen in left, top, right, bottom."""
        left, top, right, bottom = clip
        x, y = self.points.T
        seen = (x > left - margin) & (x < right + margin) & (y > top - margin) & (y < bottom + margin)
        return np.flatnonzero(seen & drawn[self.point_owner])


def make_draw_list(arrays: PoseArrays, scale: float, style: CanvasStyle, palette: Palette) -> DrawList:
    """Sizes, dashes, opacities and colors of all points and lines, sorted."""
    part_sizes = arrays.part_sizes(scale, style.parts)
    point_colors, line_colors = colors_of(arrays, style.color_mode, palette)
    point_alphas, line_alphas = opacities_of(arrays)
    rows = np.flatnonzero(_wanted_lines(arrays, style))
    sizes = part_sizes[arrays.limb_part[rows]]
    sizes = np.where(arrays.limb_index[rows] == OUTLINE, np.minimum(sizes, TINY), sizes)
    predicted = arrays.predicted[arrays.limb_owner[rows]]
    right = arrays.limb_sides[rows] == RIGHT
    dash = np.where(predicted & (sizes > HIDDEN), np.where(right, SHORT_DASHED, DASHED), SOLID)
    # Lines of dense parts are opaque: thin as they are, they would vanish.
    alphas = np.where(dash == SOLID, ALPHA_STEPS, line_alphas[rows])
    keys = _packed(sizes, dash, alphas, line_colors[rows])
    order = np.argsort(keys, kind="stable")
    rows, lines = rows[order], arrays.points[arrays.limbs[rows[order]]].reshape(-1, 4) * scale
    point_sizes = arrays.point_sizes(scale, style.parts, with_limbs=style.show_bones)
    visible = np.flatnonzero(point_sizes > HIDDEN)
    looks = 2 * arrays.predicted[arrays.owner[visible]] + (arrays.visibility[visible] == 1)
    point_keys = _packed(point_sizes[visible], looks, point_alphas[visible], point_colors[visible])
    point_order = np.argsort(point_keys, kind="stable")
    return DrawList(
        lines=lines,
        line_keys=keys[order],
        line_owner=arrays.limb_owner[rows],
        ticked=(right & ~predicted & (sizes >= SMALL))[order],
        points=arrays.points[visible[point_order]] * scale,
        point_keys=point_keys[point_order],
        point_owner=arrays.owner[visible[point_order]],
    )


def runs(keys: Ints) -> Iterator[tuple[int, int, int]]:
    """Runs of equal values in a sorted array: value, first row, row after the last."""
    if not len(keys):
        return
    changes = (np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist()
    edges = [0, *changes, len(keys)]
    for first, end in pairwise(edges):
        yield int(keys[first]), first, end


def unpacked(key: int) -> tuple[int, int, int, int]:
    """Size, dash or look, opacity in ALPHA_STEPS, color."""
    return key >> 40, (key >> 36) & 15, (key >> 28) & 255, key & 0xFFFFFF


def without_color(keys: Ints) -> Ints:
    """Keys that tell only size, dash and opacity, still sorted."""
    return (keys >> 28) << 28


def _packed(size: Ints, kind: Ints, alpha: Ints, color: Ints) -> Ints:
    packed: Ints = (size << 40) | (kind.astype(np.int64) << 36) | (alpha << 28) | color
    return packed


def _wanted_lines(arrays: PoseArrays, style: CanvasStyle) -> Flags:
    if not style.show_bones:
        return np.zeros(len(arrays.limb_shown), dtype=np.bool_)
    if style.parts is None:
        return arrays.limb_shown
    return arrays.limb_shown & arrays.parts_in(style.parts)[arrays.limb_part]
