"""Crops and the way back: exact inverses, and the conventions of the field."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry import (
    apply_affine,
    box_from_keypoints,
    box_is_usable,
    box_to_center_scale,
    clip_box,
    compose_affine,
    crop_affine,
    invert_affine,
    letterbox,
    published_affine,
    udp_affine,
    warp,
    warp_fixed_point,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

pixels = st.floats(-5000, 5000, allow_nan=False)
sides = st.floats(1, 4000, allow_nan=False)
sizes = st.sampled_from([(192, 192), (256, 256), (192, 256), (288, 384)])


@given(x=pixels, y=pixels, w=sides, h=sides, size=sizes, rotation=st.floats(-180, 180), px=pixels, py=pixels)
def test_back_mapping_undoes_the_crop(
    x: float, y: float, w: float, h: float, size: tuple[int, int], rotation: float, px: float, py: float
) -> None:
    center, scale = box_to_center_scale([x, y, x + w, y + h], 1.25, size[0] / size[1])
    affine = crop_affine(center, scale, size, rotation)
    present = apply_affine([[px, py]], affine)
    back = apply_affine(present, invert_affine(affine))
    assert np.abs(back - [[px, py]]).max() < 1e-6


@given(x=pixels, y=pixels, w=sides, h=sides, size=sizes)
def test_the_padded_box_fits_the_crop_and_touches_two_sides(
    x: float, y: float, w: float, h: float, size: tuple[int, int]
) -> None:
    center, scale = box_to_center_scale([x, y, x + w, y + h], 1.25, size[0] / size[1])
    corners = np.array([[x, y], [x + w, y + h]])
    padded = center + (corners - center) * 1.25
    result = apply_affine(padded, crop_affine(center, scale, size))
    assert (result > -1e-6).all()
    assert (result < np.array(size) + 1e-6).all()
    assert np.isclose(result[1] - result[0], size, atol=1e-6).any()


def test_a_square_crop_has_1_25_times_the_longer_side() -> None:
    center, scale = box_to_center_scale([10, 20, 50, 120])
    assert center.tolist() == [30, 70]
    assert scale.tolist() == [125, 125]


def test_many_boxes_at_once_equal_one_by_one() -> None:
    corners = np.random.default_rng(0).uniform(0, 300, (7, 2))
    boxes = np.concatenate([corners, corners + np.array([50, 80])], 1)
    centers, scales = box_to_center_scale(boxes, 1.25, 0.75)
    turns = np.linspace(-90, 90, 7)
    together = crop_affine(centers, scales, (192, 256), turns)
    for box, turn, affine in zip(boxes, turns, together, strict=True):
        assert np.allclose(crop_affine(*box_to_center_scale(box, 1.25, 0.75), (192, 256), turn), affine)
    points = np.random.default_rng(1).uniform(0, 200, (7, 3, 2))
    assert np.allclose(apply_affine(points, together)[4], apply_affine(points[4], together[4]))


def test_a_box_without_extent_still_has_an_inverse() -> None:
    center, scale = box_to_center_scale([5, 5, 5, 5])
    assert np.isfinite(invert_affine(crop_affine(center, scale, (256, 256)))).all()


def test_positive_rotation_turns_the_picture_against_the_clock() -> None:
    affine = crop_affine([50, 50], [100, 100], (100, 100), 90)
    assert np.allclose(apply_affine([[60, 50]], affine), [[50, 40]])  # what lay on the right lies on top


def test_flat_affines_have_no_inverse() -> None:
    with pytest.raises(ValueError, match="no inverse"):
        invert_affine([[1, 2, 0], [2, 4, 0]])


def test_composition_applies_the_inner_one_first() -> None:
    inner, outer = crop_affine([3, 4], [50, 50], (100, 100), 30), crop_affine([40, 60], [80, 80], (64, 64), -70)
    points = np.random.default_rng(0).uniform(0, 90, (5, 2))
    one_by_one = apply_affine(apply_affine(points, inner), outer)
    assert np.allclose(apply_affine(points, compose_affine(outer, inner)), one_by_one)


def test_warped_pixels_land_where_points_land() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    cv2.circle(image, (120, 80), 4, (255, 255, 255), -1)
    affine = crop_affine([110, 90], [90, 90], (256, 256), 25)
    for cut in (warp, warp_fixed_point):
        crop = cut(image, affine, (256, 256))
        y, x = np.nonzero(crop[..., 0] > 127)
        assert np.abs(np.array([x.mean(), y.mean()]) - apply_affine([[120, 80]], affine)[0]).max() < 0.3


def test_letterbox_keeps_the_shape_at_the_top_left() -> None:
    image = np.full((100, 400, 3), 200, np.uint8)
    canvas, factor = letterbox(image, 320)
    assert factor == pytest.approx(0.8)
    assert (canvas[:80] == 200).all()
    assert (canvas[80:] == 0).all()
    tall, factor = letterbox(np.full((3000, 2, 3), 9, np.uint8), 320)
    assert tall.shape == (320, 320, 3)
    assert (tall[:, :1] == 9).all()
    assert letterbox(np.zeros((10, 10, 3), np.uint8), (64, 32))[0].shape == (32, 64, 3)


def test_letterbox_averages_the_pixels_that_become_one() -> None:
    """One column in four is white: a quarter of the light. Samples between two pixels would see black or half."""
    for columns in (np.s_[:, ::4], np.s_[:, 1::4], np.s_[:, 3::4]):
        image = np.zeros((640, 640, 3), np.uint8)
        image[columns] = 240
        canvas, factor = letterbox(image, 80)
        assert factor == 1 / 8
        assert np.abs(canvas.astype(int) - 60).max() <= 1


def test_letterbox_enlarges_smoothly() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = 200
    canvas, factor = letterbox(image, 32)
    assert factor == 8
    row = canvas[16, :, 0].astype(int)
    assert (row[:8] == 0).all()
    assert (row[-8:] == 200).all()
    assert np.diff(row).min() >= 0
    assert len(set(row.tolist())) > 6


def test_boxes_around_keypoints_leave_out_what_is_not_labelled() -> None:
    points = [[10, 20], [30, 60], [900, 900], [np.nan, 1]]
    box = box_from_keypoints(points, [2, 1, 0, 2], margin=5)
    assert box is not None
    assert box.tolist() == [5, 15, 35, 65]
    single = box_from_keypoints([[10, 20, 0.9]])
    assert single is not None
    assert single.tolist() == [9, 19, 11, 21]
    assert box_from_keypoints(points, [0, 0, 0, 0]) is None


def test_box_forms_convert_there_and_back() -> None:
    assert xywh_to_xyxy([[1, 2, 3, 4]]).tolist() == [[1, 2, 4, 6]]
    assert xyxy_to_xywh(xywh_to_xyxy([1, 2, 3, 4])).tolist() == [1, 2, 3, 4]
    assert clip_box([-5, 3, 700, 500], 640, 480).tolist() == [0, 3, 640, 480]


def test_usable_boxes_are_finite_and_have_extent() -> None:
    assert box_is_usable([-10, -10, 5, 5])
    for box in ([0, 0, 0, 5], [5, 0, 1, 5], [0, 0, np.nan, 5], [0, 0, np.inf, 5], [0, 0, 1e9, 5]):
        assert not box_is_usable(box)


def test_center_scale_and_warp_equal_published_ones(shared: Path) -> None:
    path = shared / "parity/codecs/geometry.json"
    if not path.exists():
        pytest.skip("no reference geometry")
    for case in json.loads(path.read_text()):
        width, height = case["input_size"]
        center, scale = box_to_center_scale(case["bbox_xyxy"], 1.25, width / height)
        assert np.abs(center - case["center"]).max() < 1e-4  # the reference computes in float32
        assert np.abs(scale - case["scale_fixed"]).max() < 1e-4
        affine = crop_affine(center, scale, (width, height), case["rot"])
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
        in_image = apply_affine(corners, invert_affine(affine))
        assert np.abs(apply_affine(in_image, case["warp"]) - corners).max() < 1e-3


def test_fixed_point_crops_equal_published_ones(shared: Path) -> None:
    for name in ("res50_coco_256x192", "res50_df_upper_256x192", "w48udp_df_upper_intended"):
        run = json.loads((shared / f"parity/{name}.json").read_text())
        size = tuple(run["decoder"]["input_size"])
        for case in run["cases"]:
            image = cv2.imread(str(shared / "parity/images" / case["image"]))
            expected = cv2.imread(str(shared / "parity" / case["crop_png"]))
            _, _, affine = published_affine(case["bbox_xyxy"], 1.25, size, udp="intended" in name)
            assert np.array_equal(warp_fixed_point(image, affine, size), expected), f"{name} {case['id']}"
            assert np.abs(warp(image, affine, size).astype(int) - expected).max() <= 6


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(*[st.floats(-500, 2000, width=32)] * 2),
    st.tuples(*[st.floats(1, 1000, width=32)] * 2),
    st.sampled_from([(192, 256), (288, 384), (256, 256)]),
)
def test_published_affine_is_the_plain_one_up_to_single_precision(
    corner: tuple[float, float], side: tuple[float, float], size: tuple[int, int]
) -> None:
    box = np.float32([*corner, corner[0] + side[0], corner[1] + side[1]]).astype(np.float64)
    center, scale = box_to_center_scale(box, 1.25, size[0] / size[1])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * scale + center
    for udp, plain in ((False, crop_affine), (True, udp_affine)):
        _, _, result = published_affine(box, 1.25, size, udp=udp)
        # 24 bits of up to 2000 pixels, enlarged as far as the crop enlarges.
        tolerance = 1e-3 * max(1.0, size[0] / scale[0])
        assert (
            np.abs(apply_affine(corners, result) - apply_affine(corners, plain(center, scale, size))).max() < tolerance
        )


def test_udp_crop_takes_corners_to_the_centers_of_the_outermost_pixels() -> None:
    center, scale = np.array([100.0, 50.0]), np.array([60.0, 80.0])
    affine = udp_affine(center, scale, (192, 256))
    assert np.allclose(apply_affine([[70.0, 10.0], [130.0, 90.0]], affine), [[0, 0], [191, 255]])
    turned = udp_affine(center, scale, (192, 256), 90.0)
    # A quarter turn with the clock (y downwards): what lay right of the center lies below it.
    assert np.allclose(apply_affine([[110.0, 50.0]], turned) - apply_affine([[100.0, 50.0]], turned), [[0, 255 / 8]])


@pytest.mark.parametrize("kind", ["warp", "warp_udp"])
def test_affines_equal_published_ones(shared: Path, kind: str) -> None:
    for case in json.loads((shared / "parity/codecs/geometry.json").read_text()):
        size = tuple(case["input_size"])
        center, scale = box_to_center_scale(np.float32(case["bbox_xyxy"]), 1.25, size[0] / size[1])
        make = crop_affine if kind == "warp" else udp_affine
        result = make(center, scale, size, case["rot"])
        # Single precision in the reference: 1e-3 pixel at the far corners of a photograph.
        assert (
            np.abs(apply_affine([[0, 0], [640, 480]], result) - apply_affine([[0, 0], [640, 480]], case[kind])).max()
            < 2e-3
        )
