"""The categories of a project and their schemas."""

from __future__ import annotations

import msgspec

from engine.contract.errors import ProjectError
from engine.contract.schema import Schema, schema_from_dict
from poseapp.project.database import Database
from poseapp.project.model import Category


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
        old = self.get(category_id)
        new = Category(category_id, old.name if name is None else name, old.schema if schema is None else schema)
        count, wanted = old.schema.num_keypoints, new.schema.num_keypoints
        if count != wanted and self._is_used(category_id):
            raise ProjectError(
                f"{old.name!r} has instances with {count} points; make a new category for {wanted}", where=self._db.path
            )
        with self._db.write():
            self._db.run(
                "UPDATE category SET name = ?, schema = ? WHERE id = ?", (new.name, _blob(new.schema), category_id)
            )
        self.forget()
        return new

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


def _blob(schema: Schema) -> bytes:
    return msgspec.json.encode(schema.to_dict())
