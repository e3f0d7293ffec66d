"""What is on the screen, pixel by pixel where it matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage

from engine.schema.builtin import find_schema
from poseapp.app.canvas_style import CanvasStyle, ColorMode, PictureStyle
from poseapp.canvas.render.colors import DARK, LIGHT, score_colors, unpack
from poseapp.canvas.render.image_pyramid import Picture, rgb_of, tone_table
from poseapp.canvas.render.overlay_painter import read_out_text
from poseapp.project.model import FrameKey

GREY = (128, 128, 128)
BLUE, ORANGE, MIDDLE = unpack(DARK.sides[1]), unpack(DARK.sides[2]), unpack(DARK.sides[0])
NOSE, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 0, 5, 6, 7, 9


def close(a: tuple[int, ...], b: tuple[int, ...], within: int = 12) -> bool:
    return all(abs(x - y) <= within for x, y in zip(a, b, strict=True))


def test_a_point_set_by_a_person_is_filled(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 200, 60))
    assert close(desk.color_at(*desk.of(1, LEFT_WRIST)), BLUE)
    assert close(desk.color_at(*desk.of(1, RIGHT_SHOULDER)), ORANGE)
    assert close(desk.color_at(*desk.of(1, NOSE)), MIDDLE)


def test_a_predicted_point_is_hollow(desk, instance) -> None:  # type: ignore[no-untyped-def]
    points = [(200, 150)] + [(0, 0)] * 16
    desk.show(instance(1, points, [2] + [0] * 16, predicted=True, scores=[1.0] * 17))
    assert desk.color_at(200, 150) == GREY
    ring = [desk.color_at(200 + dx, 150) for dx in np.arange(-3, 3.1, 0.5)]
    assert any(close(pixel, MIDDLE, 40) for pixel in ring)


def test_an_occluded_point_has_a_hole(desk, instance) -> None:  # type: ignore[no-untyped-def]
    points = [(200, 150)] + [(0, 0)] * 16
    desk.show(instance(1, points, [1] + [0] * 16))
    assert close(desk.color_at(200, 150), unpack(DARK.outline))
    ring = [desk.color_at(200 + dx, 150) for dx in np.arange(-3, 3.1, 0.5)]
    assert any(close(pixel, MIDDLE, 60) for pixel in ring)


def test_an_absent_point_is_never_drawn_nor_its_bones(desk, person) -> None:  # type: ignore[no-untyped-def]
    seen = [0] * 17
    empty = desk.pixels()
    desk.show(person(1, 200, 60, visibility=seen))
    np.testing.assert_array_equal(desk.pixels(), empty)
    seen[LEFT_WRIST] = 2
    desk.show(person(1, 200, 60, visibility=seen))
    assert desk.color_at(*desk.of(1, LEFT_ELBOW)) == GREY
    assert close(desk.color_at(*desk.of(1, LEFT_WRIST)), BLUE)


def bone(desk) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(n, 5, 3) pixels along the bone from left shoulder to left hip, without its ends, and across it."""
    start, end = np.array(desk.of(1, LEFT_SHOULDER)), np.array(desk.of(1, 11))
    screen = desk.pixels()
    positions = [desk.device(*(start + (end - start) * t)) for t in np.linspace(0.2, 0.8, 60)]
    return np.array([screen[y, x - 2 : x + 3] for x, y in positions])


def share_of_blue(pixels: np.ndarray) -> float:
    return float((np.abs(pixels.astype(int) - BLUE).max(axis=2).min(axis=1) < 40).mean())


def test_bones_of_a_person_are_solid_and_predicted_ones_dashed(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 200, 60))
    assert share_of_blue(bone(desk)) == 1.0
    desk.show(person(1, 200, 60, predicted=True, scores=[1.0] * 17))
    assert 0.25 < share_of_blue(bone(desk)) < 0.85


def test_a_low_score_is_fainter(desk, person) -> None:  # type: ignore[no-untyped-def]
    strength = []
    for score in (1.0, 0.1):
        desk.show(person(1, 200, 60, predicted=True, scores=[score] * 17))
        strength.append(np.abs(bone(desk).astype(int) - GREY).sum())
    assert strength[1] < 0.75 * strength[0]


