"""From the configuration a user gives to one with nothing left to choose. Configurations are never changed in place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from engine.errors import TrainingError
from engine.inference.detector import Detector
from engine.models.metadata import CheckpointInfo
from engine.models.mirroring import mirror_problem
from engine.networks import build, find_network
from engine.train.batch_size import StepMemory, free_memory, step_memory, with_sizes
from engine.train.config import (
    AUTO_BATCH,
    DETECTOR_PASSES,
    DETECTOR_STEPS,
    POSE_PASSES,
    POSE_STEPS,
    STEPS_PER_EPOCH,
    TaskConfig,
    TrainConfig,
)
from engine.train.data.rotation import rotation_from
from engine.train.data.sampler import choose_epochs
from engine.train.data.topdown_crops import as_published
from engine.train.data.training_set import TrainingSet
from engine.train.initial_weights import knows_category
from engine.train.tasks.detector import finds_objects
from engine.train.trainer import autocast_type

PATHS = ("train", "images", "extra", "extra_images", "val", "val_images", "val_boxes", "out")
IDS_OR_PATHS = ("model", "detector", "schema", "weights")
PERSON = ("person",)
FLIP = 0.5


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """The same configuration, valid from any working directory."""
    paths = {name: str(Path(value).absolute()) for name in PATHS if (value := getattr(config, name))}
    for name in IDS_OR_PATHS:
        value = getattr(config, name)
        if value and Path(value).exists():
            paths[name] = str(Path(value).absolute())
    return msgspec.structs.replace(config, **paths)


def with_tasks(config: TrainConfig, data: TrainingSet, device: torch.device) -> TrainConfig:
    """``what`` is chosen: the detector is trained too if the initial one does not find these objects."""
    if config.what:
        return config
    return msgspec.structs.replace(config, what="both" if _needs_detector(config, data, device) else "pose")


def _needs_detector(config: TrainConfig, data: TrainingSet, device: torch.device) -> bool:
    """Whether the detector has no class of these names, or finds something else under the name."""
    if not knows_category(config.detector, data.categories):
        return True
    if data.categories == PERSON:
        return False
    return not finds_objects(Detector.load(config.detector, device), data)


def pose_step_memory(config: TaskConfig, info: CheckpointInfo, device: torch.device) -> StepMemory | None:
    """Memory of a training step of the pose network; None where the batch is given and steps are small."""
    if config.batch != AUTO_BATCH and not config.topdown.enabled:
        return None
    with torch.device("meta"):
        network = build(info.architecture, info.arguments)
    half = autocast_type(config.precision, device) != torch.float32
    return step_memory(network, info.input_size, half=half, average=bool(config.ema))


def resolve(
    config: TrainConfig,
    data: TrainingSet,
    *,
    pose: CheckpointInfo | None,
    detector: CheckpointInfo | None,
    memory: StepMemory | None,
    processes: int,
    device: torch.device,
) -> TrainConfig:
    """Fill in batch sizes, epochs, learning rates and augmentation of the networks that are trained.

    Args:
        data: what is trained on.
        pose, detector: descriptions of the initial networks; None = not trained.
        memory: of a step of the pose network, see :func:`pose_step_memory`.
        processes: that train together.

    Returns:
        A configuration that gives itself when it is resolved again.

    Raises:
        TrainingError: a batch does not fit into memory, or there is nothing to learn from.
    """
    can_mirror = not mirror_problem(data.schema)
    rotation = rotation_from(data, mirrored=can_mirror)
    pose_config, detector_config = config.pose, config.detect
    if pose is not None:
        free = None if memory is None else free_memory(device)
        pose_config = with_sizes(pose_config, processes, memory, free)
        topdown = pose_config.topdown.enabled
        pose_config = _with_schedule(
            pose_config,
            pose.architecture,
            len(as_published(data).instances if topdown else data.instances),
            steps=POSE_STEPS,
            passes=POSE_PASSES,
            least=1 if topdown else STEPS_PER_EPOCH,
        )
        pose_config = _with_augmentation(pose_config, rotation, FLIP if can_mirror else 0.0)
    if detector is not None:
        detector_config = _with_schedule(
            with_sizes(detector_config, processes, None, None),
            detector.architecture,
            sum(len(image.boxes) > 0 for image in data.images),
            steps=DETECTOR_STEPS,
            passes=DETECTOR_PASSES,
            least=STEPS_PER_EPOCH,
        )
        detector_config = _with_augmentation(detector_config, rotation, FLIP)  # boxes have no left and right
    return msgspec.structs.replace(config, pose=pose_config, detect=detector_config)


def _with_schedule(
    config: TaskConfig, architecture: str, samples: int, *, steps: int, passes: int, least: int
) -> TaskConfig:
    if samples == 0:
        raise TrainingError("no annotation has a box to learn from")
    epochs, steps_per_epoch = choose_epochs(
        config.epochs, config.steps_per_epoch, config.step_size, samples, steps=steps, passes=passes, least=least
    )
    rate = config.optimizer.lr or find_network(architecture).learning_rate
    return msgspec.structs.replace(
        config,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        optimizer=msgspec.structs.replace(config.optimizer, lr=rate),
    )


def _with_augmentation(config: TaskConfig, rotation: float, flip: float) -> TaskConfig:
    augment, topdown = config.augment, config.topdown
    return msgspec.structs.replace(
        config,
        augment=msgspec.structs.replace(
            augment,
            rotation=rotation if augment.rotation < 0 else augment.rotation,
            flip=flip if augment.flip < 0 else augment.flip,
        ),
        topdown=msgspec.structs.replace(topdown, flip=flip if topdown.flip < 0 else topdown.flip),
    )
