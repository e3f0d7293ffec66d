"""Labels made on another pixel grid than the picture is shown in are told, and brought over and back."""

from __future__ import annotations

import numpy as np
import pytest

from engine.labels.image_size import Grid, GridTransform, classify, is_unsettled, transform_of
from engine.media.images import upright


@pytest.mark.parametrize(
    ("record", "stored", "orientation", "grid"),
    [
        ((640, 414), (640, 414), 1, Grid.SAME),
        ((414, 640), (640, 414), 6, Grid.SAME),
        ((640, 414), (640, 414), 6, Grid.TURNED),
        ((320, 207), (640, 414), 1, Grid.SCALED),
        ((207, 320), (640, 414), 8, Grid.SCALED),
        ((1280, 828), (640, 414), 5, Grid.TURNED_SCALED),
        ((333, 215), (640, 414), 1, Grid.SCALED),  # rounded to whole pixels
        ((414, 640), (640, 414), 1, Grid.CONTRADICTORY),
        ((640, 480), (640, 414), 1, Grid.CONTRADICTORY),
        ((0, 0), (640, 414), 6, Grid.UNKNOWN),
        ((640, 414), (0, 0), 1, Grid.UNKNOWN),
        ((640, 414), (640, 414), 3, Grid.SAME),
    ],
)
def test_a_size_is_classified(record: tuple[int, int], stored: tuple[int, int], orientation: int, grid: Grid) -> None:
    assert classify(record, stored, orientation) is grid


def test_upside_down_and_square_pictures_are_unsettled() -> None:
    assert is_unsettled((640, 414), (640, 414), 3)
    assert is_unsettled((64, 64), (64, 64), 6)
    assert not is_unsettled((640, 414), (640, 414), 6)
    assert not is_unsettled((640, 414), (640, 414), 1)
    assert transform_of((640, 414), (640, 414), 3) is None
    assert transform_of((640, 414), (640, 414), 3, unsettled=True) == GridTransform((640, 414), (640, 414), 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_point_lies_on_the_pixel_that_the_decoder_puts_there(orientation: int) -> None:
    stored = np.zeros((5, 7, 3), np.uint8)
    stored[1, 4] = 255
    row, column = np.argwhere(upright(stored, orientation)[..., 0])[0]
    height, width = upright(stored, orientation).shape[:2]
    moved = GridTransform((7, 5), (width, height), orientation)
    assert moved.points([4, 1]).tolist() == [column, row]
    assert moved.boxes([4, 1, 5, 2]).tolist() == [column, row, column + 1, row + 1]
    assert moved.boxes([0, 0, 7, 5]).tolist() == [0, 0, width, height]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_transform_is_taken_back(orientation: int) -> None:
    shown = (50, 70) if orientation >= 5 else (70, 50)
    moved = GridTransform((35, 25), shown, orientation)
    points, boxes = np.array([[3.5, 4.0], [0.0, 24.0]]), np.array([[1.0, 2.0, 30.0, 20.0]])
    np.testing.assert_allclose(moved.points_back(moved.points(points)), points, atol=1e-9)
    np.testing.assert_allclose(moved.boxes_back(moved.boxes(boxes)), boxes, atol=1e-9)


def test_a_scaled_point_keeps_its_place_in_the_picture() -> None:
    moved = transform_of((100, 80), (200, 160))
    assert moved is not None
    assert moved.points([[0, 0], [99, 79]]).tolist() == [[0.5, 0.5], [198.5, 158.5]]
    assert moved.boxes([0, 0, 100, 80]).tolist() == [0, 0, 200, 160]
