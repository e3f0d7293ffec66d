"""The built-in keypoint schemas, by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from engine.errors import SchemaError
from engine.schema.schema import Limb, Schema, Subset, load_schema
from resources import schema_files, schema_path


@cache
def builtin_schemas() -> tuple[str, ...]:
    """Names of the schemas that come with the program, sorted."""
    return tuple(path.stem for path in schema_files())


def find_schema(name_or_path: str | Path) -> Schema:
    """A schema by its name or by the path of a TOML file.

    A built-in name wins over a file of that name in the working folder. Built-in schemas are read once; a user's file
    is read anew every time, for it may have been edited.

    Raises:
        SchemaError: no such name and no such file (the message lists the names), or the file is faulty.
    """
    text = str(name_or_path)
    if text in builtin_schemas():
        return _builtin(text)
    path = Path(name_or_path)
    if path.suffix.lower() == ".toml" or path.is_file():
        return load_schema(path)
    known = ", ".join(builtin_schemas())
    raise SchemaError(f"there is no keypoint schema {text!r}; give the path of a .toml file or one of: {known}")


def schema_of_subset(schema: Schema, subset: Subset) -> Schema:
    """The schema of one category's own range of points."""
    points = schema.keypoints[subset.start : subset.stop]
    names = {point.name for point in points}
    limbs = tuple(Limb(a.start, a.end, a.color) for a in schema.limbs if a.start in names and a.end in names)
    return msgspec.structs.replace(
        schema,
        name=f"{schema.name}_{subset.name}",
        title=f"{schema.title}: {subset.name}",
        category=subset.name,
        keypoints=tuple(points),
        limbs=limbs,
        subsets=(),
        upstream_flip=tuple(row for row in schema.upstream_flip if row.name in names),
    )


@cache
def _builtin(name: str) -> Schema:
    return load_schema(schema_path(name))
