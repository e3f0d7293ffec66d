"""The running mean of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.train.ema import WeightMean


def network(value: float) -> nn.Linear:
    made = nn.Linear(1, 1, bias=False)
    nn.init.constant_(made.weight, value)
    return made


def test_the_mean_keeps_its_share_of_itself_after_the_first_steps() -> None:
    line = network(0.0)
    mean = WeightMean(line, 0.9)
    nn.init.constant_(line.weight, 1.0)
    expected = 0.0
    for step in range(1, 201):
        mean.update()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
        with mean.applied():
            assert float(line.weight.detach()) == pytest.approx(expected, abs=1e-5)
    nn.init.constant_(line.weight, 2.0)
    mean.update()
    with mean.applied():  # one step moves it by a tenth, not by nine tenths
        assert float(line.weight.detach()) == pytest.approx(0.9 * expected + 0.1 * 2, abs=1e-5)


def test_the_first_steps_count_more() -> None:
    line = network(0.0)
    mean = WeightMean(line, 0.9998)
    nn.init.constant_(line.weight, 1.0)
    mean.update()
    with mean.applied():
        assert float(line.weight.detach()) == pytest.approx(1 - 2 / 11, abs=1e-6)


def test_the_weights_come_back_afterwards() -> None:
    line = network(3.0)
    mean = WeightMean(line, 0.5)
    nn.init.constant_(line.weight, 5.0)
    with mean.applied():
        assert float(line.weight.detach()) == 3.0
    assert float(line.weight.detach()) == 5.0


def test_a_saved_mean_goes_on() -> None:
    line = network(0.0)
    first = WeightMean(line, 0.9)
    nn.init.constant_(line.weight, 1.0)
    first.update()
    second = WeightMean(network(7.0), 0.9)
    second.load({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state().items()})
    assert float(second.state()["weight"]) == float(first.state()["weight"])
    assert second.state()["steps"] == 1
