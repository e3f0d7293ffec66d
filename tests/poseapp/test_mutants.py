"""Real projects with changed rows and bytes, opened in a real window: an error in words, or a window that works.

``POSEAPP_MUTANTS`` sets how many are tried.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from poseapp.project.storage.database import VERSION

COUNT = int(os.environ.get("POSEAPP_MUTANTS", "24"))
VALUES = (
    None, 0, -1, 1, 99, 200_000, 1 << 31, 1 << 62, -(1 << 63), 1e300, 9e999, -0.0, "", "text", "a\0b", "n" * 5000,
    "\u202e", b"", b"\0", b"\xff" * 100, b"\0" * 64, b"[" * 5000,
)  # fmt: skip


def _mutate(path: Path, choice: random.Random) -> None:
    """Change one to three values, or some bytes; without the triggers and the log of the database, as a person would
    who wants to do harm."""
    if choice.random() < 0.3:
        data = bytearray(path.read_bytes())
        for _ in range(choice.choice((1, 5, 50))):
            data[choice.randrange(100, len(data))] = choice.randrange(256)
        path.write_bytes(data)
        return
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(choice.randint(1, 3)):
            table = choice.choice([t for t in tables if connection.execute(f"SELECT 1 FROM {t} LIMIT 1").fetchone()])
            column = choice.choice(connection.execute(f"PRAGMA table_info({table})").fetchall())[1]
            try:
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (choice.choice(VALUES),))
            except sqlite3.Error:
                continue
        for _, sql in triggers:
            connection.execute(sql)
        connection.commit()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the offscreen platform of Qt is tried on Unix")
def test_no_changed_project_crashes_the_window_or_raises(project: Path, tmp_path: Path) -> None:
    assert VERSION >= 4
    files = []
    for seed in range(COUNT):
        copy = project.with_name(f"mutant_{seed:03}.pose")
        shutil.copy(project, copy)
        _mutate(copy, random.Random(seed))
        files.append(copy)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "POSEAPP_CACHE": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, str(Path(__file__).with_name("open_mutants.py")), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert done.returncode == 0, f"at {done.stdout.splitlines()[-1:]}: {done.stderr[-3000:]}"
    assert done.stdout.splitlines()[-1] == "end"
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
