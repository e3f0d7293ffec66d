"""A pose to start from: the keypoints of a schema on a figure at rest. No Qt."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema

Floats = npt.NDArray[np.float64]

# A person seen in front, arms a little off the body; x to the right of the picture, so the subject's left is at larger
# x. In heights of the figure.
_LEFT_HALF = {
    "nose": (0.0, 0.075),
    "eye": (0.018, 0.06),
    "ear": (0.04, 0.068),
    "head": (0.0, 0.02),
    "head_top": (0.0, 0.0),
    "top_head": (0.0, 0.0),
    "neck": (0.0, 0.16),
    "upper_neck": (0.0, 0.14),
    "thorax": (0.0, 0.19),
    "shoulder": (0.1, 0.19),
    "elbow": (0.14, 0.33),
    "wrist": (0.16, 0.46),
    "hand": (0.165, 0.49),
    "hand_root": (0.16, 0.46),
    "hip": (0.06, 0.5),
    "pelvis": (0.0, 0.49),
    "knee": (0.068, 0.72),
    "ankle": (0.074, 0.93),
    "heel": (0.068, 0.955),
    "big_toe": (0.086, 0.985),
    "small_toe": (0.11, 0.975),
    "foot": (0.09, 0.98),
}


# The 68 points of a face in the order of 300-W, the subject's right side first: x in half widths of the face, y from
# its middle to the chin.
_EYE = ((-1.0, 0.0), (-0.4, -0.8), (0.4, -0.8), (1.0, 0.0), (0.4, 0.7), (-0.4, 0.7))
_BROW = ((-0.82, -0.48), (-0.68, -0.6), (-0.52, -0.64), (-0.35, -0.61), (-0.2, -0.54))
_LIPS = (
    (-0.35, 0.55), (-0.22, 0.47), (-0.08, 0.43), (0.0, 0.45), (0.08, 0.43), (0.22, 0.47),
    (0.35, 0.55), (0.22, 0.65), (0.08, 0.7), (0.0, 0.71), (-0.08, 0.7), (-0.22, 0.65),
    (-0.28, 0.55), (-0.1, 0.52), (0.0, 0.53), (0.1, 0.52), (0.28, 0.55), (0.1, 0.58), (0.0, 0.59), (-0.1, 0.58),
)  # fmt: skip
_FACE = (
    *((-math.cos(math.pi * i / 16), -0.25 + 1.25 * math.sin(math.pi * i / 16)) for i in range(17)),
    *_BROW,
    *((-x, y) for x, y in reversed(_BROW)),
    *((0.0, y) for y in (-0.35, -0.18, -0.02, 0.14)),
    *((x, 0.31 - 0.3 * abs(x)) for x in (-0.2, -0.1, 0.0, 0.1, 0.2)),
    *((-0.45 + 0.17 * x, -0.3 + 0.1 * y) for x, y in _EYE),
    *((0.45 + 0.17 * x, -0.3 + 0.1 * y) for x, y in _EYE),
    *_LIPS,
)
_FACE_POINT = re.compile(r"(?:face|kpt)[-_]?(\d+)")
_FACE_PLACE, _FACE_SIZE = (0.0, 0.072), (0.045, 0.055)
# Fingers of a hanging left hand, the thumb towards the body: angle from straight down in degrees, length as a share.
_FINGERS = {"thumb": (-42, 0.7), "forefinger": (-14, 0.95), "middle_finger": (0, 1.0), "ring_finger": (12, 0.95),
            "pinky_finger": (25, 0.8)}  # fmt: skip
_FINGER_POINT = re.compile(rf"({'|'.join(_FINGERS)})([1-4])")
_JOINTS = (0.045, 0.061, 0.074, 0.086)


def template_pose(schema: Schema) -> Floats:
    """(K, 2) points of a figure about 1 high, y downwards.

    Points with the usual names of a person's joints stand where they belong; all others are laid out so that joined
    points lie near each other and left and right mirror.
    """
    known = {
        i: position
        for i, name in enumerate(schema.names)
        if (position := _position_of(name, schema.sides[i])) is not None
    }
    known.update(_face(schema))
    points = _circle(schema)
    for i, position in known.items():
        points[i] = position
    free = np.array([i not in known for i in range(schema.num_keypoints)])
    return _relaxed(schema, points, free) if free.any() else points


def _position_of(name: str, side: str) -> tuple[float, float] | None:
    plain = name.lower().replace(" ", "_").replace("-", "_")
    for word in ("left_", "right_", "_left", "_right"):
        plain = plain.replace(word, "")
    finger = _FINGER_POINT.fullmatch(plain)
    position = _finger(finger[1], int(finger[2])) if finger else _LEFT_HALF.get(plain)
    if position is None:
        return None
    return (-position[0] if side == "right" else position[0]), position[1]


def _finger(name: str, phalanx: int) -> tuple[float, float]:
    angle, length = math.radians(_FINGERS[name][0]), _FINGERS[name][1] * _JOINTS[phalanx - 1]
    x, y = _LEFT_HALF["wrist"]
    return x + length * math.sin(angle), y + length * math.cos(angle)


def _face(schema: Schema) -> dict[int, tuple[float, float]]:
    """Places of a face's 68 numbered points, where the schema has them; numbers of other faces mean other places."""
    point_numbers = {
        i: int(match[1]) for i, name in enumerate(schema.names) if (match := _FACE_POINT.fullmatch(name.lower()))
    }
    if sorted(point_numbers.values()) != list(range(len(_FACE))):
        return {}
    (x, y), (width, height) = _FACE_PLACE, _FACE_SIZE
    return {i: (x + width * _FACE[n][0], y + height * _FACE[n][1]) for i, n in point_numbers.items()}


def _circle(schema: Schema) -> Floats:
    """Points around an oval, left ones on the right of the picture, in the order of the schema from the top down."""
    points = np.zeros((schema.num_keypoints, 2))
    for side, sign in (("left", 1.0), ("right", -1.0), ("middle", 0.0)):
        rows = [i for i, s in enumerate(schema.sides) if s == side]
        down = (np.arange(len(rows)) + 0.5) / max(len(rows), 1)
        points[rows, 0] = sign * 0.3 * np.sin(np.pi * down)
        points[rows, 1] = down
    return points


def _relaxed(schema: Schema, points: Floats, free: npt.NDArray[np.bool_], rounds: int = 60) -> Floats:
    """Free points drawn towards their neighbours along the limbs, a little, so that limbs do not cross everywhere."""
    limbs = schema.limb_indices
    if not len(limbs):
        return points
    for _ in range(rounds):
        total, count = np.zeros_like(points), np.zeros(len(points))
        for a, b in (limbs.T, limbs.T[::-1]):
            np.add.at(total, a, points[b])
            np.add.at(count, a, 1)
        pulled = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], points)
        points = np.where(free[:, None], 0.9 * points + 0.1 * pulled, points)
    return points
