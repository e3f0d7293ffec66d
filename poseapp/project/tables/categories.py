"""The categories of a project and their schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from engine.errors import PoseError, ProjectError
from engine.schema.schema import Schema, schema_from_dict
from poseapp.project.model import Category
from poseapp.project.storage.database import Database

CategoryColumns = dict[str, str | bytes]
"""Columns of a category that a step changes: ``name`` (text), ``schema`` (JSON)."""
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode
_NEXT = "next_category"


class CategoryDelta(NamedTuple):
    """One category in a step; equal columns are left out of both. ``before`` is empty for one that the step adds."""

    category: int
    before: CategoryColumns
    after: CategoryColumns

    @property
    def is_added(self) -> bool:
        return not self.before and bool(self.after)

    def reversed(self) -> CategoryDelta:
        """For undo."""
        return CategoryDelta(self.category, self.after, self.before)


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


def write_categories(database: Database, categories: Iterable[CategoryDelta]) -> None:
    """Bring categories from ``before`` to ``after``. Within a transaction.

    A category that is removed (the undo of its addition) stays if something else refers to it meanwhile.

    Raises:
        ProjectError: the points would no longer be as many as those of the instances.
    """
    for category, before, after in categories:
        if before and not after:
            if not _is_referenced(database, category):
                database.run("DELETE FROM category WHERE id = ?", (category,))
            continue
        if "schema" in after:
            _check_count(database, category, after["schema"])
        if after and not before:
            database.run("INSERT OR IGNORE INTO category (id, name, schema) VALUES (?, '', x'')", (category,))
        for column, value in after.items():
            database.run(f"UPDATE category SET {column} = ? WHERE id = ?", (value, category))


def _is_referenced(database: Database, category: int) -> bool:
    """Whether instances are of a category, or records of an imported file."""
    if database.row("SELECT 1 FROM frame_category WHERE category = ? LIMIT 1", (category,)) is not None:
        return True
    sql = "SELECT owners FROM coco_block WHERE section IN ('categories', 'layouts')"
    return any(category in np.frombuffer(owners, "<i8") for (owners,) in database.rows(sql))


def _check_count(database: Database, category: int, schema: str | bytes) -> None:
    # Through a frame: instances are not indexed by category, and there may be a million.
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
            rows = self._db.rows("SELECT id, name, schema FROM category ORDER BY id")
            self._categories = {i: Category(i, name, self._schema(name, blob)) for i, name, blob in rows}
        return self._categories

    def get(self, category_id: int) -> Category:
        """Raises ProjectError when there is no such category."""
        category = self.all().get(category_id)
        if category is None:
            raise ProjectError(f"there is no category {category_id}", where=self._db.path)
        return category

    def add(self, name: str, schema: Schema) -> Category:
        with self._db.write():
            category = self.next_id()
            self._db.run("INSERT INTO category VALUES (?, ?, ?)", (category, name, _blob(schema)))
            self._db.set_meta(_NEXT, category + 1)
        self.forget()
        return self.get(category)

    def added(self, category: Category) -> CategoryDelta:
        """The addition of a category, as part of a step."""
        return CategoryDelta(category.id, {}, _columns(category))

    def next_id(self) -> int:
        """An id that no category has, nor had: the history and snapshots may bring it back."""
        row = self._db.row("SELECT max(id) FROM category")
        return max(self._db.meta(_NEXT, 1), 1 + int(row[0] or 0) if row else 1)

    def update(self, category_id: int, name: str | None, schema: Schema | None) -> Category:
        """Raises ProjectError where the number of points would change under instances."""
        touched, new = self.compare(category_id, name, schema)
        with self._db.write():
            write_categories(self._db, [touched])
        self.forget()
        return new

    def compare(self, category_id: int, name: str | None, schema: Schema | None) -> tuple[CategoryDelta, Category]:
        """What an update would change, and the category after it; nothing is written.

        Raises:
            ProjectError: there is no such category, or the number of points would change under instances.
        """
        old = self.get(category_id)
        new = Category(category_id, old.name if name is None else name, old.schema if schema is None else schema)
        count, new_count = old.schema.num_keypoints, new.schema.num_keypoints
        if count != new_count and self._is_used(category_id):
            raise ProjectError(
                f"{old.name!r} has instances with {count} points; make a new category for {new_count}",
                where=self._db.path,
            )
        before, after = _columns(old), _columns(new)
        changed = [column for column in after if before[column] != after[column]]
        touched = CategoryDelta(category_id, {c: before[c] for c in changed}, {c: after[c] for c in changed})
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
