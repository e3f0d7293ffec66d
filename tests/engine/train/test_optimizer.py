import pytest
from torch import nn

from engine.train.config import OptimiserConfig
from engine.train.optimizer import build_optimiser, learning_rate

CONFIG = OptimiserConfig(lr=1.0, warmup_steps=10, final_lr=0.01)


def test_rate_rises_linearly_then_falls_to_the_end() -> None:
    rates = [learning_rate(step, 200, CONFIG) for step in range(200)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_warm_up_is_short_in_short_runs() -> None:
    assert learning_rate(1, 20, CONFIG) == 1.0
    assert learning_rate(0, 1, CONFIG) == 1.0


def test_biases_do_not_decay() -> None:
    optimiser = build_optimiser(nn.Linear(3, 2).parameters(), OptimiserConfig(lr=1e-3, weight_decay=0.05))
    assert [(len(g["params"]), g["weight_decay"]) for g in optimiser.param_groups] == [(1, 0.05), (1, 0.0)]
