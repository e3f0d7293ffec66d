"""A run of ``engine.predict`` in several processes, as ``torchrun`` starts them: which process does what.

The processes communicate through torch's key-value store only, and write their poses into journals beside the output.
So they need nothing but a folder that all of them see.
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
POLL_SECONDS = 0.2
Ranges = list[tuple[int, int]]


class Shard:
    """The part of a run that this process does, of ``size`` parts; a single process does everything.

    Attributes:
        rank: index of this process. local_rank: the same among the processes of this computer.
        restarted: the processes were started again after one of them failed.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, restarts: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._restarts = restarts
        self._store: Any = None

    @classmethod
    def from_environment(cls) -> Shard:
        """From the variables that ``torchrun`` sets: RANK, WORLD_SIZE, LOCAL_RANK. Without them a single process.

        Raises:
            PoseError: they are not numbers, or contradict each other.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
        texts = [os.environ.get(name, default) for name, default in zip(names, ("0", "1", "0", "0"), strict=True)]
        if not all(text.isdecimal() for text in texts) or int(texts[0]) >= int(texts[1]):
            variables = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))
            raise PoseError(f"{variables} in the environment make no sense; torchrun sets them")
        return cls(*map(int, texts))

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def restarted(self) -> bool:
        return self._restarts > 0

    def device(self, requested: str) -> str:
        """Each process of a computer uses a GPU of its own."""
        if self.size == 1 or requested not in ("auto", "cuda"):
            return requested
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return f"cuda:{self.local_rank % count}" if count else requested

    def from_main(self, make: Callable[[], Any]) -> Any:
        """Call ``make`` in the first process; its result (plain data) in every process.

        Raises:
            PoseError: ``make`` failed, or the processes cannot find each other.
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

    def finish(self) -> None:
        """Announce that this part is done; the first process waits for all of them.

        Raises:
            PoseError: another process has failed.
        """
        if self.size == 1:
            return
        self._connect().set(f"done {self.rank}", "1")
        if self.is_main:
            self._wait([f"done {rank}" for rank in range(self.size)])

    def fail(self, error: BaseException) -> None:
        """Announce an error to the others; never fails itself."""
        if self._store is not None:
            try:
                self._store.set("failed", f"process {self.rank}: {error}")
            except RuntimeError:
                return

    def _wait(self, keys: list[str]) -> None:
        while not self._store.check(keys):
            if self._store.check(["failed"]):
                raise PoseError(f"another process has failed ({self._store.get('failed').decode()})")
            time.sleep(POLL_SECONDS)

    def _connect(self) -> Any:
        if self._store is None:
            from torch import distributed

            try:
                members = distributed.rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS))
                store, _, _ = next(iter(members))
            except (RuntimeError, ValueError) as error:
                raise PoseError(f"the processes cannot find each other: {str(error).splitlines()[0]}") from None
            self._store = distributed.PrefixStore(f"predict/{self._restarts}", store)
        return self._store


def divide(pending: Sequence[int], size: int, cut: Callable[[int], int]) -> list[Ranges]:
    """Divide images into ``size`` parts of about equal size, each as [start, stop) ranges of indices.

    Args:
        pending: ascending indices of the images to do.
        cut: gives an index near the given one at which a part may begin.
    """
    total = len(pending)
    cuts = sorted(cut(pending[total * rank // size]) for rank in range(1, size)) if total else []
    parts: list[list[int]] = [[] for _ in range(size)]
    rank = 0
    for index in pending:
        while rank < len(cuts) and index >= cuts[rank]:
            rank += 1
        parts[rank].append(index)
    return [ranges_of(part) for part in parts]


def ranges_of(indices: Iterable[int]) -> Ranges:
    """[start, stop) ranges of ascending indices."""
    ranges: Ranges = []
    for index in indices:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges
