"""Two instances of one frame that label the same object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check

SAME_OBJECT = 0.9
"""Object keypoint similarity; two people, however close, stay far below."""
EQUAL = 0.5
"""Pixels: numbers that differ by less were rounded, not labelled twice."""


@register_check
class DuplicateInstances(Check):
    id = "duplicate_instances"
    title = "Duplicate instance"
    help = (
        "Two instances of one category have nearly the same keypoints (object keypoint similarity above "
        f"{SAME_OBJECT}), or the same box and no keypoints. Delete one: duplicates count twice in training and as "
        "false positives in evaluation. Those with equal numbers can be removed together."
    )
    at_import = True
    fix_title = "Remove the copies"
    fix_order = -1

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        posed = [instance for instance in frame.instances if instance.schema is not None and instance.is_labelled.any()]
        for position, instance in enumerate(posed):
            for other in posed[:position]:
                if other.label.category != instance.label.category:
                    continue
                similarity = _similarity(instance, other)
                if similarity > SAME_OBJECT:
                    yield self.finding(frame, f"repeats {other.record}", instance, fixable=_is_copy(instance, other))
                    break
        yield from self._check_boxes(frame)

    def _check_boxes(self, frame: CheckedFrame) -> Iterator[Finding]:
        """Boxes without keypoints."""
        first_with: dict[tuple[int, bytes], CheckedInstance] = {}
        for instance in frame.instances:
            box = instance.label.box
            if box is None or instance.label.is_crowd or instance.is_labelled.any() or not np.isfinite(box).all():
                continue
            other = first_with.setdefault((instance.label.category, box.tobytes()), instance)
            if other is not instance:
                yield self.finding(frame, f"has the box of {other.record}, and no keypoints", instance)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> None:
        return None


def _is_copy(a: CheckedInstance, b: CheckedInstance) -> bool:
    """Whether two instances have the same keypoints, visibility and track."""
    if a.label.track != b.label.track or (a.is_labelled != b.is_labelled).any():
        return False
    if a.label.visibility is None or b.label.visibility is None:
        return False
    if (a.label.visibility != b.label.visibility).any():
        return False
    return not (np.abs(a.points - b.points)[a.is_labelled] >= EQUAL).any()


def _similarity(a: CheckedInstance, b: CheckedInstance) -> float:
    """Object keypoint similarity over the keypoints that both have (cocodataset.org/#keypoints-eval), 0 if one has
    more than half of its keypoints for itself alone; the area is the mean of both."""
    both = a.is_labelled & b.is_labelled
    if 2 * both.sum() < max(a.is_labelled.sum(), b.is_labelled.sum()) or a.schema is None:
        return 0.0
    with np.errstate(over="ignore"):  # damaged files hold coordinates of 1e308
        distances = ((a.points[both] - b.points[both]) ** 2).sum(axis=1)
    if not distances.any():
        return 1.0
    area = (_area(a) + _area(b)) / 2
    variances = (2 * np.asarray(a.schema.sigmas, np.float64)[both]) ** 2
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.exp(-distances / (2 * max(area, 1.0) * variances))).mean())


def _area(instance: CheckedInstance) -> float:
    box = instance.label.box
    if box is not None and box[2] > box[0] and box[3] > box[1]:
        return float((box[2] - box[0]) * (box[3] - box[1]))
    return float(np.prod(np.ptp(instance.points[instance.is_labelled], axis=0)))
