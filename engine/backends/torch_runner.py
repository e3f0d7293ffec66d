"""PyTorch on the processor: convolutions folded with their normalisation, channels-last, optionally in bfloat16."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from engine.codec import Outputs


def folded(network: nn.Module) -> nn.Module:
    """A copy for inference with every BatchNorm folded into the convolution before it; a plain copy where the graph
    cannot be followed."""
    from torch.fx.experimental.optimization import fuse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fuse(copy.deepcopy(network).eval())
        except Exception:  # whatever tracing stumbles over: the plain network gives the same numbers
            return copy.deepcopy(network).eval()


def plain_runner(network: nn.Module) -> Callable[[Tensor], Outputs]:
    """Single precision."""
    fast = folded(network).to(memory_format=torch.channels_last)

    def forward(crops: Tensor) -> Outputs:
        found: Outputs = fast(crops.contiguous(memory_format=torch.channels_last))
        return found

    return forward


def bfloat16_runner(network: nn.Module) -> Callable[[Tensor], Outputs]:
    """Weights and activations in bfloat16, outputs in float32: fast on processors with instructions for it."""
    fast = folded(network).to(memory_format=torch.channels_last, dtype=torch.bfloat16)

    def forward(crops: Tensor) -> Outputs:
        outputs = fast(crops.to(dtype=torch.bfloat16, memory_format=torch.channels_last))
        if isinstance(outputs, Mapping):
            return {name: value.float() for name, value in outputs.items()}
        found: Tensor = outputs.float()
        return found

    return forward
