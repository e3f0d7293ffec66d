"""Writing the output file of ``engine.predict`` from its journals, with few images in memory at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from engine.formats.coco.dataset import (
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
from engine.formats.coco.document import SECTIONS, encode_json, write_atomic
from engine.geometry import xyxy_to_xywh
from engine.pose import Prediction
from engine.predict.inputs import Source
from engine.predict.journal import JournalReader, prediction_of
from engine.predict.sharding import ranges_of
from engine.schema.schema import Schema
from engine.utils.file_names import side_name
from engine.utils.skipped import KEY, Skipped

MAX_LISTED_SPANS = 20
LABELLED = 2  # COCO visibility: a prediction has all points; how certain each is, its score says
Record = TypeVar("Record", CocoResult, CocoAnnotation)
Pose = tuple[Prediction, list[float], Id, int | None]


class Result:
    """The poses of all images that could be read, in their order.

    Args:
        sources: the images of the run. journal: their poses.
        dataset: the labels that named the images, or an empty data set.
        category: of the poses; ``is_known``: ``dataset`` contains it unchanged.
        skipped: what was left out before; gets the images that could not be read.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        journal: JournalReader,
        dataset: CocoDataset,
        category: CocoCategory,
        is_known: bool,
        schema: Schema,
        skipped: Skipped,
    ) -> None:
        self._sources, self._journal, self._dataset = sources, journal, dataset
        self._category, self._is_known, self._schema = category, is_known, schema
        self._skipped = skipped
        self._indices: list[int] = np.flatnonzero(journal.poses >= 0).tolist()
        self._tracks: Mapping[int, Sequence[int | None]] = {}
        self._list_unread()

    def __len__(self) -> int:
        """Number of images that were read."""
        return len(self._indices)

    def _list_unread(self) -> None:
        unread = np.flatnonzero(self._journal.poses < 0).tolist()
        for path, group in itertools.groupby(unread, lambda index: self._sources[index].path):
            indices = list(group)
            reason = self._journal.problems.get(indices[0], "was changed or removed during the run")
            frames = ""
            if self._sources[indices[0]].is_frame:
                frames = ": " + spans_text(self._sources[index].frame for index in indices)
            self._skipped.add(f"{path}{frames}", reason)

    def predictions(self, index: int) -> list[Prediction]:
        """The poses of an image, by its index among the sources; none for one that could not be read."""
        if self._journal.poses[index] < 0:
            return []
        return [prediction_of(pose, self._schema.category) for pose in self._journal[index].poses]

    def write(self, out: Path, format: str, tracks: Mapping[int, Sequence[int | None]] | None = None) -> None:
        """Write the file whole or not at all.

        A COCO file lists what was skipped under the key ``skipped``, as objects with ``where`` and ``reason``; a
        results list cannot, so the list goes into a file beside it, OUT.json.skipped.json.

        Args:
            format: "coco" or "results".
            tracks: track numbers of the poses of images, by the index of the image.

        Raises:
            CocoError: it cannot be written, or a number is not finite.
        """
        self._tracks = tracks or {}
        if format == "results":
            write_results(out, self._results())
            _write_beside(out, self._skipped)
            return
        categories = list(self._dataset.categories)
        if not self._is_known:
            categories = [c for c in categories if c.id != self._category.id] + [self._category]
        sections = {
            "images": (image.encoded() for image in self._images()),
            "annotations": (annotation.encoded() for annotation in self._annotations()),
            "categories": (category.encoded() for category in categories),
        }
        poses = self._journal.poses[self._indices].sum()
        counts = zip(SECTIONS, (len(self._indices), poses, len(categories)), strict=True)
        empty = {name for name, count in counts if not count}
        header = {key: value for key, value in self._dataset.header.items() if key != KEY}
        keys = [key for key in self._dataset.key_order if key != KEY]
        if self._skipped:
            header[KEY] = msgspec.Raw(encode_json(self._skipped.records()))
            keys.append(KEY)
        write_coco(out, keys, header, sections, empty)

    def _images(self) -> Iterator[CocoImage]:
        for index in self._indices:
            record = self._sources[index].image
            if not record.raw:
                line = self._journal[index]
                record = CocoImage(record.id, record.file_name, line.width, line.height)
            yield record

    def _poses(self, index: int) -> Iterator[Pose]:
        """Prediction, box (xywh), category id and track of each pose of an image."""
        predictions = self.predictions(index)
        tracks = self._tracks.get(index) or [None] * len(predictions)
        given = self._sources[index].boxes
        if given is None or not predictions:
            for prediction, track in zip(predictions, tracks, strict=True):
                yield prediction, [float(v) for v in xyxy_to_xywh(prediction.box)], self._category.id, track
            return
        yield from zip(predictions, given.xywh.tolist(), given.category_ids, tracks, strict=True)

    def _results(self) -> Iterator[CocoResult]:
        for index in self._indices:
            source = self._sources[index]
            for prediction, xywh, category_id, track in self._poses(index):
                flat = [float(value) for value in prediction.keypoints.reshape(-1)]
                result = CocoResult(source.image.id, category_id, xywh, prediction.score, flat)
                yield _with_details(result, prediction, track)

    def _annotations(self) -> Iterator[CocoAnnotation]:
        ids = itertools.count(1)
        for index in self._indices:
            source = self._sources[index]
            for prediction, xywh, category_id, track in self._poses(index):
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
                yield _with_details(annotation, prediction, track)


def spans_text(frames: Iterable[int]) -> str:
    """Ascending frame indices as text: "frames 3 to 7, 12", shortened if there are many spans."""
    spans = ranges_of(frames)
    shown = [str(start) if stop == start + 1 else f"{start} to {stop - 1}" for start, stop in spans[:MAX_LISTED_SPANS]]
    more = sum(stop - start for start, stop in spans[MAX_LISTED_SPANS:])
    is_single = len(spans) == 1 and spans[0][1] == spans[0][0] + 1
    return ("frame " if is_single else "frames ") + ", ".join(shown) + (f" and {more} more" if more else "")


def _write_beside(out: Path, skipped: Skipped) -> None:
    """Write the list of skipped items beside a results list, or remove that of an earlier run if nothing was
    skipped."""
    path = out.with_name(side_name(out.name, f".{KEY}.json"))
    if skipped:
        write_atomic(path, [encode_json(skipped.records())])
    else:
        path.unlink(missing_ok=True)


def _with_details(record: Record, prediction: Prediction, track: int | None) -> Record:
    """The record with the track, with visibilities as ``keypoints_visible`` if the network predicts them, and, for a
    result, with the score of its box, which ``engine.evaluate --score-mode`` can use."""
    details: dict[str, Any] = {"box_score": float(prediction.box_score)} if isinstance(record, CocoResult) else {}
    if prediction.visibility is not None:
        details["keypoints_visible"] = [float(value) for value in prediction.visibility]
    if track is not None:
        details["track_id"] = track
    if not details:
        return record
    return msgspec.structs.replace(record, raw=record.encoded()[:-1] + b"," + msgspec.json.encode(details)[1:])
