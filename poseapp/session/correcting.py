"""Which poses of a frame are predictions that somebody is putting right. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from poseapp.project.model import Instance, State


def under_correction(known: Collection[int], before: Sequence[Instance], after: Sequence[Instance]) -> frozenset[int]:
    """Ids of the predictions, and of those ``known`` ones that have become labels by being changed.

    A prediction that became a label as it was has been accepted: its correction is at its end.

    Args:
        before, after: the instances of the frame before and after a change.
    """
    old = {instance.id: instance for instance in before}
    return frozenset(i.id for i in after if i.state is State.PREDICTED or (i.id in known and not _taken(old, i)))


def _taken(old: dict[int, Instance], now: Instance) -> bool:
    was = old.get(now.id)
    return (
        was is not None
        and was.state is State.PREDICTED
        and np.array_equal(was.keypoints, now.keypoints)
        and np.array_equal(was.visibility, now.visibility)
    )
