"""Predictions of MMPose's inferencer and demos (https://mmpose.readthedocs.io/en/latest/user_guides/inference.html).

``[{"keypoints": [[x, y], ...], "keypoint_scores": [...], "bbox": [[x1, y1, x2, y2]], "bbox_score": 0.9}]`` for an
image; ``[{"frame_id": 0, "instances": [...]}]``, also as the ``instance_info`` of an object, for a video. Pickled
results are not read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import LabelError, PoseError
from engine.formats.base import BaseFormat
from engine.formats.registry import CERTAIN, NO, POSSIBLE, ReadOptions, register_format
from engine.formats.results.files import files_of, first_keys, folder_holds, image_names, video_named
from engine.formats.results.records import (
    ResultsBuilder,
    UnusableRecord,
    box_of,
    identity_of,
    index_of,
    number_of,
    points_of,
    table_of,
)
from engine.formats.text_files import head_of, read_json
from engine.labels.features import Feature
from engine.labels.model import VIDEO, Floats
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context

_PICKLES = (".pkl", ".pickle")
_STEP = 200


class MMPoseFormat(BaseFormat):
    """The JSON file of an image or a video, or a folder with a file an image."""

    name = "mmpose"
    title = "MMPose predictions"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.is_dir():
            return CERTAIN if folder_holds(path, ".json", _is_one) else NO
        if path.suffix.lower() in _PICKLES:
            return POSSIBLE if head_of(path, 1) == b"\x80" else NO
        return CERTAIN if _is_one(path) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        if path.suffix.lower() in _PICKLES:
            raise LabelError(
                "is a pickle, which is not read because it can run any program when it is opened; save the predictions "
                "as JSON (pred_out_dir of MMPose's inferencer, --save-predictions of its demos)",
                where=path,
            )
        return _Reader(path, context, options).read()


def _is_one(path: Path) -> bool:
    is_list, keys, values = first_keys(path)
    if not is_list:
        return "instance_info" in keys or ("meta_info" in keys and "keypoint_id2name" in values.get("meta_info", ()))
    return {"keypoints", "keypoint_scores"} <= keys or {"frame_id", "instances"} <= keys


class _Reader:
    def __init__(self, path: Path, context: Context, options: ReadOptions) -> None:
        self._path, self._context, self._options = path, context, options
        self._builder = ResultsBuilder(context, "MMPose")
        self._names: list[str] = []
        self._limbs: list[tuple[int, int]] = []

    def read(self) -> LabelReader:
        if not self._path.is_dir():
            self._read_file(self._path, read_json(self._path), self._path.stem, None)
            return self._builder.labels.build(self._path)
        files = [file for file in files_of(self._path, ".json") if _is_one(file) or file.stat().st_size < 16]
        images = image_names(self._path, self._options.images, [file.stem for file in files])
        for done, (file, image) in enumerate(zip(files, images, strict=True)):
            if done % _STEP == 0:
                self._context.progress(done, len(files))
            try:
                self._read_file(file, read_json(file), file.stem, image)
            except PoseError as error:
                self._context.report(file.name, f"File cannot be read: it {error.message}", "left out", severity=ERROR)
        return self._builder.labels.build(self._path)

    def _read_file(self, file: Path, content: Any, stem: str, image: str | None) -> None:
        counts_from_one = False
        if isinstance(content, dict):
            self._take_names(content.get("meta_info"))
            counts_from_one = True
            content = content.get("instance_info")
        if not isinstance(content, list):
            raise LabelError("has no list of predictions", where=file)
        if content and any(isinstance(entry, dict) and "instances" in entry for entry in content):
            self._read_frames(file, content, stem, counts_from_one)
            return
        if image is None:
            image = image_names(self._path, self._options.images, [stem])[0]
        self._add_all(self._builder.labels.frame(image or stem), content, file.name)

    def _take_names(self, info: Any) -> None:
        names = info.get("keypoint_id2name") if isinstance(info, dict) else None
        if isinstance(names, dict):
            by_id = {index_of(key): str(name) for key, name in names.items()}
            self._names = [by_id[n] for n in range(len(by_id))] if set(by_id) == set(range(len(by_id))) else []
        elif isinstance(names, list):
            self._names = [str(name) for name in names]
        links = info.get("skeleton_links") if isinstance(info, dict) else None
        self._limbs = []
        for link in links if isinstance(links, list) else []:
            ends = [index_of(end) for end in link] if isinstance(link, list) else []
            if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
                self._limbs.append((ends[0], ends[1]))

    def _read_frames(self, file: Path, content: list[Any], stem: str, counts_from_one: bool) -> None:
        name = stem.removeprefix("results_")
        video = video_named(self._path, self._options.images, name)
        image = None if video is not None else image_names(self._path, self._options.images, [name])[0]
        indices = [index_of(entry.get("frame_id")) if isinstance(entry, dict) else None for entry in content]
        first = min((index for index in indices if index is not None), default=0)
        offset = 1 if counts_from_one and first >= 1 else 0
        if image is None and video is None:
            self._context.report(name, "Video not found", "its frames are listed")
        if offset:
            self._context.report("", "Frames are counted from 1", "the first frame of the video is 1", severity=INFO)
        labels = self._builder.labels
        for done, (entry, index) in enumerate(zip(content, indices, strict=True)):
            if done % _STEP == 0:
                self._context.progress(done, len(content))
            where = f"{file.name}: frame {done}" if index is None else f"{file.name}: frame {index}"
            listed = entry.get("instances") if isinstance(entry, dict) else None
            if index is None or not isinstance(listed, list):
                self._builder.left_out(where, "Frame without a frame_id and a list of instances", listed)
                continue
            if image is not None and len(content) == 1:
                frame = labels.frame(image)
            else:
                frame = labels.frame("", labels.media(VIDEO, name if video is None else str(video)), index - offset)
            self._add_all(frame, listed, where)

    def _add_all(self, frame: int, listed: list[Any], file: str) -> None:
        for position, record in enumerate(listed, 1):
            where = f"{file}: number {position}"
            if not isinstance(record, dict):
                self._builder.left_out(where, "Prediction that is no record")
                continue
            try:
                points = points_of(table_of(record.get("keypoints"), (2, 3)), self._scores(record, where))
            except UnusableRecord as error:
                self._builder.left_out(where, str(error))
                continue
            self._builder.check_values(record, where, box="bbox", score="bbox_score")
            names = self._names if len(self._names) == points.count else []
            track = identity_of(record.get("track_id"))
            self._builder.add(
                frame,
                self._builder.category("person" if points.count in (17, 26, 133, 136) else "object", points.count,
                                       names, self._limbs if names else ()),
                points,
                where,
                box=box_of(record.get("bbox"), is_corners=True),
                score=number_of(record.get("bbox_score")),
                track=None if track is None else self._builder.labels.track(track),
            )  # fmt: skip

    def _scores(self, record: dict[str, Any], where: str) -> Floats | None:
        """(K,) scores of a record; None without usable ones."""
        given, keypoints = record.get("keypoint_scores"), record.get("keypoints")
        if given is None:
            return None
        try:
            scores = np.array(given, np.float64)
        except (TypeError, ValueError, OverflowError, RecursionError):
            scores = np.zeros(0)
        if not isinstance(keypoints, list) or scores.shape != (len(keypoints),):
            self._context.report(where, "Scores that are not one number a keypoint", "left out", severity=ERROR)
            return None
        return scores


register_format(MMPoseFormat())
