"""Several processes that train one network, as ``torchrun`` starts them; a single process is the plain case.

Processes find each other by the environment (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT). Each leaves a
sign of life in the common store every half second, so that the others can tell who is gone when a message fails to
come; who ends with an error leaves its words there.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from engine.errors import TrainingError

Thing = TypeVar("Thing")

BEAT_SECONDS = 0.5
LOOK_SECONDS = 2.5  # who gave no sign for that long, after a message failed, is gone
EXIT_VANISHED = 3


class ProcessGroup:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: number of this process from 0; ``local_rank`` on its computer; ``size``: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._life: _Life | None = None

    @classmethod
    def from_environment(cls) -> ProcessGroup:
        """As ``torchrun`` says; one process without it."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        try:
            rank, size, local = (int(os.environ.get(name, default)) for name, default in zip(names, ("0", "1", "0")))
        except ValueError:
            raise TrainingError(
                f"{', '.join(names)} in the environment must be numbers, as torchrun sets them"
            ) from None
        return cls(rank, size, local)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and tells the progress."""
        return self.rank == 0

    def start(self, device: torch.device, silence: float) -> None:
        """Join the others; returns when all are there.

        Args:
            silence: seconds without a sign of life after which a process counts as gone.

        Raises:
            TrainingError: they could not be reached.
        """
        if self.size == 1:
            return
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            # A validation by one process alone may take long; who is gone, the signs of life tell sooner.
            dist.init_process_group(backend, timeout=timedelta(hours=2))
            self._life = _Life(self.rank, self.size, silence)
            self.barrier()
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the {self.size} processes could not be joined: {_first_line(error)}") from None

    def stop(self) -> None:
        """Leave; nothing is left behind."""
        if self._life is not None:
            self._life.stop()
            self._life = None
        if self.size > 1 and dist.is_initialized():
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()

    def barrier(self) -> None:
        """Wait for all."""
        self.gathered(0)

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gathered(self, thing: Thing) -> list[Thing]:
        """What each process gave, by rank, on all of them. The things are plain data."""
        if self.size == 1:
            return [thing]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, thing)
        return found

    def to_main(self, thing: Thing) -> list[Thing] | None:
        """What each process gave, by rank, on the first; None on the others."""
        if self.size == 1:
            return [thing]
        found: list[Any] | None = [None] * self.size if self.is_main else None
        dist.gather_object(thing, found)
        return found

    def from_main(self, thing: Thing) -> Thing:
        """What the first process gave, on all of them."""
        if self.size == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def averaged(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes its mean over the processes; in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.size

    def tell_failure(self, error: BaseException) -> None:
        """Leave word of an error for the others."""
        if self._life is not None:
            self._life.tell(str(error) or type(error).__name__)

    def is_told_by_main(self) -> bool:
        """Whether the first process ends with an error too, and so need not be repeated."""
        return self._life is not None and not self.is_main and bool(self._life.words_of(0, wait=3.0))

    def reason(self, error: BaseException) -> TrainingError | None:
        """What a failed message to the others means, in one line; None where all are there and the error is another."""
        words = self._life.who_is_gone() if self._life is not None else ""
        return TrainingError(words) if words else None


class _Life:
    """Signs of life in the common store, left and watched by a thread with a connection of its own."""

    def __init__(self, rank: int, size: int, silence: float) -> None:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self._store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=30))
        self._prefix = f"poseapp/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        self._rank, self._size, self._silence = rank, size, silence
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._seen: dict[int, tuple[int, float]] = {}
        self._count = 0
        self._store.set(f"{self._prefix}/who/{rank}", f"{socket.gethostname()}, process {os.getpid()}")
        self._beat()
        self._thread = threading.Thread(target=self._live, name="signs of life", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError), self._lock:
            self._store.set(f"{self._prefix}/left/{self._rank}", "1")
        self._done.set()
        self._thread.join()

    def tell(self, words: str) -> None:
        with contextlib.suppress(RuntimeError), self._lock:
            self._store.set(f"{self._prefix}/failed/{self._rank}", words)

    def words_of(self, rank: int, wait: float) -> str:
        end = time.monotonic() + wait
        while True:
            found = self._get(f"failed/{rank}")
            if found or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def who_is_gone(self) -> str:
        """One line, "" where all are there. Looks for a few seconds."""
        others = [rank for rank in range(self._size) if rank != self._rank]
        before = {rank: self._get(f"beat/{rank}") for rank in others}
        end = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < end:
            for rank in others:
                words = self._get(f"failed/{rank}")
                if words:
                    return f"process {rank} of {self._size} ended with an error: {words}"
            time.sleep(0.1)
        gone = [rank for rank in others if self._get(f"beat/{rank}") == before[rank]]
        return self._sentence(gone) if gone else ""

    def _sentence(self, gone: Sequence[int]) -> str:
        named = ", ".join(f"rank {rank} ({self._get(f'who/{rank}') or 'unknown'})" for rank in gone)
        verb = "has" if len(gone) == 1 else "have"
        return (
            f"{named} of {self._size} processes {verb} vanished; start the same command with --resume to go on from "
            "the last saved state"
        )

    def _live(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            try:
                self._beat()
                gone = self._silent()
            except RuntimeError:
                gone = []  # the store is gone with the process that kept it: messages will fail, and say so
            if gone and not self._done.is_set():
                # The main thread may wait in the driver of the graphics card, which nothing can interrupt.
                sys.stderr.write(f"error: {self._sentence(gone)}\n")
                sys.stderr.flush()
                os._exit(EXIT_VANISHED)

    def _beat(self) -> None:
        self._count += 1
        with self._lock:
            self._store.set(f"{self._prefix}/beat/{self._rank}", str(self._count))

    def _silent(self) -> list[int]:
        now = time.monotonic()
        found = []
        for rank in range(self._size):
            if rank == self._rank:
                continue
            count = int(self._get(f"beat/{rank}") or 0)
            known, since = self._seen.get(rank, (-1, now))
            if count != known or self._get(f"left/{rank}"):
                since = now
            self._seen[rank] = count, since
            if now - since > self._silence:
                found.append(rank)
        return found

    def _get(self, name: str) -> str:
        key = f"{self._prefix}/{name}"
        with contextlib.suppress(RuntimeError), self._lock:
            if self._store.check([key]):
                return str(self._store.get(key).decode("utf-8", "replace"))
        return ""


def data_parallel(module: nn.Module, device: torch.device) -> DistributedDataParallel:
    """A module whose gradients are exchanged between the processes; its buffers are each process' own."""
    known = inspect.signature(DistributedDataParallel).parameters
    # Renamed in torch 2.15.
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    cards = [device] if device.type == "cuda" else None
    options: dict[str, Any] = {buffers: False, "device_ids": cards, "gradient_as_bucket_view": True}
    return DistributedDataParallel(module, **options)


def _first_line(error: BaseException) -> str:
    return next(iter(io.StringIO(str(error))), type(error).__name__).strip()
