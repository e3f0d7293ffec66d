"""``python -m engine.evaluate``: predictions against labels: OKS AP and AR, PCK, AUC, EPE.

PCK and AUC count a labelled instance that no prediction was made for as wrong in all its points; EPE is over those
found, and says how many were missed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.cli import OK, Parser, run
from engine.contract.coco import CocoAnnotation, CocoDataset, CocoResult, Id, read_results, unique_names
from engine.contract.errors import CocoError
from engine.contract.schema import Schema
from engine.metrics import pck
from engine.metrics.matching import Pose, match_poses
from engine.metrics.oks import annotation_area, annotation_box, keypoint_ap, keypoints_of
from engine.train.files import write_atomically
from engine.train.instances import schema_of

METRICS = ("oks", "pck", "auc", "epe")
PCK_THRESHOLD = 0.2
NO_POSE = float("nan")


@dataclass
class Evaluation:
    """Labels and predictions brought together.

    Attributes:
        annotations: records of labelled poses; results: records of predictions, image and category ids as in the
            labels.
    """

    schema: Schema
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    results: list[dict[str, Any]]


def load(annotations: Path | str, results: Path | str) -> Evaluation:
    """Read both files and bring their ids together.

    Images and categories of a COCO file of predictions are matched by id, or by name where the ids mean something else.

    Raises:
        CocoError, TrainingError: a file cannot be read, or the two do not belong together.
    """
    truth = CocoDataset.read(annotations)
    schema = schema_of(truth, Path(annotations))
    kept = {c.id for c in truth.categories if tuple(unique_names(c.keypoints)) == schema.names}
    labelled = [a for a in truth.annotations if a.category_id in kept and a.keypoints]
    if not labelled:
        raise CocoError("holds no annotation with keypoints to compare with", where=annotations)
    found = read_results(results)
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
        images=[{"id": image.id} for image in truth.images],
        annotations=[_annotation(a) for a in labelled],
        results=[row for row in rows if row["image_id"] in known],
    )


def _names_of(file: Path, truth: CocoDataset, kept: set[Id]) -> tuple[dict[Id, Id], dict[Id, Id]]:
    """Image and category ids of the predictions -> those of the labels."""
    only = next(iter(kept)) if len(kept) == 1 else None
    categories: dict[Id, Id] = {category: category for category in kept}
    if file.read_bytes().lstrip()[:1] != b"{":
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
    }


def evaluate(data: Evaluation, metrics: Sequence[str] = METRICS) -> dict[str, Any]:
    """The figures by name; NaN or -1 where nothing is defined.

    ``oks``: AP ... ARL. ``pck``: PCK@0.2 (longer side of the labelled box). ``auc``: AUC (30 px). ``epe``: EPE and
    median_px. ``per_keypoint`` gives PCK and EPE by point; ``instances``, ``missed`` and ``predictions`` count.
    """
    out: dict[str, Any] = {}
    if "oks" in metrics:
        out |= keypoint_ap(data.images, data.annotations, data.results, data.schema.sigmas)
    if set(metrics) - {"oks"}:
        out |= _distances(data, metrics)
    out["predictions"] = len(data.results)
    return out


def _distances(data: Evaluation, metrics: Sequence[str]) -> dict[str, Any]:
    truth, found = _paired(data)
    labelled = np.stack([pose.labelled for pose in truth])
    missed = np.isnan(found).all(axis=(1, 2))
    norm = pck.box_norm(np.stack([pose.box for pose in truth]))
    distance = pck.distances(found, np.stack([pose.points for pose in truth]))
    out: dict[str, Any] = {}
    points: dict[str, dict[str, float]] = {name: {} for name in data.schema.names}
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
    guesses: dict[Id, list[Pose]] = {}
    for row in data.results:
        guesses.setdefault(row["image_id"], []).append(_pose(row))
    wanted: dict[Id, list[Pose]] = {}
    for row in data.annotations:
        pose = _pose(row)
        if pose.labelled.any() and not row["iscrowd"]:
            wanted.setdefault(row["image_id"], []).append(pose)
    truth, found = [], []
    for image, poses in wanted.items():
        guess = guesses.get(image, [])
        for pose, place in zip(poses, match_poses(poses, guess, data.schema.sigmas), strict=True):
            truth.append(pose)
            found.append(np.full_like(pose.points, NO_POSE) if place is None else guess[place].points)
    if not truth:
        raise CocoError("no annotation has a labelled point")
    return truth, np.stack(found)


def _pose(row: dict[str, Any]) -> Pose:
    points = keypoints_of(row)
    x, y, width, height = annotation_box(row)
    box = np.array([x, y, x + width, y + height])
    return Pose(points[:, :2], points[:, 2] > 0, box, annotation_area(row))


def table(figures: dict[str, Any]) -> str:
    """The figures for people, two columns, then one line for each keypoint."""
    lines = [f"{name:12} {_figure(value)}" for name, value in figures.items() if not isinstance(value, dict)]
    points: dict[str, dict[str, float]] = figures.get("per_keypoint", {})
    names = list(next(iter(points.values()), {}))
    if names:
        width = max(len(name) for name in points) + 2
        lines += ["", f"{'':{width}}" + "".join(f"{name:>10}" for name in names)]
        lines += [
            f"{point:{width}}" + "".join(f"{_figure(row[name]):>10}" for name in names) for point, row in points.items()
        ]
    return "\n".join(lines) + "\n"


def _figure(value: float | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if not math.isfinite(value) or value == -1 else f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"


def main(arguments: Sequence[str]) -> int:
    """Command line; PoseError for bad input."""
    made = Parser(prog="python -m engine.evaluate", description="Measure predictions against labels.")
    made.add_argument("--annotations", required=True, metavar="COCO.json", help="the labels")
    made.add_argument(
        "--results", required=True, metavar="R.json", help="a results list, or a COCO file of predictions"
    )
    made.add_argument("--metrics", default=",".join(METRICS), help=f"some of {','.join(METRICS)} (default: all)")
    made.add_argument("--out", metavar="M.json", help="also write the figures as JSON")
    options = made.parse_args(arguments)
    wanted = [name.strip() for name in options.metrics.split(",") if name.strip()]
    for name in wanted:
        if name not in METRICS:
            made.error(f"there is no metric {name!r}; choose from {', '.join(METRICS)}")
    figures = evaluate(load(options.annotations, options.results), wanted)
    if options.out:
        write_atomically(Path(options.out), (json.dumps(_plain(figures), indent=1) + "\n").encode())
    sys.stdout.write(table(figures))
    return OK


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    raise SystemExit(run(main))
