"""PyTorch on the CPU: convolutions folded with their batch normalization, channels-last, optionally in bfloat16."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engine.codecs import Outputs


def folded(network: nn.Module) -> nn.Module:
    """A copy for inference with every BatchNorm folded into the convolution before it; an unchanged copy where the
    network cannot be traced."""
    own = copy.deepcopy(network).eval()
    try:
        traced = fx.symbolic_trace(own)
    except Exception:  # tracing may raise anything; the untraced network gives the same numbers
        return own
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        convolution = modules[str(before.target)]
        if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d):
            is_transposed = isinstance(convolution, nn.ConvTranspose2d)
            fused = fuse_conv_bn_eval(convolution, modules[node.target], transpose=is_transposed)
            traced.set_submodule(str(before.target), fused)
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def float32_runner(network: nn.Module) -> Callable[[Tensor], Outputs]:
    """Single precision."""
    fast = folded(network).to(memory_format=torch.channels_last)

    def forward(crops: Tensor) -> Outputs:
        outputs: Outputs = fast(crops.contiguous(memory_format=torch.channels_last))
        return outputs

    return forward


def bfloat16_runner(network: nn.Module) -> Callable[[Tensor], Outputs]:
    """Weights and activations in bfloat16, outputs in float32: fast on CPUs with instructions for it."""
    fast = folded(network).to(memory_format=torch.channels_last, dtype=torch.bfloat16)

    def forward(crops: Tensor) -> Outputs:
        outputs = fast(crops.to(dtype=torch.bfloat16, memory_format=torch.channels_last))
        if isinstance(outputs, Mapping):
            return {name: value.float() for name, value in outputs.items()}
        output: Tensor = outputs.float()
        return output

    return forward
