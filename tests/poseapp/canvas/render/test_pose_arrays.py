"""Flat arrays of a frame's poses."""

from __future__ import annotations

import numpy as np
import pytest

from engine.schema.builtin import builtin_schemas, find_schema
from poseapp.canvas.render.pose_arrays import FULL, HIDDEN, SMALL, TINY, build_arrays
from poseapp.canvas.render.schema_layout import OUTLINE, layout_of
from poseapp.canvas.template_pose import template_pose


def test_an_empty_frame_makes_an_empty_batch() -> None:
    arrays = build_arrays([], {})
    assert len(arrays) == 0
    assert arrays.points.shape == (0, 2)
    assert arrays.limbs.shape == (0, 2)
    assert arrays.point_sizes(1.0).tolist() == []


def test_points_keep_their_owner_when_schemas_are_mixed(instance, person) -> None:  # type: ignore[no-untyped-def]
    people = [person(1, 50, 10), instance(2, [(i, i) for i in range(21)], category=2), person(3, 200, 10)]
    arrays = build_arrays(people, {1: find_schema("coco"), 2: find_schema("coco_wholebody_hand")})
    for row, created in enumerate(people):
        points = arrays.points[arrays.owner == row]
        np.testing.assert_array_equal(points, created.keypoints)
        np.testing.assert_array_equal(
            arrays.points[arrays.start[row] : arrays.start[row] + len(points)], created.keypoints
        )
        ends = arrays.limbs[arrays.limb_owner == row]
        assert (arrays.owner[ends] == row).all()


def test_an_instance_of_an_unknown_category_has_points_but_no_bones(instance) -> None:  # type: ignore[no-untyped-def]
    arrays = build_arrays([instance(1, [(0, 0), (50, 50)], category=9)], {})
    assert arrays.shown.all()
    assert len(arrays.limbs) == 0
    assert (arrays.point_sizes(1.0) == FULL).all()


def test_limbs_of_absent_ends_are_not_shown(person) -> None:  # type: ignore[no-untyped-def]
    seen = [2] * 17
    seen[9] = 0
    arrays = build_arrays([person(1, 50, 10, visibility=seen)], {1: find_schema("coco")})
    assert not arrays.shown[9]
    touching = (arrays.limbs == 9).any(axis=1)
    assert touching.any()
    assert not arrays.limb_shown[touching].any()
    assert arrays.limb_shown[~touching].all()


def test_points_grow_with_the_room_between_them(instance) -> None:  # type: ignore[no-untyped-def]
    chain = instance(1, [(10.0 * i, 0) for i in range(21)], category=2)
    arrays = build_arrays([chain], {2: find_schema("coco_wholebody_hand")})
    sizes = [int(arrays.part_sizes(scale)[0]) for scale in (0.05, 0.2, 0.3, 3.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] == HIDDEN
    assert sizes[-1] == FULL


def test_two_points_that_crowd_are_smaller_than_the_rest(instance) -> None:  # type: ignore[no-untyped-def]
    points = np.array([(40.0 * i, 20.0 * (i % 2)) for i in range(17)])
    points[1] = points[0] + (3, 0)  # an eye beside the nose
    sizes = build_arrays([instance(1, points)], {1: find_schema("coco")}).point_sizes(1.0)
    assert sizes[0] == TINY
    assert sizes[1] == TINY
    assert sizes[10] == FULL


def test_the_face_of_a_whole_body_gets_an_outline() -> None:
    layout = layout_of(find_schema("coco_wholebody"))
    outline = layout.limbs[layout.limb_index == OUTLINE]
    assert len(outline) == 63
    assert outline.min() == 23
    assert outline.max() == 90


def test_other_parts_can_be_hidden(person) -> None:  # type: ignore[no-untyped-def]
    schema = find_schema("coco_wholebody")
    body = template_pose(schema) * 2000
    from poseapp.project.model import Instance

    created = Instance(1, 1, body, np.full(133, 2, np.uint8), np.ones(133, np.bool_))
    arrays = build_arrays([created], {1: schema})
    sizes = arrays.point_sizes(1.0, frozenset({"left_hand"}))
    assert set(np.flatnonzero(sizes)) == set(schema.parts["left_hand"])
    assert SMALL in sizes or FULL in sizes


@pytest.mark.parametrize("name", builtin_schemas())
def test_every_schema_has_a_layout_and_a_finite_template(name: str) -> None:
    schema = find_schema(name)
    layout = layout_of(schema)
    assert layout.limbs.shape == (len(layout.limb_index), 2)
    assert (layout.limb_index != OUTLINE).sum() == len(schema.limbs)
    template = template_pose(schema)
    assert template.shape == (schema.num_keypoints, 2)
    assert np.isfinite(template).all()
    left = [i for i, side in enumerate(schema.sides) if side == "left"]
    right = [i for i, side in enumerate(schema.sides) if side == "right"]
    if left and right:
        assert template[left, 0].mean() > template[right, 0].mean()
