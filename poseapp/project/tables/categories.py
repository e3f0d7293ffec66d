"""The categories of a project and their schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from engine.errors import PoseError, ProjectError
from engine.schema.schema import Schema, schema_from_dict
from poseapp.project.model import Category
from poseapp.project.storage.database import Database

CategoryColumns = dict[str, str | bytes]
"""Columns of a category that a step changes: ``name`` (text), ``schema`` (JSON)."""
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class TouchedCategory(NamedTuple):
    """One category in a step; equal columns are left out of both."""

    category: int
    before: CategoryColumns
    after: CategoryColumns


def encode_columns(columns: CategoryColumns) -> bytes:
    return msgspec.msgpack.encode(columns)


def decode_columns(data: bytes) -> CategoryColumns:
    """Raises ProjectError for what :func:`encode_columns` has not made."""
    try:
        columns = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        columns = None
    types = {"name": str, "schema": bytes}
    if columns is None or not all(isinstance(value, types.get(key, ())) for key, value in columns.items()):
        raise ProjectError("a step of its history is damaged; it cannot be undone or done again")
    return columns


def write_categories(database: Database, categories: Iterable[tuple[int, CategoryColumns]]) -> None:
    """Give categories the columns of one side of a step. Within a transaction.

    Raises:
        ProjectError: the points would no longer be as many as those of the instances.
    """
    for category, columns in categories:
        if "schema" in columns:
            _check_count(database, category, columns["schema"])
        for column, value in columns.items():
            database.run(f"UPDATE category SET {column} = ? WHERE id = ?", (value, category))


def _check_count(database: Database, category: int, schema: str | bytes) -> None:
    # By way of a frame: instances are not indexed by category, and there may be a million.
    frame = database.row("SELECT media, idx FROM frame_category WHERE category = ? LIMIT 1", (category,))
    if frame is None:
        return
    sql = "SELECT length(visibility) FROM instance WHERE media = ? AND idx = ? AND category = ? LIMIT 1"
    row = database.row(sql, (*frame, category))
    try:
        count = schema_from_dict(msgspec.json.decode(schema)).num_keypoints
    except (PoseError, msgspec.MsgspecError):
        count = -1
    if row is not None and row[0] != count:
        raise ProjectError("a step does not fit what the project holds; nothing was changed", where=database.path)


class CategoryTable:
    """The category table of one project."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._categories: dict[int, Category] | None = None

    def forget(self) -> None:
        """Read anew next time."""
        self._categories = None

    def all(self) -> dict[int, Category]:
        if self._categories is None:
            found = self._db.rows("SELECT id, name, schema FROM category ORDER BY id")
            self._categories = {i: Category(i, name, self._schema(name, blob)) for i, name, blob in found}
        return self._categories

    def get(self, category_id: int) -> Category:
        """Raises ProjectError when there is no such category."""
        found = self.all().get(category_id)
        if found is None:
            raise ProjectError(f"there is no category {category_id}", where=self._db.path)
        return found

    def add(self, name: str, schema: Schema) -> Category:
        with self._db.write():
            number = self._db.run("INSERT INTO category (name, schema) VALUES (?, ?)", (name, _blob(schema)))
        self.forget()
        return self.get(number)

    def update(self, category_id: int, name: str | None, schema: Schema | None) -> Category:
        """Raises ProjectError where the number of points would change under instances."""
        touched, new = self.compare(category_id, name, schema)
        with self._db.write():
            write_categories(self._db, [(touched.category, touched.after)])
        self.forget()
        return new

    def compare(self, category_id: int, name: str | None, schema: Schema | None) -> tuple[TouchedCategory, Category]:
        """What an update would change, and the category after it; nothing is written.

        Raises:
            ProjectError: there is no such category, or the number of points would change under instances.
        """
        old = self.get(category_id)
        new = Category(category_id, old.name if name is None else name, old.schema if schema is None else schema)
        count, wanted = old.schema.num_keypoints, new.schema.num_keypoints
        if count != wanted and self._is_used(category_id):
            raise ProjectError(
                f"{old.name!r} has instances with {count} points; make a new category for {wanted}", where=self._db.path
            )
        before, after = _columns(old), _columns(new)
        changed = [column for column in after if before[column] != after[column]]
        touched = TouchedCategory(category_id, {c: before[c] for c in changed}, {c: after[c] for c in changed})
        return touched, new

    def _is_used(self, category_id: int) -> bool:
        """Whether there are instances, or a history that may bring some back."""
        used = self._db.row("SELECT 1 FROM instance WHERE category = ? LIMIT 1", (category_id,))
        return used is not None or self._db.row("SELECT 1 FROM step LIMIT 1") is not None

    def _schema(self, name: str, blob: bytes) -> Schema:
        where = f"{self._db.path}: category {str(name)[:60]!r}"
        try:
            plain = msgspec.json.decode(blob)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
            raise ProjectError("its points cannot be read; restore the project from a backup", where=where) from None
        return schema_from_dict(plain, where=where)


def _columns(category: Category) -> CategoryColumns:
    return {"name": category.name, "schema": _blob(category.schema)}


def _blob(schema: Schema) -> bytes:
    return msgspec.json.encode(schema.to_dict())
