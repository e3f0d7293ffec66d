"""The stages that an image goes through: read it, find boxes, estimate the poses in them."""

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
from engine.inference.threaded_stages import CheckStopped, batched
from engine.pose import Prediction

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.floating]
Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Item(Generic[Key]):
    """One image to be read.

    Attributes:
        key: by which the caller knows it.
        read: gives RGB uint8 (H, W, 3); called in another thread, and in the order of the items.
        boxes: (N, 4) x1 y1 x2 y2; None = detect.
        box_scores: (N,); None = 1.
        sequence, frame: the video that it is a frame of, and the index there; None = not a frame of a video. Boxes are
            interpolated only between frames of one sequence.
        group: neighbors share batches of the networks only when this is equal. The last digits of a result depend on
            the batch, so a run that must be repeatable from the middle starts a new group there.
        anywhere: ``read`` may be called in several threads at once.
    """

    key: Key
    read: Callable[[], ImageArray] = field(repr=False)
    boxes: FloatArray | None = None
    box_scores: FloatArray | None = None
    sequence: Hashable = None
    frame: int = 0
    group: Hashable = None
    anywhere: bool = False

    def scores_or_ones(self) -> FloatArray:
        assert self.boxes is not None
        return np.ones(len(self.boxes)) if self.box_scores is None else self.box_scores


class StagedModel(Protocol):
    """What the stages need of a pose model; see ``PoseModel``."""

    def find_boxes(
        self, images: Sequence[ImageArray], threshold: float | None
    ) -> list[tuple[FloatArray, FloatArray]]: ...

    def poses(
        self,
        images: Sequence[ImageArray],
        boxes: Sequence[FloatArray],
        scores: Sequence[FloatArray],
        flip_test: bool,
        batch: int,
    ) -> list[list[Prediction]]: ...

    def without_duplicates(self, predictions: Sequence[Prediction]) -> list[Prediction]: ...


@dataclass(frozen=True)
class StreamSettings:
    """How the stages work.

    Attributes:
        flip_test: average with the mirrored crops.
        box_threshold: detections below it are dropped; None = the detector's.
        batch: crops in one pass of the pose network.
        detector_batch: images in one pass of the detector.
        detect_every: the detector looks at every n-th frame of a sequence.
        batch_bytes: a batch with so many bytes of pixels is full, whatever its length.
        threads: CPU threads of each network; 0 = unchanged.
    """

    flip_test: bool = False
    box_threshold: float | None = None
    batch: int = 16
    detector_batch: int = 8
    detect_every: int = 1
    batch_bytes: int = 128 << 20
    threads: int = 0


@dataclass(eq=False)
class PendingImage:
    """An image on its way through the stages.

    Attributes:
        boxes, scores: (N, 4) and (N,), once they are found.
        batched: number of boxes that were put into batches so far.
        poses: of the boxes in the batches that are done.
    """

    item: Item[Any]
    image: ImageArray
    boxes: FloatArray | None = None
    scores: FloatArray | None = None
    batched: int = 0
    poses: list[Prediction] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """Number of boxes that wait for the pose network."""
        assert self.boxes is not None
        return len(self.boxes) - self.batched

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return int(self.image.nbytes)


def _total_bytes(images: Iterable[PendingImage]) -> int:
    return sum(pending.nbytes for pending in images)


# -- reading ----------------------------------------------------------------------------------------------------------


def read_images(items: Iterable[Item[Any]], check_stopped: CheckStopped, readers: int = 1) -> Iterator[PendingImage]:
    """The images in order; those that allow it are read by several threads, each one image ahead."""
    waiting: deque[tuple[Item[Any], Future[ImageArray] | None]] = deque()
    pool = ThreadPoolExecutor(max(1, readers), thread_name_prefix="read-images")
    try:
        for item in items:
            check_stopped()
            in_pool = readers > 1 and item.anywhere
            waiting.append((item, pool.submit(item.read) if in_pool else None))
            if not in_pool or len(waiting) > readers:
                yield from _read(waiting, readers if in_pool else 0)
        yield from _read(waiting, 0)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(waiting: deque[tuple[Item[Any], Future[ImageArray] | None]], ahead: int) -> Iterator[PendingImage]:
    """The first images of the queue, all but ``ahead``."""
    while len(waiting) > ahead:
        item, future = waiting.popleft()
        yield PendingImage(item, item.read() if future is None else future.result())


# -- boxes ------------------------------------------------------------------------------------------------------------


