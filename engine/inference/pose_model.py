"""A detector and a pose network as one model: images -> poses, and the same for a stream of images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from engine.errors import ModelError
from engine.inference.detector import Detector
from engine.inference.device import describe_device, pick_device
from engine.inference.pose_estimator import DEFAULT_MODEL, PoseEstimator
from engine.inference.streaming import Item, PendingImage, StreamSettings, estimate_poses, find_boxes, read_images
from engine.inference.threaded_stages import Stage, run_stages
from engine.models.catalog import find_model
from engine.pose import Prediction
from engine.schema.schema import Schema

log = logging.getLogger(__name__)

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.floating]
Key = TypeVar("Key")
ResultOfWork = TypeVar("ResultOfWork")

Result = tuple[Item[Key], ImageArray, list[Prediction]]

__all__ = ["NO_DETECTOR", "Item", "PoseModel", "oks_nms"]

NO_DETECTOR = "none"
# Two detections of one person give nearly the same pose; above this similarity (OKS) the one with the lower score is
# dropped.
OKS_NMS_THRESHOLD = 0.7
# Default batches of a stream: crops and images. On a CPU single ones are as fast, because the working set of a batch
# does not fit the caches; their results do not depend on their neighbors, and a cancelled run ends sooner.
CPU_BATCH, CPU_DETECTOR_BATCH = 1, 1
GPU_BATCH, GPU_DETECTOR_BATCH = 64, 8
DETECTOR_BATCH = 8
BYTES_AHEAD = 128 << 20


class PoseModel:
    """Finds the boxes, unless they are given, and estimates the poses in them.

    The detector is loaded when it is first needed.

    Attributes:
        estimator: the pose network.
        device: where both networks run.
        schema: the keypoints.
        category: name of the objects' category.
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
        device = pick_device(device) if isinstance(device, str) else device
        if detector is not None and str(detector) != NO_DETECTOR and find_model(detector).task != "detector":
            raise ModelError("is a pose model; --detector wants a detector", where=detector)
        entry = find_model(model)
        return cls(
            PoseEstimator.load(model, device, weights, backend), entry.detector if detector is None else detector
        )

    @property
    def detector(self) -> Detector:
        """The detector, loaded on first use.

        Raises:
            ModelError: there is none, or it cannot be loaded.
        """
        if self._detector is None:
            if self._detector_name is None or self.takes_whole_image:
                raise ModelError(
                    f"this model has no detector that finds {self.category!r}; give boxes or a --detector "
                    "(--detector none takes the whole image as the box)"
                )
            self._detector = Detector.load(self._detector_name, self.device)
        return self._detector

    def detector_categories(self) -> list[str]:
        """The categories to detect: the model's own, or the only one that the detector has.

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
        images: Sequence[ImageArray],
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
                None = detect; then the predictions come best first, without duplicates.
            flip_test: average with the mirrored crops.
            box_scores: for each image (N,), with ``boxes``; default 1.
            box_threshold: detections below it are dropped; None = the detector's.
            batch: crops in one pass of the network.

        Raises:
            ModelError: the detector is missing, broken, or does not know the category.
        """
        if boxes is not None:
            return self.poses(images, boxes, box_scores, flip_test, batch)
        detections = self.find_boxes(images, box_threshold, batch=DETECTOR_BATCH)
        detected_boxes, scores = [boxes for boxes, _ in detections], [scores for _, scores in detections]
        poses = self.poses(images, detected_boxes, scores, flip_test, batch)
        return [self.without_duplicates(group) for group in poses]

    def stream(self, items: Iterable[Item[Key]], flip_test: bool = False, **options: Any) -> Generator[Result[Key]]:
        """As :meth:`run` for any number of images: reading, detector and pose network work at the same time.

        Images share batches. Close the iterator to stop early: it returns after the current step.

        Args:
            items: what to read; those with boxes and those without may be mixed.
            flip_test: average with the mirrored crops.
            options: the others of :meth:`stream_with_ticks`.

        Yields:
            item, image and predictions, in the order of the items.

        Raises:
            PoseError: as reading an item raised it, after the results of the items before it; or as :meth:`run`.
        """
        with closing(self.stream_with_ticks(items, None, flip_test, **options)) as results:
            for result in results:
                assert result is not None
                yield result
                del result

    def stream_with_ticks(
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
        """As :meth:`stream`, with a None whenever there was no result for ``tick`` seconds: time to check for a cancel.

        Args:
            batch: crops in one pass of the pose network; None = what suits the device.
            box_threshold: detections below it are dropped; None = the detector's.
            detect_every: the detector looks at every n-th frame of a sequence, and at its last; boxes between are
                interpolated.
            detector_batch: images in one pass of the detector; None = what suits the device.
            readers: threads that read items with ``anywhere``.
            bytes_ahead: limit of the pixels that wait before each stage, and of those in one batch.
        """
        on_cpu = self.device.type == "cpu"
        crops, images = (CPU_BATCH, CPU_DETECTOR_BATCH) if on_cpu else (GPU_BATCH, GPU_DETECTOR_BATCH)
        remaining = iter(items)
        first = next(remaining, None)
        if first is None:
            return
        detects = first.boxes is None and not self.takes_whole_image
        thread_count = torch.get_num_threads()
        settings = StreamSettings(
            flip_test=flip_test,
            box_threshold=box_threshold,
            batch=batch or crops,
            detector_batch=detector_batch or images,
            detect_every=max(1, detect_every),
            batch_bytes=bytes_ahead,
            # Two networks on one CPU: each on half of the cores is faster than both on all of them in turn.
            threads=0 if not on_cpu else max(1, thread_count // 2) if detects else thread_count,
        )
        stages = [
            Stage("read-images", partial(read_images, readers=readers), size=bytes_ahead),
            Stage("find-boxes", partial(find_boxes, model=self, settings=settings), size=bytes_ahead),
            Stage("estimate-poses", partial(estimate_poses, model=self, settings=settings), size=bytes_ahead),
        ]
        results = run_stages(chain([first], remaining), stages, attrgetter("nbytes"), tick)
        pending: PendingImage | None
        try:
            for pending in results:
                yield None if pending is None else (pending.item, pending.image, pending.poses)
                del pending
        finally:
            results.close()
            if settings.threads:  # for threads that start from now on
                torch.set_num_threads(thread_count)

    def find_boxes(
        self, images: Sequence[ImageArray], threshold: float | None = None, *, batch: int | None = None
    ) -> list[tuple[FloatArray, FloatArray]]:
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
        images: Sequence[ImageArray],
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

    def _in_memory(self, work: Callable[[int], ResultOfWork], batch: int) -> ResultOfWork:
        """Do work in batches, in smaller ones while the memory of the device is too small for them."""
        while True:
            try:
                return work(batch)
            except torch.OutOfMemoryError:
                if batch <= 1:
                    raise ModelError(
                        f"{describe_device(self.device)} has not enough free memory; close other programs, choose a "
                        "smaller model, or run on the CPU (--device cpu)"
                    ) from None
            # Not in the handler: there the error still refers to the tensors.
            batch //= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            log.warning("%s has little free memory: continuing with batches of %d", describe_device(self.device), batch)

    def without_duplicates(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """Predictions in detected boxes, best first, one per object."""
        return oks_nms(predictions, self.schema.sigmas)


def oks_nms(
    predictions: Sequence[Prediction], sigmas: npt.ArrayLike, threshold: float = OKS_NMS_THRESHOLD
) -> list[Prediction]:
    """Non-maximum suppression by pose: best first, and of poses more similar than ``threshold`` only the best.

    The similarity is the OKS over all keypoints, with the mean area of the two boxes.
    """
    best_first = sorted(predictions, key=lambda prediction: -prediction.score)
    if len(best_first) < 2:
        return best_first
    points = np.stack([prediction.keypoints[:, :2] for prediction in best_first]).astype(np.float64)
    boxes = np.stack([prediction.box for prediction in best_first]).astype(np.float64)
    areas = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1.0)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    chosen: list[int] = []
    for i in range(len(best_first)):
        square = ((points[chosen] - points[i]) ** 2).sum(-1)
        area = (areas[chosen] + areas[i]) / 2
        similarity = np.exp(-square / (2 * area[:, None] * variances)).mean(1)
        if not (similarity > threshold).any():
            chosen.append(i)
    return [best_first[i] for i in chosen]
