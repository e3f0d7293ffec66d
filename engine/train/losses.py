"""Losses of detectors and of visibility heads (those of keypoints belong to the codecs); all reduce to a scalar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def focal_loss(logits: Tensor, target: Tensor, counted: Tensor, alpha: float = 0.25, gamma: float = 1.5) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017), summed over what counts. Defaults as in EfficientDet.

    Args:
        logits, target: (B, A, C), target 0 or 1. counted: (B, A) bool; anchors neither object nor background are False.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = torch.sigmoid(logits)
    right = probability * target + (1 - probability) * (1 - target)
    balance = alpha * target + (1 - alpha) * (1 - target)
    return (balance * (1 - right) ** gamma * entropy * counted[..., None]).sum()


def box_loss(predicted: Tensor, target: Tensor, positive: Tensor, delta: float = 0.1) -> Tensor:
    """Huber loss of box codes over positive anchors, summed; mean over the four numbers of a box.

    Args:
        predicted, target: (B, A, 4) ty tx th tw. positive: (B, A) bool.
    """
    return F.huber_loss(predicted[positive], target[positive], reduction="sum", delta=delta) / 4


def visibility_loss(probability: Tensor, label: Tensor, covered: Tensor) -> Tensor:
    """Binary cross entropy of probabilities (not logits), mean over all points, those that are not covered as zeros.

    Args:
        probability, label, covered: (B, K); ``label`` 1 where the point is labelled and in the crop, ``covered`` 0
            where the data set says nothing about the point.
    """
    with torch.autocast(probability.device.type, enabled=False):  # fp16 cannot hold the logarithm of small numbers
        entropy = F.binary_cross_entropy(probability.float(), label.float(), reduction="none")
    return (entropy * covered).mean()
