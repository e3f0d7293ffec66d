"""Adam and AdamW, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from engine.train.config import OptimiserConfig


def build_optimiser(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> torch.optim.Optimizer:
    """Weight decay on kernels only: biases and norm factors have no reason to be small."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    return kind([g for g in groups if g["params"]], lr=config.lr)


def learning_rate(step: int, total: int, config: OptimiserConfig, steps_per_epoch: int = 1) -> float:
    """Rate of step 0..total-1: a linear warm-up, then a cosine down to ``final_lr * lr``, or a fall at milestones.

    Under "steps" the warm-up ends at the full rate with its last step, as MMEngine's LinearLR does.
    """
    if config.schedule == "steps":
        past = sum(step // steps_per_epoch >= milestone for milestone in config.milestones)
        rate = config.lr * config.gamma**past
        if step >= config.warmup_steps:
            return rate
        done = step / max(1, config.warmup_steps - 1)
        return rate * (config.warmup_factor + (1 - config.warmup_factor) * done)
    warmup = min(config.warmup_steps, total // 10)
    if step < warmup:
        return config.lr * (config.warmup_factor + (1 - config.warmup_factor) * (step + 1) / warmup)
    done = (step - warmup) / max(1, total - warmup)
    return config.lr * (config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give all groups this rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
