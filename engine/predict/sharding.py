"""One run of ``engine.predict`` in several processes, as ``torchrun`` starts them: who does what.

Processes speak to each other through torch's key-value store alone, and leave their results in files beside the
result; so they need nothing but a folder that all of them see.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from engine.errors import PoseError

JOIN_SECONDS = 600
LOOK_SECONDS = 0.2
Ranges = list[tuple[int, int]]


class World:
    """The processes of a run, seen from one of them; one process alone needs no others.

    Attributes:
        rank: number of this process from 0, local_rank: on its computer; size: how many there are.
        restarted: the processes have been started again after one of them failed.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, restarts: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._restarts = restarts
        self._store: Any = None

    @classmethod
    def from_environment(cls) -> World:
        """As ``torchrun`` says: RANK, WORLD_SIZE, LOCAL_RANK; one process without it.

        Raises:
            PoseError: they are no numbers, or contradict each other.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
        texts = [os.environ.get(name, default) for name, default in zip(names, ("0", "1", "0", "0"), strict=True)]
        if not all(text.isdecimal() for text in texts) or int(texts[0]) >= int(texts[1]):
            told = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))
            raise PoseError(f"{told} in the environment makes no sense; torchrun sets them")
        return cls(*map(int, texts))

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def restarted(self) -> bool:
        return self._restarts > 0

    def device(self, wanted: str) -> str:
        """Each process of a computer takes a graphics card of its own."""
        if self.size == 1 or wanted not in ("auto", "cuda"):
            return wanted
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return f"cuda:{self.local_rank % count}" if count else wanted

    def share(self, make: Callable[[], Any]) -> Any:
        """What the first process makes (plain data), in every process.

        Raises:
            PoseError: the first process could not make it, or the processes cannot find each other.
        """
        if self.size == 1:
            return make()
        store = self._connect()
        if self.is_main:
            try:
                plan = make()
            except PoseError as error:
                self.fail(error)
                raise
            store.set("plan", json.dumps(plan))
        self._wait(["plan"])
        return json.loads(store.get("plan"))

    def done(self) -> None:
        """This process has done its part; the first one waits for all of them.

        Raises:
            PoseError: another process has failed.
        """
        if self.size == 1:
            return
        self._connect().set(f"done {self.rank}", "1")
        if self.is_main:
            self._wait([f"done {rank}" for rank in range(self.size)])

    def fail(self, error: BaseException) -> None:
        """Tell the others; never fails itself."""
        if self._store is not None:
            try:
                self._store.set("failed", f"process {self.rank}: {error}")
            except RuntimeError:
                return

    def _wait(self, keys: list[str]) -> None:
        while not self._store.check(keys):
            if self._store.check(["failed"]):
                raise PoseError(f"another process has failed ({self._store.get('failed').decode()})")
            time.sleep(LOOK_SECONDS)

    def _connect(self) -> Any:
        if self._store is None:
            from torch import distributed

            try:
                found = distributed.rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS))
                store, _, _ = next(iter(found))
            except (RuntimeError, ValueError) as error:
                raise PoseError(f"the processes do not find each other: {str(error).splitlines()[0]}") from None
            self._store = distributed.PrefixStore(f"predict/{self._restarts}", store)
        return self._store


def divide(pending: Sequence[int], size: int, cut: Callable[[int], int]) -> list[Ranges]:
    """Numbers that are still to be done, for each of so many processes as [start, stop) ranges, about equally many.

    Args:
        pending: ascending.
        cut: a number near the one given from which another process may go on.
    """
    total = len(pending)
    marks = sorted(cut(pending[total * rank // size]) for rank in range(1, size)) if total else []
    shares: list[list[int]] = [[] for _ in range(size)]
    rank = 0
    for number in pending:
        while rank < len(marks) and number >= marks[rank]:
            rank += 1
        shares[rank].append(number)
    return [ranges_of(share) for share in shares]


def ranges_of(numbers: Iterable[int]) -> Ranges:
    """[start, stop) ranges of ascending numbers."""
    found: Ranges = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
