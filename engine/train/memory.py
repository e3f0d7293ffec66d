"""How much memory a training step needs, before it is tried, and how large a batch may be.

What the backward pass keeps is counted on the meta device, where tensors have sizes but no contents: it takes a
moment and no memory. What is used beside it was measured with ResNet-50 on a processor.
"""

from __future__ import annotations

import copy
import os
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

GIB = 1 << 30
SLACK = 1.5  # gradients of activations, working space of convolutions, what the allocator rounds up
FREE_SHARE = 0.85  # of free memory a batch that is chosen may take
LARGEST_BATCH = 512


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step: ``fixed`` for weights, gradients and the optimiser, ``sample`` for each sample."""

    fixed: int
    sample: int

    def of(self, batch: int) -> int:
        return int(self.fixed + SLACK * batch * self.sample)

    def largest(self, free: int) -> int:
        """Samples that fit into so much memory; 0 where not even one does."""
        return max(0, int((free - self.fixed) / (SLACK * self.sample)))


def step_memory(
    network: nn.Module, input_size: tuple[int, int], *, half: bool = False, mean: bool = False
) -> StepMemory:
    """Count what a step needs.

    Args:
        input_size: width and height of the input.
        half: activations have 16 bits.
        mean: a running mean of the weights is kept.
    """
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    # Weights, gradients and Adam's two moments.
    fixed = weights * (5 if mean else 4)
    samples = 2  # batch normalisation wants more than one value a channel
    return StepMemory(fixed, _kept(network, input_size, samples) // samples // (2 if half else 1))


def _kept(network: nn.Module, input_size: tuple[int, int], batch: int) -> int:
    on_meta = all(p.is_meta for p in network.parameters())
    shadow = (network if on_meta else copy.deepcopy(network).to("meta")).train()
    # Tensors on the meta device have no address to know them by: they are told apart as objects.
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
    last = outputs if isinstance(outputs, Tensor) else outputs["heatmap"]
    storages: dict[Any, int] = {}
    for tensor in seen.values():
        storages[tensor.untyped_storage()._cdata] = tensor.numel() * tensor.element_size()
    # The loss holds the prediction, the target and their difference.
    return sum(storages.values()) + 3 * int(last.numel() * last.element_size())


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had; None where that cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    if sys.platform == "linux":
        try:
            with open("/proc/meminfo", encoding="ascii") as file:
                found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file if ":" in line}
            return min(found["MemAvailable"], _limit_of_group() or sys.maxsize)
        except (OSError, KeyError, ValueError, IndexError):
            return None
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None


def _limit_of_group() -> int | None:
    """What a container's limit leaves, None without one."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            used = int(file.read())
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None


def fitting_batch(need: StepMemory, free: int | None, *, divides: int = 0) -> int:
    """The batch to take where none was given: the largest that fits well, a power of two or a divisor of ``divides``.

    0 where not even one sample fits.
    """
    room = LARGEST_BATCH if free is None else min(need.largest(int(free * FREE_SHARE)), LARGEST_BATCH)
    if divides:
        return max((n for n in range(1, min(room, divides) + 1) if divides % n == 0), default=0)
    return 1 << (room.bit_length() - 1) if room else 0


def gib(count: int) -> str:
    """Bytes for people: "1.5 GiB"."""
    return f"{count / GIB:.1f} GiB"
