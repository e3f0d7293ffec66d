"""ResNet with a deconvolution head: Xiao et al., "Simple Baselines for Human Pose Estimation", ECCV 2018.

Backbone parameters have torchvision's names below ``backbone.`` (stride on the 3x3 convolution), so that its ImageNet
weights and the published pose checkpoints fit. Input is RGB, normalized with the ImageNet mean and deviation.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from engine.networks.layers import copy_tensors, normal_output
from engine.networks.registry import Backbone, register_network

# Bottlenecks in each of the four stages (He et al., CVPR 2016, table 1).
DEPTHS: dict[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 4
DECONV_CHANNELS = 256
DECONV_LAYERS = 3
_WEIGHTS = "https://download.pytorch.org/models"


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, each with batch normalization, around a shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetBackbone(nn.Module):
    """(B, 3, H, W) -> (B, 2048, H/32, W/32)."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage_index, blocks in enumerate(DEPTHS[depth], 1):
            width = 64 * 2 ** (stage_index - 1)
            stage = [Bottleneck(channels, width, 1 if stage_index == 1 else 2)]
            channels = width * EXPANSION
            stage += [Bottleneck(channels, width) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage_index}", nn.Sequential(*stage))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage_index in range(1, 5):
            x = self.get_submodule(f"layer{stage_index}")(x)
        return x


class DeconvHead(nn.Module):
    """Three transposed convolutions (each doubles the size), then 1x1 to the keypoints; no activation."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(DECONV_LAYERS):
            deconv = nn.ConvTranspose2d(in_channels, DECONV_CHANNELS, 4, 2, 1, bias=False)
            nn.init.normal_(deconv.weight, std=0.001)
            layers += [deconv, nn.BatchNorm2d(DECONV_CHANNELS), nn.ReLU(inplace=True)]
            in_channels = DECONV_CHANNELS
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(DECONV_CHANNELS, num_keypoints, 1)
        normal_output(self.final_layer, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return self.final_layer(self.deconv_layers(x))


class VisibilityHead(nn.Module):
    """The deconvolution head, and the probability that each keypoint is visible: mean over the map, linear, sigmoid."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.pose_head = DeconvHead(in_channels, num_keypoints)
        self.vis_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_keypoints))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"heatmap": self.pose_head(x), "visibility": self.vis_head(x).sigmoid()}


@register_network(
    "resnet_pose",
    codec={"name": "msra", "unbiased": True},
    variants={f"resnet{depth}": {"depth": depth} for depth in DEPTHS},
    backbones=(
        Backbone("resnet50", f"{_WEIGHTS}/resnet50-0676ba61.pth", "0676ba61", {"depth": 50}),
        Backbone("resnet101", f"{_WEIGHTS}/resnet101-63fe2227.pth", "63fe2227", {"depth": 101}),
        Backbone("resnet152", f"{_WEIGHTS}/resnet152-394f9c45.pth", "394f9c45", {"depth": 152}),
    ),
    # Older versions of MMPose call the head otherwise; newer ones store the normalization among the weights.
    renamed={"keypoint_head.": "head."},
    dropped=("data_preprocessor.",),
)
class PoseResNet(nn.Module):
    """(B, 3, H, W) -> heatmaps (B, K, H/4, W/4), no activation; H and W are multiples of 32.

    With ``visibility`` a dictionary: "heatmap" as above and "visibility" (B, K), the probability that the keypoint is
    labelled.
    """

    def __init__(self, depth: int = 50, num_keypoints: int = 17, visibility: bool = False) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}, not {depth!r}")
        if num_keypoints < 1:
            raise ValueError(f"num_keypoints must be at least 1, not {num_keypoints}")
        self.num_keypoints = num_keypoints
        self.backbone = ResNetBackbone(depth)
        kind = VisibilityHead if visibility else DeconvHead
        self.head: nn.Module = kind(512 * EXPANSION, num_keypoints)
        self._deconv = "head.pose_head.deconv_layers." if visibility else "head.deconv_layers."

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        outputs: Tensor | dict[str, Tensor] = self.head(self.backbone(x))
        return outputs

    def load_trunk_from(self, state: Mapping[str, Tensor]) -> None:
        """Take the backbone, and the transposed convolutions where they exist, from other weights; the last 1x1 stays.

        Args:
            state: a pose checkpoint's tensors (``backbone.*``, ``head.*``) or torchvision's ImageNet classifier
                (``conv1.weight``, ...; its ``fc`` is left out), as
                ``engine.models.checkpoint.read_weights`` gives them.

        Raises:
            ValueError: a backbone tensor is missing or has another shape; the first one is named, nothing was changed.
        """
        if not any(name.startswith("backbone.") for name in state):
            state = {f"backbone.{name}": tensor for name, tensor in state.items() if not name.startswith("fc.")}
        with_head = any(name.startswith(self._deconv) for name in state)
        names = [
            name
            for name in self.state_dict()
            if (name.startswith("backbone.") or (with_head and name.startswith(self._deconv)))
            # A counter that files of old torch versions lack, and that nothing here uses.
            and not (name.endswith("num_batches_tracked") and name not in state)
        ]
        copy_tensors(self, state, names)
