"""HRNet with a 1x1 heatmap head: Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation",
CVPR 2019.

Branches of different resolution run side by side and are fused after every module. Parameters are named as in the
published pose checkpoints. Input is RGB, normalized with the ImageNet mean and deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from engine.networks.layers import copy_tensors, normal_output
from engine.networks.registry import Backbone, register_network
from engine.networks.resnet import EXPANSION, Bottleneck

WIDTHS = (32, 48)
_WEIGHTS = "https://download.openmmlab.com/mmpose/pretrain_models"
STEM = 64
STEM_BLOCKS = 4
BRANCH_BLOCKS = 4
# Modules of stages 2, 3 and 4, which have two, three and four branches.
STAGE_MODULES = (1, 4, 3)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation around a shortcut; size and channels stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


def _halving(in_channels: int, out_channels: int, relu: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False), nn.BatchNorm2d(out_channels)
    ]  # fmt: skip
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def _fuse_path(source: int, target: int, channels: Sequence[int]) -> nn.Module:
    """From branch ``source`` to the resolution and width of branch ``target``."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(channels[source], channels[target], 1, bias=False),
            nn.BatchNorm2d(channels[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [_halving(channels[source], channels[source]) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _halving(channels[source], channels[target], relu=False))


class ExchangeModule(nn.Module):
    """Four basic blocks on every branch, then each output resolution is the sum over all branches."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(BRANCH_BLOCKS))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_path(source, target, channels) for source in range(len(channels)))
            for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        fused = []
        for row in self.fuse_layers:
            paths = iter(zip(row, xs, strict=True))
            path, x = next(paths)
            total = path(x)
            for path, x in paths:
                total = total + path(x)
            fused.append(self.relu(total))
        return fused


class HRNetBackbone(nn.Module):
    """(B, 3, H, W) -> (B, width, H/4, W/4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv2 = nn.Conv2d(STEM, STEM, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        blocks = [Bottleneck(STEM, STEM), *(Bottleneck(STEM * EXPANSION, STEM) for _ in range(STEM_BLOCKS - 1))]
        self.layer1 = nn.Sequential(*blocks)
        widths = [width * 2**branch for branch in range(4)]
        same = nn.Sequential(
            nn.Conv2d(STEM * EXPANSION, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.transition1 = nn.ModuleList([same, nn.Sequential(_halving(STEM * EXPANSION, widths[1]))])
        self.stage2 = self._stage(widths[:2], STAGE_MODULES[0])
        self.transition2 = self._transition(widths[1], widths[2], 2)
        self.stage3 = self._stage(widths[:3], STAGE_MODULES[1])
        self.transition3 = self._transition(widths[2], widths[3], 3)
        self.stage4 = self._stage(widths, STAGE_MODULES[2], last=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    @staticmethod
    def _stage(channels: Sequence[int], modules: int, last: int | None = None) -> nn.Sequential:
        outputs = [len(channels)] * modules
        if last is not None:
            outputs[-1] = last
        return nn.Sequential(*(ExchangeModule(channels, count) for count in outputs))

    @staticmethod
    def _transition(in_channels: int, out_channels: int, branches: int) -> nn.ModuleList:
        """Existing branches continue; a new one halves the lowest resolution."""
        return nn.ModuleList(
            [nn.Identity() for _ in range(branches)] + [nn.Sequential(_halving(in_channels, out_channels))]
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer1(self.relu(self.bn2(self.conv2(x))))
        xs = self.stage2([step(x) for step in self.transition1])
        xs = self.stage3([*xs, self.transition2[-1](xs[-1])])
        xs = self.stage4([*xs, self.transition3[-1](xs[-1])])
        highest: Tensor = xs[0]
        return highest


class PlainHead(nn.Module):
    """1x1 convolution to the keypoints; no activation."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(in_channels, num_keypoints, 1)
        normal_output(self.final_layer, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps


@register_network(
    "hrnet_pose",
    backbones=(
        Backbone("hrnet_w32", f"{_WEIGHTS}/hrnet_w32-36af842e.pth", "36af842e", {"width": 32}),
        Backbone("hrnet_w48", f"{_WEIGHTS}/hrnet_w48-8ef0771d.pth", "8ef0771d", {"width": 48}),
    ),
    # Older versions of MMPose call the head otherwise; newer ones store the normalization among the weights.
    renamed={"keypoint_head.": "head."},
    dropped=("data_preprocessor.",),
)
class PoseHRNet(nn.Module):
    """(B, 3, H, W) -> heatmaps (B, K, H/4, W/4), no activation; H and W are multiples of 32."""

    def __init__(self, width: int = 32, num_keypoints: int = 17) -> None:
        super().__init__()
        if width not in WIDTHS:
            raise ValueError(f"width must be one of {', '.join(map(str, WIDTHS))}, not {width!r}")
        if num_keypoints < 1:
            raise ValueError(f"num_keypoints must be at least 1, not {num_keypoints}")
        self.num_keypoints = num_keypoints
        self.backbone = HRNetBackbone(width)
        self.head = PlainHead(width, num_keypoints)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.head(self.backbone(x))
        return heatmaps

    def load_trunk_from(self, state: Mapping[str, Tensor]) -> None:
        """Take the backbone from other weights; the 1x1 of the head stays.

        Args:
            state: a pose checkpoint's tensors (``backbone.*``), or those of a backbone alone.

        Raises:
            ValueError: a backbone tensor is missing or has another shape; the first one is named, nothing was changed.
        """
        if not any(name.startswith("backbone.") for name in state):
            state = {f"backbone.{name}": tensor for name, tensor in state.items()}
        names = [
            name
            for name in self.state_dict()
            # num_batches_tracked: a counter that files of old torch versions lack, and that nothing here uses.
            if name.startswith("backbone.") and not (name.endswith("num_batches_tracked") and name not in state)
        ]
        copy_tensors(self, state, names)
