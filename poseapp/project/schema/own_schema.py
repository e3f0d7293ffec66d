"""Whether a project file holds the tables, indexes and triggers that this program makes, and nothing else.

SQLite runs what a file brings: a view in place of a table, a trigger on it, a generated column or a CHECK can keep a
reader busy for ever or change what is written. So the text of every object is compared before any table is read.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from engine.errors import ProjectError
from poseapp.project.storage.sql_schema import TABLES, TO_VERSION_2, TO_VERSION_3, TO_VERSION_4

# What SQLite itself adds to a file: statistics of ANALYZE.
_OF_SQLITE = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat4"})
_SPACE = re.compile(r"\s+")
_SELECT = "SELECT type, name, tbl_name, sql FROM sqlite_master"

Object = tuple[str, str, str, str]


def check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Compare what a file is made of with every version of a project; nothing in it is run.

    Raises:
        ProjectError: it holds a view, a virtual table, or another object that no version of this program makes.
        sqlite3.DatabaseError: it is damaged.
    """
    known = _known_objects()
    for kind, name, table, sql in connection.execute(_SELECT):
        if kind == "table" and name in _OF_SQLITE:
            continue
        if kind == "index" and sql is None:  # of a primary key
            continue
        if _normal(kind, name, table, sql) not in known:
            raise ProjectError(
                f"holds a {str(kind)[:20]} {str(name)[:60]!r} that no version of this program makes, so it is not "
                "opened: such a part can run by itself. Export COCO from the program that changed the file",
                where=path,
            )


@cache
def _known_objects() -> frozenset[Object]:
    """Every object of every version, in the words of this SQLite."""
    known: set[Object] = set()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        for statements in ((), TO_VERSION_2, TO_VERSION_3, TO_VERSION_4):
            for statement in statements:
                connection.execute(statement)
            known.update(_normal(*row) for row in connection.execute(_SELECT) if row[3] is not None)
    return frozenset(known)


def _normal(kind: object, name: object, table: object, sql: object) -> Object:
    """Without white space, which an older program may have set otherwise."""
    return str(kind), str(name), str(table), _SPACE.sub("", str(sql))
