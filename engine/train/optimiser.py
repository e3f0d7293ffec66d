"""AdamW, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from engine.train.config import OptimiserConfig


def build_optimiser(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> torch.optim.AdamW:
    """Weight decay on kernels only: biases and norm factors have no reason to be small."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr)


def learning_rate(step: int, total: int, config: OptimiserConfig) -> float:
    """Rate of step 0..total-1: linear warm-up, then a cosine from ``lr`` down to ``final_lr * lr``."""
    warmup = min(config.warmup_steps, total // 10)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return config.lr * (config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give all groups this rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
