"""Labels and predictions of two files brought together, and the figures: OKS AP and AR, PCK, AUC, EPE.

PCK and AUC count a labelled instance that no prediction was made for as wrong in all its points; EPE is over those
found, and says how many were missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.contract.coco import CocoAnnotation, CocoDataset, CocoImage, CocoResult, Id, read_results, unique_names
from engine.contract.coco_document import load_record
from engine.contract.errors import CocoError
from engine.contract.files import MAX_LABEL_BYTES, read_bytes
from engine.contract.schema import Schema
from engine.datasets import find_kind, read_as_coco
from engine.datasets.coco_style import points_in_parts
from engine.datasets.read import is_coco_style
from engine.geometry import box_to_center_scale, clip_box, xywh_to_xyxy
from engine.metrics import pck
from engine.metrics.coco_metric import GIVEN, NO_NMS, CocoMetricOptions, PoseResult, evaluate_coco
from engine.metrics.matching import Pose, match_poses
from engine.metrics.oks import annotation_area, annotation_box, keypoint_ap, keypoints_of
from engine.metrics.wholebody import evaluate_wholebody, is_wholebody, wholebody_figures
from engine.train.instances import schema_of

METRICS = ("oks", "pck", "auc", "epe")
PCK_THRESHOLD = 0.2
NO_POSE = float("nan")
AS_GIVEN = CocoMetricOptions(score_mode=GIVEN, nms_mode=NO_NMS)
NEED_BOX_SCORE = ("bbox", "bbox_keypoint", "bbox_rle")
# Results lists tell the box, not the crop; suppression takes the crop of the usual padding and aspect.
PADDING, ASPECT = 1.25, 192 / 256


@dataclass
class Evaluation:
    """Labels and predictions brought together.

    Attributes:
        labels: the labels as they were read, all points of an annotation in ``keypoints``.
        annotations: records of labelled poses; results: records of predictions, image and category ids as in the
            labels.
    """

    schema: Schema
    labels: CocoDataset
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    results: list[dict[str, Any]]


def load(annotations: Path | str, results: Path | str) -> Evaluation:
    """Read both files and bring their ids together.

    Images and categories of a COCO file of predictions are matched by id, or by name where the ids mean something else.

    Raises:
        CocoError, TrainingError: a file cannot be read, or the two do not belong together.
    """
    found = _joined(read_results(results), Path(results))
    truth = _labels(annotations, found)
    schema = schema_of(truth, Path(annotations))
    kept = {c.id for c in truth.categories if tuple(unique_names(c.keypoints)) == schema.names}
    labelled = [a for a in truth.annotations if a.category_id in kept and a.keypoints]
    if not labelled:
        raise CocoError("holds no annotation with keypoints to compare with", where=annotations)
    images, categories = _names_of(Path(results), truth, kept)
    rows = []
    for number, result in enumerate(found):
        if not result.keypoints:
            continue
        if len(result.keypoints) != 3 * schema.num_keypoints:
            raise CocoError(
                f"has {len(result.keypoints)} numbers in 'keypoints', "
                f"wanted {3 * schema.num_keypoints} for {schema.name!r}",
                where=f"{results}: result {number}",
            )
        category = categories.get(result.category_id)
        if category is not None:
            rows.append(_result(result, images.get(result.image_id, result.image_id), category))
    known = {image.id for image in truth.images}
    if rows and not any(row["image_id"] in known for row in rows):
        raise CocoError(f"none of its images is in {annotations}", where=results)
    return Evaluation(
        schema=schema,
        labels=truth,
        images=[{"id": image.id} for image in truth.images],
        annotations=[_annotation(a) for a in labelled],
        results=[row for row in rows if row["image_id"] in known],
    )


def _labels(file: Path | str, results: list[CocoResult]) -> CocoDataset:
    """A COCO file as it is where its categories have as many points as the predictions, else what its kind tells."""
    count = next((len(result.keypoints) // 3 for result in results if result.keypoints), 0)
    if is_coco_style(file):
        plain = CocoDataset.read(file)
        if not count or any(len(category.keypoints) == count for category in plain.categories):
            return plain
    try:
        return read_as_coco(file)
    except CocoError:
        return CocoDataset.read(file)


def _joined(results: list[CocoResult], file: Path) -> list[CocoResult]:
    """Results that hold the whole body in several lists, as upstream writes them, with one list."""
    if not any(b'"face_kpts"' in result.raw for result in results[:1]):
        return results
    points = points_in_parts(find_kind("coco_wholebody"))
    return [
        msgspec.structs.replace(result, keypoints=points(result, f"{file}: result {number}"))  # type: ignore[arg-type]
        for number, result in enumerate(results)
    ]


def _names_of(file: Path, truth: CocoDataset, kept: set[Id]) -> tuple[dict[Id, Id], dict[Id, Id]]:
    """Image and category ids of the predictions -> those of the labels."""
    only = next(iter(kept)) if len(kept) == 1 else None
    categories: dict[Id, Id] = {category: category for category in kept}
    if read_bytes(file, MAX_LABEL_BYTES).lstrip()[:1] != b"{":
        return {}, categories
    guess = CocoDataset.read(file)
    by_name = {c.name: c.id for c in truth.categories if c.id in kept}
    categories = {c.id: by_name[c.name] for c in guess.categories if c.name in by_name}
    if not categories and only is not None:  # one kind of object on both sides, called otherwise
        categories = {c.id: only for c in guess.categories}
    name_of = {image.id: image.file_name for image in truth.images}
    if all(name_of.get(image.id) == image.file_name for image in guess.images):
        return {}, categories
    places = {name: id for id, name in name_of.items()} | {Path(name).name: id for id, name in name_of.items()}
    images = {
        image.id: places.get(image.file_name, places.get(Path(image.file_name).name, image.id))
        for image in guess.images
    }
    return images, categories


def _annotation(record: CocoAnnotation) -> dict[str, Any]:
    return {
        "image_id": record.image_id,
        "category_id": record.category_id,
        "keypoints": record.keypoints,
        "bbox": record.bbox,
        "area": record.area,
        "iscrowd": record.iscrowd,
    }


def _result(record: CocoResult, image: Id, category: Id) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "keypoints": record.keypoints,
        "bbox": record.bbox,
        "score": record.score,
        "box_score": _box_score(record),
    }


def _box_score(record: CocoResult) -> float | None:
    """The score of the box alone, where the file tells it."""
    if b'box_score"' not in record.raw:
        return None
    fields = load_record(record.raw, f"result of image {record.image_id!r}")
    value = fields.get("box_score", fields.get("bbox_score"))
    return float(value) if isinstance(value, int | float) else None


def evaluate(
    data: Evaluation,
    metrics: Sequence[str] = METRICS,
    options: CocoMetricOptions = AS_GIVEN,
    wholebody: bool | None = None,
) -> dict[str, Any]:
    """The figures by name; NaN or -1 where nothing is defined.

    ``oks``: AP ... ARL. ``pck``: PCK@0.2 (longer side of the labelled box). ``auc``: AUC (30 px). ``epe``: EPE and
    median_px. ``per_keypoint`` gives PCK and EPE by point; ``instances``, ``missed`` and ``predictions`` count.

    Args:
        options: how predictions are scored and suppressed; by default neither is done again.
        wholebody: also AP and AR of the parts of the body; None = where the schema is COCO-WholeBody's.

    Raises:
        CocoError: the predictions lack what the score is made from, or the labels have no whole bodies.
    """
    out: dict[str, Any] = {}
    if "oks" in metrics:
        out |= _oks(data, options, is_wholebody(data.schema) if wholebody is None else wholebody)
    if set(metrics) - {"oks"}:
        truth, found = _paired(data)
        out |= distance_figures(truth, found, data.schema, metrics)
    out["predictions"] = len(data.results)
    return out


def _oks(data: Evaluation, options: CocoMetricOptions, wholebody: bool) -> dict[str, Any]:
    if wholebody:
        return wholebody_figures(evaluate_wholebody(data.labels, _poses(data, options), data.schema, options))
    if options == AS_GIVEN:
        return dict(keypoint_ap(data.images, data.annotations, data.results, data.schema.sigmas))
    return dict(evaluate_coco(data.labels, _poses(data, options), data.schema, options))


def _poses(data: Evaluation, options: CocoMetricOptions) -> list[PoseResult]:
    found = []
    for number, row in enumerate(data.results):
        if row["box_score"] is None and options.score_mode in NEED_BOX_SCORE:
            raise CocoError(
                f"the predictions do not tell the scores of their boxes ('box_score'), which score mode "
                f"{options.score_mode!r} is made from; take --score-mode keypoint or given"
            )
        box = None if not row["bbox"] else xywh_to_xyxy(row["bbox"])
        area = None if box is None else float(np.prod(box_to_center_scale(box, PADDING, ASPECT)[1]))
        found.append(
            PoseResult(
                id=number,
                image_id=row["image_id"],
                keypoints=keypoints_of(row),
                box_score=1.0 if row["box_score"] is None else row["box_score"],
                box=box,
                nms_area=area,
                category_id=row["category_id"],
                score=row["score"],
            )
        )
    return found


def distance_figures(truth: list[Pose], found: np.ndarray, schema: Schema, metrics: Sequence[str]) -> dict[str, Any]:
    """PCK, AUC and EPE of points (N, K, 2), NaN where nothing was found, against N labelled instances."""
    labelled = np.stack([pose.labelled for pose in truth])
    missed = np.isnan(found).all(axis=(1, 2))
    norm = pck.box_norm(np.stack([pose.box for pose in truth]))
    distance = pck.distances(found, np.stack([pose.points for pose in truth]))
    out: dict[str, Any] = {}
    points: dict[str, dict[str, float]] = {name: {} for name in schema.names}
    if "pck" in metrics:
        key = f"PCK@{PCK_THRESHOLD}"
        out[key] = pck.pck(distance, labelled, norm, PCK_THRESHOLD)
        for name, value in zip(points, pck.pck_per_keypoint(distance, labelled, norm, PCK_THRESHOLD), strict=True):
            points[name][key] = float(value)
    if "auc" in metrics:
        out["AUC"] = pck.auc(distance, labelled)
    if "epe" in metrics:
        out["EPE"] = pck.epe(distance, labelled)
        out["median_px"] = pck.median_distance(distance, labelled)
        for k, name in enumerate(points):
            points[name]["EPE"] = pck.epe(distance[:, [k]], labelled[:, [k]])
    return out | {"instances": len(truth), "missed": int(missed.sum()), "per_keypoint": points}


def _paired(data: Evaluation) -> tuple[list[Pose], np.ndarray]:
    """Labelled instances that are no crowds, and for each the points (N, K, 2) found, NaN where it was missed."""
    return pair_by_likeness(data.annotations, data.results, data.schema, data.labels.images)


def pair_by_likeness(
    annotations: Iterable[dict[str, Any]],
    results: Iterable[dict[str, Any]],
    schema: Schema,
    images: Iterable[CocoImage] = (),
) -> tuple[list[Pose], np.ndarray]:
    """As the metrics of distances need them where no id says which prediction is of which instance.

    Args:
        images: those whose sizes are known: the boxes that come out, the measure of PCK, are cut to them.

    Raises:
        CocoError: nothing is labelled.
    """
    guesses: dict[Id, list[Pose]] = {}
    for row in results:
        guesses.setdefault(row["image_id"], []).append(_pose(row))
    wanted: dict[Id, list[Pose]] = {}
    for row in annotations:
        pose = _pose(row)
        if pose.labelled.any() and not row["iscrowd"]:
            wanted.setdefault(row["image_id"], []).append(pose)
    truth, found = [], []
    sizes = {image.id: (image.width, image.height) for image in images if image.width and image.height}
    for image, poses in wanted.items():
        guess = guesses.get(image, [])
        for pose, place in zip(poses, match_poses(poses, guess, schema.sigmas), strict=True):
            truth.append(_cut(pose, sizes.get(image)))
            found.append(np.full_like(pose.points, NO_POSE) if place is None else guess[place].points)
    if not truth:
        raise CocoError("no annotation has a labelled point")
    return truth, np.stack(found)


def _cut(pose: Pose, size: tuple[int, int] | None) -> Pose:
    # Pairing has looked at the boxes as they are in the files; the length that distances are measured by is of the
    # part inside the image, as upstream reads its data sets.
    return pose if size is None else replace(pose, box=clip_box(pose.box, size[0] - 1, size[1] - 1))


def _pose(row: dict[str, Any]) -> Pose:
    points = keypoints_of(row)
    x, y, width, height = annotation_box(row)
    box = np.array([x, y, x + width, y + height])
    return Pose(points[:, :2], points[:, 2] > 0, box, annotation_area(row))
