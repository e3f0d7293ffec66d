"""Mutants of SLEAP files and of DeepLabCut tables, for :mod:`.label_mutants`.

python -m tests.fuzz.hdf5_and_csv_mutants --kind dlc_csv --count 1000
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.errors import PoseError
from poseapp.project.formats.deeplabcut.importer import import_dlc
from poseapp.project.formats.report import ImportReport
from poseapp.project.formats.sleap.importer import import_sleap
from poseapp.project.store import ProjectStore
from tests.engine.formats.sleap.slp_files import write_slp
from tests.fuzz.label_mutants import ANY_FILE, Format, Mutate, Wrong, main, register

_ROWS = 6
_LOST = re.compile(r"left out|not found|read once|alone")


def good_table(rng: random.Random) -> bytes:
    mark = rng.choice(",,,;\t")
    lines = [["scorer", "me", "me", "me", "me"], ["bodyparts", "a", "a", "b", "b"], ["coords", "x", "y", "x", "y"]]
    for n in range(_ROWS):
        lines.append([f"img{n}.png", *(str(round(rng.uniform(1, 18), 2)) for _ in range(4))])
    return ("\n".join(mark.join(line) for line in lines) + "\n").encode()


def _cells(change: Callable[[list[list[str]], random.Random], None]) -> Mutate:
    def mutate(data: bytes, rng: random.Random) -> bytes:
        text = data.decode("latin-1")
        mark = next((c for c in text[:20] if c in ",;\t"), ",")
        lines = [line.split(mark) for line in text.split("\n")]
        change(lines, rng)
        return "\n".join(mark.join(line) for line in lines).encode("latin-1")

    return mutate


def _insert_cell(lines: list[list[str]], rng: random.Random) -> None:
    line = rng.choice(lines)
    line.insert(rng.randrange(len(line) + 1), rng.choice(["9", "", "x", "nan", '"']))


def _drop_cell(lines: list[list[str]], rng: random.Random) -> None:
    line = rng.choice(lines)
    if line:
        del line[rng.randrange(len(line))]


def _odd_cell(lines: list[list[str]], rng: random.Random) -> None:
    line = rng.choice(lines)
    if line:
        odd = [
            "",
            "abc",
            "inf",
            "-1e999",
            "1,5",
            '"',
            "\0",
            "..",
            "/etc/passwd",
            "9" * 400,
            "\u00b2".encode("latin-1").decode("latin-1"),
        ]
        line[rng.randrange(len(line))] = rng.choice(odd)


def _double_line(lines: list[list[str]], rng: random.Random) -> None:
    lines.insert(rng.randrange(len(lines) + 1), list(rng.choice(lines)))


def _drop_line(lines: list[list[str]], rng: random.Random) -> None:
    del lines[rng.randrange(len(lines))]


CSV_MUTATORS = tuple(map(_cells, (_insert_cell, _drop_cell, _odd_cell, _double_line, _drop_line)))


def _pictures(folder: Path) -> None:
    for n in range(_ROWS):
        cv2.imwrite(str(folder / f"img{n}.png"), np.zeros((20, 20, 3), np.uint8))


def _try(path: Path, read: Callable[[ProjectStore, Path], ImportReport]) -> tuple[str, int, list[str]]:
    """How it ended, poses in the project, and what was told."""
    _pictures(path.parent)
    with ProjectStore.create(path.parent / "p.pose") as store:
        try:
            report = read(store, path)
        except PoseError as error:
            if len(str(error)) > 2000 or "\n" in str(error):
                raise Wrong(f"a message of {len(str(error))} characters") from None
            if store.summary().labelled:
                raise Wrong("refused, and poses are left behind") from None
            return "refused", 0, []
        for _, instance in store.all_instances():
            if not (np.isfinite(instance.keypoints).all() and instance.visibility.max() <= 2):
                raise Wrong("a pose that is no pose")
        return "read", store.summary().labelled + store.summary().predicted, report.problems


def check_table(path: Path) -> str:
    """Every line with a number in it is a pose, or is told of."""
    ending, poses, problems = _try(path, import_dlc)
    text = path.read_bytes().decode("latin-1")
    mark = next((c for c in text[:14] if c in ",;\t"), ",")
    listed = text.replace("\r", "\n").split("\n")
    head = next((n for n, line in enumerate(listed) if line.strip('"').lower().startswith("coords")), len(listed))
    lines = [line for line in listed[head + 1 :] if any(cell.strip(' "') for cell in line.split(mark)[1:])]
    if ending == "read" and poses < len(lines) and not any(_LOST.search(problem) for problem in problems):
        raise Wrong(f"{len(lines)} rows, {poses} poses, and not a word")
    return ending


def good_slp(rng: random.Random) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.slp"
        seen = [(rng.uniform(1, 18), rng.uniform(1, 18), True) for _ in range(3)]
        frames: list[tuple[int, int, Any]] = [(0, n, [(0, 0, -1, np.nan, seen)]) for n in range(_ROWS)]
        video = {"backend": {"filename": "", "filenames": [f"img{n}.png" for n in range(_ROWS)]}}
        write_slp(path, frames, [video], ["mouse"])
        return path.read_bytes()


def check_slp(path: Path) -> str:
    """Every instance is a pose, or something is told."""
    ending, poses, problems = _try(path, import_sleap)
    if ending == "read" and poses < _ROWS and not problems:
        return "damaged in its numbers"  # NaN in place of a coordinate is a point that is absent
    return ending


register("dlc_csv", Format(".csv", good_table, (*CSV_MUTATORS, *ANY_FILE[:4]), check_table))
register("slp", Format(".slp", good_slp, ANY_FILE[:4], check_slp))

if __name__ == "__main__":
    sys.exit(main())
