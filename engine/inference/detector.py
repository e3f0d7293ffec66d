"""Images -> boxes of the objects in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.geometry import clip_box, letterbox
from engine.inference.device import pick_device
from engine.inference.nms import nms
from engine.models.checkpoint import load_network
from engine.models.metadata import CheckpointInfo
from engine.networks.efficientdet import decode_boxes, make_anchors
from engine.pose import Detections

ImageArray = npt.NDArray[np.uint8]

DEFAULT_DETECTOR = "efficientdet_lite0"
# Boxes of one image that enter non-maximum suppression; more are noise, and its time grows with their square.
MAX_CANDIDATES = 2000
# torchvision's networks keep boxes from this score, or from the one asked for if that is higher.
MIN_SCORE = 0.01


class BoxFinder(Protocol):
    """How the boxes of one detection architecture are found; made from (network, info, device)."""

    def __call__(
        self, images: Sequence[ImageArray], labels: Tensor, *, threshold: float, iou: float, max_detections: int
    ) -> list[Detections]:
        """Run the network on some images.

        Args:
            images: RGB uint8 (H, W, 3), any sizes.
            labels: the classes to look for, as indices into the model's categories.
            threshold: lower scores are dropped.
            iou: of two boxes of one class that overlap by more, the one with the lower score is dropped.
            max_detections: per image.

        Returns:
            For each image boxes in image pixels, inside the image, best score first.
        """


BOX_FINDERS: dict[str, Callable[[nn.Module, CheckpointInfo, torch.device], BoxFinder]] = {}
"""By the name of the architecture (``engine.networks``)."""
Finder = TypeVar("Finder", bound=Callable[[nn.Module, CheckpointInfo, torch.device], BoxFinder])


def register_box_finder(architecture: str) -> Callable[[Finder], Finder]:
    """Class decorator: say how the boxes of a detection network are found."""

    def register(finder: Finder) -> Finder:
        BOX_FINDERS[architecture] = finder
        return finder

    return register


class Detector:
    """A detection network of any architecture, from images to boxes.

    Attributes:
        info: what the checkpoint says.
        device: where the network runs.
        categories: names of the classes that the labels of detections count; "" for slots without one.
    """

    def __init__(self, network: nn.Module, info: CheckpointInfo, device: torch.device | str = "cpu") -> None:
        if info.task != "detector":
            raise ModelError(f"a {info.task} model is not a detector (architecture {info.architecture!r})")
        finder = BOX_FINDERS.get(info.architecture)
        if finder is None:
            known = ", ".join(BOX_FINDERS)
            raise ModelError(f"detectors of the architecture {info.architecture!r} cannot be run; known are {known}")
        self.info = info
        self.device = torch.device(device)
        self.categories = list(info.categories)
        self._network = network.to(self.device).eval()
        self._find = finder(self._network, info, self.device)

    @classmethod
    def load(cls, id_or_path: str | Path = DEFAULT_DETECTOR, device: str | torch.device = "auto") -> Self:
        """Load by id of the model table or from a checkpoint file.

        Raises:
            ModelError: no such model, not a detector, or the device is not available.
        """
        device = pick_device(device) if isinstance(device, str) else device
        network, info = load_network(id_or_path, device=device)
        if info.task != "detector":
            raise ModelError("is a pose model; --detector wants a detector", where=id_or_path)
        return cls(network, info, device)

    def knows(self, category: str) -> bool:
        """Whether objects of that name can be found."""
        return bool(category) and category in self.categories

    def detect(
        self,
        images: Sequence[ImageArray],
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
            iou: of two boxes of one class that overlap by more, the one with the lower score is dropped.
            max_detections: per image.
            categories: names to look for; None = all.
            batch: images in one pass of the network.

        Returns:
            For each image boxes x1 y1 x2 y2 in image pixels, inside the image, best score first.

        Raises:
            ModelError: a category that the detector does not know.
        """
        threshold = self.info.score_threshold if score_threshold is None else score_threshold
        labels = self._labels(categories)
        detections: list[Detections] = []
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            detections += self._find(part, labels, threshold=threshold, iou=iou, max_detections=max_detections)
        return detections

    def _labels(self, categories: Sequence[str] | None) -> Tensor:
        if categories is None:
            return torch.tensor([i for i, name in enumerate(self.categories) if name])
        for name in categories:
            if not self.knows(name):
                known = ", ".join(sorted(name for name in self.categories if name))
                raise ModelError(f"this detector does not know {name!r}; it knows {known}")
        return torch.tensor([self.categories.index(name) for name in categories])


