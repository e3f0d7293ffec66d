import pytest
import torch
from torch import nn

from engine.train.config import OptimizerConfig
from engine.train.optimizer import WeightAverage, build_optimizer, learning_rate

CONFIG = OptimizerConfig(lr=1.0, warmup_steps=10, final_lr=0.01)


def test_rate_rises_linearly_then_falls_to_the_end() -> None:
    rates = [learning_rate(step, 200, CONFIG) for step in range(200)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_warm_up_is_short_in_short_runs() -> None:
    assert learning_rate(1, 20, CONFIG) == 1.0
    assert learning_rate(0, 1, CONFIG) == 1.0


def test_biases_do_not_decay() -> None:
    optimizer = build_optimizer(nn.Linear(3, 2).parameters(), OptimizerConfig(lr=1e-3, weight_decay=0.05))
    assert [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups] == [(1, 0.05), (1, 0.0)]


def network(value: float) -> nn.Linear:
    created = nn.Linear(1, 1, bias=False)
    nn.init.constant_(created.weight, value)
    return created


def test_the_mean_keeps_its_share_of_itself_after_the_first_steps() -> None:
    line = network(0.0)
    mean = WeightAverage(line, 0.9)
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
    mean = WeightAverage(line, 0.9998)
    nn.init.constant_(line.weight, 1.0)
    mean.update()
    with mean.applied():
        assert float(line.weight.detach()) == pytest.approx(1 - 2 / 11, abs=1e-6)


def test_the_weights_come_back_afterwards() -> None:
    line = network(3.0)
    mean = WeightAverage(line, 0.5)
    nn.init.constant_(line.weight, 5.0)
    with mean.applied():
        assert float(line.weight.detach()) == 3.0
    assert float(line.weight.detach()) == 5.0


def test_a_saved_mean_goes_on() -> None:
    line = network(0.0)
    first = WeightAverage(line, 0.9)
    nn.init.constant_(line.weight, 1.0)
    first.update()
    second = WeightAverage(network(7.0), 0.9)
    second.load({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state().items()})
    assert float(second.state()["weight"]) == float(first.state()["weight"])
    assert second.state()["steps"] == 1
