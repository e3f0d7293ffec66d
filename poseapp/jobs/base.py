"""What long work is, without Qt: a job is a generator, and every ``yield`` is progress, result and cancel point."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from engine.errors import PoseError
from engine.utils.context import Context

_CV_NO_MEMORY = -4  # cv::Error::StsNoMem


class Lane(StrEnum):
    """Which worker runs a job. One job runs in a lane at a time, so what a lane owns needs no locks."""

    ACCELERATOR = "accelerator"
    IO = "io"


@dataclass(frozen=True)
class Progress:
    """One step of a job.

    Attributes:
        done: units finished so far.
        total: units in all, 0 while that is unknown.
        text: what is being done, for the status bar; "" keeps the text before.
        result: what this step made, or None.
    """

    done: int
    total: int
    text: str = ""
    result: Any = None


@runtime_checkable
class Job(Protocol):
    """Long work.

    ``run`` is called once, in the worker thread of ``lane``. It raises :class:`PoseError` for what a person can act on.
    It may be closed at any ``yield`` (``GeneratorExit``) and then frees what it holds. Between two yields it shows
    progress, and is cancelled, through the context, which it hands on to the long work that it calls.
    """

    title: str
    lane: Lane

    def run(self, context: Context) -> Iterator[Progress]: ...


class Ending(StrEnum):
    """How a job ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """The end of a job: how, how much was done (and kept), and the error when it failed."""

    ending: Ending
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: PoseError | None = None

    @property
    def ok(self) -> bool:
        return self.ending is Ending.DONE


class UnexpectedError(PoseError):
    """A defect of the program met while working; the traceback is in the log."""


def as_pose_error(error: BaseException, title: str) -> PoseError:
    """What a person is told of an error: a PoseError as it is, anything else as unexpected, with advice."""
    if isinstance(error, PoseError):
        return error
    if is_out_of_memory(error):
        return UnexpectedError("not enough memory. Close other programs, or choose a smaller model", where=title)
    if isinstance(error, OSError) and error.strerror:
        where = error.filename if error.filename is not None else title
        return UnexpectedError(f"the system refused: {error.strerror}. What was done so far is kept", where=where)
    kind = type(error).__name__
    first = str(error).strip().splitlines()[:1]
    said = f"{kind}: {first[0][:160]}" if first else kind
    advice = "Results so far are kept; the log has the details. Try again, and report it if it happens again"
    return UnexpectedError(f"ended unexpectedly ({said}). {advice}", where=title)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, OpenCV or torch could not get memory; neither library is loaded for it."""
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return cv2 is not None and isinstance(error, cv2.error) and getattr(error, "code", 0) == _CV_NO_MEMORY


class RateEstimator:
    """Smoothed speed of counted work and the time that is left.

    Both the units and the seconds fade with the same time constant, so a slow start (a model being loaded) is
    forgotten, and bursts of results do not make the figure jump.

    Args:
        memory_seconds: time after which an observation counts 1/e.
    """

    def __init__(self, memory_seconds: float = 8.0) -> None:
        self._memory = memory_seconds
        self._units = 0.0
        self._seconds = 0.0
        self._last: tuple[float, float] | None = None

    def update(self, done: float, now: float) -> None:
        """Tell that ``done`` units are finished at ``now`` (seconds of a clock that never goes back)."""
        if self._last is None or done < self._last[0]:
            self._last = (done, now)
            return
        units, seconds = done - self._last[0], now - self._last[1]
        if units == 0 or seconds <= 0:
            return
        fade = math.exp(-seconds / self._memory)
        self._units = self._units * fade + units
        self._seconds = self._seconds * fade + seconds
        self._last = (done, now)

    @property
    def rate(self) -> float | None:
        """Units a second, or None before two observations."""
        return self._units / self._seconds if self._seconds > 0 else None

    def seconds_left(self, total: float, now: float) -> float | None:
        """Seconds until ``total``, or None while unknown. Runs down between observations instead of standing still."""
        if self._last is None or self.rate is None or self.rate <= 0:
            return None
        done, at = self._last
        return max((total - done) / self.rate - (now - at), 0.0)


def say_duration(seconds: float) -> str:
    """A duration as people say it: "4 s", "2 min", "1 h 20 min". Rounded coarsely, because it is an estimate."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 55:
        return f"{round(seconds / 5) * 5} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    minutes = round(minutes / 5) * 5
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def say_rate(rate: float, unit: str) -> str:
    """A speed as people say it: "12 images/s", "0.4 images/s", "20 images/min"."""
    if rate >= 10:
        return f"{rate:.0f} {unit}/s"
    if rate >= 0.5:
        return f"{rate:.1f} {unit}/s"
    return f"{rate * 60:.0f} {unit}/min"
