"""Poses that a model found in one image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, overload
from weakref import ref

import msgspec
import numpy as np
import numpy.typing as npt

from engine.api.images import ImageSource, RgbImage, read_frame
from engine.errors import MediaError, PoseError
from engine.formats.coco.dataset import (
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    make_annotation,
    make_category,
)
from engine.formats.coco.document import SECTIONS, encode_json
from engine.geometry import xyxy_to_xywh
from engine.pose import Prediction
from engine.schema.schema import Schema
from engine.visualization import WRITTEN_SUFFIXES, draw_poses, write_image

Floats = npt.NDArray[np.floating[Any]]

PLACED = 2
"""COCO visibility of predicted keypoints: all have coordinates; the scores say how reliable they are."""


@dataclass(frozen=True, eq=False, repr=False)
class Pose:
    """One instance: its keypoints with scores.

    Attributes:
        keypoints: (K, 2) float32 x, y in image pixels; the center of the top left pixel is (0, 0).
        scores: (K,) float32, 0..1: how sure the model is of each keypoint.
        names: of the K keypoints.
        box: (4,) float32 x1, y1, x2, y2 in image pixels: the box that the network looked at.
        score: of the pose: box score times the mean of ``scores``.
        box_score: of the detector; 1 for a box that was given.
        category: such as "person".
        visibility: (K,) float32 probability of being visible, None for models that do not estimate it.
        track: number of the object in a tracked video, None if it has none.
    """

    keypoints: Floats
    scores: Floats
    names: tuple[str, ...]
    box: Floats
    score: float
    box_score: float = 1.0
    category: str = ""
    visibility: Floats | None = None
    track: int | None = None

    def __getitem__(self, name: str) -> Floats:
        """(3,) x, y and score of a keypoint.

        Raises:
            PoseError: there is no such keypoint.
        """
        if name not in self.names:
            similar = get_close_matches(str(name), self.names, n=1)
            hint = f"did you mean {similar[0]!r}?" if similar else f"there are {', '.join(self.names)}"
            raise PoseError(f"there is no keypoint {name!r}; {hint}")
        index = self.names.index(name)
        return np.array([*self.keypoints[index], self.scores[index]], np.float32)

    def __repr__(self) -> str:
        track = "" if self.track is None else f", track {self.track}"
        box = ", ".join(f"{value:.0f}" for value in self.box)
        return f"<Pose: {self.category}, {len(self.names)} keypoints, score {self.score:.2f}, box [{box}]{track}>"


class Poses(Sequence[Pose]):
    """The poses of one image, best first; in the order of the boxes where boxes were given.

    Attributes:
        schema: names, limbs and colors of the keypoints.
        file_name: the path as it was given, "" for pixels without a file; of a frame of a video the name that an image
            of it would have.
        video: the path of the video as it was given, "" for images.
        frame_index: number of the frame in the video, counted from 0.
        size: width and height of the image in pixels.
    """

    def __init__(
        self,
        predictions: Sequence[Prediction],
        schema: Schema,
        source: ImageSource,
        image: RgbImage,
        tracks: Sequence[int | None] | None = None,
    ) -> None:
        self.schema = schema
        self.file_name = source.name
        self.video = source.video
        self.frame_index = source.frame
        self.size: tuple[int, int] = (image.shape[1], image.shape[0])
        self._predictions = tuple(predictions)
        self._poses = tuple(
            _pose(prediction, schema.names, track)
            for prediction, track in zip(predictions, tracks or [None] * len(predictions), strict=True)
        )
        self._source = source
        # Weak, so that the poses of a long video do not keep its frames in memory; they can be read again.
        self._image = ref(image)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the K keypoints."""
        return self.schema.names

    @property
    def keypoints(self) -> Floats:
        """(N, K, 2) float32 of all poses."""
        return np.array([pose.keypoints for pose in self], np.float32).reshape(-1, len(self.names), 2)

    @property
    def scores(self) -> Floats:
        """(N, K) float32 of all poses."""
        return np.array([pose.scores for pose in self], np.float32).reshape(-1, len(self.names))

    @property
    def boxes(self) -> Floats:
        """(N, 4) float32 of all poses."""
        return np.array([pose.box for pose in self], np.float32).reshape(-1, 4)

    @property
    def image(self) -> RgbImage:
        """RGB uint8 (H, W, 3); read again from its file where it is no longer in memory.

        Raises:
            MediaError: the file is gone or damaged.
        """
        image = self._image()
        if image is not None:
            return image
        source = self._source
        return read_frame(source.video, source.frame) if source.video else source.read()

    def plot(self, path: str | os.PathLike[str] | None = None, *, threshold: float = 0.2) -> RgbImage:
        """Draw the poses on the image.

        Args:
            path: where to write the picture, as .png or .jpg; folders are created, an existing file is replaced.
            threshold: keypoints with a lower score, and limbs that end in one, are left out.

        Returns:
            RGB uint8 (H, W, 3).

        Raises:
            MediaError: another suffix, the file cannot be written, or the image is gone.

        Example:
            >>> import engine
            >>> poses = engine.load_model("movenet_lightning", device="cpu")("photo.jpg")
            >>> poses.plot("poses.png").shape
            (600, 512, 3)
        """
        if path is not None and Path(path).suffix.lower() not in WRITTEN_SUFFIXES:
            raise MediaError(f"the name must end in {', '.join(WRITTEN_SUFFIXES)}", where=path)
        drawn = draw_poses(self.image, self._predictions, self.schema, threshold)
        if path is not None:
            write_image(Path(path), drawn)
        return drawn

    def to_coco(self, file_name: str | None = None) -> dict[str, Any]:
        """The poses as the content of a COCO keypoint file; :func:`engine.write_labels` writes it.

        Args:
            file_name: of the image, instead of the path as it was given. Pixels without a file need one to be found
                again.

        Example:
            >>> import engine
            >>> coco = engine.load_model("movenet_lightning", device="cpu")("photo.jpg").to_coco()
            >>> coco["images"], len(coco["annotations"])
            ([{'id': 1, 'file_name': 'photo.jpg', 'width': 512, 'height': 600}], 1)
        """
        records = coco_records([self], [self.file_name if file_name is None else file_name])
        return {name: [msgspec.json.decode(record.encoded()) for record in records[name]] for name in SECTIONS}

    @overload
    def __getitem__(self, index: int) -> Pose: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Pose, ...]: ...
    def __getitem__(self, index: int | slice) -> Pose | tuple[Pose, ...]:
        return self._poses[index]

    def __len__(self) -> int:
        return len(self._poses)

    def __iter__(self) -> Iterator[Pose]:
        return iter(self._poses)

    def __repr__(self) -> str:
        count = "1 pose" if len(self) == 1 else f"{len(self)} poses"
        where = f" in {self.file_name}" if self.file_name else ""
        return f"<Poses: {count}{where}, {self.size[0]} x {self.size[1]} pixels>"

    def coco_image(self, id: int, file_name: str) -> CocoImage:
        """The record of the image in a COCO file; a frame of a video also tells the video and the number."""
        width, height = self.size
        fields: dict[str, Any] = {"id": id, "file_name": file_name, "width": width, "height": height}
        if self._source.video:
            fields |= {"video": self._source.video, "frame_index": self._source.frame}
        return CocoImage(id, file_name, width, height, encode_json(fields))


