"""Batch sizes that fit: into memory, and into a step of several processes.

What the backward pass keeps is counted on the meta device, where tensors have sizes but no contents: it takes a
moment and no memory. What is used beside it was measured with ResNet-50 on a CPU.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from engine.errors import TrainingError
from engine.train.config import AUTO_BATCH, TaskConfig

log = logging.getLogger(__name__)

GIB = 1 << 30
SLACK = 1.5  # gradients of activations, working space of convolutions, what the allocator rounds up
FREE_SHARE = 0.85  # of free memory that an automatic batch may use
LARGEST_BATCH = 512


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step: ``fixed`` for weights, gradients and optimizer, ``sample`` for each sample."""

    fixed: int
    sample: int

    def of(self, batch: int) -> int:
        return int(self.fixed + SLACK * batch * self.sample)

    def largest(self, free: int) -> int:
        """Number of samples that fit into so much memory; 0 if not even one does."""
        return max(0, int((free - self.fixed) / (SLACK * self.sample)))


def step_memory(
    network: nn.Module, input_size: tuple[int, int], *, half: bool = False, average: bool = False
) -> StepMemory:
    """Count the memory of a training step.

    Args:
        input_size: width and height of the input.
        half: activations have 16 bits.
        average: a moving average of the weights is kept.
    """
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    # Weights, gradients and Adam's two moments.
    fixed = weights * (5 if average else 4)
    samples = 2  # batch normalization needs more than one value per channel
    return StepMemory(fixed, _kept(network, input_size, samples) // samples // (2 if half else 1))


def _kept(network: nn.Module, input_size: tuple[int, int], batch: int) -> int:
    on_meta = all(p.is_meta for p in network.parameters())
    shadow = (network if on_meta else copy.deepcopy(network).to("meta")).train()
    # Tensors on the meta device have no address, so they are identified as objects.
    seen: dict[int, Tensor] = {}
    own = {id(p) for p in shadow.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            seen[id(tensor)] = tensor
        return tensor

    width, height = input_size
    x = torch.zeros(batch, 3, height, width, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = shadow(x)
    last = [outputs] if isinstance(outputs, Tensor) else outputs.values()
    storages: dict[Any, int] = {}
    for tensor in seen.values():
        storages[tensor.untyped_storage()._cdata] = tensor.numel() * tensor.element_size()
    # The loss keeps the prediction, the target and their difference.
    return sum(storages.values()) + 3 * sum(int(tensor.numel() * tensor.element_size()) for tensor in last)


def free_memory(device: torch.device) -> int | None:
    """Free memory in bytes; None if it is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    if sys.platform == "linux":
        try:
            with open("/proc/meminfo", encoding="ascii") as file:
                memory_info = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file if ":" in line}
            return min(memory_info["MemAvailable"], _limit_of_group() or sys.maxsize)
        except (OSError, KeyError, ValueError, IndexError):
            return None
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None


def _limit_of_group() -> int | None:
    """Memory left below the limit of a container; None without a limit."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            used = int(file.read())
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None


def fitting_batch(need: StepMemory, free: int | None, *, divides: int = 0) -> int:
    """The largest batch that fits well: a power of two, or a divisor of ``divides`` if that is not 0.

    0 if not even one sample fits.
    """
    room = LARGEST_BATCH if free is None else min(need.largest(int(free * FREE_SHARE)), LARGEST_BATCH)
    if divides:
        return max((n for n in range(1, min(room, divides) + 1) if divides % n == 0), default=0)
    return 1 << (room.bit_length() - 1) if room else 0


def gib(count: int) -> str:
    """Bytes as text: "1.5 GiB"."""
    return f"{count / GIB:.1f} GiB"


def with_sizes(config: TaskConfig, processes: int, need: StepMemory | None, free: int | None) -> TaskConfig:
    """A copy in which ``batch``, ``total_batch`` and the learning rate are what the run will use.

    ``total_batch`` becomes a multiple of what the processes do at once; if it is less than that, batches shrink.
    ``accumulate`` and ``scale_base`` are 0 in the copy, so that they do not apply twice.

    Args:
        processes: that train together.
        need, free: memory of a step, and free memory; None = not known.

    Raises:
        TrainingError: a step does not fit into memory.
    """
    total = config.total_batch
    share = max(1, total // processes)
    batch = config.batch
    if batch == AUTO_BATCH:
        batch = _largest_batch(need, free, share if total and not config.accumulate else 0)
    if config.accumulate:
        total = batch * config.accumulate * processes
    elif not total:
        total = batch * processes
    elif batch * processes > total:
        batch = share
    _check_fits(batch, need, free, share)
    at_once = batch * processes
    if total % at_once:
        rounded = math.ceil(total / at_once) * at_once
        log.warning("A step has %d instances, not %d: a multiple of %d.", rounded, total, at_once)
        total = rounded
    optimizer = config.optimizer
    if optimizer.scale_base:
        scaled = optimizer.lr * total / optimizer.scale_base
        optimizer = msgspec.structs.replace(optimizer, lr=scaled, scale_base=0)
    return msgspec.structs.replace(config, batch=batch, total_batch=total, accumulate=0, optimizer=optimizer)


def _largest_batch(need: StepMemory | None, free: int | None, share: int) -> int:
    if need is None or free is None:
        raise TrainingError("the free memory of this device is not known; give a number with --batch")
    batch = fitting_batch(need, free, divides=share)
    if not batch:
        raise TrainingError(f"a single sample needs {gib(need.of(1))} of memory, {gib(free)} are free")
    log.info("batch %d: a step takes about %s of %s that are free", batch, gib(need.of(batch)), gib(free))
    return batch


def _check_fits(batch: int, need: StepMemory | None, free: int | None, share: int) -> None:
    if need is None or free is None or need.of(batch) <= free:
        return
    fitting = fitting_batch(need, free, divides=share)
    advice = f"--batch {fitting} fits (as --batch auto would choose)" if fitting else "not even one sample fits"
    raise TrainingError(
        f"a step with batch {batch} takes about {gib(need.of(batch))} of memory and {gib(free)} are free; {advice}"
    )
