import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.geometry import apply_affine, box_to_center_scale, compose_affine, crop_affine, udp_affine
from engine.schema.builtin import find_schema
from engine.train.config import TopDownConfig
from engine.train.data.topdown_augmentation import (
    Halves,
    Placement,
    cut_normal,
    padded_box,
    placement_affine,
    random_placement,
)

SIZE = (192, 256)
COCO = find_schema("coco")
HALVES = Halves.of(COCO)
STILL = TopDownConfig(enabled=True, flip=0, shift_chance=0, scale_chance=0, rotation_chance=0)
BOX = np.array([100.0, 50.0, 160.0, 250.0])
POINTS = np.stack([np.linspace(100, 160, 17), np.linspace(50, 250, 17)], 1)


def placed(config: TopDownConfig, labelled: np.ndarray | None = None, seed: int = 0) -> Placement:
    seen = np.ones(17, bool) if labelled is None else labelled
    return random_placement(padded_box(BOX, 1.25), POINTS, seen, HALVES, 640, config, np.random.default_rng(seed))


def test_without_changes_the_crop_is_that_of_prediction() -> None:
    result = placement_affine(placed(STILL), 640, SIZE)
    center, scale = box_to_center_scale(BOX, 1.25, 192 / 256)
    assert np.allclose(result, crop_affine(center, scale, SIZE))
    assert np.allclose(placement_affine(placed(STILL), 640, SIZE, udp=True), udp_affine(center, scale, SIZE))


def test_a_mirror_is_that_of_the_whole_image() -> None:
    always = TopDownConfig(enabled=True, flip=1, shift_chance=0, scale_chance=0, rotation_chance=0)
    one = placed(always)
    assert one.flip
    assert one.center == pytest.approx([639 - 130, 150])
    # A point of the image and its mirror image on the mirrored picture fall on the same place of the crop.
    plain = crop_affine(*box_to_center_scale([639 - 160, 50, 639 - 100, 250], 1.25, 0.75), SIZE)
    assert np.allclose(
        apply_affine([[120.0, 77.0]], placement_affine(one, 640, SIZE)), apply_affine([[519.0, 77.0]], plain)
    )


def test_shift_scale_and_angle_have_the_published_spread() -> None:
    drawn = [placed(TopDownConfig(enabled=True, flip=0), seed=seed) for seed in range(2000)]
    box = padded_box(BOX, 1.25)
    shift = np.array([(one.center - box.center) / box.scale for one in drawn])
    factor = np.array([one.scale[0] / box.scale[0] for one in drawn])
    turn = np.array([one.rotation for one in drawn])
    assert np.abs(shift).max() <= 0.16
    assert np.mean(shift[:, 0] != 0) == pytest.approx(0.3, abs=0.04)
    assert 0.5 <= factor.min() < 0.55
    assert 1.45 < factor.max() <= 1.5
    assert np.mean(turn != 0) == pytest.approx(0.6, abs=0.04)
    assert 75 < np.abs(turn).max() <= 80


def test_draws_are_normal_and_cut_off() -> None:
    draws = cut_normal(np.random.default_rng(0), 20000)
    assert np.abs(draws).max() <= 1
    # Variance of a standard normal cut off at 1 (1 - 2 phi(1) / (2 Phi(1) - 1)).
    assert draws.var() == pytest.approx(0.2911, abs=0.01)


HALF = TopDownConfig(
    enabled=True, flip=0, half_body=1.0, half_body_upper=1.0, shift_chance=0, scale_chance=0, rotation_chance=0
)


def test_half_a_body_is_the_mean_and_the_extent_of_its_points() -> None:
    one = placed(HALF)
    upper = POINTS[HALVES.upper]
    assert one.center == pytest.approx(upper.mean(0))
    assert one.scale == pytest.approx(np.ptp(upper, 0) * 1.5)
    assert list(HALVES.upper) == list(range(11))
    assert list(HALVES.lower) == list(range(11, 17))


def test_the_other_half_serves_where_one_has_too_few_points() -> None:
    labelled = np.ones(17, bool)
    labelled[1:11] = False  # one above, six below: seven in all
    low = TopDownConfig(**{**{f: getattr(HALF, f) for f in HALF.__struct_fields__}, "half_body_points": 5})
    assert placed(low, labelled).center == pytest.approx(POINTS[11:].mean(0))
    assert placed(HALF, labelled).center == pytest.approx([130, 150])  # fewer than nine: the whole
    neither = np.zeros(17, bool)
    neither[[0, 11, 12]] = True
    few = TopDownConfig(**{**{f: getattr(HALF, f) for f in HALF.__struct_fields__}, "half_body_points": 1})
    assert placed(few, neither).center == pytest.approx([130, 150])


def test_points_without_halves_are_never_cut() -> None:
    assert len(Halves.of(find_schema("deepfashion_upper")).upper) in (0, 6)
    none = Halves(np.zeros(0, np.int64), np.zeros(0, np.int64))
    result = random_placement(
        padded_box(BOX, 1.0), POINTS, np.ones(17, bool), none, 640, HALF, np.random.default_rng(0)
    )  # fmt: skip
    assert result.center == pytest.approx([130, 150])


@given(st.integers(0, 2**32 - 1), st.floats(-1000, 1000), st.floats(0, 1000), st.integers(1, 4000))
def test_every_placement_can_be_cut(seed: int, left: float, width: float, image: int) -> None:
    rng = np.random.default_rng(seed)
    start = padded_box([left, 3.0, left + width, 3.0], 1.25)
    same = np.full((17, 2), left)
    result = random_placement(start, same, np.ones(17, bool), HALVES, image, TopDownConfig(half_body=0.5), rng)
    affine = placement_affine(result, image, SIZE)
    assert np.isfinite(affine).all()
    assert np.linalg.det(affine[:, :2]) != 0
    assert (np.linalg.det(affine[:, :2]) < 0) == result.flip
    assert np.allclose(compose_affine(affine, [[1, 0, 0], [0, 1, 0]]), affine)
