"""Building blocks that the mobile networks share.

The embedded networks come from TensorFlow graphs whose batch normalization is folded into the convolutions, so the
blocks here are plain convolutions with a bias, and padding follows TensorFlow's "SAME": the output has
ceil(size / stride) cells, and an odd padding has its extra row and column at the bottom and the right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def same_padding(height: int, width: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Left, right, top, bottom padding that TensorFlow's "SAME" gives an input of ``height`` x ``width``."""

    def split(size: int) -> tuple[int, int]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2

    top, bottom = split(height)
    left, right = split(width)
    return left, right, top, bottom


class SameConv2d(nn.Conv2d):
    """A square convolution with TensorFlow "SAME" padding; state-dict names are those of ``nn.Conv2d``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        # With stride 1 and an odd kernel the padding is symmetric, which the convolution does by itself.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if self.stride[0] > 1:
            pads = same_padding(input.shape[-2], input.shape[-1], self.kernel_size[0], self.stride[0])
            input = F.pad(input, pads)
        return super().forward(input)


def same_max_pool(x: Tensor, kernel: int = 3, stride: int = 2) -> Tensor:
    """Max pooling with TensorFlow "SAME" padding; padded cells never win."""
    pads = same_padding(x.shape[-2], x.shape[-1], kernel, stride)
    return F.max_pool2d(F.pad(x, pads, value=float("-inf")), kernel, stride)


class InvertedResidual(nn.Module):
    """MobileNetV2 block: 1x1 expand, depthwise, 1x1 project without activation; adds its input where shapes allow.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1, expansion: int = 6
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = SameConv2d(in_channels, width) if expansion != 1 else None
        self.depthwise = SameConv2d(width, width, kernel, stride, groups=width)
        self.project = SameConv2d(width, out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class SeparableConv(nn.Module):
    """Depthwise 3x3 without bias, then 1x1 with bias; no activation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = SameConv2d(in_channels, in_channels, 3, groups=in_channels, bias=False)
        self.pointwise = SameConv2d(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


def normal_output(layer: nn.Conv2d, std: float = 0.01, bias: float = 0.0) -> None:
    """Start a new output layer at N(0, std) weights and a constant bias."""
    with torch.no_grad():
        nn.init.normal_(layer.weight, std=std)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, bias)


def copy_tensors(network: nn.Module, state: Mapping[str, Tensor], names: Iterable[str]) -> None:
    """Copy the named tensors of ``state`` into ``network``, all or none.

    Raises:
        ValueError: one is missing or has another shape; the first is named.
    """
    own = network.state_dict()
    chosen = {}
    for name in names:
        tensor = state.get(name)
        if tensor is None:
            raise ValueError(f"tensor {name!r} is missing")
        if tensor.shape != own[name].shape:
            raise ValueError(f"tensor {name!r} has shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}")
        chosen[name] = tensor
    network.load_state_dict(chosen, strict=False)