def test_the_selected_pose_is_brighter_than_the_rest(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60), person(2, 280, 60))
    desk.view.set_selection({2}, set())
    assert close(desk.color_at(*desk.of(2, LEFT_WRIST)), BLUE)
    dimmed = desk.color_at(*desk.of(1, LEFT_WRIST))
    assert close(dimmed, tuple((a + b) // 2 for a, b in zip(BLUE, GREY, strict=True)))


def test_others_can_be_hidden_and_are_not_hit_then(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60), person(2, 280, 60))
    desk.view.set_selection({2}, set())
    desk.view.set_style(CanvasStyle(hide_others=True))
    assert desk.color_at(*desk.of(1, LEFT_WRIST)) == GREY
    desk.drag(desk.of(1, LEFT_WRIST), (60, 60))
    assert desk.edits == []


def test_sizes_are_constant_on_screen(desk, instance) -> None:  # type: ignore[no-untyped-def]
    desk.show(instance(1, [(200, 150)] + [(0, 0)] * 16, [2] + [0] * 16))
    area = []
    for scale in (2.0, 9.0):
        desk.view.zoom_at(scale, QPointF(desk.at(200, 150)))
        column, row = desk.device(200, 150)
        patch = desk.pixels()[row - 15 : row + 16, column - 15 : column + 16]
        area.append(int((np.abs(patch.astype(int) - MIDDLE).max(axis=2) < 40).sum()))
    assert area[0] == pytest.approx(area[1], abs=6)


def test_a_preview_is_drawn_and_taken_back(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 200, 60))
    desk.view.set_selection({1}, {(1, LEFT_WRIST)})
    x, y = desk.of(1, LEFT_WRIST)
    desk.press((x, y))
    desk.move((x + 40, y + 20))
    assert close(desk.color_at(x + 40, y + 20), BLUE)
    assert desk.color_at(x, y) == GREY
    desk.view.cancel()
    assert close(desk.color_at(x, y), BLUE)


def crowd(person):  # type: ignore[no-untyped-def]
    return [
        person(n, 40 + 50 * n, 20 + 15 * (n % 4), predicted=n % 2 == 0, scores=[0.7] * 17 if n % 2 == 0 else None)
        for n in range(1, 7)
    ]


def test_panning_paints_the_same_as_painting_anew(desk, person) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    desk.view.set_image(rng.integers(0, 255, (300, 400, 3), dtype=np.uint8))
    desk.show(*crowd(person))
    desk.view.set_selection({3}, set())
    for scale in (1.3, 2.0, 3.7):
        desk.view.zoom_at(scale)
        desk.pixels()
        for dx, dy in ((13, 5), (-40, 22), (7, -31)):
            desk.view.pan_by(dx, dy)
            scrolled = desk.pixels()
        desk.view.repaint_ground()
        difference = np.abs(scrolled.astype(int) - desk.pixels()).max(axis=2)
        assert (difference > 24).mean() < 0.002


def test_repainting_is_the_same_every_time(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(*crowd(person))
    first = desk.pixels()
    desk.view.repaint_ground()
    np.testing.assert_array_equal(desk.pixels(), first)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(ColorMode))
def test_every_color_mode_paints(desk, person, mode: ColorMode) -> None:  # type: ignore[no-untyped-def]
    desk.show(*crowd(person))
    desk.view.set_style(CanvasStyle(color_mode=mode))
    assert len(np.unique(desk.pixels().reshape(-1, 3), axis=0)) > 20


def test_the_color_of_the_source_tells_which_points_a_person_set(desk, person) -> None:  # type: ignore[no-untyped-def]
    created = person(1, 200, 60)
    human = np.arange(17) == LEFT_WRIST
    desk.view.set_style(CanvasStyle(color_mode=ColorMode.SOURCE))
    desk.show(replace(created, by_human=human))
    assert close(desk.color_at(*desk.of(1, LEFT_WRIST)), unpack(DARK.human))
    assert close(desk.color_at(*desk.of(1, LEFT_ELBOW)), unpack(DARK.model))


def test_bones_and_boxes_can_be_switched(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 200, 60, box=(140, 40, 260, 230)))
    desk.view.set_style(CanvasStyle(show_bones=False))
    assert (bone(desk) == GREY).all()
    assert desk.color_at(140, 150) == GREY
    desk.view.set_style(CanvasStyle(show_boxes=True))
    assert desk.color_at(140, 150) != GREY


