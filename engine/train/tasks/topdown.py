"""The training task of published recipes: their crops, targets and loss, validated by their protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.codecs import WEIGHTS, codec_from_dict, codecs_of_recipes, in_float32
from engine.errors import TrainingError
from engine.models.metadata import CheckpointInfo
from engine.train.config import TaskConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.topdown_crops import TopDownDataset, TopDownSample
from engine.train.data.training_set import TrainingSet
from engine.train.losses import visibility_loss
from engine.train.run_folder import BEST, LAST
from engine.train.run_folder import POSE_STATE as STATE
from engine.train.tasks.task import Batch, Validation
from engine.train.tasks.topdown_validation import EvaluationProtocol


class TopDownTask:
    """A pose network with its data; see :class:`engine.train.tasks.task.TrainTask`.

    Args:
        network, info: as from :func:`engine.train.initial_weights.initial_recipe_network`.
        train: what to train on.
        protocol: how the network is measured.
        cache: of decoded images.
        out: folder of the run.

    Raises:
        TrainingError: recipes cannot train the codec of the network, or no instance is left to train on.
    """

    what = "pose"
    validates_together = True

    def __init__(
        self,
        network: nn.Module,
        info: CheckpointInfo,
        config: TaskConfig,
        train: TrainingSet,
        protocol: EvaluationProtocol,
        cache: ImageCache,
        out: Path,
    ) -> None:
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network = network.to(memory_format=layout)
        self._layout = layout
        self.config = config
        self.info = info
        self.best_file, self.last_file, self.state_file = out / BEST, out / LAST, out / STATE
        self._codec = codec_from_dict(info.codec, info.input_size)
        if not self._codec.has_published_loss:
            choices = " or ".join(map(repr, codecs_of_recipes()))
            raise TrainingError(f"recipes train models with the codec {choices}, this one has {self._codec.name!r}")
        self._train = TopDownDataset(train, info, config.topdown, cache)
        if not len(self._train):
            raise TrainingError("no annotation has a box inside its image", where=train.file)
        self._protocol = protocol
        self.train_count, self.val_count = len(self._train), protocol.count
        self.fingerprint = f"{info.architecture} {info.arguments} {config.step_size} {train.fingerprint}"
        self._channels = slice(*info.conventions.get("channels", (None, None)))
        # The loss is a mean over all keypoints of the network: those of other categories (DeepFashion2) count as right.
        self._share = train.schema.num_keypoints / getattr(network, "num_keypoints", train.schema.num_keypoints)
        self._mean = torch.tensor(info.normalization["mean"]).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalization["std"]).reshape(1, 3, 1, 1)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[TopDownSample, int]:
        return self._train.sample(index, rng), index

    def collate(self, samples: Sequence[tuple[TopDownSample, int]]) -> Batch:
        targets = self._codec.encode_batch(
            np.stack([sample.keypoints for sample, _ in samples]), np.stack([sample.labelled for sample, _ in samples])
        )
        arrays = {
            "crops": np.stack([sample.crop for sample, _ in samples]),
            "covered": np.stack([sample.covered for sample, _ in samples]).astype(np.float32),
            **targets,
        }
        ids = [self._train.data.instances[index].id for _, index in samples]
        return Batch({name: torch.from_numpy(array) for name, array in arrays.items()}, ids)

    def loss(self, tensors: dict[str, Tensor]) -> Tensor:
        crops = tensors["crops"]
        # A permuted HWC batch is channels-last already.
        x = (crops.permute(0, 3, 1, 2).float() - self._mean.to(crops.device)) / self._std.to(crops.device)
        raw = in_float32(self.network(x.contiguous(memory_format=self._layout)))
        outputs, visibility = self._codec.split(raw, self._channels)
        loss = self._codec.published_loss(outputs, tensors) * self._share
        if visibility is not None:
            seen = visibility_loss(visibility, tensors[WEIGHTS], tensors["covered"])
            loss = loss + self.config.visibility_weight * seen
        return loss

    def validate(self) -> Validation:
        return self._protocol.measure(self.network, self.info)

    def describe(self, metrics: dict[str, Any], provenance: dict[str, Any]) -> CheckpointInfo:
        return self.info.replace(
            metrics={name: round(value, 5) for name, value in metrics.items() if isinstance(value, float)},
            provenance=provenance,
        )