@register_box_finder("efficientdet")
class EfficientDetBoxes:
    """Letterboxed images -> anchor codes and class logits -> boxes."""

    def __init__(self, network: nn.Module, info: CheckpointInfo, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._input_size = info.input_size
        self._anchors = make_anchors(info.input_size).to(device)
        self._mean = torch.tensor(info.normalization["mean"], device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalization["std"], device=device).reshape(1, 3, 1, 1)

    def __call__(
        self, images: Sequence[ImageArray], labels: Tensor, *, threshold: float, iou: float, max_detections: int
    ) -> list[Detections]:
        letterboxed = [letterbox(image, self._input_size) for image in images]
        boxes, scores = self._run(np.stack([canvas for canvas, _ in letterboxed]), labels)
        detections = []
        for i, (image, (_, factor)) in enumerate(zip(images, letterboxed, strict=True)):
            chosen = _suppressed(boxes[i], scores[i], threshold, iou, max_detections)
            detections.append(_in_image(*chosen, labels, factor, image.shape[1], image.shape[0]))
        return detections

    def _run(self, canvases: ImageArray, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 -> boxes (B, A, 4) in letterbox pixels, scores (B, A, C) of the classes ``labels``."""
        with torch.inference_mode():
            # A transposed HWC batch is channels-last already, the fastest layout on CPUs and on CUDA.
            pixels = torch.from_numpy(canvases).to(self._device).permute(0, 3, 1, 2)
            codes, logits = self._network((pixels.float() - self._mean) / self._std)
            return decode_boxes(codes, self._anchors), torch.sigmoid(logits[..., labels.to(logits.device)].float())


def _suppressed(
    boxes: Tensor, scores: Tensor, threshold: float, iou: float, max_detections: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(A, 4) and (A, C) -> boxes (N, 4), scores (N,), columns of C (N,), best first."""
    anchor, column = torch.nonzero(scores >= threshold, as_tuple=True)
    values = scores[anchor, column]
    if len(values) > MAX_CANDIDATES:
        values, best = values.topk(MAX_CANDIDATES)
        anchor, column = anchor[best], column[best]
    corners = boxes[anchor]
    rows = torch.from_numpy(
        nms(corners.cpu().numpy(), values.cpu().numpy(), column.cpu().numpy(), iou, max_detections)
    ).to(values.device)
    return corners[rows], values[rows], column[rows]


def _in_image(
    boxes: Tensor, scores: Tensor, columns: Tensor, labels: Tensor, factor: float, width: int, height: int
) -> Detections:
    """Letterbox pixels -> image pixels; boxes without an area are dropped."""
    in_pixels = clip_box(boxes.double().cpu().numpy() / factor, width, height)
    has_area = (in_pixels[:, 2] > in_pixels[:, 0]) & (in_pixels[:, 3] > in_pixels[:, 1])
    box_labels = labels[columns.cpu()].numpy()
    return Detections(in_pixels[has_area].astype(np.float32), scores.cpu().numpy()[has_area], box_labels[has_area])


@register_box_finder("torchvision_detector")
class TorchvisionBoxes:
    """torchvision's networks resize, normalize and suppress by themselves; the input size says nothing about them."""

    def __init__(self, network: nn.Module, info: CheckpointInfo, device: torch.device) -> None:
        self._network = network
        self._device = device

    def __call__(
        self, images: Sequence[ImageArray], labels: Tensor, *, threshold: float, iou: float, max_detections: int
    ) -> list[Detections]:
        # Two-stage networks suppress in their region head, the others in the network itself.
        head: Any = getattr(self._network, "roi_heads", self._network)
        head.score_thresh, head.nms_thresh = max(threshold, MIN_SCORE), iou
        tensors = [
            torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1).float() / 255
            for image in images
        ]
        with torch.inference_mode():
            return [self._selected(row, labels, threshold, max_detections) for row in self._network(tensors)]

    @staticmethod
    def _selected(row: dict[str, Tensor], labels: Tensor, threshold: float, max_detections: int) -> Detections:
        boxes, scores, box_labels = (row[name].cpu() for name in ("boxes", "scores", "labels"))
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
        rows = torch.nonzero(has_area & (scores >= threshold) & torch.isin(box_labels, labels))[:, 0]
        rows = rows[scores[rows].argsort(descending=True, stable=True)][:max_detections]
        return Detections(boxes[rows].float().numpy(), scores[rows].float().numpy(), box_labels[rows].numpy())
