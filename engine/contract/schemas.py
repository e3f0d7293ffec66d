"""The built-in keypoint schemas, by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engine.contract.errors import SchemaError
from engine.contract.schema import Schema, load_schema
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
    raise SchemaError(f"no keypoint schema is called {text!r}; give the path of a .toml file or one of: {known}")


@cache
def _builtin(name: str) -> Schema:
    return load_schema(schema_path(name))
