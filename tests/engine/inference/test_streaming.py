"""What the stages make of pictures, with models that note what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inference.streaming import Item, PendingImage, StreamSettings, estimate_poses, find_boxes, read_images
from engine.inference.threaded_stages import Stage, run_stages
from engine.pose import Prediction


class Noting:
    """Finds in each picture as many boxes as its first pixel says; a pose tells the box that it was made of."""

    def __init__(self) -> None:
        self.detected: list[list[int]] = []
        self.estimated: list[int] = []

    def find_boxes(self, images: Sequence[np.ndarray], threshold: float | None) -> list[tuple[Any, Any]]:
        self.detected.append([int(image[0, 1, 0]) for image in images])
        return [(_boxes(int(image[0, 1, 0]), int(image[0, 0, 0])), np.full(image[0, 0, 0], 0.5)) for image in images]

    def looked_at(self) -> list[int]:
        return [index for values in self.detected for index in values]

    def poses(
        self, images: Sequence[Any], boxes: Sequence[Any], scores: Sequence[Any], flip_test: bool, batch: int
    ) -> list[list[Prediction]]:
        self.estimated.append(sum(map(len, boxes)))
        return [[Prediction(np.zeros((1, 3)), box, 0.5) for box in group] for group in boxes]

    def without_duplicates(self, result: Sequence[Prediction]) -> list[Prediction]:
        return list(result)


def _boxes(index: int, count: int) -> np.ndarray:
    return np.array([[1000.0 * n, index, 1000 * n + 10, index + 10] for n in range(count)]).reshape(-1, 4)


def item(index: int, count: int = 1, **fields: Any) -> Item[int]:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0, 0], image[0, 1, 0] = count, index
    return Item(index, lambda: image, **fields)


def run(items: Sequence[Item[int]], settings: StreamSettings, models: Noting | None = None) -> list[PendingImage]:
    models = models or Noting()
    stages = [
        Stage("read", read_images),
        Stage("find", partial(find_boxes, model=models, settings=settings)),
        Stage("estimate", partial(estimate_poses, model=models, settings=settings)),
    ]
    return list(run_stages(items, stages, attrgetter("nbytes")))


@given(
    counts=st.lists(st.integers(0, 7), max_size=30), batch=st.integers(1, 9), detector_batch=st.integers(1, 5),
    group=st.integers(1, 40), memory=st.sampled_from([1, 50, 1 << 20]),
)  # fmt: skip
def test_every_box_gets_its_pose_in_order_whatever_the_batches(
    counts: list[int], batch: int, detector_batch: int, group: int, memory: int
) -> None:
    models = Noting()
    items = [item(n, count, group=n // group) for n, count in enumerate(counts)]
    settings = StreamSettings(batch=batch, detector_batch=detector_batch, batch_bytes=memory)
    result = run(items, settings, models)
    assert [work.item.key for work in result] == list(range(len(counts)))
    for work, count in zip(result, counts, strict=True):
        assert [p.box.tolist() for p in work.poses] == _boxes(work.item.key, count).tolist()
    assert all(0 < size <= batch for size in models.estimated)
    assert all(len(values) <= detector_batch for values in models.detected)
    assert all(len({n // group for n in values}) == 1 for values in models.detected)


def test_batches_are_filled_across_pictures() -> None:
    models = Noting()
    run([item(n, 3) for n in range(10)], StreamSettings(batch=8, detector_batch=4), models)
    assert models.detected == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert models.estimated == [8, 8, 8, 4, 2]


def test_the_detector_looks_at_every_nth_frame_and_at_the_last() -> None:
    models = Noting()
    items = [item(n, sequence="film", frame=n) for n in range(9)]
    result = run(items, StreamSettings(detect_every=3, batch=1), models)
    assert sorted(models.looked_at()) == [0, 3, 6, 8]
    # Boxes move by one pixel a frame, so carried over they are where they would have been found.
    assert [work.poses[0].box[1] for work in result] == pytest.approx(range(9))


@pytest.mark.parametrize(
    ("frames", "looked"),
    [
        ([("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)], [0, 2, 3, 4]),
        ([("a", 4), ("a", 5), ("a", 6), ("a", 20), ("a", 21)], [0, 2, 3, 4]),
        ([(None, 0), (None, 1), (None, 2)], [0, 1, 2]),
        ([("a", 0)], [0]),
    ],
)
def test_boxes_are_not_carried_over_cuts_and_gaps(frames: list[tuple[Any, int]], looked: list[int]) -> None:
    models = Noting()
    items = [item(n, sequence=sequence, frame=frame) for n, (sequence, frame) in enumerate(frames)]
    assert len(run(items, StreamSettings(detect_every=5), models)) == len(frames)
    assert sorted(models.looked_at()) == looked


def test_given_boxes_are_not_looked_for() -> None:
    models = Noting()
    boxes = np.array([[1.0, 2, 3, 4]])
    result = run([item(0), item(1, boxes=boxes), item(2)], StreamSettings(), models)
    assert models.looked_at() == [0, 2]
    np.testing.assert_array_equal(result[1].poses[0].box, boxes[0])


@pytest.mark.parametrize("readers", [1, 3])
def test_pictures_come_in_order_however_many_read_them(readers: int) -> None:
    items = [item(n, anywhere=n % 4 > 0) for n in range(20)]
    result = read_images(items, lambda: None, readers)
    assert [int(work.image[0, 1, 0]) for work in result] == list(range(20))


def test_an_unreadable_picture_does_not_take_those_before_it_along() -> None:
    def broken() -> np.ndarray:
        raise OSError("broken")

    items = [item(0), item(1), Item(2, broken)]
    results: list[int] = []
    settings = StreamSettings(batch=16, detector_batch=8)
    models = Noting()
    make: Callable[..., Iterator[PendingImage]] = partial(find_boxes, model=models, settings=settings)
    stages = [
        Stage("r", read_images),
        Stage("f", make),
        Stage("e", partial(estimate_poses, model=models, settings=settings)),
    ]
    with pytest.raises(OSError, match="broken"):
        results.extend(work.item.key for work in run_stages(items, stages, attrgetter("nbytes")))
    assert results == [0, 1]
