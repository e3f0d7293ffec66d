"""The identity of each image of a run of ``engine.predict``: its file, the state of the file, the frame in it.

Indices of images change from run to run, as files come and go. What a journal holds is tied to the file as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.predict.inputs import GivenBoxes, Source

MISSING = -1


class FileState(msgspec.Struct, frozen=True):
    """A file at the time of the run.

    Attributes:
        path: absolute.
        size: bytes, changed: time of the last change in nanoseconds; both :data:`MISSING` if there is no file.
        boxes: digest of the boxes given for it, "" if none were.
    """

    path: str
    size: int
    changed: int
    boxes: str = ""


class RunItems:
    """The images of a run in their order.

    Args:
        keys: for each image its file and the index of the frame in it (0 for an image).
    """

    def __init__(self, keys: Sequence[tuple[FileState, int]]) -> None:
        self._keys = list(keys)
        # Frames of a video follow each other: a video is one run of (first index, first frame, count).
        self._runs: dict[FileState, list[tuple[int, int, int]]] = {}
        for index, (file, frame) in enumerate(self._keys):
            runs = self._runs.setdefault(file, [])
            if runs and runs[-1][0] + runs[-1][2] == index and runs[-1][1] + runs[-1][2] == frame:
                runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
            else:
                runs.append((index, frame, 1))

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> tuple[FileState, int]:
        return self._keys[index]

    def __iter__(self) -> Iterator[tuple[FileState, int]]:
        return iter(self._keys)

    def indices(self, file: FileState, frame: int) -> list[int]:
        """Indices of the images that are this frame of this file in this state; mostly none or one."""
        runs = self._runs.get(file, ())
        return [start + frame - first for start, first, count in runs if first <= frame < first + count]

    def digest(self) -> str:
        """Equal in processes that see the same files in the same order, whatever the state of the files."""
        digest = hashlib.sha256()
        for file, runs in self._runs.items():
            digest.update(f"{file.path}\0{file.boxes}\0{runs}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def run_items(sources: Sequence[Source]) -> RunItems:
    """The items of a run; the state of each file is read once."""
    states: dict[Path, tuple[int, int]] = {}
    keys = []
    last: tuple[Path, FileState] | None = None
    for source in sources:
        if last is None or last[0] is not source.path or not source.is_frame:
            if source.path not in states:
                states[source.path] = _state(source.path)
            last = source.path, FileState(str(source.path.absolute()), *states[source.path], _digest(source.boxes))
        keys.append((last[1], source.frame))
    return RunItems(keys)


def _state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return MISSING, MISSING
    return state.st_size, state.st_mtime_ns


def _digest(boxes: GivenBoxes | None) -> str:
    if boxes is None:
        return ""
    parts = np.concatenate([boxes.xyxy.reshape(-1), boxes.scores.reshape(-1)])
    return hashlib.sha256(np.asarray(parts, "<f8").tobytes()).hexdigest()[:16]
