"""Killed at any moment: every edit whose call had returned is there, and can be undone, down to the first."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from poseapp.project.store import ProjectStore

ROUNDS = 20
EDITS = 500

# 500 edits in all over the rounds of one project: each round goes on where the last was killed.
WRITER = """
import sys
import numpy as np
from poseapp.project import edits
from poseapp.project.store import ProjectStore

store = ProjectStore.open(sys.argv[1])
category = store.categories()[0]
frames = store.frame_keys()
done = len(store.history())
print("ready", flush=True)
for n in range(done, done + int(sys.argv[2])):
    frame = frames[n % len(frames)]
    here = store.instances(frame)
    if len(here) < 2:
        made = edits.make_instance(store.new_ids(1)[0], category, np.full((4, 2), float(n)))
        edit = edits.add_instance(frame, made, text=f"Edit {n}")
    else:
        moved = edits.move_keypoints(frame, here[n % 2], {n % 4: (n, n)})
        edit = edits.combined(f"Edit {n}", [moved])
    store.apply(edit)
    print(n, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_every_edit_that_returned_survives_a_kill(store: ProjectStore) -> None:
    store.close()
    root = Path(__file__).resolve().parents[4]
    chance = random.Random(4)
    messages = -1
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", WRITER, str(store.path), str(EDITS)]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            killer = threading.Timer(chance.uniform(0.0, 0.25), writer.send_signal, [signal.SIGKILL])
            killer.start()
            lines = writer.stdout.read().split("\n")
            killer.cancel()
            killer.join()
        # The last line may be cut; a whole line was printed after its call had returned.
        messages = max([messages, *(int(line) for line in lines[:-1])])
        with ProjectStore.open(store.path) as again:
            again.database.check()
            steps = again.history()
            assert messages + 1 <= len(steps) <= messages + 2, "one edit may have been on its way"
            assert [s.text for s in steps] == [f"Edit {n}" for n in range(len(steps))]
            assert all(s.done for s in steps)
            messages = len(steps) - 1
    assert messages > ROUNDS
    with ProjectStore.open(store.path) as again:
        while again.undo():
            pass
        assert list(again.all_instances()) == []
        again.jump_to(messages + 1)
        assert again.summary().labelled == 4
