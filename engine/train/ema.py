"""A running mean of a network's weights, which validation and checkpoints see in place of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightMean:
    """mean = decay * mean + (1 - decay) * weights, after each step; buffers such as batch statistics are taken as they
    are.

    The first steps count more, so that the mean is not held at the start: the decay is at most (1 + n) / (10 + n).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._steps = 0
        self._mean = {name: tensor.detach().clone() for name, tensor in network.named_parameters()}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def update(self) -> None:
        """Take in the weights as they are after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        weights = [tensor.detach() for _, tensor in self._network.named_parameters()]
        torch._foreach_lerp_(list(self._mean.values()), weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the mean as its weights."""
        weights = {name: tensor.detach().clone() for name, tensor in self._network.named_parameters()}
        self._load(self._mean)
        try:
            yield
        finally:
            self._load(weights)

    def state(self) -> dict[str, Tensor | int]:
        """What :meth:`load` takes."""
        return {**self._mean, "steps": self._steps}

    def load(self, state: dict[str, Tensor | int]) -> None:
        """Go on from a saved mean."""
        self._steps = int(state["steps"])
        for name, mean in self._mean.items():
            saved = state[name]
            assert isinstance(saved, Tensor)
            mean.copy_(saved)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _load(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self._network.named_parameters():
            tensor.copy_(tensors[name])
