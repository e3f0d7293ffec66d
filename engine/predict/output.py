"""The file that ``engine.predict`` writes, made from its journals; few images are in memory at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from engine.errors import MediaError
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
from engine.media.source import open_media
from engine.media.video.index.index import index_folder
from engine.pose import Prediction
from engine.predict.inputs import Source
from engine.predict.journal import JournalReader, prediction_of
from engine.predict.sharding import ranges_of
from engine.schema.schema import Schema
from engine.tracking.tracker import Tracker
from engine.utils.file_names import side_name
from engine.utils.skipped import KEY, Skipped

SPANS_SHOWN = 20
LABELLED = 2  # COCO visibility: every point of a prediction is placed; its score says how surely
Record = TypeVar("Record", CocoResult, CocoAnnotation)
Pose = tuple[Prediction, list[float], Id, int | None]


class Result:
    """Images in their order with the poses that were found in them. Images that could not be read are left out.

    Args:
        sources: what was worked on. found: their lines.
        dataset: the file that named the images, or an empty one.
        category: of the poses; ``is_known``: the file has it as it is.
        skipped: what was left out before the work; gets the images that could not be read.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        found: JournalReader,
        dataset: CocoDataset,
        category: CocoCategory,
        is_known: bool,
        schema: Schema,
        skipped: Skipped,
    ) -> None:
        self._sources, self._found, self._dataset = sources, found, dataset
        self._category, self._is_known, self._schema = category, is_known, schema
        self._skipped = skipped
        self._numbers: list[int] = np.flatnonzero(found.poses >= 0).tolist()
        self._tracks: dict[int, list[int | None]] = {}
        self._list_unread()

    def __len__(self) -> int:
        """How many images were read."""
        return len(self._numbers)

    def _list_unread(self) -> None:
        unread = np.flatnonzero(self._found.poses < 0).tolist()
        for path, group in itertools.groupby(unread, lambda number: self._sources[number].path):
            numbers = list(group)
            reason = self._found.problems.get(numbers[0], "was changed or removed while the run was going on")
            frames = ""
            if self._sources[numbers[0]].is_frame:
                frames = ": " + spans_text(self._sources[number].frame for number in numbers)
            self._skipped.add(f"{path}{frames}", reason)

    def write(self, out: Path, format: str, *, track: bool = False) -> None:
        """Write the file whole or not at all.

        What was skipped stands in a COCO file under the key ``skipped``, as a list of objects with ``where`` and
        ``reason``; a results list has no place for it, so that it goes into a file beside it, OUT.json.skipped.json.

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
        poses = self._found.poses[self._numbers].sum()
        counts = zip(SECTIONS, (len(self._numbers), poses, len(categories)), strict=True)
        empty = {name for name, count in counts if not count}
        header = {key: value for key, value in self._dataset.header.items() if key != KEY}
        keys = [key for key in self._dataset.key_order if key != KEY]
        if self._skipped:
            header[KEY] = msgspec.Raw(encode_json(self._skipped.records()))
            keys.append(KEY)
        write_coco(out, keys, header, sections, empty)

    def _images(self) -> Iterator[CocoImage]:
        for number in self._numbers:
            record = self._sources[number].image
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
        for number in self._numbers:
            source = self._sources[number]
            for prediction, xywh, category_id, track in self._poses(number):
                flat = [float(value) for value in prediction.keypoints.reshape(-1)]
                result = CocoResult(source.image.id, category_id, xywh, prediction.score, flat)
                yield _with_more(result, prediction, track)

    def _annotations(self) -> Iterator[CocoAnnotation]:
        ids = itertools.count(1)
        for number in self._numbers:
            source = self._sources[number]
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
            for number, frame_time in zip(numbers, self._times(path, numbers), strict=True):
                found = self._predictions(number) if self._found.poses[number] >= 0 else []
                tracks[number] = tracker.update(found, frame_time)
                for late in tracker.late:
                    tracks[numbers[late.update]][late.place] = late.track
            first = 1 + max((t for n in numbers for t in tracks[n] if t is not None), default=first - 1)
        return tracks

    def _times(self, path: Path, numbers: Sequence[int]) -> list[float | None]:
        """Seconds of each frame; None for all where the video cannot be opened any more, after its frames were read."""
        try:
            with open_media(path, cache=index_folder()) as video:
                return [video.time(self._sources[number].frame) for number in numbers]
        except (MediaError, IndexError) as error:
            self._skipped.add(f"{path}: times of the frames", f"{error}; 30 frames a second are assumed for its tracks")
            return [None] * len(numbers)


def spans_text(frames: Iterable[int]) -> str:
    """Ascending frame numbers for people: "frames 3 to 7, 12", and how many there are beyond the first spans."""
    spans = ranges_of(frames)
    shown = [str(start) if stop == start + 1 else f"{start} to {stop - 1}" for start, stop in spans[:SPANS_SHOWN]]
    more = sum(stop - start for start, stop in spans[SPANS_SHOWN:])
    one = len(spans) == 1 and spans[0][1] == spans[0][0] + 1
    return ("frame " if one else "frames ") + ", ".join(shown) + (f" and {more} more" if more else "")


def _write_beside(out: Path, skipped: Skipped) -> None:
    """Beside a results list the list of what was skipped; one of an earlier run is removed where nothing was."""
    path = out.with_name(side_name(out.name, f".{KEY}.json"))
    if skipped:
        write_atomic(path, [encode_json(skipped.records())])
    else:
        path.unlink(missing_ok=True)


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