def coco_records(results: Iterable[Poses], file_names: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """Poses of several images as records of a COCO file: images, annotations, categories; ids count from 1."""
    images: list[CocoImage] = []
    annotations: list[CocoAnnotation] = []
    categories: dict[tuple[str, tuple[str, ...]], CocoCategory] = {}
    for position, poses in enumerate(results):
        file_name = poses.file_name if file_names is None else file_names[position]
        images.append(poses.coco_image(len(images) + 1, file_name))
        names = {pose.category for pose in poses} or {poses.schema.category or poses.schema.name}
        for name in sorted(names):
            key = (name, poses.names)
            categories.setdefault(key, make_category(len(categories) + 1, poses.schema, name))
        for pose in poses:
            category = categories[pose.category, poses.names]
            annotations.append(_annotation(pose, len(annotations) + 1, len(images), category))
    return {"images": images, "annotations": annotations, "categories": list(categories.values())}


def _annotation(pose: Pose, id: int, image_id: int, category: CocoCategory) -> CocoAnnotation:
    marked = np.concatenate([pose.keypoints, np.full((len(pose.names), 1), PLACED)], axis=1, dtype=np.float64)
    return make_annotation(
        id,
        image_id,
        category.id,
        marked,
        xyxy_to_xywh(pose.box),
        score=pose.score,
        keypoint_scores=pose.scores,
        track_id=pose.track,
    )


def _pose(prediction: Prediction, names: tuple[str, ...], track: int | None) -> Pose:
    return Pose(
        keypoints=np.ascontiguousarray(prediction.keypoints[:, :2]),
        scores=np.ascontiguousarray(prediction.keypoints[:, 2]),
        names=names,
        box=prediction.box,
        score=prediction.score,
        box_score=prediction.box_score,
        category=prediction.category,
        visibility=prediction.visibility,
        track=track,
    )
