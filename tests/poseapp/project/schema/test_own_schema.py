"""A project file that brings parts of its own is not opened: SQLite would run them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.errors import ProjectError
from poseapp.project.store import ProjectStore

ENDLESS = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        f"ALTER TABLE media RENAME TO real; CREATE VIEW media AS SELECT id, kind, {ENDLESS} AS path FROM real",
        f"CREATE TRIGGER mine AFTER UPDATE ON frame BEGIN UPDATE meta SET value = {ENDLESS}; END",
        "DROP TRIGGER frame_state; "
        f"CREATE TRIGGER frame_state AFTER UPDATE OF state ON frame BEGIN SELECT {ENDLESS}; END",
        "CREATE VIRTUAL TABLE words USING fts5(text)",
        "CREATE VIEW anything AS SELECT 1",
        "CREATE TABLE other (x, y AS (abs(x)) STORED)",
        "ALTER TABLE media ADD COLUMN more AS (upper(path))",
        "ALTER TABLE media ADD COLUMN more CHECK (length(randomblob(1000000000)) > 0)",
        "ALTER TABLE media ADD COLUMN more DEFAULT (randomblob(1000000000))",
        "CREATE INDEX slow ON frame (replace(hex(zeroblob(1000000)), '0', name))",
        "CREATE UNIQUE INDEX once ON instance (state)",
        "DROP INDEX instance_track; CREATE INDEX instance_track ON instance (track)  WHERE abs(track) > 0",
    ],
)
def test_parts_that_are_not_ours_are_refused_before_they_run(store: ProjectStore, script: str) -> None:
    path = store.path
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        try:
            connection.executescript(script)
        except sqlite3.OperationalError as error:
            pytest.skip(f"this SQLite cannot make it: {error}")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(ProjectError, match="no version of this program makes"):
            ProjectStore.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_statistics_of_sqlite_and_other_white_space_are_no_harm(store: ProjectStore) -> None:
    path = store.path
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("ANALYZE; DROP INDEX frame_name")
        connection.execute("CREATE INDEX frame_name\n  ON frame (name  COLLATE NOCASE,\n media, idx)")
    ProjectStore.open(path).close()
