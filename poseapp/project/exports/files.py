"""Files that are written whole or not at all, and exports that report their progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.errors import ProjectError
from engine.utils.files import kept_mode, replacing

T = TypeVar("T")

Steps = Generator[tuple[int, int], None, T]
"""A long export: yields units done and in all, and returns its report. Closed early, it leaves no file behind."""


@dataclass
class FilesReport:
    """Attributes:
    path: what was written. count: of how many. problems: what was odd, as sentences.
    """

    path: Path
    count: int = 0
    problems: list[str] = field(default_factory=list)


def run_steps(steps: Steps[T], progress: Callable[[int, int], None] | None = None) -> T:
    """Run an export to its end; whatever ``progress`` raises stops it."""
    try:
        while True:
            done, total = next(steps)
            if progress is not None:
                progress(done, total)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path that replaces ``path`` if the block ends without an error. Missing folders are created.

    Raises:
        ProjectError: it cannot be written; an existing file stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=kept_mode(path), suffix=path.suffix) as temporary:
            yield temporary
    except OSError as error:
        raise ProjectError(f"cannot be written ({error.strerror or error})", where=path) from None
