"""torchvision's detectors behind the interface of :class:`engine.inference.detector.Detector`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.inference.detector import Detector
from engine.models.metadata import CheckpointInfo
from engine.pose import Detections

Image = npt.NDArray[np.uint8]
ARCHITECTURE = "torchvision_detector"
# A detector's own threshold is set to this or what is asked for, whichever is higher.
LOWEST_SCORE = 0.01


class TorchvisionDetector(Detector):
    """It scales, normalises and suppresses doubles by itself; ``info.input_size`` says nothing about it."""

    def __init__(self, network: nn.Module, info: CheckpointInfo, device: torch.device | str = "cpu") -> None:
        if info.task != "detector":
            raise ModelError(f"a {info.task} model is no detector (architecture {info.architecture!r})")
        self.info = info
        self.device = torch.device(device)
        self.categories = list(info.categories)
        self._network = network.to(self.device).eval()

    def detect(
        self,
        images: Sequence[Image],
        *,
        score_threshold: float | None = None,
        iou: float = 0.5,
        max_detections: int = 100,
        categories: Sequence[str] | None = None,
        batch: int = 8,
    ) -> list[Detections]:
        """As the base; ``iou`` and ``max_detections`` are handed to the network."""
        threshold = self.info.score_threshold if score_threshold is None else score_threshold
        wanted = self._labels(categories)
        # Where the suppression takes place: behind the region head of two-stage networks, else in the network itself.
        head: Any = getattr(self._network, "roi_heads", self._network)
        head.score_thresh, head.nms_thresh = max(threshold, LOWEST_SCORE), iou
        found: list[Detections] = []
        for start in range(0, len(images), batch):
            tensors = [
                torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1).float() / 255
                for image in images[start : start + batch]
            ]
            with torch.inference_mode():
                found += [_select(row, wanted, threshold, max_detections) for row in self._network(tensors)]
        return found


def _select(row: dict[str, Tensor], wanted: Tensor, threshold: float, max_detections: int) -> Detections:
    boxes, scores, labels = (row[name].cpu() for name in ("boxes", "scores", "labels"))
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    kept = torch.nonzero(solid & (scores >= threshold) & torch.isin(labels, wanted))[:, 0]
    kept = kept[scores[kept].argsort(descending=True, stable=True)][:max_detections]
    return Detections(boxes[kept].float().numpy(), scores[kept].float().numpy(), labels[kept].numpy())
