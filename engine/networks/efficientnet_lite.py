"""EfficientNet-Lite0: the backbone of EfficientDet-Lite0, batch normalisation folded."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from engine.networks.layers import InvertedResidual, SameConv2d

STEM_CHANNELS = 32
FIRST_CHANNELS = 16
# (kernel, blocks, stride of the first, channels): EfficientNet-B0 without squeeze-and-excitation, ReLU6 for swish.
STAGES = ((3, 2, 2, 24), (5, 2, 2, 40), (3, 3, 2, 80), (5, 3, 1, 112), (5, 4, 2, 192), (3, 1, 1, 320))
# Stages whose end is handed on: strides 8, 16 and 32.
OUTPUT_STAGES = (1, 3, 5)
OUTPUT_CHANNELS = (40, 112, 320)


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W) -> features at strides 8, 16, 32 with 40, 112 and 320 channels.

    Source: Tan & Le, "EfficientNet", ICML 2019, and the Lite variant of its authors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM_CHANNELS, 3, 2)
        self.block0 = InvertedResidual(STEM_CHANNELS, FIRST_CHANNELS, expansion=1)
        channels, index = FIRST_CHANNELS, 0
        outputs = []
        for stage, (kernel, blocks, stride, out_channels) in enumerate(STAGES):
            for repeat in range(blocks):
                index += 1
                block = InvertedResidual(channels, out_channels, kernel=kernel, stride=stride if repeat == 0 else 1)
                self.add_module(f"block{index}", block)
                channels = out_channels
            if stage in OUTPUT_STAGES:
                outputs.append(index)
        self.num_blocks = index + 1
        self.output_blocks = tuple(outputs)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem(x))
        outputs = []
        for index in range(self.num_blocks):
            x = self.get_submodule(f"block{index}")(x)
            if index in self.output_blocks:
                outputs.append(x)
        return outputs
