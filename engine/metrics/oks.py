"""Object keypoint similarity, and average precision over it by pycocotools' COCOeval for any keypoint schema."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

KEYPOINT_STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
BOX_STATS = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL")
AREA_OF_BOX = 0.53  # area of an annotation without one, as a share of its box; customary for COCO


def oks(predicted: Array, truth: Array, visible: npt.NDArray[np.bool_], area: float, sigmas: Array) -> float:
    """Similarity of two poses: mean over visible points of exp(-d^2 / (2 * area * (2 sigma)^2)); 0 if none is visible.

    ``predicted`` and ``truth`` are (K, 2) in the same pixels, ``area`` is in square pixels.
    """
    if not np.any(visible):
        return 0.0
    square = np.sum((np.asarray(predicted, float) - np.asarray(truth, float)) ** 2, axis=-1)
    falloff = np.exp(-square / (2 * max(area, np.spacing(1)) * (2 * np.asarray(sigmas, float)) ** 2))
    return float(np.mean(np.where(np.isfinite(falloff), falloff, 0)[visible]))


def keypoint_ap(
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
    sigmas: Sequence[float] | Array,
) -> dict[str, float]:
    """COCO keypoint AP and AR (:data:`KEYPOINT_STATS`), as fractions; -1 if undefined.

    Args:
        images: records with ``id``.
        annotations: records with ``id``, ``image_id``, ``category_id``, ``keypoints`` (flat 3K, third = visibility)
            and, if known, ``bbox`` (xywh), ``area``, ``iscrowd``, ``num_keypoints``.
        results: records with ``image_id``, ``category_id``, ``keypoints`` (flat 3K), ``score`` and, if known, ``bbox``.
        sigmas: (K,) of the schema.
    """
    truth = [_annotation(record, index) for index, record in enumerate(annotations, 1)]
    predicted = [_result(record, index) for index, record in enumerate(results, 1)]
    stats = _evaluate("keypoints", images, truth, predicted, np.asarray(sigmas, float))
    return dict(zip(KEYPOINT_STATS, stats, strict=True))


def box_ap(
    images: Iterable[Mapping[str, Any]], annotations: Iterable[Mapping[str, Any]], results: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """COCO box AP and AR (:data:`BOX_STATS`); records as in :func:`keypoint_ap`, with ``bbox`` (xywh) alone."""
    truth = [
        _box_record(record, index) | {"iscrowd": int(record.get("iscrowd") or 0)}
        for index, record in enumerate(annotations, 1)
    ]
    predicted = [
        _box_record(record, index) | {"score": float(record["score"])} for index, record in enumerate(results, 1)
    ]
    return dict(zip(BOX_STATS, _evaluate("bbox", images, truth, predicted, None), strict=True))


def _evaluate(
    kind: str,
    images: Iterable[Mapping[str, Any]],
    truth: list[dict[str, Any]],
    predicted: list[dict[str, Any]],
    sigmas: Array | None,
) -> list[float]:
    # Imported here: pycocotools imports matplotlib if it is installed, and only evaluation needs it.
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    categories = sorted({record["category_id"] for record in truth + predicted})
    header = {
        "images": [{"id": image["id"]} for image in images],
        "categories": [{"id": c, "name": str(c)} for c in categories],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth_set, found_set = COCO(), COCO()
        truth_set.dataset = header | {"annotations": truth}
        found_set.dataset = header | {"annotations": predicted}
        truth_set.createIndex()
        found_set.createIndex()
        evaluation = COCOeval(truth_set, found_set, kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def keypoints_of(record: Mapping[str, Any]) -> Array:
    """(K, 3) float64 of a record's flat ``keypoints``."""
    return np.asarray(record["keypoints"], dtype=float).reshape(-1, 3)


def extent_xywh(points: Array) -> list[float]:
    """Bounding box of (n, 2) points; zeros for none."""
    if not len(points):
        return [0.0, 0.0, 0.0, 0.0]
    low, high = points.min(axis=0), points.max(axis=0)
    return [float(v) for v in (*low, *(high - low))]


def annotation_box(record: Mapping[str, Any]) -> list[float]:
    """xywh of an annotation: its bbox, else the extent of its labelled points."""
    box = record.get("bbox")
    if box:
        return [float(v) for v in box]
    points = keypoints_of(record)
    return extent_xywh(points[points[:, 2] > 0, :2])


def annotation_area(record: Mapping[str, Any]) -> float:
    """Square pixels of an annotation: its area, else a share of its box."""
    area = record.get("area")
    if area:
        return float(area)
    _, _, width, height = annotation_box(record)
    return AREA_OF_BOX * width * height


def _annotation(record: Mapping[str, Any], index: int) -> dict[str, Any]:
    points = keypoints_of(record)
    labelled = int((points[:, 2] > 0).sum())
    crowd = int(record.get("iscrowd") or 0)
    return {
        "id": index,  # from 1: pycocotools takes id 0 for "no match"
        "image_id": record["image_id"],
        "category_id": record["category_id"],
        "keypoints": points.reshape(-1).tolist(),
        "num_keypoints": labelled,
        "bbox": annotation_box(record),
        "area": annotation_area(record),
        "iscrowd": crowd,  # from which pycocotools derives "ignore"
    }


def _result(record: Mapping[str, Any], index: int) -> dict[str, Any]:
    points = keypoints_of(record)
    box = [float(v) for v in record["bbox"]] if record.get("bbox") else extent_xywh(points[:, :2])
    return {
        "id": index,
        "image_id": record["image_id"],
        "category_id": record["category_id"],
        "keypoints": points.reshape(-1).tolist(),
        "score": float(record["score"]),
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
    }


def _box_record(record: Mapping[str, Any], index: int) -> dict[str, Any]:
    box = [float(v) for v in record["bbox"]]
    return {
        "id": index,
        "image_id": record["image_id"],
        "category_id": record["category_id"],
        "bbox": box,
        "area": float(record.get("area") or box[2] * box[3]),
        "iscrowd": 0,
    }
