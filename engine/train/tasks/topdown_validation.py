"""Validation of a network during training by the protocol of its recipe, with the figures of ``engine.evaluate``.

Several processes each predict a part of the images; the first one collects the predictions, in an order that does not
depend on which process made them, and measures them. Every image is predicted exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.evaluate.evaluation import model_report
from engine.evaluate.model import (
    COCO,
    LABELLED_BOXES,
    WHOLEBODY,
    Box,
    Conditions,
    Measured,
    category_of,
    detected_boxes,
    labelled_boxes,
    predictions,
    protocol_of,
    read_labels,
)
from engine.formats.coco.dataset import CocoDataset, Id
from engine.inference.pose_estimator import PoseEstimator
from engine.inference.pose_model import NO_DETECTOR, PoseModel
from engine.metrics.coco_metric import Accumulator
from engine.models.catalog import ModelEntry
from engine.models.metadata import CheckpointInfo
from engine.predict.inputs import Source, find_annotated_images
from engine.schema.schema import Schema
from engine.train.data.training_set import TrainingSet
from engine.train.distributed import ProcessGroup
from engine.train.tasks.task import Validation

SELF_CHECK = 32  # training images measured if there is no validation set
# Figures for which lower is better, and all figures that can decide; the first one that was measured does.
LOWER_IS_BETTER = ("EPE",)
DECIDING = ("AP", "AUC", "PCK@0.2", "EPE")


@dataclass(frozen=True)
class EvaluationProtocol:
    """What a network is measured on.

    Attributes:
        entry: the model's row; its protocol and keypoints say what is measured.
        held_out: whether these images are not among those trained on.
        select: figure that decides; if it was not measured, the first of :data:`DECIDING`.
    """

    entry: ModelEntry
    schema: Schema
    labels: CocoDataset
    boxes: dict[Id, list[Box]]
    category: Id
    sources: tuple[Source, ...]
    conditions: Conditions
    validation_part: bool
    select: str
    group: ProcessGroup

    @classmethod
    def of(
        cls,
        entry: ModelEntry,
        data: TrainingSet,
        folder: Path,
        *,
        validation_part: bool,
        conditions: Conditions,
        select: str = "",
        group: ProcessGroup | None = None,
    ) -> EvaluationProtocol:
        """Measure on these images.

        Args:
            data: the set to validate on; its labels are read again as evaluation reads them.
            folder: of the images.

        Raises:
            LabelError, MediaError: the labels or the boxes cannot be used, an image is missing.
        """
        schema = data.schema
        labels = read_labels(data.file, folder, entry, schema)
        category = category_of(labels, schema, data.file)
        images = data.images if validation_part else data.images[:SELF_CHECK]
        labels = _labels_of({image.id for image in images}, labels)
        if conditions.boxes == LABELLED_BOXES:
            boxes = labelled_boxes(labels, category, schema.num_keypoints, data.file)
        else:
            boxes = detected_boxes(conditions.boxes, labels, category)
        with_boxes = CocoDataset([image for image in labels.images if image.id in boxes])
        sources = tuple(find_annotated_images(with_boxes, [folder], data.file))
        return cls(
            entry, schema, labels, boxes, category, sources, conditions, validation_part, select,
            group or ProcessGroup(),
        )  # fmt: skip

    @property
    def count(self) -> int:
        """Number of boxes that are predicted in; 0 if the images are those trained on."""
        return sum(len(boxes) for boxes in self.boxes.values()) if self.validation_part else 0

    def measure(self, network: nn.Module, info: CheckpointInfo) -> Validation:
        """The figures, in the first process; in the others a placeholder without figures."""
        device = next(network.parameters()).device
        model = PoseModel(PoseEstimator(network, info, device), NO_DETECTOR)
        part = self.sources[self.group.rank :: self.group.size]
        with torch.inference_mode():
            own_results = list(predictions(model, part, self.boxes, self.category, self.conditions))
        parts = self.group.to_main(own_results)
        if parts is None:
            return Validation(loss=math.nan, error=math.inf, slack=0.0)
        accumulator = Accumulator()
        for results in parts:
            accumulator.add(results)
        protocol = protocol_of(self.entry, self.schema)
        measured = Measured(
            self.entry, protocol, self.schema, self.category, self.labels, self.boxes, accumulator.results(), []
        )
        figures = model_report(measured, self.conditions)["measured"]
        return self._validation(figures)

    def _validation(self, figures: Mapping[str, Any]) -> Validation:
        metrics = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
        names = (self.select, *DECIDING)
        name = next((name for name in names if name in metrics), "")
        value = metrics.get(name, math.nan)
        error = value if name in LOWER_IS_BETTER else 1 - value
        if not self.validation_part:
            metrics = {f"train_{key}": figure for key, figure in metrics.items()}
        return Validation(
            loss=math.nan, error=error if math.isfinite(error) else math.inf, slack=0.0, metrics=metrics
        )  # fmt: skip


def _labels_of(images: set[Id], labels: CocoDataset) -> CocoDataset:
    return CocoDataset(
        [image for image in labels.images if image.id in images],
        [label for label in labels.annotations if label.image_id in images],
        labels.categories,
    )


def for_other_points(entry: ModelEntry, schema: Schema) -> ModelEntry:
    """The row for keypoints other than its own: labels are read as any COCO file, without parts of the body."""
    if schema.name in (entry.schema, f"{entry.schema}_{entry.subset}"):
        return entry
    protocol = COCO if entry.protocol == WHOLEBODY else entry.protocol
    return replace(entry, schema=schema.name, subset="", protocol=protocol)
