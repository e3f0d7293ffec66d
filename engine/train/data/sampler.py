"""In which order a run visits its data, and the random state of every sample.

Nothing is drawn from a running generator: each draw has a seed made of the run's seed and its place in the run. So a
run that was interrupted goes on as if nothing had happened, and the number of worker threads changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def epoch_order(count: int, steps: int, batch: int, seed: int, epoch: int) -> np.ndarray:
    """(steps, batch) positions: shuffled passes through ``count`` items, one after the other, until it is full."""
    rng = np.random.default_rng([seed, epoch])
    passes = math.ceil(steps * batch / count)
    order = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return order[: steps * batch].reshape(steps, batch)


def sample_rng(seed: int, epoch: int, place: int) -> np.random.Generator:
    """The generator of one sample: ``place`` is its position within the epoch."""
    return np.random.default_rng([seed, epoch, place])


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
    """The batches of an epoch from ``first_step`` on that fall to one process: (position, generator) of each sample.

    A step has ``total`` samples. Its batches go round the processes, so that which samples a step has, and how each is
    changed, does not depend on the number of processes.

    Args:
        batch: samples of one batch, a divisor of ``total / processes``; 0 = all that fall to the process.
    """
    order = epoch_order(count, steps, total, seed, epoch)
    batch = batch or total // processes
    for step in range(first_step, steps):
        for start in range(rank * batch, total, processes * batch):
            places = range(start, start + batch)
            yield [(int(order[step, j]), sample_rng(seed, epoch, step * total + j)) for j in places]


def evaluation_batches(count: int, batch: int) -> Iterator[list[int]]:
    """All positions in order."""
    for start in range(0, count, batch):
        yield list(range(start, min(start + batch, count)))


def choose_epochs(
    epochs: int, steps_per_epoch: int, batch: int, count: int, *, steps: int, passes: int, least: int
) -> tuple[int, int]:
    """Epochs and steps of an epoch, where 0 means: choose.

    An epoch is one pass, or ``least`` steps where that is more. Without a number of epochs the run has ``steps``
    steps or ``passes`` passes through the data, whichever is more.
    """
    one_pass = math.ceil(count / batch)
    per_epoch = steps_per_epoch or max(one_pass, least)
    return epochs or math.ceil(max(steps, passes * one_pass) / per_epoch), per_epoch
