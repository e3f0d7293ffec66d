"""Limbs that are much longer than usual, compared with the other limbs of the same instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import Floats

SAMPLE = 5000
"""Instances of a category that decide what is usual."""
FEWEST_INSTANCES = 20
FEWEST_LIMBS = 3
FACTOR = 2.5
SPREADS = 6.0
"""A limb is too long from so many times its usual length on, if that is also so many (robust) standard deviations of
its logarithm away. Limbs seen from the front are short in the image, so that short ones say nothing."""


@dataclass
class _Usual:
    """Lengths of limbs of one category; (N, L) with NaN where a limb is not labelled."""

    sample: list[Floats] = field(default_factory=list)
    lengths: Floats | None = None
    spreads: Floats | None = None

    def settle(self) -> None:
        """Compute the usual relative lengths (L,) and their spreads (L,)."""
        lengths = np.array(self.sample)
        scales = np.nanmedian(lengths, axis=1, keepdims=True)
        with np.errstate(all="ignore"):
            usual = _median(lengths / scales)
            logs = np.log(lengths / usual / np.nanmedian(lengths / usual, axis=1, keepdims=True))
            logs[~np.isfinite(logs)] = np.nan
            self.lengths, self.spreads = usual, 1.4826 * _median(np.abs(logs - _median(logs)))
        self.sample = []


@register_check
class LimbLength(Check):
    id = "limb_length"
    title = "Limb much longer than usual"
    help = (
        f"The limb is more than {FACTOR} times as long as in the other labels, measured by the other limbs of the "
        "instance. One of its ends is probably misplaced, or belongs to another object."
    )

    def __init__(self) -> None:
        self._usual: dict[int, _Usual] = {}

    def learn(self, frame: CheckedFrame) -> None:
        for instance in frame.instances:
            lengths = _lengths(instance)
            usual = self._usual.setdefault(instance.label.category, _Usual())
            if lengths is not None and len(usual.sample) < SAMPLE:
                usual.sample.append(lengths)

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            usual = self._usual.get(instance.label.category)
            lengths = _lengths(instance)
            if usual is None or lengths is None or instance.schema is None:
                continue
            if usual.lengths is None:
                if len(usual.sample) < FEWEST_INSTANCES:
                    continue
                usual.settle()
            assert usual.lengths is not None
            assert usual.spreads is not None
            with np.errstate(all="ignore"):
                ratios = lengths / usual.lengths
                ratios = ratios / np.nanmedian(ratios)
                too_long = (ratios > FACTOR) & (np.log(ratios) > SPREADS * usual.spreads) & np.isfinite(ratios)
            for limb in np.flatnonzero(too_long):
                a, b = (int(end) for end in instance.schema.limb_indices[limb])
                message = f"{instance.name_of(a)} to {instance.name_of(b)} is {ratios[limb]:.1f} times its usual length"
                yield self.finding(frame, message, instance, (a, b))


def _lengths(instance: CheckedInstance) -> Floats | None:
    """(L,) lengths of the limbs in pixels, NaN for those not labelled; None if too few are."""
    schema = instance.schema
    if schema is None or not len(schema.limb_indices):
        return None
    a, b = np.asarray(schema.limb_indices).T
    lengths = np.linalg.norm(instance.points[a] - instance.points[b], axis=1)
    lengths[~(instance.is_labelled[a] & instance.is_labelled[b]) | ~(lengths > 0)] = np.nan
    return lengths if np.isfinite(lengths).sum() >= FEWEST_LIMBS else None


def _median(values: Floats) -> Floats:
    """The median of each column without its NaN; NaN for a column without numbers."""
    has_numbers = np.isfinite(values).any(axis=0)
    medians = np.full(values.shape[1], np.nan)
    medians[has_numbers] = np.nanmedian(values[:, has_numbers], axis=0)
    return medians
