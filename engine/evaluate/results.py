"""Figures of predictions: OKS AP and AR, PCK, AUC, EPE and NME.

For PCK and AUC all points of a labelled instance without a prediction count as wrong. EPE is over the instances that
were found, and comes with the number of missed ones.
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
# Results lists have the box, not the crop; suppression uses a crop with the usual padding and aspect ratio.
PADDING, ASPECT = 1.25, 192 / 256


def evaluate(
    data: Evaluation,
    metrics: Sequence[str] = METRICS,
    options: CocoMetricOptions = AS_GIVEN,
    wholebody: bool | None = None,
) -> dict[str, Any]:
    """The figures by name; NaN or -1 if undefined.

    ``oks``: AP ... ARL. ``pck``: PCK@0.2 (longer side of the labelled box). ``auc``: AUC (30 px). ``epe``: EPE and
    median_px. ``nme``: NME, for schemas of faces (:mod:`engine.metrics.nme`). ``per_keypoint`` has PCK and EPE of each
    keypoint; ``instances``, ``missed`` and ``predictions`` are counts.

    Args:
        options: how predictions are scored and suppressed; by default they are used as they are.
        wholebody: also AP and AR of the parts of the body; None = if the schema is COCO-WholeBody's.

    Raises:
        CocoError: the predictions lack what the score is made from, or the labels have no whole bodies.
    """
    out: dict[str, Any] = {}
    if "oks" in metrics:
        out |= _oks(data, options, is_wholebody(data.schema) if wholebody is None else wholebody)
    if set(metrics) - {"oks"}:
        truth, predicted = _paired(data)
        out |= distance_figures(truth, predicted, data.schema, metrics)
    out["predictions"] = len(data.results)
    return out


def _oks(data: Evaluation, options: CocoMetricOptions, wholebody: bool) -> dict[str, Any]:
    if wholebody:
        return wholebody_figures(evaluate_wholebody(data.labels, _poses(data, options), data.schema, options))
    if options == AS_GIVEN:
        return dict(keypoint_ap(data.images, data.annotations, data.results, data.schema.sigmas))
    return dict(evaluate_coco(data.labels, _poses(data, options), data.schema, options))


def _poses(data: Evaluation, options: CocoMetricOptions) -> list[PoseResult]:
    poses = []
    for index, row in enumerate(data.results):
        if row["box_score"] is None and options.score_mode in NEED_BOX_SCORE:
            raise CocoError(
                f"the predictions have no scores of their boxes ('box_score'), which score mode "
                f"{options.score_mode!r} needs; use --score-mode keypoint or given"
            )
        box = None if not row["bbox"] else xywh_to_xyxy(row["bbox"])
        area = None if box is None else float(np.prod(box_to_center_scale(box, PADDING, ASPECT)[1]))
        poses.append(
            PoseResult(
                id=index,
                image_id=row["image_id"],
                keypoints=keypoints_of(row),
                box_score=1.0 if row["box_score"] is None else row["box_score"],
                box=box,
                nms_area=area,
                category_id=row["category_id"],
                score=row["score"],
            )
        )
    return poses


def distance_figures(
    truth: list[Pose], predicted: np.ndarray, schema: Schema, metrics: Sequence[str]
) -> dict[str, Any]:
    """PCK, AUC and EPE of points (N, K, 2), NaN for missed instances, against N labelled instances."""
    labelled = np.stack([pose.labelled for pose in truth])
    missed = np.isnan(predicted).all(axis=(1, 2))
    norm = pck.box_norm(np.stack([pose.box for pose in truth]))
    distance = pck.distances(predicted, np.stack([pose.points for pose in truth]))
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
    """Labelled instances other than crowds, and for each the predicted points (N, K, 2), NaN if it was missed."""
    return pair_by_similarity(data.annotations, data.results, data.schema, data.labels.images)


def pair_by_similarity(
    annotations: Iterable[dict[str, Any]],
    results: Iterable[dict[str, Any]],
    schema: Schema,
    images: Iterable[CocoImage] = (),
) -> tuple[list[Pose], np.ndarray]:
    """Pair predictions with labelled instances by similarity, where no id says which belongs to which.

    Args:
        images: those with known sizes; the boxes of the labelled instances are clipped to them.

    Returns:
        Labelled instances other than crowds, and for each the predicted points (N, K, 2), NaN if it was missed.

    Raises:
        CocoError: nothing is labelled.
    """
    guesses: dict[Id, list[Pose]] = {}
    for row in results:
        guesses.setdefault(row["image_id"], []).append(_pose(row))
    labelled: dict[Id, list[Pose]] = {}
    for row in annotations:
        pose = _pose(row)
        if pose.labelled.any() and not row["iscrowd"]:
            labelled.setdefault(row["image_id"], []).append(pose)
    truth, matched_points = [], []
    sizes = {image.id: (image.width, image.height) for image in images if image.width and image.height}
    for image, poses in labelled.items():
        guess = guesses.get(image, [])
        for pose, index in zip(poses, match_poses(poses, guess, schema.sigmas), strict=True):
            truth.append(_with_clipped_box(pose, sizes.get(image)))
            matched_points.append(np.full_like(pose.points, NO_POSE) if index is None else guess[index].points)
    if not truth:
        raise CocoError("no annotation has a labelled point")
    return truth, np.stack(matched_points)


def _with_clipped_box(pose: Pose, size: tuple[int, int] | None) -> Pose:
    # Poses are paired by the boxes of the files, but PCK is normalized by the part of the box inside the image, as in
    # MMPose.
    return pose if size is None else replace(pose, box=clip_box(pose.box, size[0] - 1, size[1] - 1))


def _pose(row: dict[str, Any]) -> Pose:
    points = keypoints_of(row)
    x, y, width, height = annotation_box(row)
    box = np.array([x, y, x + width, y + height])
    return Pose(points[:, :2], points[:, 2] > 0, box, annotation_area(row))
