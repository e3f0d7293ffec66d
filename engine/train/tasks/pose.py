"""Training of a pose network on crops around the labelled poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.codecs import WEIGHTS, Outputs, codec_from_dict, in_float32
from engine.errors import MediaError, TrainingError
from engine.geometry import apply_affine, invert_affine
from engine.metrics.oks import keypoint_ap
from engine.metrics.pck import auc, box_norm, distances, pck
from engine.models.metadata import CheckpointInfo
from engine.train.config import AugmentConfig, TaskConfig
from engine.train.data.pose_crops import ImageCache, PoseDataset, PoseSample
from engine.train.data.sampler import evaluation_batches
from engine.train.data.training_set import Instance, TrainingSet
from engine.train.losses import visibility_loss
from engine.train.run_folder import BEST, LAST
from engine.train.run_folder import POSE_STATE as STATE
from engine.train.tasks.task import Batch, Validation

# Without a validation set so many of the training crops are validated on.
SELF_CHECK = 64
NO_SAMPLE = np.random.default_rng(0)  # unchanged crops draw nothing


class PoseTask:
    """A pose network with its data; see :class:`engine.train.tasks.task.TrainTask`.

    Args:
        network, info: as from :func:`engine.train.initial_weights.initial_pose_network`.
        train, val: without ``val`` the training crops are validated on, and the names of the figures say so.
        cache: of decoded images.
        out: folder of the run.
    """

    what = "pose"
    validates_together = False

    def __init__(
        self,
        network: nn.Module,
        info: CheckpointInfo,
        config: TaskConfig,
        train: TrainingSet,
        val: TrainingSet | None,
        cache: ImageCache,
        out: Path,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.config = config
        self.info = info
        self.best_file, self.last_file, self.state_file = out / BEST, out / LAST, out / STATE
        self._codec = codec_from_dict(info.codec, info.input_size)
        self._channels = slice(*info.conventions.get("channels", (None, None)))
        self._train = self._dataset(train, config.augment, cache)
        self._val = self._dataset(val or train, None, cache)
        self._validation_part = val is not None
        self.train_count = len(self._train)
        self.val_count = len(self._val) if val is not None else 0
        self.fingerprint = f"{info.architecture} {info.arguments} {config.batch} {train.fingerprint}"
        self._mean = torch.tensor(info.normalization["mean"]).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalization["std"]).reshape(1, 3, 1, 1)

    def _dataset(self, data: TrainingSet, augment: AugmentConfig | None, cache: ImageCache) -> PoseDataset:
        return PoseDataset(data, self.info.input_size, self.info.box_padding, augment, cache)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[PoseSample, int]:
        return self._train.sample(index, rng), index

    def collate(self, samples: Sequence[tuple[PoseSample, int]]) -> Batch:
        ids = [self._train.data.instances[index].id for _, index in samples]
        return Batch(self._tensors([sample for sample, _ in samples]), ids)

    def _tensors(self, samples: Sequence[PoseSample]) -> dict[str, Tensor]:
        targets = self._codec.encode_batch(
            np.stack([sample.keypoints for sample in samples]), np.stack([sample.labelled for sample in samples])
        )
        arrays = {"crops": np.stack([sample.crop for sample in samples]), **targets}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def loss(self, tensors: dict[str, Tensor]) -> Tensor:
        return self._loss(*self._forward(tensors["crops"]), tensors)

    def _forward(self, crops: Tensor) -> tuple[Outputs, Tensor | None]:
        # A permuted HWC batch is channels-last already.
        x = (crops.permute(0, 3, 1, 2).float() - self._mean.to(crops.device)) / self._std.to(crops.device)
        return self._codec.split(in_float32(self.network(x)), self._channels)

    def _loss(self, outputs: Outputs, visibility: Tensor | None, tensors: dict[str, Tensor]) -> Tensor:
        loss = self._codec.loss(outputs, tensors, self.config.foreground_weight)
        if visibility is not None:
            labelled = tensors[WEIGHTS]
            share = visibility_loss(visibility, labelled, torch.ones_like(labelled))
            loss = loss + self.config.visibility_weight * share
        return loss

    def validate(self) -> Validation:
        device = next(self.network.parameters()).device
        count = len(self._val) if self._validation_part else min(len(self._val), SELF_CHECK)
        points, scores, measured = [], [], []
        loss_sum = 0.0
        for batch in evaluation_batches(count, self.config.batch):
            indices, samples = self._readable(batch)
            if not samples:
                continue
            tensors = {name: tensor.to(device) for name, tensor in self._tensors(samples).items()}
            outputs, visibility = self._forward(tensors["crops"])
            loss_sum += float(self._loss(outputs, visibility, tensors)) * len(indices)
            crop_points, score = self._codec.decode(outputs)
            back = invert_affine(np.stack([sample.affine for sample in samples]))
            points.append(apply_affine(crop_points.cpu().numpy(), back))
            scores.append(score.cpu().numpy())
            measured += indices
        if not measured:
            raise TrainingError("no image to validate on can be read", where=self._val.data.file)
        return self._measure(np.concatenate(points), np.concatenate(scores), measured, loss_sum / len(measured))

    def _readable(self, indices: Sequence[int]) -> tuple[list[int], list[PoseSample]]:
        """The samples whose images can be read, and their indices."""
        readable, samples = [], []
        for index in indices:
            with suppress(MediaError):  # listed by the cache
                samples.append(self._val.sample(index, NO_SAMPLE))
                readable.append(index)
        return readable, samples

    def _measure(self, points: np.ndarray, scores: np.ndarray, measured: Sequence[int], loss: float) -> Validation:
        """points (N, K, 2) image pixels and scores (N, K) of the N validation instances ``measured``."""
        instances = [self._val.data.instances[index] for index in measured]
        labelled = np.stack([item.labelled for item in instances])
        distance = distances(points, np.stack([item.keypoints for item in instances]))
        norm = box_norm(np.stack([item.box for item in instances]))
        relative = (distance / np.maximum(norm, 1)[:, None])[labelled]
        metrics = {
            "mean_px": float(distance[labelled].mean()),
            "median_px": float(np.median(distance[labelled])),
            "AP": self._ap(instances, points, scores),
            "PCK@0.2": pck(distance, labelled, norm, 0.2),
        }
        select = self.config.select
        if select:
            figures = {**metrics, "EPE": metrics["mean_px"], "AUC": auc(distance, labelled)}
            error = figures[select] if select == "EPE" else 1 - figures[select]
        else:
            error = float(relative.mean())
        if not self._validation_part:
            metrics = {f"train_{name}": value for name, value in metrics.items()}
        return Validation(
            loss=loss if self._validation_part else math.nan,
            error=error,
            slack=min(0.25, 1 / math.sqrt(relative.size)),
            metrics=metrics,
        )

    def _ap(self, instances: Sequence[Instance], points: np.ndarray, scores: np.ndarray) -> float:
        truth: list[dict[str, Any]] = []
        predicted: list[dict[str, Any]] = []
        for item, xy, score in zip(instances, points, scores, strict=True):
            marked = np.concatenate([item.keypoints, 2.0 * item.labelled[:, None]], 1)
            low, high = item.box[:2], item.box[2:]
            common = {"image_id": item.image, "category_id": 1, "bbox": [*low, *(high - low)]}
            truth.append({**common, "keypoints": marked.ravel(), "area": item.area})
            posed = np.concatenate([xy, score[:, None]], 1)
            predicted.append({**common, "keypoints": posed.ravel(), "score": float(score.mean())})
        images = [{"id": i} for i in sorted({record["image_id"] for record in truth})]
        return keypoint_ap(images, truth, predicted, self._val.data.schema.sigmas)["AP"]

    def describe(self, metrics: dict[str, Any], provenance: dict[str, Any]) -> CheckpointInfo:
        return self.info.replace(
            metrics={name: round(value, 5) for name, value in metrics.items() if isinstance(value, float)},
            provenance=provenance,
        )
