"""Keypoints -> heatmaps -> keypoints, flip tests, and the published numbers of the classic codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.codecs import CODECS, CenterOffsetCodec, GaussianCodec, MSRACodec, codec_from_dict
from engine.errors import ModelError, TrainingError

SIZE = (192, 256)
FLIP = torch.tensor([0, 2, 1])


def decoded(codec: GaussianCodec | MSRACodec, maps: np.ndarray | Tensor) -> tuple[np.ndarray, np.ndarray]:
    points, scores = codec.decode(torch.as_tensor(maps)[None])
    return points[0].numpy(), scores[0].numpy()


# -- gaussian ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(x=st.floats(20, 171), y=st.floats(20, 235))
def test_gaussian_decode_returns_what_was_encoded(x: float, y: float) -> None:
    codec = GaussianCodec(SIZE)
    maps, weights = codec.encode(np.array([[x, y]]), np.array([2]))
    assert maps.shape == (1, 64, 48)
    assert maps.dtype == np.float32
    assert weights.tolist() == [1]
    points, scores = decoded(codec, maps)
    assert np.abs(points - [[x, y]]).max() < 0.02
    assert 0.9 < scores[0] <= 1


def test_gaussian_cell_covers_four_pixels() -> None:
    maps, _ = GaussianCodec(SIZE).encode(np.array([[41.5, 61.5]]), np.array([1]))
    assert maps[0, 15, 10] == 1.0  # cell 10 covers pixels 40..43


def test_gaussian_points_at_the_border_are_found_within_a_cell() -> None:
    codec = GaussianCodec(SIZE)
    truth = np.array([[0, 0], [191, 255], [95, 0], [191, 100], [3, 250]], float)
    maps, weights = codec.encode(truth, np.ones(5))
    assert weights.all()
    assert np.abs(decoded(codec, maps)[0] - truth).max() < 4


def test_gaussian_points_unlabelled_or_far_outside_do_not_count() -> None:
    truth = np.array([[50, 50], [50, 50], [-60, 50], [50, 400], [np.nan, np.nan]])
    maps, weights = GaussianCodec(SIZE).encode(truth, np.array([2, 0, 2, 1, 0]))
    assert weights.tolist() == [1, 0, 0, 0, 0]
    assert not maps[1:].any()
    assert np.isfinite(maps).all()


def test_gaussian_decode_is_steady_under_noise_and_scale() -> None:
    codec = GaussianCodec(SIZE)
    truth = np.random.default_rng(0).uniform(20, 170, (30, 2))
    maps, _ = codec.encode(truth, np.ones(30))
    noisy = 0.6 * maps + np.random.default_rng(1).normal(0, 0.01, maps.shape).astype(np.float32)
    points, scores = decoded(codec, noisy)
    assert np.abs(points - truth).mean() < 0.5
    assert np.abs(scores - 0.6).max() < 0.1


def test_gaussian_decode_of_empty_flat_and_wild_maps_is_finite() -> None:
    maps = torch.stack([torch.zeros(64, 48), torch.full((64, 48), -3.0), torch.full((64, 48), 9.0)])
    points, scores = decoded(GaussianCodec(SIZE), maps)
    assert np.isfinite(points).all()
    assert scores.tolist() == [0, 0, 1]


@pytest.mark.parametrize("codec", [GaussianCodec(SIZE), MSRACodec(SIZE, unbiased=True)])
def test_flip_test_of_a_perfect_network_changes_nothing(codec: GaussianCodec | MSRACodec) -> None:
    truth = np.array([[60.0, 80.0], [90.5, 120.25], [130.75, 121.0]])
    mirrored = truth[FLIP.numpy()] * [-1, 1] + [SIZE[0] - 1, 0]
    direct = torch.from_numpy(codec.encode(truth, np.ones(3))[0])[None]
    other = torch.from_numpy(codec.encode(mirrored, np.ones(3))[0])[None]
    combined = codec.combine(direct, other, FLIP)
    assert isinstance(combined, Tensor)
    # The classic cells do not lie symmetrically: its one-cell shift leaves a quarter of a cell.
    assert np.abs(decoded(codec, combined[0])[0] - truth).max() < (0.05 if codec.name == "gaussian" else 0.6)


# -- msra -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "unbiased"), [("msra_256_s2", False), ("msra_unbiased_256_s2", True)])
def test_msra_equals_published_heatmaps_and_keypoints(shared: Path, name: str, unbiased: bool) -> None:
    path = shared / f"parity/codecs/{name}.npz"
    if not path.exists():
        pytest.skip("no reference codecs")
    reference = np.load(path)
    codec = MSRACodec(SIZE, unbiased=unbiased)
    maps, weights = codec.encode(reference["keypoints"][0], reference["visible"][0])
    assert np.abs(maps - reference["heatmaps"]).max() < 1e-6
    assert np.array_equal(weights, reference["keypoint_weights"][0])
    negative = reference["in_noisy"].copy()
    negative[8] = -np.abs(negative[8]) - np.float16(0.01)
    inputs = {
        "clean": maps,
        "noisy": reference["in_noisy"],
        "smooth_random": reference["in_smooth_random"],
        "with_negative": negative,
    }
    for kind, given_maps in inputs.items():
        points, scores = decoded(codec, given_maps.astype(np.float32))
        # Newton steps on nearly flat peaks of random maps multiply float32 noise: 0.05 px there, 0.001 elsewhere.
        tolerance = 0.05 if kind == "smooth_random" else 1e-3
        assert np.abs(points - reference[f"dec_{kind}_kpts"][0]).max() <= tolerance
        assert np.abs(scores - reference[f"dec_{kind}_scores"][0]).max() < 1e-6


def test_msra_flip_equals_published_maps(shared: Path) -> None:
    path = shared / "parity/codecs/flip.npz"
    if not path.exists():
        pytest.skip("no reference codecs")
    reference = np.load(path)
    maps, indices = torch.from_numpy(reference["heatmaps"]), torch.from_numpy(reference["flip_indices"])
    for shift, key in ((True, "flipped_shift"), (False, "flipped_noshift")):
        back = MSRACodec((20, 24), shift_heatmap=shift).flip_back(maps, indices)
        assert isinstance(back, Tensor)
        assert np.array_equal(back.numpy(), reference[key])


def test_msra_map_without_a_peak_gives_the_place_for_nothing() -> None:
    points, scores = decoded(MSRACodec(SIZE), torch.full((1, 64, 48), -0.5))
    assert points.tolist() == [[-4, -4]]
    assert scores.tolist() == [-0.5]


def test_msra_takes_the_first_of_equal_peaks() -> None:
    maps = torch.zeros(1, 64, 48)
    maps[0, 10, 20] = maps[0, 30, 5] = maps[0, 10, 40] = 1
    assert decoded(MSRACodec(SIZE), maps)[0].tolist() == [[80, 40]]


# -- centre_offset ----------------------------------------------------------------------------------------------------


def movenet_outputs(points: np.ndarray, side: int = 256) -> dict[str, Tensor]:
    """What an ideal MoveNet gives for one crop with keypoints (K, 2) in crop pixels."""
    cells = side // 4
    position = (points + 0.5) / 4
    cell = np.floor(position).astype(int)
    y, x = np.mgrid[:cells, :cells]
    middle = position.mean(0)
    outputs = {
        "heatmap": np.full((len(points), cells, cells), -9.0),
        "offset": np.zeros((2 * len(points), cells, cells)),
        "regress": np.zeros((2 * len(points), cells, cells)),
        "center": -9 + 12 * np.exp(-((x + 0.5 - middle[0]) ** 2 + (y + 0.5 - middle[1]) ** 2) / 18)[None],
    }
    for k, (cx, cy) in enumerate(cell):
        outputs["heatmap"][k] = -9 + 12 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 4)
        outputs["offset"][2 * k], outputs["offset"][2 * k + 1] = position[k, 1] - y, position[k, 0] - x
        outputs["regress"][2 * k], outputs["regress"][2 * k + 1] = position[k, 1] - y, position[k, 0] - x
    return {key: torch.from_numpy(value.astype(np.float32))[None] for key, value in outputs.items()}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(70, 180), st.floats(70, 180)), min_size=3, max_size=3))
def test_center_offset_finds_the_keypoints_and_flips_exactly(points: list[tuple[float, float]]) -> None:
    codec = CenterOffsetCodec((256, 256))
    truth = np.array(points)
    direct = movenet_outputs(truth)
    result, scores = codec.decode(direct)
    assert np.abs(result[0].numpy() - truth).max() < 1e-3
    assert (scores > 0.9).all()

    mirrored = truth[FLIP.numpy()] * [-1, 1] + [255, 0]
    back = codec.flip_back(movenet_outputs(mirrored), FLIP)
    assert np.abs(codec.decode(back)[0][0].numpy() - truth).max() < 1e-3


def test_center_offset_prefers_the_peak_near_the_regressed_keypoint() -> None:
    truth = np.array([[120.0, 120.0], [100.0, 140.0], [140.0, 140.0]])
    outputs = movenet_outputs(truth)
    outputs["heatmap"][0, 0, 5, 5] = 6.0  # another person's keypoint, a little brighter, far away
    result, _ = CenterOffsetCodec((256, 256)).decode(outputs)
    assert np.abs(result[0, 0].numpy() - truth[0]).max() < 1e-3


def test_center_offset_decodes_a_batch_as_it_decodes_each_crop() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"heatmap": 17, "offset": 34, "regress": 34, "center": 1}
    outputs = {key: torch.randn(5, count, 48, 48, generator=generator) for key, count in shapes.items()}
    codec = CenterOffsetCodec((192, 192))
    points, scores = codec.decode(outputs)
    assert points.shape == (5, 17, 2)
    for i in range(5):
        single, score = codec.decode({key: value[i : i + 1] for key, value in outputs.items()})
        assert torch.equal(single[0], points[i])
        assert torch.equal(score[0], scores[i])


def test_center_offset_cannot_be_trained() -> None:
    with pytest.raises(TrainingError, match="gaussian"):
        CenterOffsetCodec((256, 256)).encode(np.zeros((1, 2)), np.ones(1))


# -- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CODECS)
def test_every_codec_survives_its_description(name: str) -> None:
    codec = CODECS[name]((192, 256))
    assert codec_from_dict(codec.to_dict(), (192, 256)) == codec
    assert codec_from_dict({"name": name}, (192, 256)) == codec
    assert codec.heatmap_size == (48, 64)


def test_parameters_of_a_description_are_used() -> None:
    codec = codec_from_dict({"name": "gaussian", "sigma": 2, "stride": 8}, (192, 256))
    assert isinstance(codec, GaussianCodec)
    assert codec.sigma == 2.0
    assert codec.heatmap_size == (24, 32)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"name": "simcc"}, "unknown codec 'simcc'"),
        ({}, "unknown codec None"),
        ({"name": "gaussian", "sigmma": 2}, "no parameter 'sigmma'"),
        ({"name": "gaussian", "sigma": "2"}, "must be a float"),
        ({"name": "gaussian", "stride": 5}, "does not divide"),
        ({"name": "gaussian", "sigma": 0.0}, "must not be negative"),
        ({"name": "msra", "unbiased": 1}, "must be a bool"),
    ],
)
def test_faulty_descriptions_are_refused(data: dict[str, object], why: str) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        codec_from_dict(data, (192, 256), where="m.safetensors")
    assert "m.safetensors" in str(caught.value)
