"""Checks before a training run. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.errors import PoseError, TrainingError
from engine.models.catalog import find_model
from engine.models.mirroring import mirror_problem, mirroring_off
from engine.schema.schema import Schema
from engine.train.config import TrainConfig, check
from engine.train.data.label_check import overlap, settle
from engine.train.data.record_check import Counts
from engine.train.data.training_set import TrainingSet, joined, read_extra_set, read_training_set, split
from engine.train.recipes import is_missing_extra, points_of
from engine.utils.skipped import Skipped

FEW_POSES, ADVISED_POSES = 5, 20


@dataclass
class Preflight:
    """The data of a run and its problems.

    Attributes:
        errors: reasons why the run cannot start. warnings: reasons for a poor result. Sentences for people.
        findings: the warnings about labels and images.
        schema, images, instances, val_instances: of the data; 0 or None if it could not be read.
        labelled: (K,) how often each keypoint is labelled.
        train, val: the sets, without images that are missing or cannot be read; those are in ``skipped``.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    schema: Schema | None = None
    images: int = 0
    instances: int = 0
    val_instances: int = 0
    labelled: tuple[int, ...] = ()
    train: TrainingSet | None = None
    val: TrainingSet | None = None
    skipped: Skipped = field(default_factory=lambda: Skipped("images"))


def preflight(config: TrainConfig, other_models: Sequence[str] = ()) -> Preflight:
    """Check everything a run needs; never raises for what a user can cause.

    Args:
        other_models: ids for ``config.model`` that are not in the model table (``engine.networks.variant_ids``).
    """
    result = Preflight()
    try:
        check(config)
        if config.model not in other_models:
            entry = find_model(config.model)
            if entry.task != "pose":
                raise TrainingError(f"{config.model!r} finds boxes, not points; choose a pose model to start from")
        if config.what != "pose" and find_model(config.detector).task != "detector":
            raise TrainingError(f"{config.detector!r} is a pose model; choose a detector to start from")
        if not config.train:
            raise TrainingError("there is nothing to train on: name labels with --train")
        schema, kind = points_of(config)
        data = read_training_set(config.train, config.images, schema, config.box_margin, kind)
        train, val = _sets(config, data, kind)
        if config.extra:
            train = joined(train, read_extra_set(config.extra, config.extra_images, data, config.box_margin))
    except PoseError as error:
        result.errors.append(str(error))
        return result
    result.errors += _missing_images(train, "train") + ([] if val is None else _missing_images(val, "val"))
    train, val = _settled(result, train, val)
    result.train, result.val, result.schema = train, val, data.schema
    result.images, result.instances = len(train.images), len(train.instances)
    result.val_instances = 0 if val is None else len(val.instances)
    counts = np.sum([item.labelled for item in train.instances], axis=0) if train.instances else np.zeros(0, int)
    result.labelled = tuple(int(n) for n in counts)
    if not result.errors:
        result.errors += _nothing_labelled(train, config)
    result.warnings += _thin_data(train, val, result.labelled)
    result.warnings += _mirroring(config, data.schema)
    if is_missing_extra(config):
        result.warnings.append("This recipe trains on AI Challenger beside COCO; give its annotations with --extra.")
    return result


def _sets(config: TrainConfig, data: TrainingSet, kind: str) -> tuple[TrainingSet, TrainingSet | None]:
    if not config.val:
        return split(data, config.val_fraction, config.seed)
    val = read_training_set(config.val, config.val_images or config.images, data.schema, config.box_margin, kind)
    if not val.instances:
        raise TrainingError("no annotation has a labelled point", where=config.val)
    if val.categories != data.categories:
        raise TrainingError(
            f"its categories are {', '.join(val.categories)}, those to train on are {', '.join(data.categories)}",
            where=config.val,
        )
    return data, val


def _missing_images(data: TrainingSet, which: str) -> list[str]:
    missing = [image.path for image in data.images if not image.path.is_file()]
    if len(missing) < max(1, len(data.images)):
        return []  # the others can be trained on
    where = "--images" if which == "train" else "--val-images"
    return [
        f"{data.file}: {len(missing)} of {len(data.images)} images are not there, the first is {missing[0]}; "
        f"name their folder with {where}"
    ]


def _settled(result: Preflight, train: TrainingSet, val: TrainingSet | None) -> tuple[TrainingSet, TrainingSet | None]:
    """The sets as they can be trained on; findings are added to ``result``."""
    texts = list(train.remarks)
    counts = [Counts(train.file)]
    train = settle(train, result.skipped, counts[0])
    if val is not None:
        texts += val.remarks
        if val.file != train.file:
            counts.append(Counts(val.file))
        val = settle(val, result.skipped, counts[-1])
    texts += [text for count in counts for text in count.texts()]
    if val is not None:
        shared, first = overlap(train, val)
        if shared:
            texts.append(
                f"{shared} of {len(val.images)} validation images are training images too (the first is {first}); the "
                "figures will be too good."
            )
        if not val.instances:
            val = None
    if len(result.skipped):
        first_skipped = next(iter(result.skipped))
        count = len(result.skipped)
        what = "1 image is missing or cannot be read and is left out" if count == 1 else (
            f"{count} images are missing or cannot be read and are left out"
        )  # fmt: skip
        texts.append(f"{what} (the first is {first_skipped}).")
    result.findings = list(dict.fromkeys(texts))
    result.warnings += result.findings
    return train, val


def _nothing_labelled(data: TrainingSet, config: TrainConfig) -> list[str]:
    if config.what == "detector":
        if any(len(image.boxes) for image in data.images):
            return []
        return [f"{data.file}: no annotation of {', '.join(data.categories)} has a box"]
    if data.instances:
        return []
    return [f"{data.file}: no annotation of {', '.join(data.categories)} has a labelled point"]


def _mirroring(config: TrainConfig, schema: Schema) -> list[str]:
    """Warnings about mirrored training copies: if left and right are unknown, mirroring would confuse them."""
    if config.what == "detector":
        return []
    problem = mirror_problem(schema)
    chosen = config.pose.topdown.flip if config.pose.topdown.enabled else config.pose.augment.flip
    if not problem:
        return []
    if chosen > 0:
        return [f"Mirroring is on in the settings, although {problem}: left and right will be mixed up."]
    return [mirroring_off(problem)]


def _thin_data(train: TrainingSet, val: TrainingSet | None, labelled: tuple[int, ...]) -> list[str]:
    out = []
    never = [name for name, n in zip(train.schema.names, labelled) if n == 0]
    if never:
        more = f" and {len(never) - 4} more" if len(never) > 4 else ""
        out.append(f"Never labelled, so not learned: {', '.join(never[:4])}{more}.")
    if len(train.instances) < FEW_POSES:
        out.append(f"{len(train.instances)} labelled poses are very few: the model will mostly repeat what it saw.")
    elif len(train.instances) < ADVISED_POSES:
        out.append(
            f"{len(train.instances)} labelled poses are enough for a first try; {ADVISED_POSES} or more are better."
        )
    if val is None:
        out.append("Too few images for a validation split: the figures are of the training images.")
    return out
