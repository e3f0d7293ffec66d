"""MoveNet: a MobileNetV2 trunk, a small feature pyramid and light heads at stride 4.

``MoveNet`` is Google's single-pose network (Thunder and Lightning); ``MoveNetHeatmap`` is the same trunk with one
heatmap head, for fine-tuning to any keypoint schema. Input is a square RGB crop, ``value * 0.00784302 - 1``.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from engine.networks.layers import InvertedResidual, SameConv2d, SeparableConv, copy_tensors, normal_output
from engine.networks.registry import register_network

# Output channels of the stem, of its depthwise-separable block and of the seven stages of inverted residuals.
WIDTHS: dict[str, tuple[int, ...]] = {
    "lightning": (32, 16, 24, 32, 64, 96, 160, 320),
    "thunder": (56, 32, 40, 56, 112, 168, 280, 560),
}
# (blocks, stride of the first) of the six stages after the first block: MobileNetV2, table 2.
STAGES = ((2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1))
TOP_CHANNELS = 1280
NECK_CHANNELS = (64, 32, 24)
FEATURE_CHANNELS = 24
HEAD_CHANNELS = 96


class MoveNetBackbone(nn.Module):
    """MobileNetV2 without its classifier.

    Returns features at strides 4, 8, 16 and 32. The map of a stride is taken where that stride is last used before the
    next reduction, except stride 16, which is taken before the stage that widens it.
    """

    def __init__(self, width: str) -> None:
        super().__init__()
        stem, first, *stages = WIDTHS[width]
        self.stem = SameConv2d(3, stem, 3, 2)
        self.block0 = InvertedResidual(stem, first, expansion=1)
        self.stage_ends: list[str] = []
        channels, index = first, 0
        for out_channels, (blocks, stride) in zip(stages, STAGES, strict=True):
            for repeat in range(blocks):
                index += 1
                block = InvertedResidual(channels, out_channels, stride=stride if repeat == 0 else 1)
                self.add_module(f"block{index}", block)
                channels = out_channels
            self.stage_ends.append(f"block{index}")
        self.top = SameConv2d(channels, TOP_CHANNELS)
        self.num_blocks = index + 1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = F.relu6(self.stem(x))
        outputs = []
        for index in range(self.num_blocks):
            name = f"block{index}"
            x = self.get_submodule(name)(x)
            if name in self.stage_ends[:3]:
                outputs.append(x)
        stride4, stride8, stride16 = outputs
        return stride4, stride8, stride16, F.relu6(self.top(x))


class MoveNetNeck(nn.Module):
    """Feature pyramid, coarse to fine: half-pixel bilinear x2, add the lateral, smooth. Output (B, 24, H/4, W/4)."""

    def __init__(self, width: str) -> None:
        super().__init__()
        stages = WIDTHS[width]
        wide, middle, narrow = NECK_CHANNELS
        self.lateral32 = SameConv2d(TOP_CHANNELS, wide)
        self.lateral16 = SameConv2d(stages[4], wide)
        self.smooth16 = SeparableConv(wide, middle)
        self.lateral8 = SameConv2d(stages[3], middle)
        self.smooth8 = SeparableConv(middle, narrow)
        self.lateral4 = SameConv2d(stages[2], narrow)
        self.smooth4 = SeparableConv(narrow, FEATURE_CHANNELS)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        stride4, stride8, stride16, stride32 = features
        x = F.relu(self.smooth16(_upsample_add(self.lateral32(stride32), self.lateral16(stride16))))
        x = F.relu(self.smooth8(_upsample_add(x, self.lateral8(stride8))))
        return F.relu(self.smooth4(_upsample_add(x, self.lateral4(stride4))))


def _upsample_add(coarse: Tensor, fine: Tensor) -> Tensor:
    # To the size of the finer map, so that inputs whose sides are not multiples of 32 work too.
    return F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False) + fine


class MoveNetHead(nn.Module):
    """Depthwise 3x3, 1x1 to 96 channels, ReLU, 1x1 to the outputs (no activation)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.hidden = SeparableConv(FEATURE_CHANNELS, HEAD_CHANNELS)
        self.output = SameConv2d(HEAD_CHANNELS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(F.relu(self.hidden(x)))


# Its four heads were trained on data that is not public; labels of one's own train one heatmap head.
@register_network("movenet", trained_as="movenet_heatmap")
class MoveNet(nn.Module):
    """Single-pose network with four heads.

    forward: (B, 3, H, W) float -> dict, all at h = H/4, w = W/4:
        ``heatmap`` (B, K, h, w) logits; ``offset`` (B, 2K, h, w) and ``regress`` (B, 2K, h, w) in cells, channels
        y0, x0, y1, x1, ...; ``center`` (B, 1, h, w) logits.
    """

    def __init__(self, width: str = "thunder", num_keypoints: int = 17) -> None:
        super().__init__()
        _check_arguments(width, num_keypoints)
        self.num_keypoints = num_keypoints
        self.backbone = MoveNetBackbone(width)
        self.neck = MoveNetNeck(width)
        self.heads = nn.ModuleDict(
            {
                "heatmap": MoveNetHead(num_keypoints),
                "offset": MoveNetHead(2 * num_keypoints),
                "regress": MoveNetHead(2 * num_keypoints),
                "center": MoveNetHead(1),
            }
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.neck(self.backbone(x))
        return {name: head(features) for name, head in self.heads.items()}


@register_network("movenet_heatmap", learning_rate=1e-3, codec={"name": "gaussian"})  # the rate is measured
class MoveNetHeatmap(nn.Module):
    """The trunk of MoveNet with one heatmap head: (B, 3, H, W) -> (B, K, H/4, W/4), no activation.

    Backbone, neck and ``heads.heatmap`` have the parameter names of :class:`MoveNet`.
    """

    def __init__(self, width: str = "lightning", num_keypoints: int = 17) -> None:
        super().__init__()
        _check_arguments(width, num_keypoints)
        self.num_keypoints = num_keypoints
        self.backbone = MoveNetBackbone(width)
        self.neck = MoveNetNeck(width)
        self.heads = nn.ModuleDict({"heatmap": MoveNetHead(num_keypoints)})
        normal_output(self.heads["heatmap"].output)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads["heatmap"](self.neck(self.backbone(x)))

    def load_trunk_from(self, state: Mapping[str, Tensor]) -> None:
        """Take backbone, neck and the hidden layers of the heatmap head from a MoveNet of the same width.

        Only the last 1x1 stays new (N(0, 0.01), zero bias), because its channels mean other keypoints.

        Raises:
            ValueError: ``state`` lacks a trunk tensor or has it in another shape; the first one is named.
        """
        copy_tensors(self, state, [name for name in self.state_dict() if not name.startswith("heads.heatmap.output.")])


def _check_arguments(width: str, num_keypoints: int) -> None:
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, not {width!r}")
    if num_keypoints < 1:
        raise ValueError(f"num_keypoints must be at least 1, not {num_keypoints}")
