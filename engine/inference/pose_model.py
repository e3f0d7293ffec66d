"""A detector and a pose network as one model: image -> poses; and the same over a stream of images, read ahead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from engine.errors import ModelError
from engine.inference.detector import Detector
from engine.inference.device import describe_device, pick_device
from engine.inference.pose_estimator import DEFAULT_MODEL, PoseEstimator
from engine.inference.streaming import Item, Settings, estimate, find_boxes, read_images, weigh
from engine.inference.threaded_stages import Stage, run_stages
from engine.models.catalog import find_model
from engine.pose import Prediction
from engine.schema.schema import Schema

log = logging.getLogger(__name__)

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Key = TypeVar("Key")
Made = TypeVar("Made")

Result = tuple[Item[Key], Image, list[Prediction]]

__all__ = ["NO_DETECTOR", "Item", "PoseModel", "without_doubles"]

NO_DETECTOR = "none"
# Two detections of one person give nearly the same pose; from this similarity (OKS) on, the weaker is dropped.
SAME_POSE = 0.7
# What a stream takes at once, where nobody says otherwise. On a processor a picture alone is as quick as among many,
# for the working set of a batch does not fit the caches; it gives the same digits whatever comes beside it, and a run
# that is cancelled need not wait for long.
CROPS_ON_PROCESSOR, IMAGES_ON_PROCESSOR = 1, 1
CROPS, IMAGES = 64, 8
DETECTOR_BATCH = 8
BYTES_AHEAD = 128 << 20


class PoseModel:
    """Finds the boxes, unless they are given, and estimates the poses in them.

    The detector is loaded when it is first needed.

    Attributes:
        estimator: the pose network.
        device: where both networks run.
        schema: the keypoints.
        category: name of the kind of object.
        takes_whole_image: there is no detector and the image is the box.
    """

    def __init__(self, estimator: PoseEstimator, detector: Detector | str | Path | None) -> None:
        """``detector``: one that is loaded, an id or file to load, "none" = the whole image is the box, or None."""
        self.estimator = estimator
        self.device: torch.device = estimator.device
        self.schema: Schema = estimator.schema
        self.category = estimator.category
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
            backend: what runs the pose network (``engine.inference.backends``).

        Raises:
            ModelError: unknown, unreadable or unfit model, weights, detector or device.
        """
        chosen = pick_device(device) if isinstance(device, str) else device
        if detector is not None and str(detector) != NO_DETECTOR and find_model(detector).task != "detector":
            raise ModelError("is a pose model; --detector wants a detector", where=detector)
        entry = find_model(model)
        return cls(
            PoseEstimator.load(model, chosen, weights, backend), entry.detector if detector is None else detector
        )

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
            return self.poses(images, boxes, box_scores, flip_test, batch)
        found = self.find_boxes(images, box_threshold, batch=DETECTOR_BATCH)
        poses = self.poses(images, [boxes for boxes, _ in found], [scores for _, scores in found], flip_test, batch)
        return [self.best_of(group) for group in poses]

    def stream(self, items: Iterable[Item[Key]], flip_test: bool = False, **options: Any) -> Generator[Result[Key]]:
        """As :meth:`run` over any number of images: reading, detector and pose network work at the same time.

        Batches go across images. Close the iterator to stop early: it comes back after the step at hand.

        Args:
            items: what to read; those with boxes and those without may be mixed.
            flip_test: average with the mirrored crops.
            options: the others of :meth:`stream_ticking`.

        Yields:
            item, image and predictions, in the order of the items.

        Raises:
            PoseError: what reading an item raised, after the results of the items before it; or as :meth:`run`.
        """
        running = self.stream_ticking(items, None, flip_test, **options)
        try:
            for found in running:
                assert found is not None
                yield found
                del found
        finally:
            running.close()

    def stream_ticking(
        self,
        items: Iterable[Item[Key]],
        tick: float | None,
        flip_test: bool = False,
        *,
        batch: int | None = None,
        box_threshold: float | None = None,
        detect_every: int = 1,
        detector_batch: int | None = None,
        readers: int = 1,
        bytes_ahead: int = BYTES_AHEAD,
    ) -> Generator[Result[Key] | None]:
        """As :meth:`stream`, with a None whenever nothing has come for ``tick`` seconds: time to hear a cancel.

        Args:
            batch: crops in one pass of the pose network, detector_batch: images in one pass of the detector; None =
                what suits the device (a processor is as quick with single ones, and sooner done with each).
            box_threshold: detections below it are dropped; None = the detector's.
            detect_every: the detector looks at every so many frames of a sequence, and at its last; boxes between are
                carried over.
            readers: threads that read items which may be read anywhere.
            bytes_ahead: of pictures that wait before each stage, and of those in one batch.
        """
        on_processor = self.device.type == "cpu"
        crops, images = (CROPS_ON_PROCESSOR, IMAGES_ON_PROCESSOR) if on_processor else (CROPS, IMAGES)
        everything = iter(items)
        first = next(everything, None)
        if first is None:
            return
        detects = first.boxes is None and not self.takes_whole_image
        before = torch.get_num_threads()
        settings = Settings(
            flip_test=flip_test,
            box_threshold=box_threshold,
            batch=batch or crops,
            detector_batch=detector_batch or images,
            detect_every=max(1, detect_every),
            bytes_at_once=bytes_ahead,
            # Two networks on one processor: each with half of it is quicker than both on all of it in turn.
            threads=max(1, before // 2) if on_processor and detects else before if on_processor else 0,
        )
        stages = [
            Stage("read-images", partial(read_images, readers=readers), size=bytes_ahead),
            Stage("find-boxes", partial(find_boxes, models=self, settings=settings), size=bytes_ahead),
            Stage("estimate-poses", partial(estimate, models=self, settings=settings), size=bytes_ahead),
        ]
        running = run_stages(chain([first], everything), stages, weigh, tick)
        try:
            for work in running:
                yield None if work is None else (work.item, work.image, work.found)
                del work
        finally:
            running.close()
            if settings.threads:  # threads made from now on have as many workers as before
                torch.set_num_threads(before)

    def find_boxes(
        self, images: Sequence[Image], threshold: float | None = None, *, batch: int | None = None
    ) -> list[tuple[Floats, Floats]]:
        """For each image boxes (N, 4) x1 y1 x2 y2 and scores (N,); the whole image where there is no detector.

        Args:
            threshold: detections below it are dropped; None = the detector's.
            batch: images in one pass of the detector; None = all.

        Raises:
            ModelError: the detector is missing, broken, or does not know the category.
        """
        if self.takes_whole_image:
            return [
                (np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32), np.ones(1, np.float32))
                for image in images
            ]
        detector, categories = self.detector, self.detector_categories()
        detections = self._in_memory(
            lambda size: detector.detect(images, score_threshold=threshold, categories=categories, batch=size),
            batch or len(images),
        )
        return [(each.boxes, each.scores) for each in detections]

    def poses(
        self,
        images: Sequence[Image],
        boxes: Sequence[npt.ArrayLike],
        scores: Sequence[npt.ArrayLike] | None,
        flip_test: bool,
        batch: int,
    ) -> list[list[Prediction]]:
        """The pose in every box, as :meth:`run` gives them for boxes.

        Raises:
            ModelError: the device has not even the memory for a single crop.
        """
        return self._in_memory(
            lambda size: self.estimator.predict(images, boxes, scores, flip_test=flip_test, batch=size), batch
        )

    def _in_memory(self, work: Callable[[int], Made], batch: int) -> Made:
        """Do work in batches; in smaller ones when the device's memory is too small for them."""
        while True:
            try:
                return work(batch)
            except torch.OutOfMemoryError:
                if batch <= 1:
                    raise ModelError(
                        f"{describe_device(self.device)} has not enough memory left; close other programs, choose a "
                        "smaller model, or run on the processor (--device cpu)"
                    ) from None
            # Behind the handler: the error holds on to what was in memory.
            batch //= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            log.warning("%s has little memory left: batches of %d from here", describe_device(self.device), batch)

    def best_of(self, found: Sequence[Prediction]) -> list[Prediction]:
        """Predictions in detected boxes, best first, without doubles."""
        return without_doubles(found, self.schema.sigmas)


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
