"""Two processes on one project, in random order: dialogs, edits, opens, closes, kills, renames. POSIX only.

``python tests/benchmarks/two_processes.py --count 200`` runs 200 such stories with seeds 0, 1, ... and ends with
status 1 at the first that is not as it must be: never two writers; the file is whole; what a reader sees and what is
there at the end has every edit that was acknowledged before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from engine.errors import ProjectError  # noqa: E402
from engine.schema.schema import schema_from_names  # noqa: E402
from poseapp.project import edits  # noqa: E402
from poseapp.project.store import ProjectStore  # noqa: E402

ACTIONS = 24
EDITS = 12
SECONDS = 60


def look_at_every_file(folder: Path) -> None:
    """What a file dialog does: it opens each file to tell its type, and closes it."""
    for path in folder.iterdir():
        try:
            with path.open("rb") as file:
                file.read(64)
        except OSError:  # gone meanwhile
            pass


def numbers_in(store: ProjectStore) -> list[int]:
    """Each edit of these stories adds a pose whose first x is the number of the edit."""
    store.database.check()
    return sorted(int(instance.keypoints[0, 0]) for _, instance in store.all_instances())


class Worker:
    """The other side of a pipe: does what it is told, one line at a time."""

    def __init__(self, commands: TextIO, answers: TextIO) -> None:
        self._commands, self._answers = commands, answers
        self._store: ProjectStore | None = None

    def serve(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            try:
                answer = getattr(self, command.pop("do"))(**command)
            except ProjectError as error:
                answer = {"error": str(error)}
            self._tell(answer or {})

    def _tell(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def open(self, path: str) -> dict[str, Any]:
        try:
            self._store = ProjectStore.open(path)
        except ProjectError as error:
            if "another window" not in error.message:
                raise
            self._store = ProjectStore.open(path, read_only=True)
            return {"writer": False, "numbers": numbers_in(self._store)}
        return {"writer": True, "numbers": numbers_in(self._store)}

    def edit(self, values: list[int], dialogs: list[int]) -> dict[str, Any]:
        store = self._store
        assert store is not None
        category, frames = store.categories()[0], store.frame_keys()
        for index in values:
            if index in dialogs:
                look_at_every_file(store.path.parent)
            pose = edits.make_instance(store.new_ids(1)[0], category, np.full((4, 2), float(index)))
            store.apply(edits.add_instance(frames[index % len(frames)], pose))
            self._tell({"done": index})
        return {"end": True}

    def dialog(self, folder: str) -> None:
        look_at_every_file(Path(folder))

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


@dataclass
class Side:
    """One of the two processes, as the story sees it."""

    pid: int = 0
    send: TextIO | None = None
    receive: int = -1
    pending: bytes = b""
    state: str = "closed"
    log: list[str] = field(default_factory=list)

    def start(self) -> None:
        to_worker, from_worker = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            for descriptor in map(int, os.listdir("/dev/fd")):  # also pipes of the other side: it must see its end
                if descriptor > 2 and descriptor not in (to_worker[0], from_worker[1]):
                    with contextlib.suppress(OSError):
                        os.close(descriptor)
            with os.fdopen(to_worker[0]) as commands, os.fdopen(from_worker[1], "w") as answers:
                Worker(commands, answers).serve()
            os._exit(0)
        os.close(to_worker[0])
        os.close(from_worker[1])
        self.send, self.receive, self.pending, self.state = os.fdopen(to_worker[1], "w"), from_worker[0], b"", "closed"

    def tell(self, **command: Any) -> None:
        assert self.send is not None
        self.send.write(json.dumps(command) + "\n")
        self.send.flush()

    def answer(self) -> dict[str, Any]:
        """The next line; {} at the end of what a killed worker has written."""
        while b"\n" not in self.pending:
            if not select.select([self.receive], [], [], SECONDS)[0]:
                raise AssertionError("a worker does not answer")
            block = os.read(self.receive, 65536)
            if not block:
                return {}
            self.pending += block
        line, _, self.pending = self.pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def end(self) -> None:
        if self.send is not None:
            self.send.close()
            os.close(self.receive)
            self.send = None


class Story:
    """One random order of events. Raises AssertionError where something is not as it must be."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._folder = folder
        self._path = folder / "p.pose"
        self._next = 1
        self._names = 0
        self._acknowledged: set[int] = set()
        self._tried: set[int] = set()
        self.events: list[str] = []
        with ProjectStore.create(self._path) as store:
            media = store.add_media("images", folder)
            store.add_frames(media.id, [(f"{n}.png", 64, 48) for n in range(5)])
            store.add_category("mouse", schema_from_names("mouse", ["a", "b", "c", "d"]))
        self._sides = [Side(), Side()]

    def run(self) -> None:
        for side in self._sides:
            side.start()
        try:
            for _ in range(ACTIONS):
                side = self._random.choice(self._sides)
                act = self._random.choices(
                    [self._open_or_close, self._edit, self._dialog, self._edit_and_kill, self._kill, self._rename],
                    [6, 6, 4, 2, 1, 1],
                )[0]
                act(side)
        finally:
            for side in self._sides:
                side.end()
                if side.pid:
                    os.waitpid(side.pid, 0)
        with ProjectStore.open(self._path) as store:
            self._check(numbers_in(store), "at the end")
        left = sorted(set(os.listdir(self._folder)) - {self._path.name})
        assert not left, f"left beside the project: {left}"

    def _note(self, side: Side, text: str) -> None:
        self.events.append(f"{'AB'[self._sides.index(side)]} {text}")

    def _check(self, values: list[int], when: str) -> None:
        lost = self._acknowledged - set(values)
        assert not lost, f"{when}: acknowledged edits are missing: {sorted(lost)}"
        assert len(set(values)) == len(values), f"{when}: an edit is there twice"
        assert set(values) <= self._tried, f"{when}: edits that nobody made"

    def _open_or_close(self, side: Side) -> None:
        if side.state != "closed":
            self._note(side, "closes")
            side.tell(do="close")
            assert side.answer() == {}
            side.state = "closed"
            return
        other = next(s for s in self._sides if s is not side)
        side.tell(do="open", path=str(self._path))
        answer = side.answer()
        assert "error" not in answer, answer
        self._note(side, f"opens {self._path.name} as {'writer' if answer['writer'] else 'reader'}")
        assert answer["writer"] != (other.state == "writer"), "a second writer, or none although it could be"
        self._check(answer["numbers"], "seen when it was opened")
        side.state = "writer" if answer["writer"] else "reader"

    def _command(self, side: Side) -> list[int]:
        values = list(range(self._next, self._next + self._random.randint(1, EDITS)))
        self._next += len(values)
        self._tried.update(values)
        dialogs = [n for n in values if self._random.random() < 0.2]
        side.tell(do="edit", values=values, dialogs=dialogs)
        return values

    def _edit(self, side: Side) -> None:
        if side.state == "closed":
            return
        values = self._command(side)
        while (answer := side.answer()) != {"end": True}:
            if side.state == "reader":
                assert "reading only" in answer["error"], answer
                self._tried.difference_update(values)
                return
            assert "done" in answer, answer
            self._acknowledged.add(answer["done"])
        self._note(side, f"makes {len(values)} edits")

    def _edit_and_kill(self, side: Side) -> None:
        if side.state != "writer":
            return
        self._command(side)
        time.sleep(self._random.uniform(0.0, 0.02))
        side.kill()
        count = 0
        while "done" in (answer := side.answer()):
            self._acknowledged.add(answer["done"])
            count += 1
        self._note(side, f"is killed after {count} edits")
        side.end()
        side.start()

    def _kill(self, side: Side) -> None:
        if self._random.random() < 0.5:
            time.sleep(self._random.uniform(0.0, 0.5))  # the log may be empty by now, or just being emptied
        side.kill()
        self._note(side, "is killed")
        side.end()
        side.start()

    def _dialog(self, side: Side) -> None:
        self._note(side, "opens a dialog on the folder")
        side.tell(do="dialog", folder=str(self._folder))
        assert side.answer() == {}

    def _rename(self, side: Side) -> None:
        self._names += 1
        self._path = self._path.rename(self._path.with_name(f"p{self._names}.pose"))
        self._note(side, f"somebody renames the project to {self._path.name}")


def run(count: int, first: int) -> int:
    start = time.monotonic()
    events = 0
    for seed in range(first, first + count):
        folder = Path(tempfile.mkdtemp(prefix="two-processes-"))
        story = Story(folder, seed)
        try:
            story.run()
        except AssertionError as error:
            print(f"seed {seed}: {error}\n" + "\n".join(story.events[-40:]) + f"\nkept in {folder}")
            return 1
        events += len(story.events)
        shutil.rmtree(folder)
    print(f"{count} stories with {events} events in {time.monotonic() - start:.0f} s: all as they must be")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit(run(arguments.count, arguments.first))
