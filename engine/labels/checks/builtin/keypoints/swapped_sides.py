"""Left and right exchanged, as the usual pose of the labels tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding, Flags
from engine.labels.checks.registry import register_check
from engine.labels.model import Floats

SAMPLE = 2000
"""Instances of a category that decide what its usual pose is."""
FEWEST_INSTANCES = 20
FEWEST_KEYPOINTS = 4
ROUNDS = 4
CLOSER = 0.5
"""A pair is suspicious if exchanging it brings it to less than this share of its distance from the usual pose (a whole
pose: of the mean square) ..."""
FAR = 0.3
"""... and if that distance is at least this share of the size of the pose (root mean square from its center)."""
ONE_SIDED = 0.97
"""From this share of poses that look the same way on, one that looks the other way is suspicious as a whole: a mouse
from above never does, a person seen from behind does."""


Complex = npt.NDArray[np.complex128]
"""Points as x + iy, so that turning and scaling is one multiplication."""
NOWHERE = complex(np.nan, np.nan)


@dataclass
class _Usual:
    """The usual pose of one category, and the sample that it is computed from."""

    partner: npt.NDArray[np.int64]
    points: list[Complex] = field(default_factory=list)
    labelled: list[Flags] = field(default_factory=list)
    pose: Complex | None = None
    """(K,) the median pose, NaN for keypoints that nobody labels."""
    size: float = 1.0
    is_one_sided: bool = False

    def settle(self) -> None:
        """Compute the median pose: align all poses with it by rotation, shift and scale, mirrored ones with their
        sides exchanged, and take the median; again with the result. The first reference is the fullest pose."""
        first = max(range(len(self.points)), key=lambda position: int(self.labelled[position].sum()))
        reference = np.where(self.labelled[first], self.points[first], NOWHERE)
        exchanged = 0
        for _ in range(ROUNDS):
            aligned, exchanged = [], 0
            for points, labelled in zip(self.points, self.labelled, strict=True):
                as_is, error = _align(points, labelled, reference)
                mirrored, mirrored_error = _align(points[self.partner], labelled[self.partner], reference)
                exchanged += mirrored_error < error
                aligned.append(mirrored if mirrored_error < error else as_is)
            reference = _median(np.array(aligned))
        count = len(self.points)
        if 2 * exchanged > count:  # the reference itself looked the rarer way
            reference, exchanged = reference[self.partner], count - exchanged
        known = reference[np.isfinite(reference)]
        self.size = float(np.sqrt((np.abs(known - known.mean()) ** 2).mean()))
        self.pose, self.is_one_sided = reference, exchanged <= (1 - ONE_SIDED) * count
        self.points, self.labelled = [], []


@register_check
class SwappedSides(Check):
    id = "swapped_sides"
    title = "Left and right may be swapped"
    help = (
        "With its left and right keypoints exchanged the pose is much closer to the median pose of these labels. Left "
        "and right are the subject's own. Crossed limbs look the same: have a look before you swap."
    )

    def __init__(self) -> None:
        self._usual: dict[int, _Usual] = {}

    def learn(self, frame: CheckedFrame) -> None:
        for instance in frame.instances:
            partner = _partners(instance)
            if partner is None or instance.is_labelled.sum() < FEWEST_KEYPOINTS:
                continue
            usual = self._usual.setdefault(instance.label.category, _Usual(partner))
            if len(usual.points) < SAMPLE:
                usual.points.append(_complex(instance.points))
                usual.labelled.append(instance.is_labelled)

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            usual = self._usual.get(instance.label.category)
            if usual is None or _partners(instance) is None or instance.is_labelled.sum() < FEWEST_KEYPOINTS:
                continue
            if usual.pose is None:
                if len(usual.points) < FEWEST_INSTANCES:
                    continue
                usual.settle()
            yield from self._compare(frame, instance, usual)

    def _compare(self, frame: CheckedFrame, instance: CheckedInstance, usual: _Usual) -> Iterator[Finding]:
        assert usual.pose is not None
        partner = usual.partner
        points, labelled = _complex(instance.points), instance.is_labelled
        aligned, error = _align(points, labelled, usual.pose)
        mirrored, mirrored_error = _align(points[partner], labelled[partner], usual.pose)
        is_mirrored = mirrored_error < error
        if is_mirrored and usual.is_one_sided and mirrored_error < CLOSER * error:
            paired = np.flatnonzero(labelled & labelled[partner] & (partner != np.arange(len(partner))))
            if len(paired) >= FEWEST_KEYPOINTS:
                message = "all left and right keypoints look swapped, compared with the other labels"
                yield self.finding(frame, message, instance, paired)
                return
        if is_mirrored:
            aligned = mirrored
        left = np.flatnonzero((np.arange(len(partner)) < partner) & labelled & labelled[partner])
        right = partner[left]
        straight = np.abs(aligned[left] - usual.pose[left]) + np.abs(aligned[right] - usual.pose[right])
        crossed = np.abs(aligned[right] - usual.pose[left]) + np.abs(aligned[left] - usual.pose[right])
        is_swapped = (straight > 2 * FAR * usual.size) & (crossed < CLOSER * straight)  # NaN compares as False
        if is_swapped.any():
            keypoints = np.stack([left[is_swapped], right[is_swapped]], axis=1).reshape(-1)
            message = f"{instance.names_of(keypoints)} look swapped, compared with the rest of the pose"
            yield self.finding(frame, message, instance, keypoints)


def _partners(instance: CheckedInstance) -> npt.NDArray[np.int64] | None:
    """For each keypoint its partner on the other side, or itself; None for schemas without sides."""
    schema = instance.schema
    if schema is None:
        return None
    partner = schema.flip_indices
    return None if (partner == np.arange(len(partner))).all() else partner


def _align(points: Complex, labelled: Flags, reference: Complex) -> tuple[Complex, float]:
    """(K,) the pose shifted, rotated and scaled to lie closest to the reference (Umeyama 1991, without reflection), NaN
    for keypoints not labelled; and the mean square of the distances left, infinite where there is nothing to align."""
    both = labelled & np.isfinite(reference)
    count = int(np.count_nonzero(both))
    source, target = points[both], reference[both]
    if count < 2:
        return np.full(len(reference), NOWHERE), np.inf
    center, target_center = source.sum() / count, target.sum() / count
    source, target = source - center, target - target_center
    power = np.vdot(source, source).real
    if power <= 0:
        return np.full(len(reference), NOWHERE), np.inf
    turn = np.vdot(source, target) / power  # rotation and scale
    error = (np.vdot(target, target).real - abs(turn) ** 2 * power) / count
    return np.where(labelled, (points - center) * turn + target_center, NOWHERE), max(float(error), 0.0)


def _median(poses: Complex) -> Complex:
    """(N, K) -> (K,) the median of x and of y without NaN; NaN for keypoints without any number."""
    median = np.full(poses.shape[1], NOWHERE)
    known = np.isfinite(poses).any(axis=0)
    median[known] = np.nanmedian(poses[:, known].real, axis=0) + 1j * np.nanmedian(poses[:, known].imag, axis=0)
    return median


def _complex(points: Floats) -> Complex:
    return points[:, 0] + 1j * points[:, 1]
