"""From the batch that is asked for to batches that fit: into memory, and into a step of several processes."""

from __future__ import annotations

import logging
import math

import msgspec

from engine.errors import TrainingError
from engine.train.config import AUTO_BATCH, PhaseConfig
from engine.train.memory import StepMemory, fitting_batch, gib

log = logging.getLogger(__name__)


def with_sizes(config: PhaseConfig, processes: int, need: StepMemory | None, free: int | None) -> PhaseConfig:
    """A copy in which ``batch``, ``total_batch`` and the learning rate are what the run will use.

    ``total_batch`` becomes a multiple of what the processes do at once; where it is less than that, batches shrink. In
    such a copy ``accumulate`` and ``scale_base`` are 0: they have done their work.

    Args:
        processes: that train together.
        need, free: memory of a step, and what there is of it; None = not to be told.

    Raises:
        TrainingError: a step does not fit into memory.
    """
    total = config.total_batch
    share = max(1, total // processes)
    batch = config.batch
    if batch == AUTO_BATCH:
        batch = _chosen(need, free, share if total and not config.accumulate else 0)
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
    optimiser = config.optimiser
    if optimiser.scale_base:
        scaled = optimiser.lr * total / optimiser.scale_base
        optimiser = msgspec.structs.replace(optimiser, lr=scaled, scale_base=0)
    return msgspec.structs.replace(config, batch=batch, total_batch=total, accumulate=0, optimiser=optimiser)


def _chosen(need: StepMemory | None, free: int | None, share: int) -> int:
    if need is None or free is None:
        raise TrainingError("how much memory is free cannot be told here; give a number with --batch")
    batch = fitting_batch(need, free, divides=share)
    if not batch:
        raise TrainingError(f"one sample takes {gib(need.of(1))} of memory and {gib(free)} are free")
    log.info("batch %d: a step takes about %s of %s that are free", batch, gib(need.of(batch)), gib(free))
    return batch


def _check_fits(batch: int, need: StepMemory | None, free: int | None, share: int) -> None:
    if need is None or free is None or need.of(batch) <= free:
        return
    fitting = fitting_batch(need, free, divides=share)
    advice = f"--batch {fitting} fits (--batch auto finds that by itself)" if fitting else "not even one sample fits"
    raise TrainingError(
        f"a step with batch {batch} takes about {gib(need.of(batch))} of memory and {gib(free)} are free; {advice}"
    )
