"""The next peaks of a heatmap, by every codec: the first is where the decoder is, the others are where bumps are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codecs import CenterOffsetCodec, Codec, GaussianCodec, MSRACodec, UDPCodec
from engine.codecs.heatmap import peaks

SIZE = (96, 128)
HEATMAP_CODECS: list[Codec] = [GaussianCodec(SIZE), MSRACodec(SIZE), UDPCodec(SIZE)]
STRIDE = 4


def bumps(codec: Codec, main: tuple[float, float], other: tuple[float, float]) -> torch.Tensor:
    """(1, 1, h, w): a Gaussian at one place, and one half as high at another; crop pixels."""
    first, _ = codec.encode([main], [2])
    second, _ = codec.encode([other], [2])
    return torch.from_numpy(np.maximum(first, 0.5 * second))[None]


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=lambda codec: codec.name)
@given(
    x=st.floats(16, 40),
    y=st.floats(16, 110),
    away=st.floats(36, 50),
)
@settings(max_examples=20, deadline=None)
def test_the_candidates_of_a_heatmap_are_its_bumps(codec: Codec, x: float, y: float, away: float) -> None:
    positions, heights = codec.candidates(bumps(codec, (x, y), (x + away, y)), 2)
    assert positions.shape == (1, 1, 2, 2)
    assert heights.shape == (1, 1, 2)
    assert np.hypot(*(positions[0, 0, 0].numpy() - (x, y))) < STRIDE
    assert np.hypot(*(positions[0, 0, 1].numpy() - (x + away, y))) < STRIDE
    decoded, score = codec.decode(bumps(codec, (x, y), (x + away, y)))
    assert (positions[0, 0, 0] - decoded[0, 0]).norm() < STRIDE
    assert heights[0, 0, 0] >= heights[0, 0, 1]
    assert float(score[0, 0]) == pytest.approx(float(heights[0, 0, 0]), abs=1e-4)


def test_a_map_without_another_peak_has_candidates_of_height_nothing() -> None:
    heights, _ = peaks(torch.zeros(1, 2, 4, 4), 3)
    assert heights.shape == (1, 2, 3)
    assert not heights.any()
    heights, _ = peaks(torch.rand(1, 1, 2, 1), 5)
    assert heights.shape == (1, 1, 2)


def movenet_outputs(centers: list[tuple[int, int]], keypoints: int = 2, cells: int = 16) -> dict[str, torch.Tensor]:
    """Persons at these cells (x, y); the points of each lie 1, 2, ... cells below its center, heatmaps say so."""
    outputs = {
        "heatmap": torch.full((1, keypoints, cells, cells), -6.0),
        "center": torch.full((1, 1, cells, cells), -6.0),
        "regress": torch.zeros(1, 2 * keypoints, cells, cells),
        "offset": torch.full((1, 2 * keypoints, cells, cells), 0.5),
    }
    for x, y in centers:
        outputs["center"][0, 0, y, x] = 3.0
        for k in range(keypoints):
            outputs["regress"][0, 2 * k, y, x] = k + 1.5
            outputs["regress"][0, 2 * k + 1, y, x] = 0.5
            outputs["heatmap"][0, k, y + k + 1, x] = 3.0
    return outputs


def test_a_fixed_point_decides_which_person_a_network_of_centers_means() -> None:
    codec = CenterOffsetCodec((64, 64))
    outputs = movenet_outputs([(7, 6), (12, 9)])
    free, _ = codec.decode(outputs)
    assert free[0, 0, 0] < 40  # the one in the middle of the crop
    points, fixed = torch.tensor([[[49.5, 41.5], [0.0, 0.0]]]), torch.tensor([[True, False]])
    expected = codec.expected(outputs, points, fixed)
    assert expected is not None
    assert torch.allclose(expected[0], torch.tensor([[49.5, 41.5], [49.5, 45.5]]))
    nobody = codec.expected(outputs, points, torch.zeros(1, 2, dtype=torch.bool))
    assert nobody is not None
    assert nobody[0, 0, 0] < 40
    positions, heights = codec.candidates(outputs, 2)
    assert sorted(positions[0, 0, :, 0].tolist()) == [29.5, 49.5]
    assert (heights[0, 0] > 0.9).all()


def test_networks_of_one_person_expect_nothing() -> None:
    assert GaussianCodec(SIZE).expected(torch.zeros(1, 1, 32, 24), torch.zeros(1, 1, 2), torch.ones(1, 1) > 0) is None
