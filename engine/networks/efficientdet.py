"""EfficientDet-Lite0: EfficientNet-Lite0, three BiFPN cells, one class head and one box head over five levels.

Source: Tan, Pang & Le, "EfficientDet: Scalable and Efficient Object Detection", CVPR 2020; the Lite variant adds
features without weights and uses ReLU6. Input is RGB, ``(value - 127) / 128``; 320 x 320 for the embedded weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.networks.layers import InvertedResidual, SameConv2d, SeparableConv, same_max_pool
from engine.networks.registry import register_network

# Backbone.
STEM_CHANNELS = 32
FIRST_CHANNELS = 16
# (kernel, blocks, stride of the first, channels): EfficientNet-B0 without squeeze-and-excitation, ReLU6 for swish.
STAGES = ((3, 2, 2, 24), (5, 2, 2, 40), (3, 3, 2, 80), (5, 3, 1, 112), (5, 4, 2, 192), (3, 1, 1, 320))
# Stages whose end is handed on: strides 8, 16 and 32.
OUTPUT_STAGES = (1, 3, 5)
OUTPUT_CHANNELS = (40, 112, 320)
# Neck and heads.
CHANNELS = 64
CELLS = 3
HEAD_LAYERS = 3
# Anchors.
STRIDES = (8, 16, 32, 64, 128)
# Three octaves outermost, three aspects (width / height) within: 9 anchors a cell.
OCTAVES = (0, 1, 2)
ASPECTS = (1.0, 2.0, 0.5)
ANCHORS_PER_CELL = len(OCTAVES) * len(ASPECTS)
ANCHOR_SCALE = 3.0
# exp() of a wild network output must not overflow; e^8 times the largest anchor is far beyond any image.
MAX_LOG_SIZE = 8.0
LEVELS = len(STRIDES)
# COCO's ten animals (bird ... giraffe): category ids 16 to 25, at the indices 15 to 24.
COCO_ANIMALS = tuple(range(15, 25))
COCO_SLOTS = 90
# Probability that a new class starts at when it does not start from an old one (focal loss paper, section 4.1).
PRIOR = 0.01


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


class Fusion(nn.Module):
    """Adds its inputs, ReLU6, separable convolution (its batch normalization folded into the 1x1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SeparableConv(CHANNELS, CHANNELS)

    def forward(self, *inputs: Tensor) -> Tensor:
        total = inputs[0]
        for other in inputs[1:]:
            total = total + other
        return self.conv(F.relu6(total))


class BiFPNCell(nn.Module):
    """One pass down and one pass up the pyramid.

    Names carry the level: ``down6`` fuses level 6 with level 7 on the way to finer levels, ``up4`` fuses level 4 with
    the finer level 3 on the way back. Level 3 has no second fusion: its downward result is its output.
    """

    def __init__(self) -> None:
        super().__init__()
        for level in (6, 5, 4, 3):
            self.add_module(f"down{level}", Fusion())
        for level in (4, 5, 6, 7):
            self.add_module(f"up{level}", Fusion())

    def forward(self, down_inputs: Sequence[Tensor], up_inputs: Sequence[Tensor]) -> list[Tensor]:
        """Levels 3 to 7, for each pass: the first cell is given other laterals, later cells the same maps."""
        _, _, _, _, p7 = down_inputs
        result = p7
        down = {}
        for level in (6, 5, 4, 3):
            here = down_inputs[level - 3]
            result = self.get_submodule(f"down{level}")(here, _nearest(result, here))
            down[level] = result
        outputs = [result]
        for level in (4, 5, 6):
            result = self.get_submodule(f"up{level}")(up_inputs[level - 3], down[level], same_max_pool(result))
            outputs.append(result)
        outputs.append(self.get_submodule("up7")(up_inputs[4], same_max_pool(result)))
        return outputs


def _nearest(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")


class Neck(nn.Module):
    """Lateral convolutions from the backbone to 64 channels, levels 6 and 7 by pooling, then the BiFPN cells."""

    def __init__(self) -> None:
        super().__init__()
        c3, c4, c5 = OUTPUT_CHANNELS
        self.lateral3 = SameConv2d(c3, CHANNELS)
        self.lateral4_down = SameConv2d(c4, CHANNELS)
        self.lateral4_up = SameConv2d(c4, CHANNELS)
        self.lateral5_down = SameConv2d(c5, CHANNELS)
        self.lateral5_up = SameConv2d(c5, CHANNELS)
        self.lateral6 = SameConv2d(c5, CHANNELS)
        for index in range(CELLS):
            self.add_module(f"cell{index}", BiFPNCell())

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Backbone features at strides 8, 16, 32 -> five levels of (B, 64, ., .), strides 8 to 128."""
        c3, c4, c5 = features
        p3 = self.lateral3(c3)
        p6 = same_max_pool(self.lateral6(c5))
        p7 = same_max_pool(p6)
        down = [p3, self.lateral4_down(c4), self.lateral5_down(c5), p6, p7]
        up = [p3, self.lateral4_up(c4), self.lateral5_up(c5), p6, p7]
        for index in range(CELLS):
            down = up = self.get_submodule(f"cell{index}")(down, up)
        return down


class LevelConv(nn.Module):
    """A 1x1 convolution shared by all levels, with an output scale and bias of its own for each.

    EfficientDet's heads share their convolutions but keep one batch normalization for each level; folded, that is a
    scale and a bias. Keeping the weight shared (not five folded copies) lets every level learn from every object.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(LEVELS, channels))
        self.bias = nn.Parameter(torch.zeros(LEVELS, channels))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, level: int) -> Tensor:
        return F.conv2d(x, self.weight * self.scale[level][:, None, None, None], self.bias[level])


