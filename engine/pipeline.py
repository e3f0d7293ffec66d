"""A detector and a pose network as one model: image -> poses; and the same over a stream of images, read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from engine.contract.errors import ModelError
from engine.contract.predictions import Prediction
from engine.contract.schema import Schema
from engine.detector import Detector
from engine.device import pick_device
from engine.predictor import DEFAULT_MODEL, Predictor
from engine.zoo import find_model

Image = npt.NDArray[np.uint8]
Key = TypeVar("Key")

NO_DETECTOR = "none"
# Two detections of one person give nearly the same pose; from this similarity (OKS) on, the weaker is dropped.
SAME_POSE = 0.7
READ_AHEAD = 8


class PoseModel:
    """Finds the boxes, unless they are given, and estimates the poses in them.

    The detector is loaded when it is first needed.

    Attributes:
        predictor: the pose network.
        device: where both networks run.
        schema: the keypoints.
        category: name of the kind of object.
        takes_whole_image: there is no detector and the image is the box.
    """

    def __init__(self, predictor: Predictor, detector: Detector | str | Path | None) -> None:
        """``detector``: one that is loaded, an id or file to load, "none" = the whole image is the box, or None."""
        self.predictor = predictor
        self.device: torch.device = predictor.device
        self.schema: Schema = predictor.schema
        self.category = predictor.category
        self._detector = detector if isinstance(detector, Detector) else None
        self._detector_name = detector if isinstance(detector, str | Path) else None
        self.takes_whole_image = str(detector) == NO_DETECTOR

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        detector: str | Path | None = None,
        device: str | torch.device = "auto",
        weights: str | Path | None = None,
        backend: str = "torch",
    ) -> Self:
        """Load a pose model with its detector.

        Args:
            model: id or checkpoint file.
            detector: id or checkpoint file; "none" = the whole image is the box; None = the one that the model names.
            device: "auto", "cpu", "cuda" or "mps".
            weights: other weights for the pose network.
            backend: what runs the pose network (``engine.backends``).

        Raises:
            ModelError: unknown, unreadable or unfit model, weights, detector or device.
        """
        chosen = pick_device(device) if isinstance(device, str) else device
        if detector is not None and str(detector) != NO_DETECTOR and find_model(detector).task != "detector":
            raise ModelError("is a pose model; --detector wants a detector", where=detector)
        entry = find_model(model)
        return cls(Predictor.load(model, chosen, weights, backend), entry.detector if detector is None else detector)

    @property
    def detector(self) -> Detector:
        """The detector, loaded now if it was not yet.

        Raises:
            ModelError: there is none, or it cannot be loaded.
        """
        if self._detector is None:
            if self._detector_name is None or self.takes_whole_image:
                raise ModelError(
                    f"this model brings no detector that finds {self.category!r}; give boxes or a --detector "
                    "(--detector none takes the whole image as the box)"
                )
            self._detector = Detector.load(self._detector_name, self.device)
        return self._detector

    def detector_categories(self) -> list[str]:
        """What the detector is asked for: the model's category, or the only one that the detector has.

        Raises:
            ModelError: there is neither.
        """
        detector = self.detector
        if detector.knows(self.category):
            return [self.category]
        only = [name for name in detector.categories if name]
        if len(only) == 1:
            return only
        raise ModelError(
            f"the detector does not know {self.category!r}; give boxes, another --detector, or --detector none",
            where=self._detector_name,
        )

    def run(
        self,
        images: Sequence[Image],
        boxes: Sequence[npt.ArrayLike] | None = None,
        flip_test: bool = False,
        *,
        box_scores: Sequence[npt.ArrayLike] | None = None,
        box_threshold: float | None = None,
        batch: int = 16,
    ) -> list[list[Prediction]]:
        """Poses in images.

        Args:
            images: RGB uint8 (H, W, 3).
            boxes: for each image (N, 4) x1 y1 x2 y2, image pixels, used as given, one prediction each in their order.
                None = detect; then the predictions come best first, and of several alike only the best stays.
            flip_test: average with the mirrored crops.
            box_scores: for each image (N,), with ``boxes``; default 1.
            box_threshold: detections below it are dropped; None = the detector's.
            batch: crops in one pass of the network.

        Raises:
            ModelError: the detector is missing, broken, or does not know the category.
        """
        if boxes is not None:
            return self.predictor.predict(images, boxes, box_scores, flip_test=flip_test, batch=batch)
        if self.takes_whole_image:
            whole = [np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32) for image in images]
            return self.predictor.predict(images, whole, flip_test=flip_test, batch=batch)
        categories = self.detector_categories()
        found = self.detector.detect(images, score_threshold=box_threshold, categories=categories)
        poses = self.predictor.predict(
            images, [d.boxes for d in found], [d.scores for d in found], flip_test=flip_test, batch=batch
        )
        return [without_doubles(group, self.schema.sigmas) for group in poses]

    def stream(
        self, items: Iterable[Item[Key]], flip_test: bool = False, *, images_at_once: int = 8, **options: Any
    ) -> Iterator[tuple[Item[Key], Image, list[Prediction]]]:
        """As :meth:`run` over any number of images, which are read ahead in another thread.

        Args:
            items: what to read; those with boxes and those without may be mixed.
            images_at_once: images that share batches.
            options: of :meth:`run`.

        Yields:
            item, image and predictions, in the order of the items.
        """
        for part in _chunks(_read_ahead(items), images_at_once):
            results: list[list[Prediction]] = [[] for _ in part]
            for given in (True, False):
                chosen = [i for i, (item, _) in enumerate(part) if (item.boxes is not None) == given]
                images = [part[i][1] for i in chosen]
                if not images:
                    continue
                boxes = [part[i][0].boxes for i in chosen] if given else None
                scores = [part[i][0].scores_or_ones() for i in chosen] if given else None
                poses = self.run(images, boxes, flip_test, box_scores=scores, **options)  # type: ignore[arg-type]
                for i, group in zip(chosen, poses, strict=True):
                    results[i] = group
            for (item, image), group in zip(part, results, strict=True):
                yield item, image, group


@dataclass(frozen=True, eq=False)
class Item(Generic[Key]):
    """One image to be read.

    Attributes:
        key: whatever the caller knows it by.
        read: gives RGB uint8 (H, W, 3); called in another thread.
        boxes: (N, 4) x1 y1 x2 y2; None = detect.
        box_scores: (N,); None = 1.
    """

    key: Key
    read: Callable[[], Image] = field(repr=False)
    boxes: npt.NDArray[np.floating] | None = None
    box_scores: npt.NDArray[np.floating] | None = None

    def scores_or_ones(self) -> npt.NDArray[np.floating]:
        assert self.boxes is not None
        return np.ones(len(self.boxes)) if self.box_scores is None else self.box_scores


def without_doubles(
    predictions: Sequence[Prediction], sigmas: npt.ArrayLike, threshold: float = SAME_POSE
) -> list[Prediction]:
    """Best first, and of poses that are more alike than ``threshold`` only the best (OKS suppression).

    The likeness is the object keypoint similarity over all points, with the mean area of the two boxes.
    """
    best_first = sorted(predictions, key=lambda prediction: -prediction.score)
    if len(best_first) < 2:
        return best_first
    points = np.stack([prediction.keypoints[:, :2] for prediction in best_first]).astype(np.float64)
    boxes = np.stack([prediction.box for prediction in best_first]).astype(np.float64)
    areas = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1.0)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    kept: list[int] = []
    for i in range(len(best_first)):
        square = ((points[kept] - points[i]) ** 2).sum(-1)
        area = (areas[kept] + areas[i]) / 2
        likeness = np.exp(-square / (2 * area[:, None] * variances)).mean(1)
        if not (likeness > threshold).any():
            kept.append(i)
    return [best_first[i] for i in kept]


def _read_ahead(items: Iterable[Item[Key]]) -> Iterator[tuple[Item[Key], Image]]:
    """Items with their images, in order; some are read while the networks work on those before."""
    waiting: deque[tuple[Item[Key], Future[Image]]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-images")
    try:
        for item in items:
            waiting.append((item, pool.submit(item.read)))
            if len(waiting) > READ_AHEAD:
                ready, image = waiting.popleft()
                yield ready, image.result()
        while waiting:
            ready, image = waiting.popleft()
            yield ready, image.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunks(pairs: Iterator[tuple[Item[Key], Image]], size: int) -> Iterator[list[tuple[Item[Key], Image]]]:
    part: list[tuple[Item[Key], Image]] = []
    for pair in pairs:
        part.append(pair)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
