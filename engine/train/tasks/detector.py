"""The training task of a detector: whole images to boxes with classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import MediaError, TrainingError
from engine.inference.detector import Detector
from engine.metrics.oks import box_ap
from engine.models.metadata import CheckpointInfo
from engine.networks.efficientdet import make_anchors
from engine.pose import Detections
from engine.train.config import TaskConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.sampler import evaluation_batches
from engine.train.data.training_set import LabelledImage, TrainingSet
from engine.train.losses import box_loss, focal_loss
from engine.train.run_folder import DETECTOR as BEST
from engine.train.run_folder import DETECTOR_LAST as LAST
from engine.train.run_folder import DETECTOR_STATE as STATE
from engine.train.tasks.detector_targets import LEFT_OUT, BoxDataset, BoxSample, iou_matrix, match
from engine.train.tasks.task import Batch, Validation
from engine.utils.skipped import Skipped

BOX_WEIGHT = 50.0  # EfficientDet paper, section 5
SHRINK = 2  # images are cached at up to this many times the canvas
SELF_CHECK = 32
LOWEST_SCORE = 0.05
THRESHOLDS = (0.1, 0.5)
NO_SAMPLE = np.random.default_rng(0)


class DetectorTask:
    """A detector with its data; see :class:`engine.train.tasks.task.TrainTask`. Arguments as for ``PoseTask``."""

    what = "detector"
    validates_together = False

    def __init__(
        self,
        network: nn.Module,
        info: CheckpointInfo,
        config: TaskConfig,
        train: TrainingSet,
        val: TrainingSet | None,
        cache_bytes: int,
        out: Path,
        skipped: Skipped | None = None,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.config = config
        self.info = info
        self.best_file, self.last_file, self.state_file = out / BEST, out / LAST, out / STATE
        cache = ImageCache(cache_bytes, longest=SHRINK * max(info.input_size), skipped=skipped)
        self._train = BoxDataset(train, info.input_size, config.augment, cache)
        self._val = BoxDataset(val if val is not None else train, info.input_size, None, cache)
        self._validation_part = val is not None and len(self._val) > 0
        if not self._validation_part:
            self._val = BoxDataset(train, info.input_size, None, cache)
        self.train_count = len(self._train)
        self.val_count = len(self._val) if self._validation_part else 0
        self.fingerprint = f"{info.architecture} {info.arguments} {config.batch} {train.fingerprint}"
        self._anchors = make_anchors(info.input_size).numpy()
        self._classes = len(info.categories)
        self._threshold = info.score_threshold
        self._mean = torch.tensor(info.normalization["mean"]).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalization["std"]).reshape(1, 3, 1, 1)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[BoxSample, np.ndarray, np.ndarray, int]:
        sample = self._train.sample(index, rng)
        return sample, *match(self._anchors, sample), index

    def collate(self, samples: Sequence[tuple[BoxSample, np.ndarray, np.ndarray, int]]) -> Batch:
        tensors = {
            "canvases": torch.from_numpy(np.stack([sample.canvas for sample, *_ in samples])),
            "labels": torch.from_numpy(np.stack([labels for _, labels, _, _ in samples])),
            "codes": torch.from_numpy(np.stack([codes for _, _, codes, _ in samples])),
        }
        return Batch(tensors, [self._train.images[index].id for *_, index in samples])

    def loss(self, tensors: dict[str, Tensor]) -> Tensor:
        canvases, labels = tensors["canvases"], tensors["labels"]
        x = (canvases.permute(0, 3, 1, 2).float() - self._mean.to(canvases.device)) / self._std.to(canvases.device)
        codes, logits = self.network(x)
        positive = labels >= 0
        target = F.one_hot(labels.clamp(min=0), self._classes).float() * positive[..., None]
        class_loss = focal_loss(logits.float(), target, labels != LEFT_OUT)
        location_loss = box_loss(codes.float(), tensors["codes"], positive)
        return (class_loss + BOX_WEIGHT * location_loss) / (positive.sum() + 1)

    def validate(self) -> Validation:
        device = next(self.network.parameters()).device
        count = len(self._val) if self._validation_part else min(len(self._val), SELF_CHECK)
        detector = Detector(self.network, self.info, device)
        detections: list[Detections] = []
        measured: list[LabelledImage] = []
        loss_sum = 0.0
        for indices in evaluation_batches(count, self.config.batch):
            samples, images, records = [], [], []
            for index in indices:
                with suppress(MediaError):  # listed by the cache
                    images.append(self._val.image(index))
                    samples.append(self._val.sample(index, NO_SAMPLE))
                    records.append(self._val.images[index])
            if not samples:
                continue
            batch = self.collate([(s, *match(self._anchors, s), 0) for s in samples])
            loss_sum += float(self.loss({k: v.to(device) for k, v in batch.tensors.items()})) * len(samples)
            boxes = detector.detect([image for image, _ in images], score_threshold=LOWEST_SCORE)
            detections += [_scaled(d, 1 / factor) for d, (_, factor) in zip(boxes, images, strict=True)]
            measured += records
        if not measured:
            raise TrainingError("no image to validate on can be read")
        return self._measure(detections, measured, loss_sum / len(measured))

    def _measure(self, detections: list[Detections], records: Sequence[LabelledImage], loss: float) -> Validation:
        truth: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        hits: list[tuple[float, bool]] = []
        overlaps: list[float] = []
        for position, (record, image_detections) in enumerate(zip(records, detections, strict=True)):
            common = {"image_id": position}
            truth += [{**common, "category_id": int(c), "bbox": _xywh(b)} for b, c in zip(record.boxes, record.labels)]
            for box in record.crowds:
                truth += [{**common, "category_id": c, "bbox": _xywh(box), "iscrowd": 1} for c in range(self._classes)]
            rows = zip(image_detections.boxes, image_detections.labels, image_detections.scores)
            results += [{**common, "category_id": int(c), "bbox": _xywh(b), "score": float(s)} for b, c, s in rows]
            hits += true_positives(image_detections, record.boxes, record.labels)
            best = (
                iou_matrix(record.boxes, image_detections.boxes).max(axis=1)
                if len(image_detections)
                else np.zeros(len(record.boxes))
            )
            overlaps += best.tolist()
        ap = box_ap([{"id": i} for i in range(len(records))], truth, results)
        self._threshold = best_threshold(hits, len(overlaps))
        metrics = {
            "AP": ap["AP"],
            "AP50": ap["AP50"],
            "recall": float(np.mean([o >= 0.5 for o in overlaps])),
            "mean_iou": float(np.mean(overlaps)),
        }
        if not self._validation_part:
            metrics = {f"train_{name}": value for name, value in metrics.items()}
        return Validation(
            loss=loss if self._validation_part else math.nan,
            # AP alone is coarse for a few images; the overlap of the best boxes distinguishes epochs with equal AP.
            error=1 - ap["AP"] if self.config.select == "AP" else 1 - (ap["AP"] + float(np.mean(overlaps))) / 2,
            slack=min(0.25, 1 / math.sqrt(len(overlaps))),
            metrics=metrics,
        )

    def describe(self, metrics: dict[str, Any], provenance: dict[str, Any]) -> CheckpointInfo:
        return self.info.replace(
            score_threshold=round(self._threshold, 3),
            metrics={name: round(value, 5) for name, value in metrics.items() if isinstance(value, float)},
            provenance=provenance,
        )


def true_positives(
    detections: Detections, boxes: np.ndarray, labels: np.ndarray, iou: float = 0.5
) -> list[tuple[float, bool]]:
    """(score, whether it matches an object that no better detection has matched) of each detection of one image."""
    free = np.ones(len(boxes), bool)
    overlap = iou_matrix(detections.boxes, boxes) * (detections.labels[:, None] == labels[None])
    out = []
    for row, score in zip(overlap, detections.scores):
        candidates = np.where(free, row, 0)
        best = int(candidates.argmax()) if len(boxes) else 0
        hit = bool(len(boxes)) and candidates[best] >= iou
        if hit:
            free[best] = False
        out.append((float(score), hit))
    return out


def best_threshold(hits: Sequence[tuple[float, bool]], objects: int) -> float:
    """The score with the best F1: the middle of the gap between detections, within :data:`THRESHOLDS`."""
    ranked = sorted(hits, reverse=True)
    right = np.cumsum([hit for _, hit in ranked])
    if not objects or not len(right) or not right[-1]:
        return THRESHOLDS[0]
    f1 = 2 * right / (np.arange(1, len(ranked) + 1) + objects)
    last = len(f1) - 1 - int(f1[::-1].argmax())
    below = ranked[last + 1][0] if last + 1 < len(ranked) else LOWEST_SCORE
    return float(np.clip((ranked[last][0] + below) / 2, *THRESHOLDS))


def finds_objects(detector: Detector, data: TrainingSet, *, images: int = 24, share: float = 0.5) -> bool:
    """Whether a detector with classes of these names really finds these objects.

    Names mislead: to a detector of everyday objects, a "mouse" is a computer mouse.
    """
    found_count = total = 0
    for record in data.images[:: max(1, len(data.images) // images)][:images]:
        try:
            picture, factor = ImageCache(0, longest=SHRINK * max(detector.info.input_size)).get(record.path)
        except MediaError:  # reported by the training
            continue
        boxes = _scaled(detector.detect([picture], categories=data.categories)[0], 1 / factor).boxes
        total += len(record.boxes)
        if len(boxes) and len(record.boxes):
            found_count += int((iou_matrix(record.boxes, boxes).max(axis=1) >= 0.5).sum())
    return total > 0 and found_count >= share * total


def _scaled(detections: Detections, factor: float) -> Detections:
    return Detections(detections.boxes * factor, detections.scores, detections.labels)


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(v) for v in box)
    return [x1, y1, x2 - x1, y2 - y1]
