"""The category and schema of a SLEAP skeleton."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from engine.formats.category_schema import schema_of_names
from engine.formats.sleap.skeletons import Skeleton
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import Schema

ANIMAL = "animal"
"""Category of a skeleton that has only a default name and no known keypoints."""

_DEFAULT_NAME = re.compile(r"skeleton[-_ ]?\d*", re.IGNORECASE)


def category_of(skeleton: Skeleton, *, keeps_name: bool = False) -> tuple[str, Schema, npt.NDArray[np.int64]]:
    """Name and schema of the category of a skeleton, and which node each of its keypoints is.

    Args:
        keeps_name: its name is that of a category, also where SLEAP calls skeletons so by default.

    A skeleton whose nodes have the names of a built-in schema gets that schema, in its order, so that its models fit.
    """
    schema, order = _schema_of(skeleton)
    name = skeleton.name
    if not keeps_name and _DEFAULT_NAME.fullmatch(name):
        name = schema.category if schema.name in builtin_schemas() else ANIMAL
    return name, msgspec.structs.replace(schema, category=name), order


def _schema_of(skeleton: Skeleton) -> tuple[Schema, npt.NDArray[np.int64]]:
    limbs = [pair for pair in skeleton.edges if pair[0] != pair[1]]
    schema = schema_of_names(skeleton.nodes, skeleton.name, limbs)
    builtin = find_schema(schema.name) if schema.name in builtin_schemas() else None
    if builtin is not None and builtin.num_keypoints == len(skeleton.nodes):
        position = {_normalized(name): n for n, name in enumerate(skeleton.nodes)}
        if all(_normalized(name) in position for name in builtin.names):
            return builtin, np.array([position[_normalized(name)] for name in builtin.names])
    return _with_symmetries(schema, skeleton.symmetries), np.arange(len(skeleton.nodes))


def _with_symmetries(schema: Schema, pairs: Sequence[tuple[int, int]]) -> Schema:
    """The swap partners that the file states take precedence over those guessed from names."""
    partner = {a: b for pair in pairs if pair[0] != pair[1] for a, b in (pair, pair[::-1])}
    if not partner or any(partner[b] != a for a, b in partner.items()):
        return schema
    names = schema.names
    keypoints = tuple(
        msgspec.structs.replace(point, swap=names[partner[n]] if n in partner else "")
        for n, point in enumerate(schema.keypoints)
    )
    return msgspec.structs.replace(schema, keypoints=keypoints)


def _normalized(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
