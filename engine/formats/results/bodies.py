"""The keypoints of OpenPose's models, in the order of its output
(https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md)."""

from __future__ import annotations

_ARMS = ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist")
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_FACE = ("right_eye", "left_eye", "right_ear", "left_ear")
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")

BODY_25 = ("nose", "neck", *_ARMS, "mid_hip", *_LEGS, *_FACE, *_FEET)
COCO_18 = ("nose", "neck", *_ARMS, *_LEGS, *_FACE)
MPI_15 = ("head", "neck", *_ARMS, *_LEGS, "chest")

BODIES = {25: BODY_25, 18: COCO_18, 15: MPI_15}
"""Names of the points of a body by their number."""

_LIMBS = (
    ("nose", "neck"), ("head", "neck"), ("neck", "right_shoulder"), ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"), ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"), ("neck", "mid_hip"), ("mid_hip", "right_hip"), ("mid_hip", "left_hip"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"), ("nose", "right_eye"), ("right_eye", "right_ear"), ("nose", "left_eye"),
    ("left_eye", "left_ear"), ("left_ankle", "left_big_toe"), ("left_big_toe", "left_small_toe"),
    ("left_ankle", "left_heel"), ("right_ankle", "right_big_toe"), ("right_big_toe", "right_small_toe"),
    ("right_ankle", "right_heel"), ("neck", "chest"),
)  # fmt: skip
_WITHOUT_MID_HIP = (("neck", "right_hip"), ("neck", "left_hip"))


def names_of_body(count: int) -> tuple[str, ...]:
    """Names of the points of a body; made up for a model that is not known."""
    return BODIES.get(count) or tuple(f"point_{n}" for n in range(1, count + 1))


def names_of_part(part: str, count: int) -> tuple[str, ...]:
    """Names of the points of a hand or a face."""
    return tuple(f"{part}_{n}" for n in range(count))


def limbs_of(names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Pairs of positions of the points that are joined by a line."""
    positions = {name: position for position, name in enumerate(names)}
    pairs = _LIMBS if "mid_hip" in positions else (*_LIMBS, *_WITHOUT_MID_HIP)
    return [(positions[a], positions[b]) for a, b in pairs if a in positions and b in positions]
