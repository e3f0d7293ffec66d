"""The stages that a picture goes through: read, find boxes, estimate the poses in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from engine.inference.box_interpolation import boxes_between
from engine.inference.threaded_stages import Check, batches
from engine.pose import Prediction

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Item(Generic[Key]):
    """One image to be read.

    Attributes:
        key: whatever the caller knows it by.
        read: gives RGB uint8 (H, W, 3); called in another thread, and in the order of the items.
        boxes: (N, 4) x1 y1 x2 y2; None = detect.
        box_scores: (N,); None = 1.
        sequence, frame: the video that it is a frame of, and its number there; None = it stands for itself. Boxes are
            carried over only from frame to frame of one sequence.
        group: neighbours share batches of the networks only when this is equal. As the last digits of a result depend
            on the batch, a run that must give the same again from the middle on begins at a new group.
        anywhere: ``read`` may be called in several threads at once.
    """

    key: Key
    read: Callable[[], Image] = field(repr=False)
    boxes: npt.NDArray[np.floating] | None = None
    box_scores: npt.NDArray[np.floating] | None = None
    sequence: Hashable = None
    frame: int = 0
    group: Hashable = None
    anywhere: bool = False

    def scores_or_ones(self) -> npt.NDArray[np.floating]:
        assert self.boxes is not None
        return np.ones(len(self.boxes)) if self.box_scores is None else self.box_scores


class Models(Protocol):
    """What the stages ask of a pose model."""

    def find_boxes(self, images: Sequence[Image], threshold: float | None) -> list[tuple[Floats, Floats]]: ...

    def poses(
        self, images: Sequence[Image], boxes: Sequence[Floats], scores: Sequence[Floats], flip_test: bool, batch: int
    ) -> list[list[Prediction]]: ...

    def best_of(self, found: Sequence[Prediction]) -> list[Prediction]: ...


@dataclass(frozen=True)
class Settings:
    """How the stages work.

    Attributes:
        flip_test: average with the mirrored crops.
        box_threshold: weaker detections are dropped; None = the detector's.
        batch: crops in one pass of the pose network. detector_batch: images in one pass of the detector.
        detect_every: the detector looks at every so many frames of a sequence.
        bytes_at_once: so many bytes of pictures make a batch full, whatever their number.
        threads: of the processor, for each of the networks; 0 = leave it as it is.
    """

    flip_test: bool = False
    box_threshold: float | None = None
    batch: int = 16
    detector_batch: int = 8
    detect_every: int = 1
    bytes_at_once: int = 128 << 20
    threads: int = 0


@dataclass(eq=False)
class Work:
    """A picture on its way."""

    item: Item[Any]
    image: Image
    boxes: Floats | None = None
    scores: Floats | None = None
    begun: int = 0
    """Boxes that have been taken into batches."""
    found: list[Prediction] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Boxes that wait for the pose network."""
        assert self.boxes is not None
        return len(self.boxes) - self.begun


def weigh(work: Work) -> int:
    """Bytes of a picture."""
    return int(work.image.nbytes)


def read_images(items: Iterable[Item[Any]], check: Check, readers: int = 1) -> Iterator[Work]:
    """The pictures in order; those that may be are read by several threads, each a picture ahead."""
    waiting: deque[tuple[Item[Any], Future[Image] | None]] = deque()
    pool = ThreadPoolExecutor(max(1, readers), thread_name_prefix="read-images")
    try:
        for item in items:
            check()
            shared = readers > 1 and item.anywhere
            waiting.append((item, pool.submit(item.read) if shared else None))
            if not shared or len(waiting) > readers:
                yield from _read(waiting, 0 if not shared else readers)
        yield from _read(waiting, 0)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(waiting: deque[tuple[Item[Any], Future[Image] | None]], keep: int) -> Iterator[Work]:
    while len(waiting) > keep:
        item, future = waiting.popleft()
        yield Work(item, item.read() if future is None else future.result())


