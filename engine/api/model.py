"""A pose model that is called with images, and its detector."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from engine.api.images import (
    ImageSource,
    RgbImage,
    check_boxes_in_image,
    checked_boxes,
    frame_source,
    image_source,
    image_sources,
    is_one_image,
    listed_boxes,
    video_frames,
    video_path,
)
from engine.api.poses import Poses
from engine.errors import MediaError, ModelError
from engine.media.source import is_video
from engine.models.catalog import ModelEntry, find_model
from engine.schema.schema import Schema

if TYPE_CHECKING:  # torch loads with the first model, not with this module
    from PIL.Image import Image as PilImage

    from engine.inference.pose_model import Item, PoseModel

OWN_DETECTOR = "own"
WHOLE_IMAGE = "whole_image"


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame of a video.

    Attributes:
        index: number of the frame, counted from 0 in the order in which frames are shown.
        time: seconds from the first frame.
        poses: those of the frame; ``pose.track`` is the same number in every frame that shows the same object.
    """

    index: int
    time: float
    poses: Poses


class Model:
    """A pose network with its detector. Call it with images. Made by :func:`engine.load_model`.

    Attributes:
        entry: its row of the catalog: id, title, figures.
        schema: names, limbs and colors of the keypoints it finds.
        device: where it runs, such as "cpu" or "cuda".
    """

    def __init__(self, entry: ModelEntry, pose_model: PoseModel, detector: str | None) -> None:
        self.entry = entry
        self.schema: Schema = pose_model.schema
        self.device = str(pose_model.device)
        self._pose_model = pose_model
        self._detector = detector

    @property
    def names(self) -> tuple[str, ...]:
        """Of the keypoints."""
        return self.schema.names

    def __repr__(self) -> str:
        detector = self._detector or "none, give boxes"
        return f"<Model {self.entry.id}: {len(self.names)} keypoints, detector {detector}, on {self.device}>"

    @overload
    def __call__(  # type: ignore[overload-overlap]  # an array is iterable, too
        self,
        images: npt.NDArray[Any] | PilImage,
        boxes: npt.ArrayLike | None = None,
        *,
        flip_test: bool = False,
        box_threshold: float | None = None,
        batch: int | None = None,
    ) -> Poses: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # a video gives a list: Any
        self,
        images: str | os.PathLike[str],
        boxes: npt.ArrayLike | None = None,
        *,
        flip_test: bool = False,
        box_threshold: float | None = None,
        batch: int | None = None,
    ) -> Poses | Any: ...
    @overload
    def __call__(
        self,
        images: Iterable[str | os.PathLike[str] | npt.NDArray[Any] | PilImage],
        boxes: Sequence[npt.ArrayLike] | None = None,
        *,
        flip_test: bool = False,
        box_threshold: float | None = None,
        batch: int | None = None,
    ) -> list[Poses]: ...
    def __call__(
        self,
        images: Any,
        boxes: Any = None,
        *,
        flip_test: bool = False,
        box_threshold: float | None = None,
        batch: int | None = None,
    ) -> Any:
        """Find the poses in one image, in several, or in the frames of a video.

        Args:
            images: the path of an image, an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) with channels R, G, B,
                alpha (see :func:`engine.api.images.rgb_image` for the types of its values), or a PIL image; a list or
                any other iterable of these; or the path of a video.
            boxes: (N, 4) x1, y1, x2, y2 in image pixels, one pose each in their order, instead of running the
                detector; a list of such arrays where ``images`` are several.
            flip_test: average with the mirrored image: twice the work, often slightly more accurate. Ignored by models
                that it would make worse (``model.flip_test_problem`` says why).
            box_threshold: detections with a lower score are dropped; None = what suits the detector.
            batch: crops in one pass of the network; None = what suits the device.

        Returns:
            :class:`Poses` of the one image, or a list with the :class:`Poses` of each image or frame.

        Raises:
            MediaError: an image or boxes that cannot be used.
            ModelError: no detector that finds this model's category, and no boxes.

        Example:
            >>> import engine
            >>> model = engine.load_model("movenet_lightning", device="cpu")
            >>> poses = model("photo.jpg")
            >>> len(poses), poses[0].category, poses[0].keypoints.shape
            (1, 'person', (17, 2))
            >>> x, y, score = poses[0]["nose"]
            >>> [len(found) for found in model(["photo.jpg", poses.image])]
            [1, 1]
        """
        options: dict[str, Any] = {"flip_test": flip_test, "box_threshold": box_threshold, "batch": batch}
        if not is_one_image(images):
            return list(self.stream(images, boxes, **options))
        if isinstance(images, str | os.PathLike) and is_video(os.fspath(images)):
            return self._of_video(images, boxes, options)
        return self._of_image(image_source(images), boxes, options)

    def stream(
        self,
        images: Iterable[str | os.PathLike[str] | npt.NDArray[Any] | PilImage],
        boxes: Sequence[npt.ArrayLike] | None = None,
        *,
        flip_test: bool = False,
        box_threshold: float | None = None,
        batch: int | None = None,
    ) -> Generator[Poses]:
        """As a call with several images, one result at a time: for more images than fit into memory.

        Images are read ahead in other threads. Close the iterator to stop early.

        Example:
            >>> import engine
            >>> model = engine.load_model("movenet_lightning", device="cpu", detector=None)
            >>> for poses in model.stream(["photo.jpg"], boxes=[[[0, 0, 512, 600], [100, 50, 400, 400]]]):
            ...     print(poses)
            <Poses: 2 poses in photo.jpg, 512 x 600 pixels>
        """
        if is_one_image(images):
            raise MediaError("is one image; call model(image), or pass a list", where="images")
        listed = None
        if boxes is not None:
            listed = listed_boxes(boxes, len(images) if isinstance(images, Sequence) else None)
        options: dict[str, Any] = {"flip_test": flip_test, "box_threshold": box_threshold, "batch": batch}
        return self._stream(image_sources(images), listed, options)

    def track(
        self,
        video: str | os.PathLike[str],
        *,
        detect_every: int = 1,
        flip_test: bool = False,
        box_threshold: float | None = None,
    ) -> Generator[VideoFrame]:
        """Find the poses in every frame of a video and follow each object through it.

        Args:
            video: path of the file.
            detect_every: the detector runs on every so many frames; boxes between are interpolated.
            flip_test, box_threshold: as for a call.

        Yields:
            The frames in order. Close the iterator to stop early.

        Raises:
            MediaError: not a video, or one that cannot be read.
            ModelError: no detector that finds this model's category.

        Example:
            >>> import contextlib, engine
            >>> model = engine.load_model("movenet_lightning", device="cpu")
            >>> with contextlib.closing(model.track("film.mp4", detect_every=4)) as frames:
            ...     frame = next(frames)
            >>> frame.index, frame.time, [pose.track for pose in frame.poses]
            (0, 0.0, [1])
        """
        if detect_every < 1:
            raise ModelError(f"detect_every must be at least 1, not {detect_every}")
        path = video_path(video)
        self._require_detector()
        return self._track(path, Path(video).as_posix(), detect_every, flip_test, box_threshold)

    @property
    def flip_test_problem(self) -> str:
        """Why ``flip_test`` is ignored, "" where it is not."""
        return self._pose_model.estimator.flip_test_problem

    def _of_image(self, source: ImageSource, boxes: Any, options: dict[str, Any]) -> Poses:
        """The same way as several images, so that the digits are the same."""
        listed = None if boxes is None else [checked_boxes(boxes)]
        return next(self._stream([source], listed, options, is_single=True))

    def _of_video(self, video: Any, boxes: Any, options: dict[str, Any]) -> list[Poses]:
        listed = None if boxes is None else listed_boxes(boxes, None, "frames")
        with closing(video_frames(video)) as frames:
            return list(self._stream(frames, listed, options))

    def _stream(
        self,
        sources: Iterable[ImageSource],
        boxes: list[npt.NDArray[np.float64]] | None,
        options: dict[str, Any],
        *,
        is_single: bool = False,
    ) -> Generator[Poses]:
        if boxes is None:
            self._require_detector()
        with closing(self._pose_model.stream(_items(sources, boxes, is_single), **options)) as results:
            for item, image, predictions in results:
                yield Poses(predictions, self.schema, item.key, image)

    def _track(
        self, path: Path, name: str, detect_every: int, flip_test: bool, box_threshold: float | None
    ) -> Generator[VideoFrame]:
        from engine.predict.tracking import track_video

        options: dict[str, Any] = {"flip_test": flip_test, "box_threshold": box_threshold}
        with closing(track_video(self._pose_model, path, detect_every=detect_every, **options)) as frames:
            for frame in frames:
                source = frame_source(name, frame.index)
                poses = Poses(frame.predictions, self.schema, source, frame.image, frame.tracks)
                yield VideoFrame(frame.index, frame.time, poses)

    def _require_detector(self) -> None:
        """Raises ModelError where there is nothing that finds boxes."""
        if self._detector is None:
            raise ModelError(
                f"{self.entry.id} was loaded without a detector: pass boxes=, or load it with detector= (an id of "
                "engine.list_models(task='detector'), or 'whole_image')"
            )
        if self._detector != WHOLE_IMAGE:
            self._pose_model.detector_categories()


