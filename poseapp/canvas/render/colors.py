"""Colors of the canvas, for both themes. Plain numbers, no Qt: a color is a packed integer 0xRRGGBB.

Left, right and middle are told apart by people with any of the common color deficiencies: blue and orange differ along
the one axis that all of them keep, and in lightness. The instance colors alternate in lightness for the same reason
(after the qualitative set of Okabe and Ito, "Color Universal Design", 2008, brightened to read on photographs).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.int64]


MIDDLE, LEFT, RIGHT = 0, 1, 2
SIDE_CODES = {"middle": MIDDLE, "left": LEFT, "right": RIGHT}


@dataclass(frozen=True)
class Palette:
    """Every color that the canvas paints with.

    Attributes:
        ground: around the picture.
        ground_edge: the hairline where the picture ends.
        outline: under bones and points, so that they read on any picture.
        plate, plate_text, plate_faint: the boxes behind names and the read-out, and the writing on them.
        accent: selection, crosshair, rubber band.
        sides: middle, left, right.
        instances: one for each pose, by its track or id.
        human, model: who set a point.
        certain: a point of a person where colors tell the model's score.
        score_ramp: from score 0 to score 1.
        parts: a person's own colors of parts, by name.
    """

    ground: int
    ground_edge: int
    outline: int
    plate: int
    plate_text: int
    plate_faint: int
    accent: int
    sides: tuple[int, int, int] = (0xF4F1E8, 0x45A9FF, 0xFF9424)
    instances: tuple[int, ...] = (
        0x56B4E9,
        0xFFB000,
        0x2FD5A0,
        0xF2789F,
        0xF5E642,
        0x9C8CFF,
        0xFF7043,
        0x8BE04E,
        0xD98CF0,
        0x4DE3E8,
        0xC9A66B,
        0xB7C9D9,
    )
    human: int = 0x2FD5A0
    model: int = 0xD98CF0
    certain: int = 0xDCE3EA
    parts: tuple[tuple[str, int], ...] = ()
    score_ramp: tuple[int, ...] = field(default=(0xFF3B5C, 0xFF7A3C, 0xFFC33D, 0xC8E64C, 0x43D6A3, 0x35B7F0))


DARK = Palette(
    ground=0x17191D,
    ground_edge=0x2A2E35,
    outline=0x0B0D10,
    plate=0x14171C,
    plate_text=0xF1F4F8,
    plate_faint=0x9AA5B3,
    accent=0xFFFFFF,
)
LIGHT = Palette(
    ground=0xDFE3E8,
    ground_edge=0xB9C1CB,
    outline=0x0B0D10,
    plate=0xFCFDFE,
    plate_text=0x1A1F27,
    plate_faint=0x5B6675,
    accent=0xFFFFFF,
)


def palette_for(*, dark: bool, own: Iterable[tuple[str, int]] = (), parts: Iterable[tuple[str, int]] = ()) -> Palette:
    """The palette of a theme with a person's own colors in it, also of parts; names that are not in OWN_COLORS change
    nothing."""
    palette = DARK if dark else LIGHT
    chosen = dict(own)
    sides = [chosen.get(name, palette.sides[code]) for name, code in (("middle", 0), ("left", 1), ("right", 2))]
    return replace(
        palette,
        sides=(sides[MIDDLE], sides[LEFT], sides[RIGHT]),
        human=chosen.get("human", palette.human),
        model=chosen.get("model", palette.model),
        parts=tuple(parts),
    )


def pack(red: int, green: int, blue: int) -> int:
    return (red << 16) | (green << 8) | blue


def unpack(color: int) -> tuple[int, int, int]:
    """Red, green, blue, each 0..255."""
    return (color >> 16) & 255, (color >> 8) & 255, color & 255


def parse_hex(color: str) -> int:
    """``#rrggbb`` as a packed color."""
    return int(color[1:], 16)


def instance_color(palette: Palette, instance_id: int, track: int | None) -> int:
    """Color of one pose: by its track, so that an identity keeps its color through a video, else by its id."""
    index = instance_id if track is None else track
    return palette.instances[index % len(palette.instances)]


_USUAL_PARTS = ("body", "face", "left_hand", "right_hand", "foot", "head", "torso", "hand", "tail")


def part_color(palette: Palette, part: str) -> int:
    """Color of a part of the points: a person's own, else one that goes with its name."""
    own = dict(palette.parts).get(part)
    if own is not None:
        return own
    usual = part in _USUAL_PARTS
    index = _USUAL_PARTS.index(part) if usual else len(_USUAL_PARTS) + zlib.crc32(part.encode())
    return palette.instances[index % len(palette.instances)]


def track_color(track: int) -> int:
    """Color of a track, the same in all themes."""
    return instance_color(DARK, 0, track)


def score_colors(palette: Palette, scores: npt.NDArray[np.float64]) -> Packed:
    """Colors for scores 0..1 in 16 steps along the ramp; NaN (no score) gives ``palette.certain``."""
    known = np.isfinite(scores)
    level = np.round(np.clip(np.where(known, scores, 0.0), 0.0, 1.0) * 15).astype(np.int64)
    return np.where(known, _ramp(palette.score_ramp)[level], palette.certain)


def _ramp(stops: tuple[int, ...], steps: int = 16) -> Packed:
    at = np.linspace(0.0, len(stops) - 1.0, steps)
    channels = np.array([unpack(stop) for stop in stops], dtype=np.float64)
    mixed = [np.interp(at, np.arange(len(stops)), channels[:, c]).round().astype(np.int64) for c in range(3)]
    packed: Packed = (mixed[0] << 16) | (mixed[1] << 8) | mixed[2]
    return packed
