"""Files that mark none of their keypoints as visible."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding, Flags
from engine.labels.checks.registry import register_check
from engine.labels.model import ABSENT, OCCLUDED, VISIBLE, Instance

FEWEST = 10
"""Keypoints: of fewer it may be true."""


class _NeverVisible(Check):
    """A file that has one visibility for all keypoints that it gives coordinates for.

    Attributes:
        given: this visibility.
    """

    given = OCCLUDED
    at_import = True
    fix_title = "Mark as visible"
    fix_order = -2

    def __init__(self) -> None:
        self._count, self._is_usual = 0, True

    def learn(self, frame: CheckedFrame) -> None:
        for instance in frame.instances:
            if not self._is_usual:
                return
            visibility = instance.label.visibility
            if visibility is None or instance.label.is_prediction or instance.label.is_crowd:
                continue
            if (visibility > self.given).any():
                self._is_usual = False
            self._count += int(np.count_nonzero(self._concerns(instance)))

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if not self._is_usual or self._count < FEWEST:
            return
        for instance in frame.instances:
            if instance.label.visibility is None or instance.label.is_prediction or instance.label.is_crowd:
                continue
            keypoints = np.flatnonzero(self._concerns(instance))
            if len(keypoints):
                yield self.finding(frame, self._message, instance, keypoints)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        visibility = instance.label.visibility
        if visibility is None:
            return instance.label
        return instance.label.replace(
            visibility=np.where(self._concerns(instance), VISIBLE, visibility).astype(np.uint8)
        )

    def _concerns(self, instance: CheckedInstance) -> Flags:
        """(K,) which keypoints have coordinates and the one visibility."""
        points, visibility = instance.label.keypoints, instance.label.visibility
        if points is None or visibility is None:
            return np.zeros(0, np.bool_)
        has_place = np.isfinite(points).all(axis=1) & (points != 0).any(axis=1)
        return np.asarray(has_place & (visibility == self.given))

    _message = ""


@register_check
class AllOccluded(_NeverVisible):
    id = "all_occluded"
    title = "All keypoints are marked as occluded"
    help = (
        "No keypoint of the file has visibility 2. Some programs write 1 for every labelled keypoint, because they "
        "know only present and absent; then they are visible."
    )
    given = OCCLUDED
    _message = "all labelled keypoints are marked as occluded, as everywhere in these labels"


@register_check
class AllAbsent(_NeverVisible):
    id = "all_absent"
    title = "All keypoints are marked as absent"
    help = (
        "Every keypoint of the file has visibility 0, and yet they have coordinates: the program that wrote it does "
        "not know visibilities. Nothing is shown and trained on before they are marked as visible."
    )
    given = ABSENT
    _message = "all keypoints are marked as absent and have coordinates, as everywhere in these labels"
