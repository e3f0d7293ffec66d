"""The networks, each under the name that checkpoints carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from engine.errors import ModelError
from engine.networks.efficientdet import EfficientDet
from engine.networks.hrnet import PoseHRNet
from engine.networks.movenet import MoveNet, MoveNetHeatmap
from engine.networks.resnet import PoseResNet
from engine.networks.torchvision_detectors import torchvision_detector

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "movenet": MoveNet,
    "movenet_heatmap": MoveNetHeatmap,
    "resnet_pose": PoseResNet,
    "hrnet_pose": PoseHRNet,
    "efficientdet": EfficientDet,
    "torchvision_detector": torchvision_detector,
}

NEEDS_MEMORY = frozenset({"torchvision_detector"})
"""Those that compute something while they are made, and so cannot be made without memory behind their tensors."""


def build(architecture: str, arguments: Mapping[str, Any], *, where: object = None) -> nn.Module:
    """Make a network with fresh weights.

    Raises:
        ModelError: unknown architecture, or arguments it does not take.
    """
    make = ARCHITECTURES.get(architecture)
    if make is None:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"unknown architecture {architecture!r}; this version has {known}", where=where)
    try:
        return make(**arguments)
    except (TypeError, ValueError, LookupError, OverflowError, RuntimeError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelError(f"architecture {architecture!r} does not take its arguments: {reason}", where=where) from None
