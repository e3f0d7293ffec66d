"""The file that ``engine.predict`` writes, made from its journals; few images are in memory at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from engine.contract.coco import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
    CocoResult,
    Id,
    make_annotation,
    write_coco,
    write_results,
)
from engine.contract.coco_document import SECTIONS
from engine.contract.predictions import Prediction
from engine.contract.schema import Schema
from engine.geometry import xyxy_to_xywh
from engine.media.source import open_media
from engine.media.video_index import index_folder
from engine.predict_inputs import Source
from engine.predict_journal import JournalReader, prediction_of
from engine.tracker import Tracker

LABELLED = 2  # COCO visibility: every point of a prediction is placed; its score says how surely
Record = TypeVar("Record", CocoResult, CocoAnnotation)
Pose = tuple[Prediction, list[float], Id, int | None]


class Result:
    """Images in their order with the poses that were found in them.

    Args:
        sources: what was worked on. found: their lines.
        dataset: the file that named the images, or an empty one.
        category: of the poses; ``is_known``: the file has it as it is.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        found: JournalReader,
        dataset: CocoDataset,
        category: CocoCategory,
        is_known: bool,
        schema: Schema,
    ) -> None:
        self._sources, self._found, self._dataset = sources, found, dataset
        self._category, self._is_known, self._schema = category, is_known, schema
        self._tracks: dict[int, list[int | None]] = {}

    def write(self, out: Path, format: str, *, track: bool = False) -> None:
        """Write the file whole or not at all.

        Args:
            format: "coco" or "results".
            track: number the poses of each video by their tracks.

        Raises:
            CocoError: it cannot be written, or a number is not finite.
        """
        if track:
            self._tracks = self._find_tracks()
        if format == "results":
            write_results(out, self._results())
            return
        categories = list(self._dataset.categories)
        if not self._is_known:
            categories = [c for c in categories if c.id != self._category.id] + [self._category]
        images = self._dataset.images
        sections = {
            "images": (image.encoded() for image in (images or self._images())),
            "annotations": (annotation.encoded() for annotation in self._annotations()),
            "categories": (category.encoded() for category in categories),
        }
        empty = {
            name
            for name, count in zip(
                SECTIONS, (len(self._sources), self._found.poses.sum(), len(categories)), strict=True
            )
            if not count
        }
        write_coco(out, self._dataset.key_order, self._dataset.header, sections, empty)

    def _images(self) -> Iterator[CocoImage]:
        for number, source in enumerate(self._sources):
            record = source.image
            if not record.raw:
                line = self._found[number]
                record = CocoImage(record.id, record.file_name, line.width, line.height)
            yield record

    def _poses(self, number: int) -> Iterator[Pose]:
        """Prediction, box (xywh), category id and track of each pose of an image."""
        predictions = self._predictions(number)
        tracks = self._tracks.get(number) or [None] * len(predictions)
        given = self._sources[number].boxes
        if given is None or not predictions:
            for prediction, track in zip(predictions, tracks, strict=True):
                yield prediction, [float(v) for v in xyxy_to_xywh(prediction.box)], self._category.id, track
            return
        yield from zip(predictions, given.xywh.tolist(), given.category_ids, tracks, strict=True)

    def _predictions(self, number: int) -> list[Prediction]:
        return [prediction_of(pose, self._schema.category) for pose in self._found[number].poses]

    def _results(self) -> Iterator[CocoResult]:
        for number, source in enumerate(self._sources):
            for prediction, xywh, category_id, track in self._poses(number):
                flat = [float(value) for value in prediction.keypoints.reshape(-1)]
                result = CocoResult(source.image.id, category_id, xywh, prediction.score, flat)
                yield _with_more(result, prediction, track)

    def _annotations(self) -> Iterator[CocoAnnotation]:
        ids = itertools.count(1)
        for number, source in enumerate(self._sources):
            for prediction, xywh, category_id, track in self._poses(number):
                labelled = np.full((len(prediction.keypoints), 1), LABELLED)
                annotation = make_annotation(
                    next(ids),
                    source.image.id,
                    category_id,
                    np.concatenate([prediction.keypoints[:, :2], labelled], 1, dtype=np.float64),
                    xywh,
                    score=prediction.score,
                    keypoint_scores=prediction.keypoints[:, 2],
                )
                yield _with_more(annotation, prediction, track)

    def _find_tracks(self) -> dict[int, list[int | None]]:
        """For each frame of a video the track of each pose; no number stands for two tracks, of whatever video."""
        tracks: dict[int, list[int | None]] = {}
        first = 1
        for path, frames in itertools.groupby(range(len(self._sources)), lambda n: self._sources[n].path):
            numbers = list(frames)
            if not self._sources[numbers[0]].is_frame:
                continue
            tracker = Tracker(self._schema, first_number=first)
            with open_media(path, cache=index_folder()) as video:
                for number in numbers:
                    frame_time = video.time(self._sources[number].frame)
                    tracks[number] = tracker.update(self._predictions(number), frame_time)
                    for late in tracker.late:
                        tracks[numbers[late.update]][late.place] = late.track
            first = 1 + max((t for n in numbers for t in tracks[n] if t is not None), default=first - 1)
        return tracks


def _with_more(record: Record, prediction: Prediction, track: int | None) -> Record:
    """With how likely each point is visible under ``keypoints_visible``, where the network tells, and the track; a
    result also with the score of its box, which ``engine.evaluate --score-mode`` may want."""
    more: dict[str, Any] = {"box_score": float(prediction.box_score)} if isinstance(record, CocoResult) else {}
    if prediction.visibility is not None:
        more["keypoints_visible"] = [float(value) for value in prediction.visibility]
    if track is not None:
        more["track_id"] = track
    if not more:
        return record
    return msgspec.structs.replace(record, raw=record.encoded()[:-1] + b"," + msgspec.json.encode(more)[1:])
