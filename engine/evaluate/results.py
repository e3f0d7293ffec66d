"""Labels and predictions of two files brought together, and the figures: OKS AP and AR, PCK, AUC, EPE and NME.

PCK and AUC count a labelled instance that no prediction was made for as wrong in all its points; EPE is over those
found, and says how many were missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import CocoError
from engine.evaluate.results_loading import Evaluation, load
from engine.formats.coco.dataset import CocoImage, Id
from engine.geometry import box_to_center_scale, clip_box, xywh_to_xyxy
from engine.metrics import pck
from engine.metrics.coco_metric import GIVEN, NO_NMS, CocoMetricOptions, PoseResult, evaluate_coco
from engine.metrics.matching import Pose, match_poses
from engine.metrics.nme import face_norm, has_norm, nme
from engine.metrics.oks import annotation_area, annotation_box, keypoint_ap, keypoints_of
from engine.metrics.wholebody import evaluate_wholebody, is_wholebody, wholebody_figures
from engine.schema.schema import Schema

__all__ = ["METRICS", "Evaluation", "distance_figures", "evaluate", "load", "pair_by_similarity"]

METRICS = ("oks", "pck", "auc", "epe", "nme")
PCK_THRESHOLD = 0.2
NO_POSE = float("nan")
AS_GIVEN = CocoMetricOptions(score_mode=GIVEN, nms_mode=NO_NMS)
NEED_BOX_SCORE = ("bbox", "bbox_keypoint", "bbox_rle")
# Results lists tell the box, not the crop; suppression takes the crop of the usual padding and aspect.
PADDING, ASPECT = 1.25, 192 / 256


def evaluate(
    data: Evaluation,
    metrics: Sequence[str] = METRICS,
    options: CocoMetricOptions = AS_GIVEN,
    wholebody: bool | None = None,
) -> dict[str, Any]:
    """The figures by name; NaN or -1 where nothing is defined.

    ``oks``: AP ... ARL. ``pck``: PCK@0.2 (longer side of the labelled box). ``auc``: AUC (30 px). ``epe``: EPE and
    median_px. ``nme``: NME, for schemas of faces (:mod:`engine.metrics.nme`). ``per_keypoint`` gives PCK and EPE by
    point; ``instances``, ``missed`` and ``predictions`` count.

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
    if "nme" in metrics and has_norm(schema.name):
        out["NME"] = nme(distance, labelled, face_norm(schema.name, truth))
    return out | {"instances": len(truth), "missed": int(missed.sum()), "per_keypoint": points}


def _paired(data: Evaluation) -> tuple[list[Pose], np.ndarray]:
    """Labelled instances that are no crowds, and for each the points (N, K, 2) found, NaN where it was missed."""
    return pair_by_similarity(data.annotations, data.results, data.schema, data.labels.images)


def pair_by_similarity(
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