def find_boxes(incoming: Iterator[Work], check: Check, models: Models, settings: Settings) -> Iterator[Work]:
    """Every picture with its boxes: those given, those of the detector, or those carried over from frames near."""
    _use_threads(settings.threads)
    between: list[Work] = []
    before: Work | None = None

    def is_full(part: list[tuple[Work, bool]]) -> bool:
        wanted = sum(wants for _, wants in part)
        return wanted >= settings.detector_batch or sum(weigh(work) for work, _ in part) >= settings.bytes_at_once

    marked = _marked(incoming, settings.detect_every)
    for part, _ in batches(marked, is_full, lambda pair: pair[0].item.group):
        chosen = [work for work, wants in part if wants]
        if chosen:
            check()
            found = models.find_boxes([work.image for work in chosen], settings.box_threshold)
            for work, (boxes, scores) in zip(chosen, found, strict=True):
                work.boxes, work.scores = boxes, scores
        for work, _ in part:
            if work.boxes is None:
                between.append(work)
                continue
            if between:
                assert before is not None
                yield from _carried(before, between, work)
                between = []
            before = work
            yield work


def _marked(incoming: Iterator[Work], every: int) -> Iterator[tuple[Work, bool]]:
    """Pictures, and whether the detector has to look at them: every so many frames, and at the last without a gap."""
    held: Work | None = None
    before: Item[Any] | None = None
    looked = 0
    for work in incoming:
        item = work.item
        goes_on = before is not None and (before.sequence, before.frame + 1) == (item.sequence, item.frame)
        if held is not None:
            yield held, not goes_on
            held = None
        if item.boxes is not None:
            work.boxes, work.scores = np.asarray(item.boxes), item.scores_or_ones()
            yield work, False
        elif item.sequence is None or not goes_on or item.frame - looked >= every:
            looked = item.frame
            yield work, True
        else:
            held = work
        before = item if item.sequence is not None and item.boxes is None else None
    if held is not None:
        yield held, True


def _carried(first: Work, between: list[Work], last: Work) -> Iterator[Work]:
    """Frames between two that the detector has looked at, with boxes from both."""
    assert first.boxes is not None
    assert first.scores is not None
    assert last.boxes is not None
    assert last.scores is not None
    length = last.item.frame - first.item.frame
    for work in between:
        share = (work.item.frame - first.item.frame) / length
        work.boxes, work.scores = boxes_between(first.boxes, first.scores, last.boxes, last.scores, share)
        yield work


def estimate(incoming: Iterator[Work], check: Check, models: Models, settings: Settings) -> Iterator[Work]:
    """The poses in the boxes. A batch is filled with the boxes of as many pictures as it takes."""
    _use_threads(settings.threads)
    waiting: deque[Work] = deque()

    def is_full(part: list[Work]) -> bool:
        enough = sum(work.left for work in part) + sum(work.left for work in waiting) >= settings.batch
        return enough or sum(map(weigh, part)) + sum(map(weigh, waiting)) >= settings.bytes_at_once

    for part, ended in batches(incoming, is_full, lambda work: work.item.group):
        waiting.extend(part)
        # The rest of a batch waits for the next pictures, unless they belong to another group or memory is short.
        least = 1 if ended or sum(map(weigh, waiting)) >= settings.bytes_at_once else settings.batch
        while (left := sum(work.left for work in waiting)) and left >= least:
            check()
            _estimate_batch(waiting, models, settings)
        while waiting and not waiting[0].left:
            yield _finished(waiting.popleft(), models)


def _estimate_batch(waiting: Iterable[Work], models: Models, settings: Settings) -> None:
    """Take one batch of boxes from the pictures that wait, in their order.

    What is left over is cut into halves, quarters and so on: graphics cards prepare for every size of a batch anew.
    """
    left = sum(work.left for work in waiting)
    room, taken = settings.batch if left >= settings.batch else 1 << (left.bit_length() - 1), []
    for work in waiting:
        count = min(room, work.left)
        if count:
            taken.append((work, slice(work.begun, work.begun + count)))
            work.begun += count
            room -= count
        if not room:
            break
    images = [work.image for work, _ in taken]
    boxes = [work.boxes[part] for work, part in taken if work.boxes is not None]
    scores = [work.scores[part] for work, part in taken if work.scores is not None]
    found = models.poses(images, boxes, scores, settings.flip_test, settings.batch)
    for (work, _), poses in zip(taken, found, strict=True):
        work.found += poses


def _finished(work: Work, models: Models) -> Work:
    if work.item.boxes is None:
        work.found = models.best_of(work.found)
    return work


def _use_threads(count: int) -> None:
    """For this thread alone: every thread that runs a network has workers of its own."""
    if count:
        torch.set_num_threads(count)