def test_ghosts_are_drawn_but_never_hit(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show()
    desk.view.set_ghosts([person(9, 200, 60)])
    x, y = float(person(9, 200, 60).keypoints[9, 0]), float(person(9, 200, 60).keypoints[9, 1])
    assert desk.color_at(x, y) != GREY
    desk.click((x, y))
    assert desk.selections == []


def test_ground_and_plates_follow_the_theme(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.fit()
    for dark, palette in ((True, DARK), (False, LIGHT)):
        desk.view.set_style(CanvasStyle(dark=dark))
        assert tuple(desk.pixels()[2, 2]) == unpack(palette.ground)


def test_pixels_lie_where_their_coordinates_say(desk) -> None:  # type: ignore[no-untyped-def]
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[20, 30] = (255, 0, 0)
    desk.view.set_image(picture)
    desk.view.zoom_at(8.0, QPointF(0, 0))
    desk.view.zoom_to((20, 10, 40, 30))
    assert desk.color_at(30, 20) == (255, 0, 0)
    assert desk.color_at(30.44, 20.44) == (255, 0, 0)
    assert desk.color_at(30.6, 20) == (0, 0, 0)
    assert desk.color_at(29.4, 20) == (0, 0, 0)


def test_a_picture_seen_from_afar_is_averaged_not_sampled(desk) -> None:  # type: ignore[no-untyped-def]
    stripes = np.zeros((2400, 3200, 3), np.uint8)
    stripes[:, ::2] = 255
    desk.view.set_frame(FrameKey(1, 5), (3200, 2400))
    desk.view.set_image(stripes)
    desk.view.fit()
    middle = desk.pixels()[200:400, 300:500]
    assert abs(float(middle.mean()) - 127) < 4
    assert float(middle.std()) < 12


def test_no_picture_leaves_the_ground(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.set_image(None)
    assert desk.color_at(200, 150) == unpack(DARK.ground)


def test_an_image_of_qt_and_gray_arrays_are_taken_too(desk) -> None:  # type: ignore[no-untyped-def]
    image = QImage(401, 300, QImage.Format.Format_ARGB32)
    image.fill(0xFF102030)
    assert rgb_of(image).shape == (300, 401, 3)
    assert tuple(rgb_of(image)[7, 400]) == (0x10, 0x20, 0x30)
    assert rgb_of(np.full((4, 5), 9, np.uint8)).shape == (4, 5, 3)
    with pytest.raises(ValueError, match="must be"):
        Picture(np.zeros((4, 5, 3), np.float32))  # type: ignore[arg-type]


def test_brightness_contrast_and_gamma_change_the_view_only(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.set_style(CanvasStyle(picture=PictureStyle(brightness=0.2)))
    assert desk.color_at(200, 150)[0] == 128 + 51
    desk.view.set_style(CanvasStyle())
    assert desk.color_at(200, 150) == GREY
    assert tone_table(PictureStyle()) is None
    assert tone_table(PictureStyle(gamma=2.0))[64] > 64  # type: ignore[index]
    assert tone_table(PictureStyle(contrast=2.0))[64] < 64  # type: ignore[index]


def test_scores_are_colored_along_the_ramp() -> None:
    colors = score_colors(DARK, np.array([0.0, 1.0, np.nan]))
    assert colors.tolist() == [DARK.score_ramp[0], DARK.score_ramp[-1], DARK.certain]


def test_the_read_out_tells_zoom_and_place() -> None:
    assert read_out_text(1.0, None) == "100 %"
    assert read_out_text(0.0512, (3.4, 9.6)) == "5.1 %   3, 10"


def test_a_whole_body_of_133_points_paints_at_every_zoom(desk) -> None:  # type: ignore[no-untyped-def]
    from poseapp.canvas.template_pose import template_pose
    from poseapp.project.model import Instance

    schema = find_schema("coco_wholebody")
    created = Instance(
        1, 1, template_pose(schema) * 200 + (200, 50), np.full(133, 2, np.uint8), np.ones(133, dtype=np.bool_)
    )
    desk.schemas = {1: schema}
    desk.show(created)
    for scale in (0.3, 1.0, 4.0, 30.0):
        desk.view.zoom_at(scale)
        desk.pixels()
