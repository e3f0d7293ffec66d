"""The points of a kind from whatever file describes them: TOML, the categories of a COCO file, MMPose's metainfo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import CocoError, PoseError, SchemaError
from engine.formats.category_schema import KeypointCounts, schema_of
from engine.formats.coco.dataset import CocoCategory, Id
from engine.formats.coco.document import Document, read_document, read_json_bytes
from engine.formats.coco.parsing import parse_categories
from engine.schema.schema import Limb, Schema, load_schema
from poseapp.project.formats.coco.categories import sample_points
from poseapp.project.schema.mmpose_metainfo import read_metainfo

SUFFIXES = (".toml", ".json", ".py")


def read_schemas(path: Path) -> list[Schema]:
    """The kinds that a file describes, at least one.

    A COCO file gives one for each category that has points: names and limbs of the file, left and right proposed from
    the names, colors and sigmas of the built-in schema with these names where there is one.

    Raises:
        SchemaError: the file cannot be read or understood, or describes no points.
    """
    suffix = path.suffix.lower()
    if suffix == ".py":
        return [read_metainfo(path)]
    if suffix != ".json":
        return [load_schema(path)]
    try:
        result = _of_coco(path)
    except SchemaError:
        raise
    except PoseError as error:
        raise SchemaError(error.message, where=error.where) from None
    if not result:
        raise SchemaError("has no category with keypoints", where=path)
    return result


def _of_coco(path: Path) -> list[Schema]:
    document = _document(path)
    categories = list(parse_categories(document.categories, path))
    sample: dict[Id, KeypointCounts] = {}
    if not all(category.keypoints for category in categories):  # told by what is labelled
        sample = sample_points(document.annotations, categories, path)
    results: list[Schema] = []
    for category in categories:
        points = sample.get(category.id, KeypointCounts())
        schema = schema_of(category.name, category.keypoints, category.skeleton, points)
        if schema is not None:
            results.append(_with_limbs(schema, category))
    return results


def _document(path: Path) -> Document:
    """A COCO file; one that holds nothing but categories is taken too."""
    try:
        return read_document(path)
    except CocoError as error:
        categories = _lone_categories(path)
        if categories is None:
            raise error from None
        return Document(keys=["categories"], categories=categories)


def _lone_categories(path: Path) -> list[msgspec.Raw] | None:
    data = read_json_bytes(path)
    for kind in (dict[str, msgspec.Raw], list[msgspec.Raw]):
        try:
            top: Any = msgspec.json.decode(data, type=kind)
            if isinstance(top, dict):
                top = msgspec.json.decode(top["categories"], type=list[msgspec.Raw])
            named: Sequence[dict[str, msgspec.Raw]] = [msgspec.json.decode(r, type=dict[str, msgspec.Raw]) for r in top]
        except (msgspec.DecodeError, KeyError, UnicodeDecodeError):
            continue
        return list(top) if named and all("keypoints" in record for record in named) else None
    return None


def _with_limbs(schema: Schema, category: CocoCategory) -> Schema:
    """The limbs that the file gives, colored as those of the schema where these are the same."""
    if len(category.keypoints) != schema.num_keypoints or not category.skeleton:
        return schema
    colors = {frozenset((limb.start, limb.end)): limb for limb in schema.limbs}
    limbs: dict[frozenset[str], Limb] = {}
    for a, b in category.skeleton:
        ends = frozenset((schema.names[a], schema.names[b]))
        if len(ends) == 2:
            limbs.setdefault(ends, colors.get(ends, Limb(schema.names[a], schema.names[b])))
    return msgspec.structs.replace(schema, limbs=tuple(limbs.values()))
