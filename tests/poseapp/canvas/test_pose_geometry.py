"""What follows a joint, and transforms."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.builtin import find_schema
from poseapp.canvas.pose_geometry import (
    apply_matrix,
    fit_similarity,
    handle_positions,
    points_beyond,
    rotation_about,
    scaling_about,
)
from poseapp.canvas.template_pose import template_pose

COCO = find_schema("coco")
EVERYONE = np.ones(17, dtype=np.bool_)


def beyond(name: str, schema=COCO, present=None) -> tuple[set[str], str | None]:  # type: ignore[no-untyped-def]
    seen = np.ones(schema.num_keypoints, dtype=np.bool_) if present is None else present
    result, hinge = points_beyond(schema, template_pose(schema), seen, schema.index[name])
    return {schema.names[i] for i in result}, None if hinge is None else schema.names[hinge]


def test_the_forearm_follows_the_elbow_about_the_shoulder() -> None:
    assert beyond("left_elbow") == ({"left_wrist"}, "left_shoulder")


def test_the_arm_follows_the_shoulder() -> None:
    assert beyond("right_shoulder")[0] == {"right_elbow", "right_wrist"}


def test_the_lower_leg_follows_the_knee() -> None:
    assert beyond("left_knee") == ({"left_ankle"}, "left_hip")


def test_nothing_follows_the_end_of_a_limb() -> None:
    assert beyond("left_wrist") == (set(), "left_elbow")


def test_an_absent_point_is_no_bridge() -> None:
    present = EVERYONE.copy()
    present[COCO.index["left_wrist"]] = False
    assert beyond("left_elbow", present=present)[0] == set()


def test_the_hand_follows_the_wrist_though_no_limb_joins_them() -> None:
    schema = find_schema("coco_wholebody")
    keypoints = template_pose(schema)
    for part, wrist in (("left_hand", "left_wrist"), ("right_hand", "right_wrist")):
        rows = list(schema.parts[part])
        keypoints[rows] = keypoints[schema.index[wrist]] + np.linspace(0.005, 0.05, len(rows))[:, None]
    result, _ = points_beyond(schema, keypoints, np.ones(133, dtype=np.bool_), schema.index["left_elbow"])
    assert set(schema.parts["left_hand"]) | {schema.index["left_wrist"]} == set(result)


def test_a_lone_point_has_nothing_beyond() -> None:
    present = np.zeros(17, dtype=np.bool_)
    present[5] = True
    assert points_beyond(COCO, np.zeros((17, 2)), present, 5) == (frozenset(), None)


def test_a_quarter_turn_brings_x_to_y() -> None:
    matrix = rotation_about(np.array([1.0, 1.0]), np.pi / 2)
    np.testing.assert_allclose(apply_matrix(matrix, np.array([[2.0, 1.0]])), [[1.0, 2.0]], atol=1e-12)


def test_scaling_keeps_its_center() -> None:
    matrix = scaling_about(np.array([3.0, 4.0]), 2.0, 0.5)
    np.testing.assert_allclose(apply_matrix(matrix, np.array([[3.0, 4.0], [5.0, 8.0]])), [[3, 4], [7, 6]])


@given(
    st.floats(-3, 3),
    st.floats(0.1, 10),
    st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
)
def test_a_similarity_is_found_again(angle: float, factor: float, shift: tuple[float, float]) -> None:
    points = template_pose(COCO) * 100
    moved = apply_matrix(rotation_about(np.zeros(2), angle, factor), points) + np.array(shift)
    np.testing.assert_allclose(apply_matrix(fit_similarity(points, moved), points), moved, atol=1e-6)


def test_one_point_only_shifts() -> None:
    matrix = fit_similarity(np.array([[1.0, 2.0]]), np.array([[5.0, 5.0]]))
    np.testing.assert_allclose(matrix, [[1, 0, 4], [0, 1, 3]])


def test_handles_go_clockwise_with_opposites_four_apart() -> None:
    positions = handle_positions(np.array([0.0, 0.0, 10.0, 20.0]), 1.0)
    np.testing.assert_allclose(positions[:4] + positions[4:8], np.tile([10.0, 20.0], (4, 1)))
