"""Running checks over labels of any size.

Labels are read at least twice: checks first learn what is usual in them, then look at each frame with all of its
instances. Files keep instances in any order; where those of a frame do not stand together, frames are taken in blocks,
one pass for each block, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import checks
from engine.labels.model import IMAGES, UNKNOWN, Frame, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import Context

ImageOfFrame = Callable[[int, Frame], Path | None]
"""Gives the image file of a frame by its position, None if it is missing."""

INSTANCES_AT_ONCE = 200_000
_STEP = 1024
_NOWHERE = Frame("")


def run_checks(
    labels: LabelReader,
    chosen: Iterable[type[Check]] | None = None,
    *,
    image_of: ImageOfFrame | None = None,
    context: Context | None = None,
) -> Iterator[Finding]:
    """Check labels.

    Args:
        chosen: the checks; None = all.
        image_of: where images are; without it, checks that need images are left out.
        context: gets progress; cancelling it stops the work.

    Yields:
        Findings, frame by frame.

    Raises:
        Cancelled: the context was cancelled.
    """
    classes = checks() if chosen is None else chosen
    yield from run_instances(labels, [check() for check in classes], image_of=image_of, context=context)


def run_instances(
    labels: LabelReader,
    running: Iterable[Check],
    *,
    image_of: ImageOfFrame | None = None,
    context: Context | None = None,
) -> Iterator[Finding]:
    """As :func:`run_checks`, with checks that know the labels afterwards: their fixes can be used."""
    context = context or Context()
    running = [check for check in running if image_of is not None or not check.needs_images]
    if not running:
        return
    frames = list(labels.frames())
    make = partial(checked_frame, labels, frames, image_of=image_of)
    counts, is_grouped = _learn(labels, make, len(frames), running, context)
    for check in running:
        yield from check.check_labels(labels)
    total = int(counts.sum())
    blocks = [(UNKNOWN, len(frames))] if is_grouped else _blocks(counts)
    done = 0
    for start, stop in blocks:
        groups = _grouped(labels) if is_grouped else _collected(labels, start, stop)
        for position, instances in _with_empty_frames(groups, start, stop):
            done += len(instances)
            context.progress(total + done, 2 * total)
            frame = make(position, instances)
            for check in running:
                yield from check.check_frame(frame)


def _learn(
    labels: LabelReader,
    make: Callable[[int, Sequence[tuple[int, Instance]]], CheckedFrame],
    num_frames: int,
    running: Sequence[Check],
    context: Context,
) -> tuple[np.ndarray, bool]:
    """Let checks learn; returns the number of instances of each frame (of unlisted frames first), and whether the
    instances of each frame stand together in ascending order of frames."""
    learning = [check for check in running if type(check).learn is not Check.learn]
    counts = np.zeros(num_frames + 1, np.int64)
    is_grouped, previous, done = True, UNKNOWN, 0
    total = labels.num_instances()
    for position, instances in _grouped(labels):
        is_grouped = is_grouped and position >= previous and not (counts[position + 1] and position != previous)
        previous = position
        counts[position + 1] += len(instances)
        before, done = done, done + len(instances)
        if before // _STEP != done // _STEP:
            context.progress(done, 2 * total)
        if learning:
            frame = make(position, instances)
            for check in learning:
                check.learn(frame)
    return counts, is_grouped


def _grouped(labels: LabelReader) -> Iterator[tuple[int, list[tuple[int, Instance]]]]:
    """Runs of neighbouring instances of one frame."""
    for position, group in groupby(enumerate(labels.instances()), key=lambda pair: pair[1].frame):
        yield position, list(group)


def _collected(labels: LabelReader, start: int, stop: int) -> Iterator[tuple[int, list[tuple[int, Instance]]]]:
    """The instances of frames ``start`` to ``stop`` (exclusive), by frame; reads all labels."""
    by_frame: dict[int, list[tuple[int, Instance]]] = {}
    for position, instance in enumerate(labels.instances()):
        if start <= instance.frame < stop:
            by_frame.setdefault(instance.frame, []).append((position, instance))
    for frame in sorted(by_frame):
        yield frame, by_frame.pop(frame)


def _blocks(counts: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of frame positions with at most :data:`INSTANCES_AT_ONCE` instances each, where frames allow it."""
    blocks, start, total = [], UNKNOWN, 0
    for position, count in enumerate(counts.tolist(), UNKNOWN):
        if total + count > INSTANCES_AT_ONCE and position > start:
            blocks.append((start, position))
            start, total = position, 0
        total += count
    return [*blocks, (start, len(counts) - 1)]


def _with_empty_frames(
    groups: Iterator[tuple[int, list[tuple[int, Instance]]]], start: int, stop: int
) -> Iterator[tuple[int, list[tuple[int, Instance]]]]:
    expected = max(start, 0)
    for position, instances in groups:
        for empty in range(expected, position):
            yield empty, []
        expected = max(expected, position + 1)
        yield position, instances
    for empty in range(expected, stop):
        yield empty, []


def checked_frame(
    labels: LabelReader,
    frames: Sequence[Frame],
    position: int,
    instances: Sequence[tuple[int, Instance]],
    *,
    image_of: ImageOfFrame | None = None,
) -> CheckedFrame:
    """A frame as checks see it, with some of its instances and their positions."""
    categories = labels.categories
    checked = [
        CheckedInstance(index, label, categories[label.category] if label.category >= 0 else None)
        for index, label in instances
    ]
    if position < 0:
        return CheckedFrame(UNKNOWN, _NOWHERE, checked)
    frame = frames[position]
    is_image = not labels.media or labels.media[frame.media].type == IMAGES
    find = None if image_of is None or not is_image else partial(image_of, position, frame)
    return CheckedFrame(position, frame, checked, find, is_video=not is_image)