class Head(nn.Module):
    """Three separable layers with ReLU6, then a separable output; the levels share all but scales and biases.

    forward: five levels of (B, 64, h, w) -> (B, A, ``values``), anchors in the order of ``make_anchors``.
    """

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values
        for index in range(HEAD_LAYERS):
            self.add_module(f"depthwise{index}", SameConv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS, bias=False))
            self.add_module(f"pointwise{index}", LevelConv(CHANNELS))
        self.output = SeparableConv(CHANNELS, ANCHORS_PER_CELL * values)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return torch.cat([self._one_level(x, level) for level, x in enumerate(levels)], 1)

    def _one_level(self, x: Tensor, level: int) -> Tensor:
        for index in range(HEAD_LAYERS):
            x = self.get_submodule(f"depthwise{index}")(x)
            x = F.relu6(self.get_submodule(f"pointwise{index}")(x, level))
        x = self.output(x)
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.values)


@register_network("efficientdet", task="detector")
class EfficientDet(nn.Module):
    """Object detector.

    forward: (B, 3, H, W) -> boxes (B, A, 4) as ty, tx, th, tw (see :func:`decode_boxes`), class logits (B, A, C);
    A is 19206 for 320 x 320.
    """

    def __init__(self, num_classes: int = COCO_SLOTS) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        self.num_classes = num_classes
        self.backbone = EfficientNetLite0()
        self.neck = Neck()
        self.class_head = Head(num_classes)
        self.box_head = Head(4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        levels = self.neck(self.backbone(x))
        return self.box_head(levels), self.class_head(levels)

    def replace_classes(self, num_classes: int, start: Sequence[Sequence[int]] | None = None) -> None:
        """Give the class head ``num_classes`` new classes; backbone, neck, box head and hidden class layers stay.

        Each new class starts at the mean of output rows that exist, so that it answers to objects from the first step
        and few images are enough.

        Measured on a mouse filmed from above, which no COCO class covers: 10 images to train, 50 steps of 4 (AdamW
        1e-3, focal loss, 21 s on two cores), 22 test images. Share of those whose best box overlaps the animal by
        more than one half, and that box's median score, after 10 and after 50 steps: animals 1.00 at 0.60, 1.00 at
        0.81; person 1.00 at 0.91, the same; all classes 0.95 at 0.22, 1.00 at 0.72; random with a prior 0.91 at 0.18,
        1.00 at 0.67.

        Args:
            num_classes: classes of the new head.
            start: for each new class the old classes it begins as (``[[0]]`` keeps person alone); an empty entry starts
                it at N(0, 0.01) with a prior of 1 %. Default: the mean of the COCO animals for a COCO head, of all old
                classes otherwise.
        """
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        default = COCO_ANIMALS if self.num_classes == COCO_SLOTS else tuple(range(self.num_classes))
        start = [default] * num_classes if start is None else start
        if len(start) != num_classes:
            raise ValueError(f"start names {len(start)} classes, not {num_classes}")
        old = self.class_head.output.pointwise
        assert old.bias is not None
        weight = old.weight.detach().reshape(ANCHORS_PER_CELL, self.num_classes, CHANNELS)
        bias = old.bias.detach().reshape(ANCHORS_PER_CELL, self.num_classes)
        new_weight = weight.new_empty(ANCHORS_PER_CELL, num_classes, CHANNELS)
        new_bias = bias.new_empty(ANCHORS_PER_CELL, num_classes)
        for index, sources in enumerate(start):
            if sources:
                new_weight[:, index] = weight[:, list(sources)].mean(1)
                new_bias[:, index] = bias[:, list(sources)].mean(1)
            else:
                new_weight[:, index].normal_(std=0.01)
                new_bias[:, index] = -math.log((1 - PRIOR) / PRIOR)
        layer = SameConv2d(CHANNELS, ANCHORS_PER_CELL * num_classes).to(weight)
        with torch.no_grad():
            layer.weight.copy_(new_weight.reshape(layer.weight.shape))
            layer.bias.copy_(new_bias.reshape(-1))
        self.class_head.output.pointwise = layer
        self.class_head.values = num_classes
        self.num_classes = num_classes


# -- anchors -----------------------------------------------------------------------------------------------------------


# Coordinates are letterbox pixels measured from the edge of the image (the first pixel covers 0..1), as COCO boxes are;
# subtract 0.5 for coordinates whose integers are pixel centers.


def make_anchors(size: int | tuple[int, int] = 320) -> Tensor:
    """Anchors of an input of ``size`` pixels (a side, or width and height).

    Returns:
        (A, 4) float32 rows cy, cx, h, w in letterbox pixels; levels of stride 8 to 128, row by row, 9 to a cell.
        A is 19206 for 320.
    """
    width, height = (size, size) if isinstance(size, int) else size
    levels = []
    for stride in STRIDES:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        shapes = [
            (base / math.sqrt(aspect), base * math.sqrt(aspect))
            for base in (ANCHOR_SCALE * stride * 2 ** (octave / len(OCTAVES)) for octave in OCTAVES)
            for aspect in ASPECTS
        ]
        hw = torch.tensor(shapes, dtype=torch.float32).expand(rows, columns, -1, 2)
        cy = (torch.arange(rows, dtype=torch.float32) + 0.5) * stride
        cx = (torch.arange(columns, dtype=torch.float32) + 0.5) * stride
        centers = torch.stack(torch.meshgrid(cy, cx, indexing="ij"), -1)[:, :, None].expand(-1, -1, len(shapes), 2)
        levels.append(torch.cat([centers, hw], -1).reshape(-1, 4))
    return torch.cat(levels)


def decode_boxes(raw: Tensor, anchors: Tensor) -> Tensor:
    """Network output to boxes.

    Args:
        raw: (..., A, 4) ty, tx, th, tw.
        anchors: (A, 4) of :func:`make_anchors`.

    Returns:
        (..., A, 4) x1, y1, x2, y2 in letterbox pixels, not clipped.
    """
    center = raw[..., :2] * anchors[:, 2:] + anchors[:, :2]
    half = torch.exp(raw[..., 2:].clamp(max=MAX_LOG_SIZE)) * anchors[:, 2:] / 2
    return torch.cat([(center - half).flip(-1), (center + half).flip(-1)], -1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of :func:`decode_boxes`: xyxy in letterbox pixels, one row an anchor -> (A, 4) ty, tx, th, tw."""
    y1x1, y2x2 = boxes[..., :2].flip(-1), boxes[..., 2:].flip(-1)
    size = (y2x2 - y1x1).clamp(min=1e-3)
    center = (y1x1 + y2x2) / 2
    return torch.cat([(center - anchors[:, :2]) / anchors[:, 2:], torch.log(size / anchors[:, 2:])], -1)
