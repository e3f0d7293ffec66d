"""The nearest point, limb or box within reach."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from poseapp.canvas.hit_test import (
    BOX_TOLERANCE,
    LIMB_TOLERANCE,
    POINT_TOLERANCE,
    SELECTED_HEAD_START,
    HitKind,
    HitTarget,
    hit_test,
    points_inside,
    segment_distances,
)
from poseapp.canvas.render.pose_arrays import SPECK, build_arrays
from poseapp.canvas.template_pose import template_pose
from poseapp.project.model import Instance

SCHEMA = schema_from_names("line", ["a", "b", "c"], [(0, 1), (1, 2)])


def pose(instance_id: int, points, visibility=(2, 2, 2), box=None) -> Instance:  # type: ignore[no-untyped-def]
    return Instance(
        id=instance_id,
        category=1,
        keypoints=np.array(points, dtype=np.float64),
        visibility=np.array(visibility, dtype=np.uint8),
        by_human=np.ones(len(points), dtype=np.bool_),
        box=None if box is None else np.array(box, dtype=np.float64),
    )


def hit(instances: list[Instance], x: float, y: float, scale: float = 1.0, **kwargs: object) -> HitTarget | None:
    return hit_test(build_arrays(instances, {1: SCHEMA}), x, y, scale, **kwargs)  # type: ignore[arg-type]


LONG = [(0, 0), (100, 0), (100, 100)]


def test_nothing_is_hit_on_an_empty_canvas() -> None:
    assert hit([], 5, 5) is None


def test_the_nearest_point_is_hit_before_the_limb_it_lies_on() -> None:
    assert hit([pose(7, LONG)], 95, 1) == HitTarget(HitKind.POINT, 7, 1)


def test_a_limb_is_hit_away_from_its_ends() -> None:
    assert hit([pose(7, LONG)], 50, 4) == HitTarget(HitKind.LIMB, 7, 0)
    assert hit([pose(7, LONG)], 50, 6) is None


def test_the_reach_is_constant_on_screen() -> None:
    assert hit([pose(7, LONG)], 8, 6) is None
    assert hit([pose(7, LONG)], 16, 12, scale=0.4) == HitTarget(HitKind.POINT, 7, 0)
    assert hit([pose(7, LONG)], 4, 3, scale=2.0) is None or hit([pose(7, LONG)], 4, 3, 2.0).kind == HitKind.LIMB  # type: ignore[union-attr]


def test_absent_points_and_their_limbs_are_never_hit() -> None:
    absent = pose(7, LONG, (2, 0, 2))
    assert hit([absent], 100, 0) is None
    assert hit([absent], 50, 0) is None


def test_a_point_that_is_not_a_number_is_never_hit() -> None:
    assert hit([pose(7, [(math.nan, 0), (100, 0), (100, 100)])], 50, 0) is None


def test_the_selected_instance_wins_a_tie() -> None:
    both = [pose(1, LONG), pose(2, LONG)]
    assert hit(both, 0, 0).instance_id == 2  # type: ignore[union-attr]
    assert hit(both, 0, 0, selected=frozenset({1})).instance_id == 1  # type: ignore[union-attr]


def test_instances_that_are_hidden_are_not_hit() -> None:
    both = [pose(1, LONG), pose(2, LONG)]
    assert hit(both, 0, 0, pickable=np.array([True, False])).instance_id == 1  # type: ignore[union-attr]


def test_boxes_are_hit_at_their_sides_only_when_shown() -> None:
    boxed = [pose(3, LONG, box=(10, 20, 110, 220))]
    assert hit(boxed, 12, 160) is None
    assert hit(boxed, 12, 160, boxes=True) == HitTarget(HitKind.BOX, 3, 0)
    assert hit(boxed, 60, 219, boxes=True) == HitTarget(HitKind.BOX, 3, 3)
    assert hit(boxed, 60, 160, boxes=True) is None


def test_a_box_without_points_is_always_shown_and_hit() -> None:
    assert hit([pose(3, LONG, (0, 0, 0), box=(10, 20, 110, 220))], 12, 160) == HitTarget(HitKind.BOX, 3, 0)


def test_points_too_dense_to_be_drawn_are_not_hit() -> None:
    schema = find_schema("coco_wholebody")
    person = pose(1, template_pose(schema) * 150, np.full(133, 2, np.uint8))
    arrays = build_arrays([person], {1: schema})
    mouth = person.keypoints[85]

    def point(scale: float) -> HitTarget | None:
        return hit_test(arrays, *mouth, scale, with_limbs=False, parts=frozenset({"body", "face"}))

    near = point(1.0)
    assert near is None or near.index < 17  # of the body, which has room
    assert point(40.0) == HitTarget(HitKind.POINT, 1, 85)


def test_a_rectangle_takes_the_points_inside_whatever_corner_it_began_at() -> None:
    arrays = build_arrays([pose(1, LONG), pose(2, LONG, (2, 0, 2))], {1: SCHEMA})
    assert points_inside(arrays, 110, 110, 90, -10, 1.0) == {(1, 1), (1, 2), (2, 2)}


def test_the_distance_to_a_segment_without_length_is_that_to_its_point() -> None:
    assert segment_distances(np.array([[[3.0, 4.0], [3.0, 4.0]]]), np.zeros(2)).tolist() == [5.0]


coordinate = st.integers(0, 120).map(float)
poses = st.lists(
    st.tuples(
        st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=3),
        st.lists(st.sampled_from([0, 1, 2]), min_size=3, max_size=3),
        st.one_of(st.none(), st.tuples(coordinate, coordinate, coordinate, coordinate)),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(poses, coordinate, coordinate, st.sampled_from([0.5, 1.0, 3.0]), st.sets(st.integers(1, 6)), st.booleans())
def test_agrees_with_a_search_one_by_one(
    made: list[tuple[list[tuple[float, float]], list[int], tuple[float, ...] | None]],
    x: float,
    y: float,
    scale: float,
    selected: set[int],
    boxes: bool,
) -> None:
    instances = [pose(i + 1, points, seen, box) for i, (points, seen, box) in enumerate(made)]
    result = hit(instances, x, y, scale, selected=frozenset(selected), boxes=boxes)
    assert result == one_by_one(instances, x, y, scale, selected, boxes)


def one_by_one(
    instances: list[Instance], x: float, y: float, scale: float, selected: set[int], boxes: bool
) -> HitTarget | None:
    arrays = build_arrays(instances, {1: SCHEMA})
    sizes, specks = arrays.point_sizes(scale), arrays.specks(scale)
    points, limbs, squares, sides = [], [], [], []
    for row, instance in enumerate(instances):
        head_start = SELECTED_HEAD_START if instance.id in selected else 0.0
        positions = instance.keypoints.tolist()
        for k, (px, py) in enumerate(positions):
            if sizes[3 * row + k] > 0:
                points.append((math.hypot(px - x, py - y) * scale, head_start, (HitKind.POINT, instance.id, k)))
        for limb, (a, b) in enumerate([(0, 1), (1, 2)]):
            if instance.visibility[a] and instance.visibility[b]:
                limbs.append(
                    (
                        to_segment(x, y, positions[a], positions[b]) * scale,
                        head_start,
                        (HitKind.LIMB, instance.id, limb),
                    )
                )
        if specks[row]:
            (x1, y1, x2, y2) = arrays.extents[row].tolist()
            away = max(abs((x1 + x2) / 2 - x), abs((y1 + y2) / 2 - y)) * scale
            squares.append((away, head_start, (HitKind.BOX, instance.id, 0)))
        pointless = not any(instance.visibility)
        if (boxes or pointless) and instance.box is not None:
            x1, y1, x2, y2 = instance.box.tolist()
            corners = [((x1, y1), (x1, y2)), ((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x1, y2), (x2, y2))]
            for side, (a, b) in enumerate(corners):
                sides.append((to_segment(x, y, a, b) * scale, head_start, (HitKind.BOX, instance.id, side)))
    reaches = (POINT_TOLERANCE, LIMB_TOLERANCE, SPECK / 2, BOX_TOLERANCE)
    for candidates, reach in zip((points, limbs, squares, sides), reaches, strict=True):
        best, best_rank = None, math.inf
        for distance, head_start, target in candidates:
            if distance <= reach and distance - head_start <= best_rank:
                best, best_rank = target, distance - head_start
        if best is not None:
            return HitTarget(*best)
    return None


def to_segment(x: float, y: float, a: tuple[float, float], b: tuple[float, float]) -> float:
    along = (b[0] - a[0], b[1] - a[1])
    length2 = along[0] ** 2 + along[1] ** 2
    share = 0.0 if length2 == 0 else ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / length2
    share = min(max(share, 0.0), 1.0)
    return math.hypot(a[0] + share * along[0] - x, a[1] + share * along[1] - y)


def test_a_pose_of_a_few_pixels_can_be_taken_hold_of_by_a_point_and_by_its_square() -> None:
    for spread in (0.0, 1.0, 3.0):
        small = pose(7, [(50, 50), (50 + spread, 50), (50, 50 + spread)])
        result = hit([small], 51, 51)
        assert result is not None
        assert (result.kind, result.instance_id) == (HitKind.POINT, 7)
        for scale in (0.25, 1.0):
            middle = 50 + spread / 2
            away = middle + 0.47 * SPECK / scale
            assert hit([small], away, away, scale) == HitTarget(HitKind.BOX, 7, 0)
            assert hit([small], middle + 0.7 * SPECK / scale, middle, scale) is None


def test_a_pose_without_lines_keeps_its_points_however_dense() -> None:
    two = pose(7, [(50, 50), (0, 0), (53, 50)], (2, 0, 2))  # no line joins these two
    assert hit([two], 50, 50) == HitTarget(HitKind.POINT, 7, 0)
    dense = pose(8, [(50, 50), (54, 50), (58, 60)])
    result = hit([dense], 54, 50, 0.9, with_limbs=False)
    assert result is not None
    assert result.kind == HitKind.POINT


def test_locked_points_are_never_hit_nor_banded() -> None:
    created = pose(7, LONG)
    arrays = build_arrays([created], {1: SCHEMA})
    loose = np.array([True, False, True])
    result = hit([created], 100, 1, loose=loose)
    assert result is not None
    assert result.kind == HitKind.LIMB
    assert hit([created], 0, 1, loose=loose) == HitTarget(HitKind.POINT, 7, 0)
    assert points_inside(arrays, -5, -5, 105, 105, 1.0, loose=loose) == {(7, 0), (7, 2)}


def test_locked_poses_are_never_hit() -> None:
    items = [pose(7, LONG, box=(0, 0, 100, 100)), pose(8, LONG)]
    pickable = np.array([True, False])
    for x, y in ((0, 1), (50, 1), (100, 100)):
        result = hit(items, x, y, pickable=pickable, boxes=True)
        assert result is not None
        assert result.instance_id == 7
    alone = np.array([False, False])
    assert hit(items, 0, 1, pickable=alone, boxes=True) is None
    small = [pose(9, [(50, 50), (51, 50), (50, 51)])]
    assert hit(small, 57, 57, pickable=np.array([False])) is None
