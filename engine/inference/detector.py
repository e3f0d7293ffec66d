"""Images -> boxes of the objects in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.geometry import clip_box, letterbox
from engine.inference.device import pick_device
from engine.inference.nms import suppress
from engine.models.checkpoint import load_network
from engine.models.metadata import CheckpointInfo
from engine.networks.anchors import decode_boxes, make_anchors
from engine.pose import Detections

Image = npt.NDArray[np.uint8]

DEFAULT_DETECTOR = "efficientdet_lite0"
# Boxes that enter the suppression of an image; more are noise and cost quadratic time.
MAX_CANDIDATES = 2000


class Detector:
    """A detection network with its letterboxing, decoding and suppression of doubles.

    Attributes:
        info: what the checkpoint says.
        device: where the network runs.
        categories: names of the classes that ``labels`` count.
    """

    def __init__(self, network: nn.Module, info: CheckpointInfo, device: torch.device | str = "cpu") -> None:
        if info.task != "detector":
            raise ModelError(f"a {info.task} model is no detector (architecture {info.architecture!r})")
        self.info = info
        self.device = torch.device(device)
        self.categories = list(info.categories)
        self._network = network.to(self.device).eval()
        self._anchors = make_anchors(info.input_size).to(self.device)
        self._mean = torch.tensor(info.normalisation["mean"], device=self.device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalisation["std"], device=self.device).reshape(1, 3, 1, 1)

    @classmethod
    def load(cls, id_or_path: str | Path = DEFAULT_DETECTOR, device: str | torch.device = "auto") -> Self:
        """Load by id of the model table or from a checkpoint file.

        Raises:
            ModelError: no such model, not a detector, or the device is not available.
        """
        chosen = pick_device(device) if isinstance(device, str) else device
        network, info = load_network(id_or_path, device=chosen)
        if info.task != "detector":
            raise ModelError("is a pose model; --detector wants a detector", where=id_or_path)
        from engine.inference.detector_torchvision import ARCHITECTURE, TorchvisionDetector

        # They differ in everything but what they are asked and what they answer.
        kind: Any = TorchvisionDetector if info.architecture == ARCHITECTURE else cls
        found: Self = kind(network, info, chosen)
        return found

    def knows(self, category: str) -> bool:
        """Whether objects of that name can be found."""
        return bool(category) and category in self.categories

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
        """Find objects.

        Args:
            images: RGB uint8 (H, W, 3), any sizes.
            score_threshold: lower scores are dropped; None = the checkpoint's.
            iou: of two overlapping boxes of one class, the weaker goes when they overlap by more.
            max_detections: for each image.
            categories: names to look for; None = all.
            batch: images in one pass of the network.

        Returns:
            For each image boxes x1 y1 x2 y2 in image pixels, clipped to the image, best score first.

        Raises:
            ModelError: a category that the detector does not know.
        """
        threshold = self.info.score_threshold if score_threshold is None else score_threshold
        wanted = self._labels(categories)
        found: list[Detections] = []
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            fitted = [letterbox(image, self.info.input_size) for image in part]
            boxes, scores = self._run(np.stack([canvas for canvas, _ in fitted]), wanted)
            for i, (image, (_, factor)) in enumerate(zip(part, fitted, strict=True)):
                kept = _select(boxes[i], scores[i], threshold, iou, max_detections)
                found.append(_in_image(*kept, wanted, factor, image.shape[1], image.shape[0]))
        return found

    def _run(self, canvases: Image, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 -> boxes (B, A, 4) in letterbox pixels, scores (B, A, C) of the wanted classes."""
        with torch.inference_mode():
            # A transposed HWC batch is channels-last already, the fastest layout on processors and on CUDA.
            pixels = torch.from_numpy(canvases).to(self.device).permute(0, 3, 1, 2)
            raw, logits = self._network((pixels.float() - self._mean) / self._std)
            return decode_boxes(raw, self._anchors), torch.sigmoid(logits[..., wanted.to(logits.device)].float())

    def _labels(self, categories: Sequence[str] | None) -> Tensor:
        if categories is None:
            return torch.tensor([i for i, name in enumerate(self.categories) if name])
        for name in categories:
            if not self.knows(name):
                known = ", ".join(sorted(name for name in self.categories if name))
                raise ModelError(f"this detector does not know {name!r}; it knows {known}")
        return torch.tensor([self.categories.index(name) for name in categories])


def _select(
    boxes: Tensor, scores: Tensor, threshold: float, iou: float, max_detections: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(A, 4) and (A, C) -> boxes (N, 4), scores (N,), columns of C (N,), best first."""
    anchor, column = torch.nonzero(scores >= threshold, as_tuple=True)
    values = scores[anchor, column]
    if len(values) > MAX_CANDIDATES:
        values, best = values.topk(MAX_CANDIDATES)
        anchor, column = anchor[best], column[best]
    corners = boxes[anchor]
    kept = torch.from_numpy(
        suppress(corners.cpu().numpy(), values.cpu().numpy(), column.cpu().numpy(), iou, max_detections)
    ).to(values.device)
    return corners[kept], values[kept], column[kept]


def _in_image(
    boxes: Tensor, scores: Tensor, columns: Tensor, wanted: Tensor, factor: float, width: int, height: int
) -> Detections:
    back = clip_box(boxes.double().cpu().numpy() / factor, width, height)
    solid = (back[:, 2] > back[:, 0]) & (back[:, 3] > back[:, 1])
    labels = wanted[columns.cpu()].numpy()
    return Detections(back[solid].astype(np.float32), scores.cpu().numpy()[solid], labels[solid])
