"""Whether the values in a project file can be what this program wrote: types, ranges, lengths, references.

SQLite keeps a text in a column of numbers if it is told to. Values go from the file into numpy and Qt, where a wrong
one is an error in the middle of painting; so a file is checked when it is opened. Large files, which take long to read,
are checked row by row as they are shown (:func:`poseapp.project.tables.instance_rows.from_row`).
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import PoseError, ProjectError, SchemaError
from engine.schema.schema import schema_from_dict

MAX_TEXT = 1000  # characters of a name
MAX_PATH = 4096
MAX_ID = 1 << 31  # media and frame numbers: two of them make one key of 64 bits
MAX_ROW_ID = 1 << 62
MAX_SIDE = 1 << 26  # pixels
MAX_NUMBER = 1e300
MAX_TIME = 253_402_300_799  # the last second of the year 9999
MAX_SCHEMA_BYTES = 8 << 20
MAX_CATEGORIES = 10_000
_SHOWN = 3
_LARGE = frozenset({"instance", "step_instance", "coco_block", "source_block"})


def _text(column: str, most: int = MAX_TEXT) -> str:
    return f"typeof({column}) = 'text' AND length({column}) <= {most} AND instr({column}, char(0)) = 0"


def _integer(column: str, low: int = 0, high: int = MAX_ROW_ID) -> str:
    return f"typeof({column}) = 'integer' AND {column} >= {low} AND {column} < {high}"


def _number(column: str) -> str:
    return f"typeof({column}) IN ('real', 'integer') AND abs({column}) <= {MAX_NUMBER}"


def _blob(column: str) -> str:
    return f"typeof({column}) = 'blob'"


def _optional(column: str, rule: str) -> str:
    return f"{column} IS NULL OR ({rule})"


# For each table: what names a row, and what must be true of it. A table that an older file lacks is left out.
_RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    # A color that is none is left out where colors are read.
    "meta": ("key", (_text("key"), f"key LIKE 'part_color/%' OR ({_integer('value', -(1 << 62))})")),
    "media": ("id", (_integer("id", 1, MAX_ID), "kind IN ('images', 'video')", _text("path", MAX_PATH))),
    "category": (
        "id",
        (_integer("id", 1, MAX_ID), _text("name"),
         f"typeof(schema) IN ('blob', 'text') AND length(schema) <= {MAX_SCHEMA_BYTES}"),
    ),
    "frame": (
        "media || ':' || idx",
        (_integer("media", 1, MAX_ID), _integer("idx", 0, MAX_ID), _text("name", MAX_PATH),
         _integer("width", 0, MAX_SIDE), _integer("height", 0, MAX_SIDE), _integer("state", 0, 1 << 16),
         _integer("labelled"), _integer("predicted"), _integer("occluded"), _integer("absent"), _integer("tracked"),
         _optional("low", _number("low")), _optional("changed", _number("changed")),
         "media IN (SELECT id FROM media)"),
    ),
    "frame_category": (
        "category || ':' || media || ':' || idx",
        (_integer("category", 0, MAX_ID), _integer("media", 0, MAX_ID), _integer("idx", 0, MAX_ID), _integer("count")),
    ),
    "instance": (
        "id",
        (_integer("id", 1), _integer("media", 1, MAX_ID), _integer("idx", 0, MAX_ID), _integer("state", 0, 2),
         _optional("score", _number("score")), _optional("min_score", _number("min_score")),
         _optional("track", _integer("track", 0, MAX_ID)), _text("source"), _integer("num_visible"),
         _blob("keypoints"), _blob("visibility"), _blob("by_human"),
         _optional("scores", _blob("scores")), _optional("box", _blob("box")),
         "category IN (SELECT id FROM category)",
         "EXISTS (SELECT 1 FROM frame f WHERE f.media = instance.media AND f.idx = instance.idx)"),
    ),
    "step": (
        "id",
        (_integer("id", 1), _text("text", 10 * MAX_TEXT), _text("merge_key", 10 * MAX_TEXT),
         f"typeof(time) IN ('real', 'integer') AND time >= 0 AND time <= {MAX_TIME}"),
    ),
    "step_instance": (
        "step || ':' || instance",
        (_integer("step", 1), _integer("instance", 1), _integer("media", 1, MAX_ID), _integer("idx", 0, MAX_ID),
         _optional("before", _blob("before")), _optional("after", _blob("after"))),
    ),
    "step_frame": (
        "step || ':' || media || ':' || idx",
        (_integer("step", 1), _integer("media", 1, MAX_ID), _integer("idx", 0, MAX_ID),
         _integer("before", 0, 1 << 16), _integer("after", 0, 1 << 16)),
    ),
    "step_media": (
        "step || ':' || media",
        (_integer("step", 1), _integer("media", 1, MAX_ID), _integer("moved", 0, 2), _blob("before"), _blob("after")),
    ),
    "step_category": (
        "step || ':' || category",
        (_integer("step", 1), _integer("category", 1), _blob("before"), _blob("after")),
    ),
    "coco_file": (
        "id", (_text("path", MAX_PATH), _blob("keys"), _blob("header"), _blob("tracks")),
    ),
    "coco_block": (
        "id", (_integer("file", 1), _text("section"), _blob("owners"), _blob("records")),
    ),
    # Fingerprints and small pictures of frames are checked where they are read: one that is wrong is left out.
}  # fmt: skip


_TEXTS = (
    ("meta", "key"), ("media", "path"), ("category", "name"), ("frame", "name"), ("instance", "source"),
    ("step", "text"), ("step", "merge_key"), ("coco_file", "path"), ("coco_block", "section"), ("fingerprint", "text"),
    ("track_name", "name"), ("source", "path"), ("source", "kind"),
)  # fmt: skip


def check_rows(path: Path, connection: sqlite3.Connection, *, whole: bool = True) -> None:
    """Check the rows of a project of the current version.

    Args:
        whole: all of them. Else the large tables are left out: instances, the history of each, imported records.

    Raises:
        ProjectError: naming the first rows that this program cannot have written.
        sqlite3.DatabaseError: the file is damaged.
    """
    problems: list[str] = []
    for problem in _problems(connection, whole):
        problems.append(problem)
        if len(problems) == _SHOWN:
            break
    if problems:
        raise ProjectError(
            f"is damaged, or was changed by another program: {'; '.join(problems)}. Restore it from a backup or a "
            "snapshot, or import its last COCO export into a new project",
            where=path,
        )


def _problems(connection: sqlite3.Connection, whole: bool) -> Iterator[str]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    has_problem = False
    for table, (key, rules) in _RULES.items():
        if table not in tables or (table in _LARGE and not whole):
            continue
        good = " AND ".join(f"({rule})" for rule in rules)
        # A rule that is NULL is not met either.
        sql = f"SELECT CAST({key} AS BLOB) FROM {table} WHERE coalesce({good}, 0) = 0 LIMIT {_SHOWN}"
        for (name,) in connection.execute(sql):
            has_problem = True
            shown = repr(bytes(name or b"")[:60].decode("utf-8", "replace"))
            yield f"{table.replace('_', ' ')} {shown} has a value that cannot be right"
    for table, column in _TEXTS:
        if table in tables and not has_problem and (whole or table not in _LARGE):
            for (value,) in connection.execute(f"SELECT DISTINCT CAST({column} AS BLOB) FROM {table}"):
                if not _is_utf8(value):
                    has_problem = True
                    yield f"{table.replace('_', ' ')}: {column} {bytes(value[:40])!a} is not UTF-8 text"
                    break
    if not has_problem:  # else the rest would say the same in other words
        yield from _history_problems(connection)
        yield from _instance_problems(connection, whole)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _history_problems(connection: sqlite3.Connection) -> Iterator[str]:
    for key in ("position", "next_instance", "next_track", "next_category"):
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is not None and not 0 <= row[0] < MAX_ROW_ID:
            yield f"its number {key!r} is {row[0]}"


def _instance_problems(connection: sqlite3.Connection, whole: bool) -> Iterator[str]:
    counts: dict[int, int] = {}
    for index, name, schema in connection.execute(f"SELECT id, name, schema FROM category LIMIT {MAX_CATEGORIES + 1}"):
        try:
            counts[index] = schema_from_dict(msgspec.json.decode(schema)).num_keypoints
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield f"the points of category {str(name)[:60]!r} cannot be read"
        except SchemaError as error:
            yield f"category {str(name)[:60]!r}: {error.message}"
        except PoseError as error:
            yield str(error)
    if len(counts) > MAX_CATEGORIES:
        yield f"it has more than {MAX_CATEGORIES} categories"
    if not whole:
        return
    lots: dict[int, list[tuple[int, bytes, bytes, bytes, bytes | None, bytes | None]]] = defaultdict(list)
    sql = "SELECT category, id, keypoints, visibility, by_human, scores, box FROM instance"
    for category, *row in connection.execute(sql):
        lots[category].append(tuple(row))
        if len(lots[category]) == 4096:
            yield from _bad_instances(lots.pop(category), counts.get(category))
    for category, rest in lots.items():
        yield from _bad_instances(rest, counts.get(category))


def _bad_instances(
    lot: list[tuple[int, bytes, bytes, bytes, bytes | None, bytes | None]], count: int | None
) -> Iterator[str]:
    """Of instances of one category with so many points: lengths, then numbers, all at once."""
    if count is None:  # its category cannot be read, which was said
        return
    for index, points, seen, human, scores, box in lot:
        if (len(points), len(seen), len(human)) != (16 * count, count, count) or (
            scores is not None and len(scores) != 8 * count
        ) or (box is not None and len(box) != 32):  # fmt: skip
            yield f"instance {index} does not have the {count} points of its category"
            return
    flags = np.frombuffer(b"".join(row[2] + row[3] for row in lot), np.uint8).reshape(len(lot), 2 * count)
    wrong: npt.NDArray[np.bool_] = np.asarray((flags[:, :count] > 2).any(1) | (flags[:, count:] > 1).any(1))
    for position in (1, 4, 5):
        rows = [n for n, row in enumerate(lot) if row[position] is not None]
        if not rows:
            continue
        blobs: list[bytes] = [lot[n][position] for n in rows]  # type: ignore[misc]
        values = np.frombuffer(b"".join(blobs), "<f8").reshape(len(rows), -1)
        wrong[rows] |= ~(np.abs(values) <= MAX_NUMBER).all(1)
    for n in np.flatnonzero(wrong)[:_SHOWN]:
        yield f"instance {lot[n][0]} has a number that cannot be right"
