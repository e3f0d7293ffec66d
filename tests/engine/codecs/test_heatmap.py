"""Losses of heatmaps."""

from __future__ import annotations

import pytest
import torch

from engine.codecs.heatmap import heatmap_loss


def test_heatmaps_of_unlabelled_points_do_not_count() -> None:
    predicted = torch.zeros(1, 2, 4, 4)
    target = torch.zeros(1, 2, 4, 4)
    target[0, 1] = 5.0
    assert heatmap_loss(predicted, target, torch.tensor([[1.0, 0.0]]), 10) == 0
    assert heatmap_loss(predicted, target, torch.tensor([[1.0, 1.0]]), 10) > 0


def test_a_cell_under_a_point_weighs_more() -> None:
    predicted = torch.zeros(1, 1, 1, 2)
    target = torch.tensor([[[[1.0, 0.0]]]])
    weight = torch.ones(1, 1)
    assert float(heatmap_loss(predicted, target, weight, 10.0)) == pytest.approx(11 / 2)
    assert float(heatmap_loss(predicted, target, weight, 0.0)) == pytest.approx(1 / 2)


def test_an_empty_batch_gives_zero_with_a_gradient() -> None:
    predicted = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss = heatmap_loss(predicted, torch.ones(1, 1, 2, 2), torch.zeros(1, 1), 10)
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(predicted.grad.abs().sum()) == 0  # type: ignore[union-attr]
