"""The instances of a project: read one by one, by frame, by what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.errors import ProjectError
from poseapp.project.model import Category, FrameKey, Instance, State
from poseapp.project.storage.database import Database
from poseapp.project.tables import instance_rows


def rows_of_frame(database: Database, key: FrameKey) -> list[instance_rows.Row]:
    """The rows of the instances of a frame, by id."""
    sql = f"{instance_rows.SELECT} WHERE media = ? AND idx = ? ORDER BY id"
    return database.cached(("instances", *key), lambda: database.rows(sql, key))


class InstanceTable:
    """The instance table of one project."""

    def __init__(self, database: Database, categories: Callable[[], Mapping[int, Category]]) -> None:
        self._db = database
        self._categories = categories

    def _instance(self, row: instance_rows.Row) -> Instance:
        """Raises ProjectError for a row that does not fit its category."""
        instance = instance_rows.from_row(row)
        category = self._categories().get(instance.category)
        if category is None or category.schema.num_keypoints != instance.num_keypoints:
            reason = "its category is missing" if category is None else f"it has other points than {category.name!r}"
            raise ProjectError(f"is damaged: {reason}", where=f"{self._db.path}: instance {instance.id}")
        return instance

    def get(self, instance_id: int) -> tuple[FrameKey, Instance]:
        """Raises ProjectError when there is no such instance."""
        row = self._db.row(f"{instance_rows.SELECT} WHERE id = ?", (instance_id,))
        if row is None:
            raise ProjectError(f"there is no instance {instance_id}", where=self._db.path)
        return FrameKey(row[1], row[2]), self._instance(row)

    def last_id(self) -> int:
        """The highest id in use; 0 for none, and where the table cannot be read, which showing a frame reports."""
        try:
            row = self._db.row("SELECT max(id) FROM instance")
        except ProjectError:
            return 0
        return 0 if row is None or row[0] is None else int(row[0])

    def of_frame(self, key: FrameKey) -> tuple[Instance, ...]:
        return tuple(self._instance(row) for row in rows_of_frame(self._db, key))

    def find(self, conditions: Mapping[str, Any], by_score: bool) -> list[tuple[FrameKey, int]]:
        """Frame and id of the instances that meet all conditions (SQL with one ``?``, and its value)."""
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "score, id" if by_score else "media, idx, id"
        sql = f"SELECT media, idx, id FROM instance {where} ORDER BY {order}"
        return [(FrameKey(m, n), i) for m, n, i in self._db.rows(sql, list(conditions.values()))]

    def tracks(self) -> list[int]:
        """Numbers of the tracks, ascending."""
        # One look-up a track: a plain DISTINCT would go through every instance that has one.
        sql = """WITH RECURSIVE t (n) AS (
          SELECT min(track) FROM instance WHERE track IS NOT NULL
          UNION ALL SELECT (SELECT min(track) FROM instance WHERE track > t.n) FROM t WHERE t.n IS NOT NULL
        ) SELECT n FROM t WHERE n IS NOT NULL"""
        return [int(n) for (n,) in self._db.rows(sql)]

    def all(self, state: State | None) -> Iterator[tuple[FrameKey, Instance]]:
        """Every instance with its frame, frame by frame, read in blocks."""
        where, values = ("", ()) if state is None else ("WHERE state = ?", (int(state is State.LABELLED),))
        for block in self._db.stream(f"{instance_rows.SELECT} {where} ORDER BY media, idx, id", values):
            for row in block:
                yield FrameKey(row[1], row[2]), self._instance(row)
