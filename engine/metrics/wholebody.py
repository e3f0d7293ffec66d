"""OKS average precision of the whole body and of its parts, by the protocol of MMPose's CocoWholeBodyMetric.

Every part is evaluated with its own sigmas, the person's area and the score of the whole; persons without a labelled
point in a part are ignored for it. As MMPose writes results without boxes, the area of a prediction is the extent of
its body points.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoDataset
from engine.metrics.coco_metric import (
    Array,
    CocoMetricOptions,
    PoseResult,
    Scored,
    TruthSet,
    checked,
    extent_areas,
    measure,
    select,
)
from engine.schema.schema import Schema

WHOLE = "wholebody"
HAND = "hand"
PARTS = {
    "body": slice(0, 17),
    "foot": slice(17, 23),
    "face": slice(23, 91),
    "lefthand": slice(91, 112),
    "righthand": slice(112, 133),
}
PART_TITLES = {
    "body": "Body", "foot": "Foot", "face": "Face", "lefthand": "Left hand", "righthand": "Right hand", "hand": "Hand",
    "wholebody": "Whole",
}  # fmt: skip
NUM_KEYPOINTS = 133
WHOLE_BODY_SCHEMA = "coco_wholebody"


def is_wholebody(schema: Schema) -> bool:
    """Whether a schema is COCO-WholeBody's, by its name and number of keypoints."""
    return schema.name == WHOLE_BODY_SCHEMA and schema.num_keypoints == NUM_KEYPOINTS


def evaluate_wholebody(
    dataset: CocoDataset,
    results: Iterable[PoseResult],
    schema: Schema,
    options: CocoMetricOptions | None = None,
) -> dict[str, dict[str, float]]:
    """AP and AR of each of :data:`PARTS`, of "hand" and of "wholebody"; -1 if there is nothing to find.

    "hand" is the mean of left and right: MMPose computes the two separately, and its published tables have one column
    without saying how it was made.

    Args:
        dataset: the labels, with all 133 points of an annotation in ``keypoints`` (``engine.formats.read_as_coco``).
        results: predictions of all 133 keypoints.

    Raises:
        CocoError: other keypoints than COCO-WholeBody's, or as :func:`engine.metrics.coco_metric.evaluate_coco`.
    """
    if schema.num_keypoints != NUM_KEYPOINTS:
        raise CocoError(
            f"whole-body figures need {NUM_KEYPOINTS} keypoints, {schema.name!r} has {schema.num_keypoints}"
        )
    options = options or CocoMetricOptions()
    truth = TruthSet.of(dataset, schema, use_area=options.use_area)
    sigmas = np.asarray(schema.sigmas, np.float64)
    chosen = select(checked(results, schema), sigmas, options)
    parts = {name: measure(truth, chosen, sigmas, part, _body_areas) for name, part in PARTS.items()}
    left, right = parts["lefthand"], parts["righthand"]
    parts[HAND] = {name: _mean(left[name], right[name]) for name in left}
    parts[WHOLE] = measure(truth, chosen, sigmas, None, _body_areas)
    return parts


def wholebody_figures(parts: dict[str, dict[str, float]]) -> dict[str, Any]:
    """AP ... ARL of the whole, then AP and AR of every part, and all of them under ``parts``."""
    figures: dict[str, Any] = dict(parts["wholebody"])
    for part, title in PART_TITLES.items():
        figures |= {f"{title} {name}": parts[part][name] for name in ("AP", "AR")}
    return figures | {"parts": parts}


def _body_areas(chosen: Scored) -> Array:
    return extent_areas(chosen.points[:, PARTS["body"]])


def _mean(left: float, right: float) -> float:
    defined = [value for value in (left, right) if value > -1]
    return sum(defined) / len(defined) if defined else -1.0
