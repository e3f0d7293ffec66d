"""The order in which a run visits its samples, and the random state of each.

There is no running generator: each draw has a seed made of the run's seed and its position in the run. So a resumed run
goes on as if it had not been interrupted, and the number of worker threads makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def epoch_order(count: int, steps: int, batch: int, seed: int, epoch: int) -> np.ndarray:
    """(steps, batch) sample indices: shuffled passes through ``count`` samples, one after the other."""
    rng = np.random.default_rng([seed, epoch])
    passes = math.ceil(steps * batch / count)
    order = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return order[: steps * batch].reshape(steps, batch)


def sample_rng(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The generator of one sample; ``position`` is its position within the epoch."""
    return np.random.default_rng([seed, epoch, position])


def epoch_batches(
    count: int,
    steps: int,
    total: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
    *,
    batch: int = 0,
    rank: int = 0,
    processes: int = 1,
) -> Iterator[list[tuple[int, np.random.Generator]]]:
    """The batches of one process in the rest of an epoch: (sample index, its generator) for each sample.

    A step has ``total`` samples. Its batches are dealt to the processes in turn, so that which samples a step has, and
    how each is augmented, does not depend on the number of processes.

    Args:
        count: samples in all. steps: per epoch.
        first_step: the first one to do.
        batch: samples of one batch, a divisor of ``total / processes``; 0 = all of the process in one.
    """
    order = epoch_order(count, steps, total, seed, epoch)
    batch = batch or total // processes
    for step in range(first_step, steps):
        for start in range(rank * batch, total, processes * batch):
            positions = range(start, start + batch)
            yield [(int(order[step, j]), sample_rng(seed, epoch, step * total + j)) for j in positions]


def evaluation_batches(count: int, batch: int) -> Iterator[list[int]]:
    """All indices in order."""
    for start in range(0, count, batch):
        yield list(range(start, min(start + batch, count)))


def choose_epochs(
    epochs: int, steps_per_epoch: int, batch: int, count: int, *, steps: int, passes: int, least: int
) -> tuple[int, int]:
    """Number of epochs and of steps per epoch; 0 means: choose.

    An epoch is one pass, but at least ``least`` steps. Without a number of epochs the run has ``steps`` steps or
    ``passes`` passes through the data, whichever is more.
    """
    one_pass = math.ceil(count / batch)
    per_epoch = steps_per_epoch or max(one_pass, least)
    return epochs or math.ceil(max(steps, passes * one_pass) / per_epoch), per_epoch
