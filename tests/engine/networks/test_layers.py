"""TensorFlow's padding rule."""

from __future__ import annotations

import pytest
import torch

from engine.networks.layers import SameConv2d, same_max_pool, same_padding


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before_after"),
    [
        (320, 3, 2, (0, 1)),
        (80, 5, 2, (1, 2)),
        (5, 3, 2, (1, 1)),
        (7, 3, 1, (1, 1)),
        (6, 1, 2, (0, 0)),
        (3, 3, 2, (1, 1)),
    ],
)
def test_padding_is_that_of_same(size: int, kernel: int, stride: int, before_after: tuple[int, int]) -> None:
    assert same_padding(size, size, kernel, stride) == before_after * 2


@pytest.mark.parametrize("size", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_output_has_a_cell_for_each_started_stride(size: int, kernel: int, stride: int) -> None:
    x = torch.zeros(1, 2, size, size + 1)
    cells = (-(-size // stride), -(-(size + 1) // stride))
    assert SameConv2d(2, 3, kernel, stride)(x).shape[-2:] == cells


def test_padded_cells_never_win_a_pooling() -> None:
    pooled = same_max_pool(torch.full((1, 1, 6, 6), -2.0))
    assert pooled.shape == (1, 1, 3, 3)
    assert (pooled == -2).all()
