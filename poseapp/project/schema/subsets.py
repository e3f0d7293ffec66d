"""Schemas whose points belong to several kinds of objects, of which a pose is one: 294 points of 13 garments. No Qt."""

from __future__ import annotations

import re

import numpy as np

from engine.schema.schema import Schema, Subset
from poseapp.project.model import Bytes, Flags


def subset_named(schema: Schema, name: str) -> Subset | None:
    """The subset that a category is called after; letters, digits and their order decide."""
    expected = _plain(name)
    return next((subset for subset in schema.subsets if _plain(subset.name) == expected), None)


def points_of(schema: Schema, subset: Subset | None) -> Flags:
    """(K,) bool: points of one subset, of all for None."""
    chosen = np.ones(schema.num_keypoints, np.bool_)
    if subset is not None:
        chosen[:] = False
        chosen[subset.start : subset.stop] = True
    return chosen


def possible_points(schema: Schema, visibility: Bytes) -> Flags:
    """(K,) bool: points that a pose can have: of the subsets that it has points of; of all while it has none."""
    used = [s for s in schema.subsets if visibility[s.start : s.stop].any()]
    if not used:
        return np.ones(schema.num_keypoints, np.bool_)
    chosen = np.zeros(schema.num_keypoints, np.bool_)
    for subset in used:
        chosen |= points_of(schema, subset)
    in_any = np.zeros(schema.num_keypoints, np.bool_)
    for subset in schema.subsets:
        in_any |= points_of(schema, subset)
    return chosen | ~in_any


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