def load_model(
    model: str | os.PathLike[str] = "movenet_thunder",
    *,
    detector: str | os.PathLike[str] | None = OWN_DETECTOR,
    device: str = "auto",
    weights: str | os.PathLike[str] | None = None,
    backend: str = "torch",
) -> Model:
    """Load a pose model.

    Args:
        model: an id of :func:`engine.list_models`, a checkpoint file, or a folder that training wrote.
        detector: what finds the boxes: "own" = the detector that the catalog or the checkpoint names; an id or a
            checkpoint file; "whole_image" = the image is the box; None = no detector, every call gives boxes.
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:1" or "mps".
        weights: other weights for the same network.
        backend: what runs the pose network on a CPU: "torch", "onnxruntime", "openvino", or "auto", which measures
            once and takes the fastest that gives the same keypoints.

    Raises:
        ModelError: no such model (similar names are suggested), weights that are not on this computer, or a device
            that is not available.

    Example:
        >>> import engine
        >>> model = engine.load_model("movenet_lightning", device="cpu")
        >>> model.names[:3]
        ('nose', 'left_eye', 'right_eye')
        >>> engine.load_model("movenet_litning")
        Traceback (most recent call last):
        engine.errors.ModelError: there is no model 'movenet_litning'; did you mean 'movenet_lightning'? ...
    """
    from engine.inference.pose_model import NO_DETECTOR, PoseModel

    entry = find_model(os.fspath(model))
    if entry.task != "pose":
        raise ModelError(f"finds boxes, not keypoints; load a pose model with detector={entry.id!r}", where=entry.id)
    name = None if detector is None else os.fspath(detector)
    if name == OWN_DETECTOR:
        name = entry.detector
    if name in (WHOLE_IMAGE, NO_DETECTOR):
        name = WHOLE_IMAGE
    pose_model = PoseModel.load(
        os.fspath(model),
        NO_DETECTOR if name is None or name == WHOLE_IMAGE else name,
        device,
        None if weights is None else os.fspath(weights),
        backend,
    )
    return Model(entry, pose_model, name)


def _items(
    sources: Iterable[ImageSource], boxes: Sequence[npt.NDArray[np.float64]] | None, is_single: bool
) -> Iterator[Item[ImageSource]]:
    from engine.inference.pose_model import Item

    count = 0
    for position, source in enumerate(sources):
        count += 1
        if boxes is None:
            yield Item(source, source.read, sequence=source.video or None, frame=source.frame)
            continue
        if position >= len(boxes):
            raise MediaError(f"has {len(boxes)} entries for more images; give one array (N, 4) for each", where="boxes")
        where = "boxes" if is_single else f"boxes[{position}]"
        yield Item(source, partial(_read_for_boxes, source, boxes[position], where), boxes[position])
    if boxes is not None and count < len(boxes):
        raise MediaError(f"has {len(boxes)} entries for {count} images; give one array (N, 4) for each", where="boxes")


def _read_for_boxes(source: ImageSource, boxes: npt.NDArray[np.float64], where: str) -> RgbImage:
    image = source.read()
    check_boxes_in_image(boxes, image, where)
    return image
