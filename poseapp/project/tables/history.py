"""The steps of a project, in the file itself: written with each edit, walked by undo and redo.

A step keeps, for every instance that it touched, the columns that changed: before and after. So undo is a few updates
of rows and needs no instance to be built, and accepting a hundred thousand predictions costs megabytes, not hundreds.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from engine.errors import ProjectError
from poseapp.project.model import Change, FrameKey, Step
from poseapp.project.storage.chunked_write import run_through
from poseapp.project.storage.database import Database
from poseapp.project.tables.categories import CategoryDelta, decode_columns, encode_columns, write_categories
from poseapp.project.tables.instance_rows import COLUMNS, INSERT, Values, are_values
from poseapp.project.tables.media_state import MediaDelta, counted_once, decode, encode, grow, settle

_PIECE = 512
"""Instances that are written without a pause: a few milliseconds."""

_encode = msgspec.msgpack.Encoder().encode
_decoded = msgspec.msgpack.Decoder(Values).decode


def _decode(data: bytes) -> Values:
    """Raises ProjectError for what :data:`_encode` has not made."""
    try:
        values = _decoded(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        values = None
    if values is None or not are_values(values):
        raise ProjectError("a step of its history is damaged; it cannot be undone or done again")
    return values


class InstanceDelta(NamedTuple):
    """One instance in a step; ``before`` or ``after`` is None where it is not there."""

    instance: int
    frame: FrameKey
    before: Values | None
    after: Values | None


class FrameDelta(NamedTuple):
    """The state of one frame in a step, as bits."""

    frame: FrameKey
    before: int
    after: int


class History:
    """Steps 1..N of a project, of which the first ``position`` are done."""

    def __init__(self, database: Database, on_categories_written: Callable[[], None]) -> None:
        self._db = database
        self._on_categories_written = on_categories_written
        # Undo, redo and a new start end a run of edits that belong together.
        self._may_merge = False

    @property
    def position(self) -> int:
        return self._db.meta("position")

    def steps(self, first: int = 1, count: int = -1) -> list[Step]:
        """Step ``first`` and so many that follow; all of them where ``count`` is negative."""
        position = self.position
        rows = self._db.rows("SELECT id, text, time FROM step WHERE id >= ? ORDER BY id LIMIT ?", (first, count))
        return [Step(i, text, when, i <= position) for i, text, when in rows]

    def undo_text(self) -> str | None:
        """Text of the last step that is done."""
        return self._ends()[0]

    def redo_text(self) -> str | None:
        """Text of the first step that is not done."""
        return self._ends()[1]

    def last(self) -> int:
        """Number of steps, those included that redo would do again."""
        return self._ends()[2]

    def _ends(self) -> tuple[str | None, str | None, int]:
        def read() -> tuple[str | None, str | None, int]:
            position = self.position
            rows = self._db.rows(
                "SELECT id, text FROM step WHERE id IN (?1, ?1 + 1, (SELECT max(id) FROM step))", (position,)
            )
            texts = {int(step): str(text) for step, text in rows}
            return texts.get(position), texts.get(position + 1), max(texts, default=0)

        return self._db.cached("ends of the history", read)

    def record(
        self,
        text: str,
        merge_key: str,
        touched: Sequence[InstanceDelta],
        frames: Sequence[FrameDelta],
        media: Sequence[MediaDelta] = (),
        categories: Sequence[CategoryDelta] = (),
    ) -> Iterator[int]:
        """Write a step behind the present one and forget what could be redone. Within a transaction, in pieces."""
        position = self.position
        for table, column in (
            ("step", "id"),
            ("step_instance", "step"),
            ("step_frame", "step"),
            ("step_media", "step"),
            ("step_category", "step"),
        ):
            self._db.run(f"DELETE FROM {table} WHERE {column} > ?", (position,))
        if self._mergeable(position, merge_key, touched):
            self._merge(position, text, touched, frames)
            self._insert_categories(position, categories)
        else:
            position += 1
            self._db.run("INSERT INTO step VALUES (?, ?, ?, ?)", (position, text, time.time(), merge_key))
            for first in range(0, len(touched), _PIECE):
                self._insert(position, touched[first : first + _PIECE], ())
                yield first
            self._insert(position, (), frames)
            self._db.many(
                "INSERT INTO step_media VALUES (?, ?, ?, ?, ?)",
                ((position, m.media, m.moved, encode(m.before), encode(m.after)) for m in media),
            )
            self._insert_categories(position, categories)
            self._db.set_meta("position", position)
        self._may_merge = True

    def walk(self, target: int) -> Generator[int, None, Change]:
        """Undo or redo until ``target`` steps are done. Within a transaction, in pieces; between these no frame is
        missing that whoever has begun it knows of.

        Raises:
            ProjectError: there is no such step.
        """
        if not 0 <= target <= self.last():
            raise ProjectError(f"the history has no step {target}", where=self._db.path)
        position = self.position
        frames: set[FrameKey] = set()
        instances: set[int] = set()
        media: set[int] = set()
        structure = False
        at_once = abs(target - position) > 1 and self._takes_frames(*sorted((position, target)))
        while position != target:
            forward = target > position
            step = position + 1 if forward else position
            pieces = self._replay(step, forward)
            change = run_through(pieces) if at_once else (yield from pieces)
            frames |= change.frames
            instances |= change.instances
            media |= change.media
            structure |= change.structure
            position += 1 if forward else -1
        self._db.set_meta("position", position)
        self._may_merge = False
        return Change(frozenset(frames), frozenset(instances), structure, frozenset(media))

    def stop_merging(self) -> None:
        """The next edit is a step of its own."""
        self._may_merge = False

    def _replay(self, step: int, forward: bool) -> Generator[int, None, Change]:
        frames: set[FrameKey] = set()
        instances: set[int] = set()
        media = [
            (value, decode(after if forward else before))
            for value, before, after in self._db.rows(
                "SELECT media, before, after FROM step_media WHERE step = ?", (step,)
            )
        ]
        for value, state in media:
            grow(self._db, value, state)
        categories = [
            CategoryDelta(category, decode_columns(before), decode_columns(after))
            for category, before, after in self._db.rows(
                "SELECT category, before, after FROM step_category WHERE step = ?", (step,)
            )
        ]
        added = [c for c in categories if c.is_added]
        if forward and added:  # before their instances, which may be read between two pieces
            write_categories(self._db, added)
            self._on_categories_written()
        sql = "SELECT instance, media, idx, before, after FROM step_instance WHERE step = ?"
        with counted_once(self._db, [value for value, _ in media]):
            for block in self._db.stream(sql, (step,), _PIECE):
                if not all(isinstance(value, int) for row in block for value in row[:3]):
                    raise ProjectError("a step of its history is damaged; it cannot be undone or done again")
                deltas = [
                    InstanceDelta(i, FrameKey(m, n), b if b is None else _decode(b), a if a is None else _decode(a))
                    for i, m, n, b, a in block
                ]
                write_instances(
                    self._db, deltas if forward else [t._replace(before=t.after, after=t.before) for t in deltas]
                )
                frames.update(t.frame for t in deltas)
                instances.update(t.instance for t in deltas)
                yield len(instances)
        for folder, index, before, after in self._db.rows(
            "SELECT media, idx, before, after FROM step_frame WHERE step = ?", (step,)
        ):
            key = FrameKey(folder, index)
            write_states(self._db, [FrameDelta(key, before, after) if forward else FrameDelta(key, after, before)])
            frames.add(key)
        for value, state in media:
            settle(self._db, value, state)
        if categories:
            changed = [c for c in categories if not c.is_added]
            write_categories(self._db, changed if forward else [c.reversed() for c in categories])
            self._on_categories_written()
        structure = bool(media or categories)
        return Change(frozenset(frames), frozenset(instances), structure, frozenset(value for value, _ in media))

    def _takes_frames(self, first: int, last: int) -> bool:
        """Whether a step after ``first``, up to ``last``, is another file for a video, so that frames come and go."""
        row = self._db.row("SELECT 1 FROM step_media WHERE step > ? AND step <= ? LIMIT 1", (first, last))
        return row is not None

    def _insert(self, step: int, touched: Iterable[InstanceDelta], frames: Iterable[FrameDelta]) -> None:
        self._db.many(
            "INSERT INTO step_instance VALUES (?, ?, ?, ?, ?, ?)",
            (
                (step, t.instance, *t.frame, None if t.before is None else _encode(t.before),
                 None if t.after is None else _encode(t.after))
                for t in touched
            ),
        )  # fmt: skip
        self._db.many(
            "INSERT INTO step_frame VALUES (?, ?, ?, ?, ?)", ((step, *f.frame, f.before, f.after) for f in frames)
        )

    def _insert_categories(self, step: int, categories: Iterable[CategoryDelta]) -> None:
        self._db.many(
            "INSERT INTO step_category VALUES (?, ?, ?, ?)",
            ((step, c.category, encode_columns(c.before), encode_columns(c.after)) for c in categories),
        )

    def _mergeable(self, position: int, merge_key: str, touched: Sequence[InstanceDelta]) -> bool:
        if not (merge_key and self._may_merge and position):
            return False
        row = self._db.row("SELECT merge_key FROM step WHERE id = ?", (position,))
        if row is None or row[0] != merge_key:
            return False
        # An instance that goes in one frame and comes in another cannot be one row of the step.
        known = self._rows_of(position, [t.instance for t in touched])
        return all(t.instance not in known or known[t.instance].frame == t.frame for t in touched)

    def _merge(self, step: int, text: str, touched: Sequence[InstanceDelta], frames: Sequence[FrameDelta]) -> None:
        known = self._rows_of(step, [t.instance for t in touched])
        joined = [join(known[t.instance], t) if t.instance in known else t for t in touched]
        self._db.many("DELETE FROM step_instance WHERE step = ? AND instance = ?", ((step, i) for i in known))
        states: list[FrameDelta] = []
        for f in frames:
            row = self._db.row(
                "SELECT before FROM step_frame WHERE step = ? AND media = ? AND idx = ?", (step, *f.frame)
            )
            self._db.run("DELETE FROM step_frame WHERE step = ? AND media = ? AND idx = ?", (step, *f.frame))
            states.append(f if row is None else f._replace(before=int(row[0])))
        self._insert(step, (t for t in joined if t.before != t.after), [f for f in states if f.before != f.after])
        rest = self._db.row(
            "SELECT 1 FROM step_instance WHERE step = ?1 UNION ALL SELECT 1 FROM step_frame WHERE step = ?1 "
            "UNION ALL SELECT 1 FROM step_category WHERE step = ?1 LIMIT 1",
            (step,),
        )
        if rest is None:  # everything is back where it was: there is nothing to undo
            self._db.run("DELETE FROM step WHERE id = ?", (step,))
            self._db.set_meta("position", step - 1)
        else:
            self._db.run("UPDATE step SET text = ?, time = ? WHERE id = ?", (text, time.time(), step))

    def _rows_of(self, step: int, instances: Sequence[int]) -> dict[int, InstanceDelta]:
        deltas: dict[int, InstanceDelta] = {}
        for instance in instances:
            row = self._db.row(
                "SELECT media, idx, before, after FROM step_instance WHERE step = ? AND instance = ?", (step, instance)
            )
            if row is not None:
                media, index, b, a = row
                before, after = (None if b is None else _decode(b)), (None if a is None else _decode(a))
                deltas[instance] = InstanceDelta(instance, FrameKey(media, index), before, after)
        return deltas


def join(first: InstanceDelta, second: InstanceDelta) -> InstanceDelta:
    """Two touches of one instance, one after the other, as one."""
    before, after = first.before, second.after
    if before is not None:
        # A whole row when the instance has gone since, else just the columns that either touched.
        before = {**(second.before or {}), **before}
    if after is not None:
        after = {**(first.after or {}), **after}
    if before is not None and after is not None:
        columns = [i for i in after if before.get(i) != after[i]]
        before, after = {i: before[i] for i in columns}, {i: after[i] for i in columns}
    return InstanceDelta(first.instance, first.frame, before, after)


def write_instances(database: Database, touched: Iterable[InstanceDelta]) -> None:
    """Bring the rows of instances from ``before`` to ``after``."""
    updates: dict[tuple[int, ...], list[tuple[object, ...]]] = defaultdict(list)
    gone: list[tuple[int]] = []
    come: list[tuple[object, ...]] = []
    for t in touched:
        if t.after is None:
            gone.append((t.instance,))
        elif t.before is None:
            if len(t.after) != len(COLUMNS) - 1:
                raise ProjectError("a step of its history is damaged; it cannot be undone or done again")
            come.append((t.instance, *(t.after[i] for i in range(1, len(COLUMNS)))))
        else:
            positions = tuple(t.after)
            updates[positions].append((*(t.after[i] for i in positions), t.instance))
    if gone:
        database.many("DELETE FROM instance WHERE id = ?", gone)
    if come:
        try:
            database.many(INSERT, come)
        except sqlite3.IntegrityError:  # an edit is compared with what is stored; a damaged history may not fit it
            raise ProjectError("a step does not fit what the project holds; nothing was changed") from None
    for positions, rows in updates.items():
        if positions:
            columns = ", ".join(f"{COLUMNS[i]} = ?" for i in positions)
            database.many(f"UPDATE instance SET {columns} WHERE id = ?", rows)


def write_states(database: Database, frames: Iterable[FrameDelta]) -> None:
    """Set the states of frames to ``after``."""
    database.many("UPDATE frame SET state = ? WHERE media = ? AND idx = ?", ((f.after, *f.frame) for f in frames))
