"""Whether images may be mirrored: in training, and for flip test-time augmentation of a model. Loads no torch."""

from __future__ import annotations

from engine.errors import PoseError, SchemaError
from engine.models.catalog import ModelEntry
from engine.models.metadata import CheckpointInfo, read_info
from engine.schema.builtin import find_schema
from engine.schema.matching import schema_with_names
from engine.schema.schema import Schema, schema_from_dict
from engine.schema.sides import why_not_mirrored

MIRRORED = "mirrored_copies"
"""Entry of a checkpoint's provenance: whether the network has seen mirrored crops in training."""


def mirror_problem(schema: Schema) -> str:
    """Why crops with these keypoints must not be mirrored, "" if they may.

    A schema with the names and partners of a built-in one is treated as the built-in one, which knows more: the
    keypoints of a hand have no partners, and a mirrored hand is a hand.
    """
    problem = why_not_mirrored(schema.keypoints)
    if not problem:
        return ""
    known = schema_with_names(schema.names)
    if known is None or [p.swap for p in known.keypoints] != [p.swap for p in schema.keypoints]:
        return problem
    return why_not_mirrored(known.keypoints)


def mirroring_off(problem: str) -> str:
    """The message for somebody who trains a model."""
    return (
        f"Mirroring is off: {problem}. Pair the keypoints in Pose > Edit skeleton (swap = ... in a schema file), "
        "or set side = middle for those on the center line."
    )


def flip_test_problem(info: CheckpointInfo) -> str:
    """Why the flip test (averaging with the mirrored crop) would make this model worse, "" if it may help."""
    if info.task != "pose" or info.schema is None:
        return "it finds boxes, not keypoints"
    if info.provenance.get(MIRRORED) is False:
        return "it was trained without mirrored images"
    try:
        return mirror_problem(schema_from_dict(info.schema))
    except SchemaError as error:
        return str(error)


def flip_test_problem_of(entry: ModelEntry) -> str:
    """As :func:`flip_test_problem`, for an entry of the catalog; reads only the header of its file."""
    try:
        if entry.source != "published" and entry.file is not None:
            return flip_test_problem(read_info(entry.file))
        return mirror_problem(find_schema(entry.schema))
    except PoseError as error:
        return str(error)
