"""SLEAP's JSON labels, which versions before ``.slp`` wrote: the same skeletons, videos, tracks and instances as text.

What jsonpickle has written is read as plain data. A file without ``version`` is of LEAP, the program before SLEAP, and
is refused. Points are keyed by the position of their node in the list of nodes, in the first version by its name. Only
predictions have the key ``score``. A label that was made from a prediction repeats it as ``from_predicted``; that
prediction is left out, as from ``.slp`` files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import LabelError
from engine.formats.base import BaseFormat
from engine.formats.named_poses import as_dict, as_list, coordinate, position_of, text_of
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.files import first_keys
from engine.formats.sleap.categories import category_of
from engine.formats.sleap.file import SleapVideo, video_of
from engine.formats.sleap.reader import instance_score
from engine.formats.sleap.skeletons import Skeleton, read_skeletons
from engine.formats.text_files import read_json
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context
from engine.utils.limits import MAX_KEYPOINTS

_STEP = 500
_MAX_FRAME = 100_000_000


class SleapJsonFormat(BaseFormat):
    """JSON labels of SLEAP before version 1.0, also in a zip archive."""

    name = "sleap_json"
    title = "SLEAP labels as JSON"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.suffix.lower() != ".json":
            return NO
        is_list, keys, _ = first_keys(path)
        return CERTAIN if not is_list and {"skeletons", "nodes"} <= keys and "images" not in keys else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        document = as_dict(read_json(path))
        if "version" not in document or not isinstance(document.get("labels"), list):
            raise LabelError("is not a JSON file of SLEAP: it has no version or no labels", where=path)
        return _Reader(path, document, context).read()


class _Reader:
    def __init__(self, path: Path, document: Mapping[str, Any], context: Context) -> None:
        self._path, self._document, self._context = path, document, context
        self._builder = LabelsBuilder()
        try:
            self._skeletons: list[Skeleton] = read_skeletons(document)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {str(error)[:100]}"
            raise LabelError(f"has a skeleton that cannot be understood ({reason})", where=path) from None
        self._node_names = [text_of(as_dict(node).get("name")) for node in as_list(document.get("nodes"))]
        self._videos = [video_of(n, as_dict(entry)) for n, entry in enumerate(as_list(document.get("videos")))]
        self._tracks = [_track_name(entry) for entry in as_list(document.get("tracks"))]
        self._categories: dict[int, tuple[int, list[int]]] = {}

    def read(self) -> LabelReader:
        for position in range(len(self._skeletons)):
            self._category(position)
        frames = as_list(self._document.get("labels"))
        for position, record in enumerate(frames):
            if position % _STEP == 0:
                self._context.progress(position, len(frames))
            self._read_frame(position, as_dict(record))
        for record in _suggestions(self._document.get("suggestions")):
            self._read_suggestion(as_dict(record))
        anchors = as_dict(self._document.get("negative_anchors"))
        for video, entries in anchors.items():
            if entries:
                where = f"video {str(video)[:20]}"
                self._context.report(where, "Negative anchors, which are points without an animal", "left out",
                                     count=max(1, len(as_list(entries))), severity=INFO)  # fmt: skip
        return self._builder.build(self._path)

    def _read_frame(self, position: int, record: Mapping[str, Any]) -> None:
        where = f"frame {record.get('frame_idx')} of video {record.get('video')}"
        instances = as_list(record.get("_instances", record.get("instances")))
        frame = self._frame(record)
        if frame is None:
            what = "Frame of no video of the file"
            self._context.report(where, what, "left out with its labels", count=max(1, len(instances)), severity=ERROR)
            return
        replaced = _replaced(instances)
        for order, entry in enumerate(instances):
            if replaced and "score" in as_dict(entry) and _identity(as_dict(entry)) in replaced:
                self._context.report(f"{where}, instance {order}", "Prediction that a label replaced", "left out")
                continue
            self._read_instance(frame, as_dict(entry), f"{where}, instance {order}", f"{position}|{order}")

    def _read_suggestion(self, record: Mapping[str, Any]) -> None:
        frame = self._frame(record, is_flagged=True)
        if frame is None:
            self._context.report(
                str(dict(record))[:80], "Suggested frame of no video of the file", "left out", severity=INFO
            )

    def _frame(self, record: Mapping[str, Any], *, is_flagged: bool = False) -> int | None:
        video_number, index = _whole(record.get("video")), _whole(record.get("frame_idx"))
        if index is None or video_number is None or video_number >= len(self._videos) or index > _MAX_FRAME:
            return None
        video: SleapVideo = self._videos[video_number]
        if video.files:
            if index >= len(video.files):
                return None
            media = self._builder.media(IMAGES, name=f"video {video_number}")
            return self._builder.frame(video.files[index], media, is_flagged=is_flagged)
        media = self._builder.media(VIDEO, video.name, stored_pixels=True, name=f"video {video_number}")
        return self._builder.frame("", media, index, is_flagged=is_flagged)

    def _read_instance(self, frame: int, record: Mapping[str, Any], where: str, key: str) -> None:
        skeleton_index = _whole(record.get("skeleton"))
        points = as_dict(record.get("_points", record.get("points")))
        if skeleton_index is None or skeleton_index >= len(self._skeletons) or not points:
            self._context.report(where, "Instance without a skeleton or without points", "left out", severity=ERROR)
            return
        category, order = self._category(skeleton_index)
        names = self._skeletons[skeleton_index].nodes
        keypoints, visibility = np.zeros((len(names), 2)), np.full(len(names), ABSENT, np.uint8)
        scores = np.full(len(names), np.nan)
        for node, value in points.items():
            name = self._name_of(str(node))
            point = as_dict(value)
            x, y = coordinate(point.get("x")), coordinate(point.get("y"))
            if name not in names:
                self._context.report(f"{where}, {node}", "Point of a node that the skeleton lacks", "left out",
                                     severity=ERROR)  # fmt: skip
            elif x is not None and y is not None:
                position = names.index(name)
                keypoints[position] = x, y
                visibility[position] = OCCLUDED if point.get("visible") is False else VISIBLE
                score = coordinate(point.get("score"))
                scores[position] = np.nan if score is None else min(max(score, 0.0), 1.0)
        if not visibility.any():
            self._context.report(where, "Instance without a point that has coordinates", "left out")
            return
        has_scores = bool(np.isfinite(scores).any())
        point_scores = np.nan_to_num(scores) if has_scores else None
        is_prediction = "score" in record or has_scores
        written = coordinate(record.get("score"))
        present_scores = None if point_scores is None else point_scores[visibility > ABSENT]
        score = instance_score(np.nan if written is None else written, present_scores) if is_prediction else None
        track_number = _whole(record.get("track"))
        has_track = track_number is not None and track_number < len(self._tracks)
        if not has_track and record.get("track") is not None:
            self._context.report(where, "Track that the file does not list", "the instance has none")
        self._builder.add(
            Instance(
                frame,
                category,
                keypoints[order],
                visibility[order],
                None if point_scores is None else point_scores[order],
                score=score,
                track=self._builder.track(track_number, self._tracks[track_number or 0]) if has_track else None,
                is_prediction=is_prediction,
                source="sleap" if is_prediction else "",
                key=key,
            )
        )

    def _name_of(self, node: str) -> str:
        """The name of a node that is given by its name, or by its position in the list of nodes."""
        if node.isascii() and node.isdecimal() and len(node) < 6 and int(node) < len(self._node_names):
            return self._node_names[int(node)]
        return node

    def _category(self, index: int) -> tuple[int, list[int]]:
        if index not in self._categories:
            skeleton = self._skeletons[index]
            if len(skeleton.nodes) > MAX_KEYPOINTS:
                raise LabelError(f"has a skeleton of {len(skeleton.nodes):,} keypoints", where=self._path)
            name, schema, order = category_of(skeleton)
            self._categories[index] = self._builder.category(name, schema), order.tolist()
        return self._categories[index]


def _suggestions(value: object) -> list[object]:
    """Suggested frames: a list of them, or the numbers of the frames by video, as in the first versions."""
    if not isinstance(value, Mapping):
        return as_list(value)
    return [{"video": video, "frame_idx": index} for video, indices in value.items() for index in as_list(indices)]


def _replaced(instances: Collection[object]) -> set[str]:
    """Identities of the predictions from which labels of a frame were made."""
    origins = (as_dict(entry).get("from_predicted") for entry in instances if "score" not in as_dict(entry))
    return {_identity(as_dict(origin)) for origin in origins if origin}


def _identity(prediction: Mapping[str, Any]) -> str:
    """Text that is equal for equal predictions, also where numbers are NaN."""
    return repr([prediction.get(key) for key in ("skeleton", "score", "_points", "points")])


def _track_name(entry: object) -> str:
    """Tracks are pairs of the first frame and the name, or objects with both."""
    if isinstance(entry, list):
        return text_of(entry[-1]) if entry else ""
    return text_of(as_dict(entry).get("name"))


def _whole(value: object) -> int | None:
    """A whole number from 0, also as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return position_of(value)


register_format(SleapJsonFormat())
