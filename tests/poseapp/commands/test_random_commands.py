"""A thousand random verbs, killed at random and reopened: undo goes back to the start, redo to the end, to the byte."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.schema.schema import schema_from_names
from poseapp.project.store import ProjectStore
from poseapp.project.tables.media_state import frame_name

VERBS = int(os.environ.get("POSEAPP_VERBS", "1000"))
SEED = int(os.environ.get("POSEAPP_SEED", "0"))
"""Others for a longer look than the suite takes."""
KILLS = 4
ROOT = Path(__file__).resolve().parents[3]


def content(path: Path) -> list[tuple[object, ...]]:
    """Everything that a person has made, byte for byte; not when a frame was touched last."""
    with sqlite3.connect(path) as connection:
        columns = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in TABLES}
        results: list[tuple[object, ...]] = []
        for name in TABLES:
            remaining = ", ".join(column for column in columns[name] if column != "changed")
            results += [(name, *row) for row in connection.execute(f"SELECT {remaining} FROM {name} ORDER BY 1, 2")]
    connection.close()
    return results


TABLES = ("category", "media", "fingerprint", "frame", "frame_category", "instance")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_after_any_verbs_and_kills_undo_leads_back_to_the_start_and_redo_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "random.pose"
    with ProjectStore.create(path) as store:
        media = store.add_media("images", tmp_path)
        store.add_frames(media.id, [(f"{n}.png", 100, 100) for n in range(3)])
        video = store.add_media("video", tmp_path / "film.mp4")
        store.add_frames(video.id, [(frame_name(n), 100, 100) for n in range(4)])
        names = ["nose", "left_ear", "right_ear", "left_paw", "right_paw"]
        store.add_category("mouse", schema_from_names("mouse", names, [(0, 1), (0, 2), (1, 3), (2, 4)]))
        store.add_category("face", schema_from_names("face", ["nose", "left_eye", "right_eye"]))
    start = content(path)
    chance = random.Random(11 + SEED)
    done, rounds = 0, 0
    while done < VERBS:
        rounds += 1
        command = [
            sys.executable,
            "-m",
            "tests.poseapp.commands.command_runner",
            str(path),
            str(100 * SEED + rounds),
            str(VERBS - done),
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            killer = threading.Timer(chance.uniform(0.05, 0.4), worker.send_signal, [signal.SIGKILL])
            if rounds <= KILLS:
                killer.start()
            lines = worker.stdout.read().splitlines()
            killer.cancel()
        if killer.ident is not None:
            killer.join()
        done += len(lines)
        assert rounds <= KILLS or worker.returncode == 0
    with ProjectStore.open(path) as store:
        store.database.check()
        while store.redo() is not None:
            pass
        end = content(path)
        steps = len(store.history())
        assert steps > VERBS / 3
        back = 0
        while store.undo() is not None:
            back += 1
        assert back == steps
        assert content(path) == start
        while store.redo() is not None:
            pass
        assert content(path) == end
        store.database.check()
