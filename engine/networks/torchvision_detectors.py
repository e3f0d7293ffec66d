"""torchvision's detectors under one name, made without weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from engine.networks.registry import register_network

NAMES = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "ssdlite320_mobilenet_v3_large",
)
# The published weights of these were trained with normalisation that adds nothing to the variance.
WITHOUT_EPSILON = ("fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn")


def torchvision_categories(arguments: Mapping[str, Any]) -> list[str]:
    """Names of the classes of the published weights of a network with these arguments, "" for slots without one."""
    from torchvision.models import get_model_weights

    names = get_model_weights(arguments["name"]).COCO_V1.meta["categories"]
    return ["" if category in ("N/A", "__background__") else str(category) for category in names]


@register_network(
    "torchvision_detector",
    task="detector",
    normalization={"mean": [0.0] * 3, "std": [255.0] * 3},
    categories=torchvision_categories,
    needs_memory=True,  # its anchors
)
def torchvision_detector(name: str, num_classes: int = 91) -> nn.Module:
    """Images as a list of (3, H, W) floats in 0..1 -> list of {"boxes", "labels", "scores"}, in evaluation mode.

    Raises:
        ValueError: unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, not {name!r}")
    from torchvision.models import detection

    network: nn.Module = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=num_classes)
    if name in WITHOUT_EPSILON:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    return network