def find_boxes(
    incoming: Iterator[PendingImage], check_stopped: CheckStopped, model: StagedModel, settings: StreamSettings
) -> Iterator[PendingImage]:
    """Every image with its boxes: those given, those of the detector, or interpolated ones from frames near it."""
    _use_threads(settings.threads)
    between: list[PendingImage] = []
    before: PendingImage | None = None

    def is_full(part: list[tuple[PendingImage, bool]]) -> bool:
        count = sum(is_detected for _, is_detected in part)
        return count >= settings.detector_batch or _total_bytes(image for image, _ in part) >= settings.batch_bytes

    flagged = _with_detection_flags(incoming, settings.detect_every)
    for part, _ in batched(flagged, is_full, lambda pair: pair[0].item.group):
        to_detect = [pending for pending, is_detected in part if is_detected]
        if to_detect:
            check_stopped()
            detections = model.find_boxes([pending.image for pending in to_detect], settings.box_threshold)
            for pending, (boxes, scores) in zip(to_detect, detections, strict=True):
                pending.boxes, pending.scores = boxes, scores
        for pending, _ in part:
            if pending.boxes is None:
                between.append(pending)
                continue
            if between:
                assert before is not None
                yield from _with_interpolated_boxes(before, between, pending)
                between = []
            before = pending
            yield pending


def _with_detection_flags(incoming: Iterator[PendingImage], every: int) -> Iterator[tuple[PendingImage, bool]]:
    """Images, and whether the detector has to look at them: every n-th frame, and the last one before a gap."""
    held_back: PendingImage | None = None
    before: Item[Any] | None = None
    last_detected = 0
    for pending in incoming:
        item = pending.item
        continues = before is not None and (before.sequence, before.frame + 1) == (item.sequence, item.frame)
        if held_back is not None:
            yield held_back, not continues
            held_back = None
        if item.boxes is not None:
            pending.boxes, pending.scores = np.asarray(item.boxes), item.scores_or_ones()
            yield pending, False
        elif item.sequence is None or not continues or item.frame - last_detected >= every:
            last_detected = item.frame
            yield pending, True
        else:
            held_back = pending
        before = item if item.sequence is not None and item.boxes is None else None
    if held_back is not None:
        yield held_back, True


def _with_interpolated_boxes(
    first: PendingImage, between: list[PendingImage], last: PendingImage
) -> Iterator[PendingImage]:
    """Frames between two that the detector has looked at, with boxes from both."""
    assert first.boxes is not None
    assert first.scores is not None
    assert last.boxes is not None
    assert last.scores is not None
    length = last.item.frame - first.item.frame
    for pending in between:
        share = (pending.item.frame - first.item.frame) / length
        pending.boxes, pending.scores = boxes_between(first.boxes, first.scores, last.boxes, last.scores, share)
        yield pending


# -- poses ------------------------------------------------------------------------------------------------------------


def estimate_poses(
    incoming: Iterator[PendingImage], check_stopped: CheckStopped, model: StagedModel, settings: StreamSettings
) -> Iterator[PendingImage]:
    """The poses in the boxes. A batch is filled with the boxes of as many images as it takes."""
    _use_threads(settings.threads)
    waiting: deque[PendingImage] = deque()

    def is_full(part: list[PendingImage]) -> bool:
        count = sum(pending.remaining for pending in part) + sum(pending.remaining for pending in waiting)
        return count >= settings.batch or _total_bytes(part) + _total_bytes(waiting) >= settings.batch_bytes

    for part, ends_group in batched(incoming, is_full, lambda pending: pending.item.group):
        waiting.extend(part)
        # The rest of a batch waits for the next images, unless they belong to another group or memory is short.
        smallest = 1 if ends_group or _total_bytes(waiting) >= settings.batch_bytes else settings.batch
        while (remaining := sum(pending.remaining for pending in waiting)) and remaining >= smallest:
            check_stopped()
            _estimate_batch(waiting, model, settings)
        while waiting and not waiting[0].remaining:
            yield _finished(waiting.popleft(), model)


def _estimate_batch(waiting: Iterable[PendingImage], model: StagedModel, settings: StreamSettings) -> None:
    """Take one batch of boxes from the waiting images, in order.

    A batch that is not full is cut to a power of two: GPUs prepare for every new batch size.
    """
    remaining = sum(pending.remaining for pending in waiting)
    room = settings.batch if remaining >= settings.batch else 1 << (remaining.bit_length() - 1)
    taken: list[tuple[PendingImage, slice]] = []
    for pending in waiting:
        count = min(room, pending.remaining)
        if count:
            taken.append((pending, slice(pending.batched, pending.batched + count)))
            pending.batched += count
            room -= count
        if not room:
            break
    images = [pending.image for pending, _ in taken]
    boxes = [pending.boxes[part] for pending, part in taken if pending.boxes is not None]
    scores = [pending.scores[part] for pending, part in taken if pending.scores is not None]
    poses_of_images = model.poses(images, boxes, scores, settings.flip_test, settings.batch)
    for (pending, _), poses in zip(taken, poses_of_images, strict=True):
        pending.poses += poses


def _finished(pending: PendingImage, model: StagedModel) -> PendingImage:
    if pending.item.boxes is None:
        pending.poses = model.without_duplicates(pending.poses)
    return pending


def _use_threads(count: int) -> None:
    """Set the number of workers of this thread alone: every thread that runs a network has its own."""
    if count:
        torch.set_num_threads(count)
