"""Several processes that train one network together, as ``torchrun`` starts them; a single process works without it.

Processes find each other through the environment (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT). Each writes
a heartbeat into the common store every half second, so that the others can tell which one is gone when a message fails;
a process that ends with an error leaves the message there.
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

Value = TypeVar("Value")

HEARTBEAT_SECONDS = 0.5
HEARTBEAT_TIMEOUT = 2.5  # a process without a heartbeat for so long after a failed message is gone
EXIT_VANISHED = 3


class ProcessGroup:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: index of this process, ``local_rank``: the same on its computer, ``size``: number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._heartbeat: _Heartbeat | None = None

    @classmethod
    def from_environment(cls) -> ProcessGroup:
        """From the variables that ``torchrun`` sets; a single process without them."""
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
        """Whether this process writes the files and reports progress."""
        return self.rank == 0

    def start(self, device: torch.device, silence: float) -> None:
        """Join the others; returns when all are there.

        Args:
            silence: seconds without a heartbeat after which a process counts as gone.

        Raises:
            TrainingError: they could not be reached.
        """
        if self.size == 1:
            return
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            # A validation by one process may take long; heartbeats tell sooner which process is gone.
            dist.init_process_group(backend, timeout=timedelta(hours=2))
            self._heartbeat = _Heartbeat(self.rank, self.size, silence)
            self.barrier()
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the {self.size} processes could not be joined: {_first_line(error)}") from None

    def stop(self) -> None:
        """Leave the group and free its resources."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None
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

    def gathered(self, value: Value) -> list[Value]:
        """The value of each process, by rank, in all of them. Values are plain data."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def to_main(self, value: Value) -> list[Value] | None:
        """The value of each process, by rank, in the first one; None in the others."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.is_main else None
        dist.gather_object(value, values)
        return values

    def from_main(self, value: Value) -> Value:
        """The value of the first process, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def averaged(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.size

    def tell_failure(self, error: BaseException) -> None:
        """Leave the message of an error for the others."""
        if self._heartbeat is not None:
            self._heartbeat.leave_message(str(error) or type(error).__name__)

    def is_told_by_main(self) -> bool:
        """Whether the first process ends with an error too and reports it."""
        return self._heartbeat is not None and not self.is_main and bool(self._heartbeat.message_of(0, wait=3.0))

    def reason(self, error: BaseException) -> TrainingError | None:
        """The cause of a failed message to the others, in one line; None if all are there and the cause is another."""
        message = self._heartbeat.find_gone() if self._heartbeat is not None else ""
        return TrainingError(message) if message else None


class _Heartbeat:
    """Heartbeats in the common store, written and watched by a thread with a connection of its own."""

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
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError), self._lock:
            self._store.set(f"{self._prefix}/left/{self._rank}", "1")
        self._done.set()
        self._thread.join()

    def leave_message(self, message: str) -> None:
        with contextlib.suppress(RuntimeError), self._lock:
            self._store.set(f"{self._prefix}/failed/{self._rank}", message)

    def message_of(self, rank: int, wait: float) -> str:
        end = time.monotonic() + wait
        while True:
            message = self._get(f"failed/{rank}")
            if message or time.monotonic() > end:
                return message
            time.sleep(0.1)

    def find_gone(self) -> str:
        """Which processes are gone, in one line; "" if all are there. Watches for a few seconds."""
        others = [rank for rank in range(self._size) if rank != self._rank]
        before = {rank: self._get(f"beat/{rank}") for rank in others}
        end = time.monotonic() + HEARTBEAT_TIMEOUT
        while time.monotonic() < end:
            for rank in others:
                message = self._get(f"failed/{rank}")
                if message:
                    return f"process {rank} of {self._size} ended with an error: {message}"
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
        while not self._done.wait(HEARTBEAT_SECONDS):
            try:
                self._beat()
                gone = self._silent()
            except RuntimeError:
                gone = []  # the store is gone with the process that held it: the next message fails and reports that
            if gone and not self._done.is_set():
                # The main thread may be waiting inside the GPU driver, which cannot be interrupted.
                sys.stderr.write(f"error: {self._sentence(gone)}\n")
                sys.stderr.flush()
                os._exit(EXIT_VANISHED)

    def _beat(self) -> None:
        self._count += 1
        with self._lock:
            self._store.set(f"{self._prefix}/beat/{self._rank}", str(self._count))

    def _silent(self) -> list[int]:
        now = time.monotonic()
        silent_ranks = []
        for rank in range(self._size):
            if rank == self._rank:
                continue
            count = int(self._get(f"beat/{rank}") or 0)
            known, since = self._seen.get(rank, (-1, now))
            if count != known or self._get(f"left/{rank}"):
                since = now
            self._seen[rank] = count, since
            if now - since > self._silence:
                silent_ranks.append(rank)
        return silent_ranks

    def _get(self, name: str) -> str:
        key = f"{self._prefix}/{name}"
        with contextlib.suppress(RuntimeError), self._lock:
            if self._store.check([key]):
                return str(self._store.get(key).decode("utf-8", "replace"))
        return ""


def data_parallel(module: nn.Module, device: torch.device) -> DistributedDataParallel:
    """A module whose gradients are exchanged between the processes; buffers are not."""
    known = inspect.signature(DistributedDataParallel).parameters
    # Renamed in torch 2.15.
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    cards = [device] if device.type == "cuda" else None
    options: dict[str, Any] = {buffers: False, "device_ids": cards, "gradient_as_bucket_view": True}
    return DistributedDataParallel(module, **options)


def _first_line(error: BaseException) -> str:
    return next(iter(io.StringIO(str(error))), type(error).__name__).strip()
