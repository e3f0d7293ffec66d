"""What the command-line programs share: one-line errors with status 2, and progress (a bar, JSON lines or none)."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, get_args

from tqdm import tqdm  # type: ignore[import-untyped]

from engine.errors import Cancelled, PoseError
from engine.utils.plain_text import one_line

OK = 0
BAD_INPUT = 2
MAX_MESSAGE = 2000  # characters of an error message; some quote what the user or a file gave
INTERRUPTED = 130  # 128 + SIGINT, what a shell expects of an interrupted program

ProgressMode = Literal["bar", "json", "none"]
PROGRESS_MODES: tuple[str, ...] = get_args(ProgressMode)


class Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors are one line on standard error and status 2."""

    def error(self, message: str) -> NoReturn:
        fail(f"{self.prog}: {message} (--help shows the options)")
        raise SystemExit(BAD_INPUT)


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--progress bar|json|none``."""
    parser.add_argument(
        "--progress", choices=PROGRESS_MODES, default="bar", help="how to show progress (default: a bar on a terminal)"
    )


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Call ``main(argv)`` and turn what a user can cause into an exit status.

    Bad input (``PoseError``, files that cannot be opened) is one line on standard error and 2; an interruption is 130.
    Anything else is a defect of the program and keeps its traceback.
    """
    _open_missing_streams()
    try:
        status = main(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # here a closed pipe or a full disk can still be reported
        return status
    except Cancelled as error:
        return fail(str(error), INTERRUPTED)
    except PoseError as error:
        return fail(str(error))
    except BrokenPipeError:  # whoever read our output went away; the interpreter must not complain about it again
        _drop_output()
        return INTERRUPTED
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        _drop_output()
        return fail(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)
    except SystemExit as leaving:  # argparse leaves this way
        if isinstance(leaving.code, int):
            return leaving.code
        return OK if leaving.code is None else fail(str(leaving.code))


def _open_missing_streams() -> None:
    """Give a program that was started with a closed standard output or error (``>&-``) one that swallows everything.

    Else the next file that is opened would get its number, and what is printed would land in that file.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8", closefd=False))


def _drop_output() -> None:
    """What is still to be written cannot be, and the interpreter must not complain about it again at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, status: int = BAD_INPUT) -> int:
    """Write ``message`` as one line to standard error and return ``status``."""
    sys.stderr.write(one_line(f"error: {message}", MAX_MESSAGE) + "\n")
    sys.stderr.flush()
    return status


def write_event(event: Mapping[str, Any]) -> None:
    """One JSON object on its own line of standard output, flushed so that a reader sees it at once.

    The bytes of a file name that is not UTF-8 are written as the escapes ``\\udc80`` to ``\\udcff``: the line is valid
    UTF-8, and reading it as JSON gives the name that Python's ``os.fsencode`` turns into the bytes again.
    """
    text = json.dumps(event, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(event, ensure_ascii=True, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Progress:
    """Progress of a command: ``with Progress("json", "predict", total) as progress: ... progress.step()``.

    ``json`` writes ``{"event": "progress", "what", "done", "total", "per_second", "seconds_left"}`` lines to standard
    output, at most about five a second and always the last; ``bar`` is a tqdm bar on standard error, hidden when that
    is no terminal.
    """

    INTERVAL = 0.2  # seconds between two lines of JSON

    def __init__(self, mode: str, what: str, total: int | None = None, *, unit: str = "image") -> None:
        self.mode = mode
        self.what = what
        self.total = total
        self.done = 0
        self._started = time.monotonic()
        self._written_at = -1.0
        self._bar: tqdm | None = None
        if mode == "bar":
            self._bar = tqdm(total=total, desc=what, unit=unit, file=sys.stderr, disable=None, leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def step(self, count: int = 1, **details: Any) -> None:
        """``count`` more are done; ``details`` go into the JSON line or behind the bar."""
        self.done += count
        if self._bar is not None:
            if details:
                self._bar.set_postfix(details, refresh=False)
            self._bar.update(count)
        elif self.mode == "json":
            now = time.monotonic()
            if now - self._written_at >= self.INTERVAL or self.done == self.total:
                self._written_at = now
                write_event({"event": "progress", "what": self.what, **self._measure(now), **details})

    def move_to(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done; 0 = the total is unknown. Work in several passes may begin anew."""
        self.total = total or None
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.n = done
            self._bar.update(0)
        else:
            self.done = 0
            self.step(done)
        self.done = done

    def event(self, event: Mapping[str, Any]) -> None:
        """Any other JSON event; ignored unless the mode is ``json``."""
        if self.mode == "json":
            write_event(event)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _measure(self, now: float) -> dict[str, Any]:
        rate = self.done / max(now - self._started, 1e-9)
        left = None if self.total is None or rate == 0 else (self.total - self.done) / rate
        return {
            "done": self.done,
            "total": self.total,
            "per_second": round(rate, 3),
            "seconds_left": None if left is None else round(left, 1),
        }
