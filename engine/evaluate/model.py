"""Predictions of a model for an evaluation, by the protocol of the model.

Protocols, as in ``ModelEntry.protocol``: "coco" (OKS average precision), "wholebody" (the same by body parts) and "pck"
(PCK@0.2, AUC, EPE; one prediction for each labelled box).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import CocoError, MediaError
from engine.formats.coco.dataset import (
    CocoAnnotation,
    CocoDataset,
    CocoImage,
    CocoResult,
    Id,
    patch_record,
    read_results,
)
from engine.formats.datasets import KINDS, open_dataset, to_coco
from engine.formats.datasets.conversion import read_registered
from engine.formats.datasets.loading import plain_coco
from engine.geometry import box_is_usable, box_to_center_scale, clip_box, xywh_to_xyxy, xyxy_to_xywh
from engine.labels.image_size import GridTransform
from engine.media.images import read_image
from engine.media.label_images import label_transforms
from engine.metrics.coco_metric import Accumulator, CocoMetricOptions, PoseResult, evaluate_coco, select
from engine.metrics.matching import Pose
from engine.metrics.oks import annotation_area, keypoints_of
from engine.metrics.wholebody import evaluate_wholebody, is_wholebody, wholebody_figures
from engine.models.catalog import ModelEntry, find_model
from engine.predict.inputs import Source, check_something_is_left, find_annotated_images
from engine.schema.matching import fits
from engine.schema.schema import Schema, unique_names
from engine.utils.context import Context
from engine.utils.skipped import Skipped

if TYPE_CHECKING:
    from engine.inference.pose_model import Item, PoseModel

Floats = npt.NDArray[np.float64]

COCO, WHOLEBODY, PCK = "coco", "wholebody", "pck"
LABELLED_BOXES = "gt"


@dataclass(frozen=True)
class Conditions:
    """Options of an evaluation; the defaults are the published protocol, except for the boxes.

    Attributes:
        boxes: "gt" = the labelled ones, else a COCO results list of detections.
        flip_test: average with mirrored crops.
        limit: only the first images that have boxes; None = all.
        metric: scoring and suppression.
        device, batch, backend: how the network runs; the figures do not depend on it.
    """

    boxes: str = LABELLED_BOXES
    flip_test: bool = True
    limit: int | None = None
    metric: CocoMetricOptions = field(default_factory=CocoMetricOptions)
    device: str = "auto"
    batch: int = 16
    backend: str = "torch"


@dataclass(frozen=True, eq=False)
class Box:
    """The box of one prediction: id, x1 y1 x2 y2 in label pixels, score, and the label it is the box of, if any."""

    id: int | str
    xyxy: Floats
    score: float
    label: CocoAnnotation | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """Labels and the predictions for them.

    Attributes:
        labels: of the images that were evaluated. boxes: by image id the boxes that were predicted from.
        notes: what keeps the figures from being compared with the published ones.
        flip_test: whether mirrored crops were used.
    """

    entry: ModelEntry
    protocol: str
    schema: Schema
    category: Id
    labels: CocoDataset
    boxes: dict[Id, list[Box]]
    results: list[PoseResult]
    notes: list[str]
    flip_test: bool = True


def protocol_of(entry: ModelEntry, schema: Schema) -> str:
    """The protocol of a model: as its row says, else from its keypoints."""
    protocol = str(getattr(entry, "protocol", "") or "")
    if protocol:
        return protocol
    if is_wholebody(schema):
        return WHOLEBODY
    return PCK if schema.name.startswith("deepfashion") else COCO


def predict_for_evaluation(
    model_id: str,
    annotations: Path | str,
    images: Path | str,
    conditions: Conditions,
    weights: Path | str | None = None,
    context: Context | None = None,
    skipped: Skipped | None = None,
) -> Measured:
    """Predict in every box.

    Args:
        annotations: labels in any format that is read. images: their folder; "" = the folder of the labels.
        context: gets images done and images in all.
        skipped: gets the images that cannot be read, whose labels do not count, and the boxes that cannot be used.

    Raises:
        ModelError, CocoError, MediaError: the model, the labels, the boxes, or all images cannot be used.
        Cancelled: ``context`` was cancelled.
    """
    from engine.inference.pose_model import NO_DETECTOR, PoseModel

    entry = find_model(model_id)
    model = PoseModel.load(model_id, NO_DETECTOR, conditions.device, weights, conditions.backend)
    problem = model.estimator.flip_test_problem if conditions.flip_test else ""
    if problem:
        conditions = replace(conditions, flip_test=False)
    labels = read_labels(annotations, images, entry, model.schema)
    category = category_of(labels, model.schema, annotations)
    skipped = Skipped() if skipped is None else skipped
    _skip_other_categories(labels, category, model.schema, annotations, skipped)
    if conditions.boxes == LABELLED_BOXES:
        boxes = labelled_boxes(labels, category, model.schema.num_keypoints, annotations)
    else:
        boxes = detected_boxes(conditions.boxes, labels, category, skipped)
    labels, boxes = _limited(labels, boxes, conditions.limit)
    images_with_boxes = [image for image in labels.images if image.id in boxes]
    roots = [images if str(images) else Path(annotations).parent]
    sources = find_annotated_images(CocoDataset(images_with_boxes), roots, annotations, skipped)
    unread: dict[Id, MediaError] = {}
    transforms, remarks = label_transforms(sources)
    moves = {source.image.id: move for source, move in zip(sources, transforms, strict=True) if move is not None}
    results = Accumulator()
    results.add(predictions(model, sources, boxes, category, conditions, context, unread, moves))
    for error in unread.values():
        skipped.add_error(error)
    lost = {image.id for image in images_with_boxes} - {source.image.id for source in sources} | unread.keys()
    check_something_is_left(len(images_with_boxes) - len(lost), skipped)
    labels, boxes = _without_images(labels, boxes, lost)
    protocol = protocol_of(entry, model.schema)
    notes = [*_notes(entry, protocol, conditions), *remarks]
    if problem:
        notes.append(f"no flip test: {problem}")
    if lost:
        notes.append(f"{len(lost)} of {len(images_with_boxes)} images could not be read; their labels do not count")
    return Measured(
        entry, protocol, model.schema, category, labels, boxes, results.results(), notes, conditions.flip_test
    )


def read_labels(annotations: Path | str, images: Path | str, entry: ModelEntry, schema: Schema) -> CocoDataset:
    """The labels, with the model's keypoints in ``keypoints``.

    Raises:
        CocoError: the file cannot be read.
    """
    dataset = read_registered(annotations, images)
    if dataset is None:
        dataset = plain_coco(annotations, schema.names)
    if dataset is not None:
        return dataset
    kind = entry.schema if entry.schema in KINDS else ""
    return to_coco(open_dataset(kind, annotations, images), own_points=bool(entry.subset))


def category_of(labels: CocoDataset, schema: Schema, where: object) -> Id:
    """The category with the model's keypoints: with the same names, however spelled, else the only one with as many.

    Raises:
        CocoError: there is none.
    """
    named = [c.id for c in labels.categories if fits(schema, unique_names(c.keypoints))]
    fitting = [c.id for c in labels.categories if len(c.keypoints) == schema.num_keypoints]
    sized = {a.category_id for a in labels.annotations if a.keypoints and len(a.keypoints) == 3 * schema.num_keypoints}
    unnamed = [c.id for c in labels.categories if not c.keypoints and c.id in sized]
    if named or len(fitting) == 1:
        return (named or fitting)[0]
    if len(unnamed) == 1:
        return unnamed[0]
    raise CocoError(f"has no category with the {schema.num_keypoints} points of {schema.name!r}", where=where)


def labelled_boxes(labels: CocoDataset, category: Id, num_keypoints: int, where: object) -> dict[Id, list[Box]]:
    """By image id the boxes of labelled instances, clipped to the image, chosen as MMPose does.

    Left out are crowds, instances with num_keypoints 0, boxes without area inside the image, and instances without a
    coordinate above 0.

    Raises:
        CocoError: nothing is left.
    """
    sizes = {image.id: (image.width, image.height) for image in labels.images}
    boxes: dict[Id, list[Box]] = {}
    for label in labels.annotations:
        flat = label.keypoints
        if label.category_id != category or label.iscrowd or not flat or len(flat) != 3 * num_keypoints:
            continue
        width, height = sizes.get(label.image_id, (0, 0))
        if label.num_keypoints == 0 or label.bbox is None or max(max(flat[0::3]), max(flat[1::3])) <= 0:
            continue
        box = xywh_to_xyxy(label.bbox)
        if width and height:
            box = clip_box(box, width - 1, height - 1)
        if box_is_usable(box):
            boxes.setdefault(label.image_id, []).append(Box(label.id, box, 1.0, label))
    if not boxes:
        raise CocoError("holds no instance with a box and labelled keypoints", where=where)
    return boxes


def detected_boxes(
    file: Path | str, labels: CocoDataset, category: Id, skipped: Skipped | None = None
) -> dict[Id, list[Box]]:
    """By image id the boxes of a COCO results list, unchanged, of the labels' category only.

    Args:
        skipped: gets invalid boxes, and those of images that the annotations do not list; None = raise.

    Raises:
        CocoError: the file cannot be read, or has no usable box of the category.
    """
    known = {image.id for image in labels.images}
    boxes: dict[Id, list[Box]] = {}
    for position, row in enumerate(read_results(file)):
        if row.category_id != category:
            continue
        box = None if row.bbox is None or len(row.bbox) != 4 else xywh_to_xyxy(row.bbox)
        why = ""
        if row.image_id not in known:
            why = "the annotations name no such image"
        elif box is None or not box_is_usable(box):
            why = f"bbox {row.bbox} is not x, y, width, height of a box"
        elif not np.isfinite(row.score):
            why = "the score is not a finite number"
        if why:
            error = CocoError(why, where=f"{file}: result {position} (image {row.image_id!r})")
            if skipped is None:
                raise error
            skipped.add_error(error)
            continue
        assert box is not None
        boxes.setdefault(row.image_id, []).append(Box(position, box, float(row.score)))
    if not boxes:
        raise CocoError(f"holds no box of category {category!r}", where=file)
    return boxes


def _limited(
    labels: CocoDataset, boxes: dict[Id, list[Box]], limit: int | None
) -> tuple[CocoDataset, dict[Id, list[Box]]]:
    if limit is None:
        return labels, boxes
    images = [image for image in labels.images if image.id in boxes][:limit]
    image_ids = {image.id for image in images}
    annotations = [label for label in labels.annotations if label.image_id in image_ids]
    return CocoDataset(images, annotations, labels.categories), {image.id: boxes[image.id] for image in images}


def _without_images(
    labels: CocoDataset, boxes: dict[Id, list[Box]], lost: set[Id]
) -> tuple[CocoDataset, dict[Id, list[Box]]]:
    """Labels and boxes without those of some images."""
    if not lost:
        return labels, boxes
    images = [image for image in labels.images if image.id not in lost]
    annotations = [label for label in labels.annotations if label.image_id not in lost]
    remaining_boxes = {image: given for image, given in boxes.items() if image not in lost}
    return CocoDataset(images, annotations, labels.categories), remaining_boxes


def _skip_other_categories(labels: CocoDataset, category: Id, schema: Schema, where: object, skipped: Skipped) -> None:
    """Add the labels of other categories with the same keypoints: only one category is evaluated."""
    others = {c.id: c.name for c in labels.categories if c.id != category and fits(schema, unique_names(c.keypoints))}
    left = [label for label in labels.annotations if label.category_id in others and label.keypoints]
    for identity in dict.fromkeys(label.category_id for label in left):
        count = sum(label.category_id == identity for label in left)
        skipped.add(
            f"{where}: category {others[identity]!r}", f"is not measured, only one category is ({count} labels)"
        )


def predictions(
    model: PoseModel, sources: Sequence[Source], boxes: dict[Id, list[Box]], category: Id, conditions: Conditions,
    context: Context | None = None, unread: dict[Id, MediaError] | None = None,
    moves: Mapping[Id, GridTransform] | None = None,
) -> Iterator[PoseResult]:  # fmt: skip
    """One prediction for each box of these images.

    Args:
        context: gets images done and images in all.
        unread: gets the images that cannot be read, for which nothing is predicted; None = raise.
        moves: by image id the transform from label pixels to image pixels, for images that were rotated or resized
            since they were labelled. Boxes and predictions are in label pixels all the same.

    Raises:
        MediaError: an image cannot be read, and ``unread`` is None. Cancelled: ``context`` was cancelled.
    """
    from engine.inference.pose_model import Item

    moves = moves or {}

    def read(source: Source) -> npt.NDArray[np.uint8]:
        try:
            return read_image(source.path)
        except MediaError as error:
            if unread is None:
                raise
            unread[source.image.id] = error
            return np.zeros((1, 1, 3), np.uint8)

    def items() -> Iterator[Item[CocoImage]]:
        for source in sources:
            given = boxes[source.image.id]
            scores = np.array([box.score for box in given])
            xyxy = np.stack([box.xyxy for box in given])
            move = moves.get(source.image.id)
            yield Item(source.image, partial(read, source), xyxy if move is None else move.boxes(xyxy), scores)

    context = context or Context()
    context.progress(0, len(sources))
    info = model.estimator.info
    aspect = info.input_size[0] / info.input_size[1]
    stream = model.stream(items(), conditions.flip_test, batch=conditions.batch)
    for done, (item, _, poses) in enumerate(stream, 1):
        if unread and item.key.id in unread:
            context.progress(done, len(sources))
            continue
        move = moves.get(item.key.id)
        for box, pose in zip(boxes[item.key.id], poses, strict=True):
            keypoints = np.array(pose.keypoints)
            if move is not None:
                keypoints[:, :2] = move.points_back(keypoints[:, :2])
            _, crop = box_to_center_scale(box.xyxy, info.box_padding, aspect)
            yield PoseResult(
                id=box.id,
                image_id=item.key.id,
                keypoints=keypoints,
                box_score=box.score,
                box=box.xyxy,
                nms_area=float(np.prod(crop)),
                category_id=category,
                score=pose.score,
            )
        context.progress(done, len(sources))


def _notes(entry: ModelEntry, protocol: str, conditions: Conditions) -> list[str]:
    """Reasons why the figures cannot be compared with the published ones."""
    notes = []
    with_labelled = conditions.boxes == LABELLED_BOXES
    if entry.metrics and with_labelled and "detected boxes" in entry.metrics_on:
        notes.append("labelled boxes; the published figures are with detected ones (--boxes FILE)")
    if entry.metrics and not with_labelled and protocol == PCK:
        notes.append("boxes of a file; the published figures are with labelled ones")
    if conditions.limit is not None:
        notes.append(f"only the first {conditions.limit} images (--limit)")
    if entry.metrics and not conditions.flip_test:
        notes.append("no flip test; the published figures are with it")
    if conditions.metric != CocoMetricOptions() and protocol != PCK:
        notes.append("another score or suppression than the published one")
    return notes


def oks_figures(measured: Measured, options: CocoMetricOptions, wholebody: bool | None = None) -> dict[str, Any]:
    """AP and AR by name; of the whole body also of its parts ("Body AP", ...)."""
    if is_wholebody(measured.schema) if wholebody is None else wholebody:
        parts = evaluate_wholebody(measured.labels, measured.results, measured.schema, options)
        return wholebody_figures(parts)
    return dict(evaluate_coco(measured.labels, measured.results, measured.schema, options))


def results_of(measured: Measured, options: CocoMetricOptions) -> Iterator[CocoResult]:
    """A results list of the predictions left after scoring and suppression. Evaluated with given scores, it has the
    same figures. ``box_score`` is the score of the box.
    """
    for image, chosen in select(measured.results, measured.schema.sigmas, options).items():
        for result, score in zip(chosen.results, chosen.scores, strict=True):
            box = None if result.box is None else [float(value) for value in xyxy_to_xywh(result.box)]
            flat = [float(value) for value in np.asarray(result.keypoints).reshape(-1)]
            record = CocoResult(image, result.category_id, box, float(score), flat)
            raw = patch_record(record.encoded(), {"box_score": float(result.box_score)})
            yield msgspec.structs.replace(record, raw=raw)


def records_of(measured: Measured) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Labels and predictions as records, for :func:`engine.evaluate.results.pair_by_similarity`."""
    labels = [
        {"image_id": label.image_id, "keypoints": label.keypoints, "bbox": label.bbox, "area": label.area,
         "iscrowd": label.iscrowd}
        for label in measured.labels.annotations if label.category_id == measured.category and label.keypoints
    ]  # fmt: skip
    predictions = []
    for result in measured.results:
        assert result.box is not None
        x1, y1, x2, y2 = (float(value) for value in result.box)
        box = [x1, y1, x2 - x1, y2 - y1]
        predictions.append({"image_id": result.image_id, "keypoints": result.keypoints, "bbox": box, "area": None})
    return labels, predictions


def poses_by_id(measured: Measured) -> tuple[list[Pose], Floats]:
    """Labelled instances, and for each the points (N, K, 2) predicted in its own box, for metrics of distance.

    The box of a pose is the labelled one, clipped to the image.
    """
    result_of = {(result.image_id, result.id): result for result in measured.results}
    truth, points = [], []
    for image, boxes in measured.boxes.items():
        for box in boxes:
            if box.label is None:
                continue
            record = {"keypoints": box.label.keypoints, "bbox": box.label.bbox, "area": box.label.area}
            marked = keypoints_of(record)
            truth.append(Pose(marked[:, :2], marked[:, 2] > 0, box.xyxy, annotation_area(record)))
            points.append(np.asarray(result_of[image, box.id].keypoints, np.float64)[:, :2])
    return truth, np.stack(points)
