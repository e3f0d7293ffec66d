"""Adam and AdamW, the learning rate as a function of the step, and a moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from engine.train.config import OptimizerConfig


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam or AdamW with weight decay on kernels only: biases and norm factors have no reason to be small."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer_class = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    return optimizer_class([g for g in groups if g["params"]], lr=config.lr)


def learning_rate(step: int, total: int, config: OptimizerConfig, steps_per_epoch: int = 1) -> float:
    """Rate of step 0..total-1: a linear warm-up, then a cosine down to ``final_lr * lr``, or a fall at milestones.

    With the schedule "steps" the last step of the warm-up has the full rate, as in MMEngine's LinearLR.
    """
    if config.schedule == "steps":
        milestones_passed = sum(step // steps_per_epoch >= milestone for milestone in config.milestones)
        rate = config.lr * config.gamma**milestones_passed
        if step >= config.warmup_steps:
            return rate
        share = step / max(1, config.warmup_steps - 1)
        return rate * (config.warmup_factor + (1 - config.warmup_factor) * share)
    warmup = min(config.warmup_steps, total // 10)
    if step < warmup:
        return config.lr * (config.warmup_factor + (1 - config.warmup_factor) * (step + 1) / warmup)
    share = min((step - warmup) / max(1, total - warmup), 1.0)
    return config.lr * (config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * share)) / 2)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class WeightAverage:
    """Exponential moving average of a network's weights, which validation and checkpoints use instead of the weights.

    average = decay * average + (1 - decay) * weights, after each step. Buffers such as batch statistics are not
    averaged. Early steps count more, so that the average leaves the initial weights: in step n the decay is at most
    (1 + n) / (10 + n).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._steps = 0
        self._average = {name: tensor.detach().clone() for name, tensor in network.named_parameters()}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def update(self) -> None:
        """Add the current weights; call it after each step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        weights = [tensor.detach() for _, tensor in self._network.named_parameters()]
        torch._foreach_lerp_(list(self._average.values()), weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the network has the average as its weights."""
        weights = {name: tensor.detach().clone() for name, tensor in self._network.named_parameters()}
        self._load(self._average)
        try:
            yield
        finally:
            self._load(weights)

    def state(self) -> dict[str, Tensor | int]:
        """What :meth:`load` takes."""
        return {**self._average, "steps": self._steps}

    def load(self, state: dict[str, Tensor | int]) -> None:
        """Go on from a saved average."""
        self._steps = int(state["steps"])
        for name, average in self._average.items():
            saved = state[name]
            assert isinstance(saved, Tensor)
            average.copy_(saved)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _load(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self._network.named_parameters():
            tensor.copy_(tensors[name])
