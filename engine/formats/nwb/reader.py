"""Poses of an NWB file as labels: pose estimations are predictions, training frames are labels."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError
from engine.formats.category_schema import schema_of_names
from engine.formats.hdf5 import try_in_a_process
from engine.formats.nwb.file import Estimation, NwbFile, Series, Skeleton, TrainingFrame, Video
from engine.formats.nwb.timing import Indices, frames_of
from engine.labels.builder import LabelsBuilder, unnamed_video
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Floats, Instance
from engine.labels.reader import Labels
from engine.utils.context import ERROR, INFO, Context

ANIMAL = "animal"
"""The category of poses whose skeleton has no name."""

_STEP = 1000
_NUMBERED = re.compile(r"((skeleton_?)?instances?|PoseEstimation)_?\d*", re.IGNORECASE)
"""Names of poses that are no names of animals."""


def read_nwb(path: Path, context: Context) -> Labels:
    """Read a file.

    Raises:
        PoseError: it cannot be read, or has no poses.
    """
    try_in_a_process(path, "nwb", lambda _done, _total: context.progress(0))
    with NwbFile(path) as file:
        records = list(file.poses())
        for where, what in file.unread:
            context.report(where, what, "not taken over", severity=ERROR)
        for where, what in file.remarks:
            context.report(where, what, "not taken over", severity=INFO)
        skeletons = list(file.skeletons)
    if not records:
        raise LabelError("holds no poses of ndx-pose (PoseEstimation or PoseTraining)", where=path)
    reader = _Reader(path, context)
    for record in records:
        if isinstance(record, TrainingFrame):
            reader.read_training_frame(record)
        else:
            reader.read_estimation(record)
    for skeleton in skeletons:
        reader.add_skeleton(skeleton)
    return reader.builder.build(path)


class _Reader:
    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._context = path, context
        self.builder = LabelsBuilder()
        self._videos_reported: set[int] = set()
        self._skeletons_used: set[Skeleton] = set()
        self._categories: dict[tuple[str, tuple[str, ...]], int] = {}

    def read_estimation(self, estimation: Estimation) -> None:
        """Add the poses of one animal in one video."""
        nodes, columns = columns_of(estimation)
        for each in estimation.series:
            self._check(each, f"{estimation.path}/{each.name}")
        timing = frames_of(estimation)
        if timing.remark:
            self._context.report(estimation.path, timing.remark, severity=INFO if timing.is_certain else ERROR)
        indices = np.unique(np.concatenate(timing.frames))
        points, scores = np.full((len(indices), len(nodes), 2), np.nan), np.full((len(indices), len(nodes)), np.nan)
        for column, each, own in zip(columns, estimation.series, timing.frames, strict=True):
            rows = np.searchsorted(indices, own)
            if len(np.unique(rows)) < len(rows):
                where = f"{estimation.path}/{each.name}"
                self._context.report(where, "Several samples of one frame", "the last is taken", severity=ERROR)
            points[rows, column] = each.points[:, :2]
            if each.confidence is not None:
                scores[rows, column] = each.confidence
        self._add_predictions(estimation, nodes, indices, points, scores)

    def _add_predictions(
        self, estimation: Estimation, nodes: tuple[str, ...], indices: Indices, points: Floats, scores: Floats
    ) -> None:
        category = self._category(estimation.skeleton, nodes)
        track = None
        name = track_name(estimation.name)
        if name:
            track = self._track(estimation.video, estimation.skeleton, name)
        present: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=2))
        out_of_range = int((present & ((scores < 0) | (scores > 1))).sum())
        if out_of_range:
            what = "Confidences outside 0 to 1"
            self._context.report(estimation.path, what, "taken as 0 or 1", count=out_of_range)
        has_scores = bool(np.isfinite(scores).any())
        shown = np.where(present[:, :, None], points, 0.0)
        visibility = np.where(present, VISIBLE, ABSENT).astype(np.uint8)
        scores = np.clip(np.nan_to_num(scores), 0.0, 1.0)
        is_name = not estimation.scorer.startswith("{")  # sleap-io writes a dictionary there
        source = (estimation.scorer if is_name else "") or estimation.software or "nwb"
        for sample in np.flatnonzero(present.any(axis=1)).tolist():
            index = int(indices[sample])
            if sample % _STEP == 0:
                self._context.progress(sample, len(indices))
            self.builder.add(
                Instance(
                    self._frame(estimation.video, index, ""),
                    category,
                    shown[sample],
                    visibility[sample],
                    scores[sample] if has_scores else None,
                    track=track,
                    is_prediction=True,
                    source=source,
                    key=f"{estimation.path}:{index}",
                )
            )

    def _check(self, series: Series, where: str) -> None:
        if series.points.shape[1] == 3 and np.nan_to_num(series.points[:, 2]).any():
            self._context.report(where, "Third coordinate of points", "left out", severity=INFO)
        if series.unit.lower() not in ("pixels", "pixel", "px", ""):
            self._context.report(where, f"Points in {series.unit[:40]}, and not in pixels", "taken as pixels",
                                 severity=ERROR)  # fmt: skip

    def read_training_frame(self, frame: TrainingFrame) -> None:
        for instance in frame.instances:
            where = f"{frame.path}/{instance.name}"
            nodes = instance.skeleton.nodes or tuple(f"point_{n}" for n in range(1, len(instance.points) + 1))
            if len(nodes) != len(instance.points):
                what = "Pose with another number of points than its skeleton has"
                self._context.report(where, what, "left out", severity=ERROR)
                continue
            points: Floats = instance.points[:, :2]
            present: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=1))
            visibility = np.where(present, VISIBLE, ABSENT).astype(np.uint8)
            if instance.visible is not None:
                visibility[present & ~instance.visible.astype(bool)] = OCCLUDED
            track = None
            if not _NUMBERED.fullmatch(instance.name):
                track = self._track(frame.video, instance.skeleton, instance.name)
            self.builder.add(
                Instance(
                    self._frame(frame.video, frame.index, frame.name),
                    self._category(instance.skeleton, nodes),
                    np.where(present[:, None], points, 0.0),
                    visibility,
                    track=track,
                    key=where,
                )
            )
        if not frame.instances:
            self._frame(frame.video, frame.index, frame.name)

    def add_skeleton(self, skeleton: Skeleton) -> None:
        """Add the category of a skeleton that no pose has."""
        if skeleton.nodes and skeleton not in self._skeletons_used:
            self._category(skeleton, skeleton.nodes)

    def _track(self, video: Video, skeleton: Skeleton, name: str) -> int:
        """The track of an animal of this name in a video, or in all images."""
        return self.builder.track((None if video.is_images else video.paths, skeleton.name, name), name)

    def _category(self, skeleton: Skeleton, nodes: tuple[str, ...]) -> int:
        """The category of a skeleton; two of one name with other nodes are two categories."""
        name = skeleton.name or ANIMAL
        self._skeletons_used.add(skeleton)
        if (name, nodes) not in self._categories:
            names = {category.name for category in self.builder.categories}
            free = next(free for n in count(1) if (free := name if n == 1 else f"{name}_{n}") not in names)
            edges = skeleton.edges if nodes == skeleton.nodes else ()
            self._categories[name, nodes] = self.builder.category(free, schema_of_names(nodes, free, edges))
        return self._categories[name, nodes]

    def _frame(self, video: Video, index: int | None, name: str) -> int:
        width, height = video.width, video.height
        if index is None:
            self._context.report(name, "Labelled frame that no video is named for", severity=ERROR)
            return self.builder.frame(name, self.builder.media(IMAGES), width=width, height=height)
        if video.is_images and index < len(video.paths):
            return self.builder.frame(
                video.paths[index].replace("\\", "/"), self.builder.media(IMAGES), width=width, height=height
            )
        path = video.paths[0].replace("\\", "/") if video.paths else ""
        if video.first_frames:
            part = bisect_right(video.first_frames, index) - 1
            path, index = video.paths[part].replace("\\", "/"), index - video.first_frames[part]
        elif len(video.paths) > 1 and id(video) not in self._videos_reported:
            self._videos_reported.add(id(video))
            what = "Several files of a video, without the numbers of their first frames"
            self._context.report(path, what, "frames are taken as those of the first", severity=ERROR)
        if not path and id(video) not in self._videos_reported:
            self._videos_reported.add(id(video))
            what = f"No video is named; {unnamed_video(self._path)} is looked for"
            self._context.report(self._path.name, what, severity=ERROR)
        return self.builder.frame(
            "", self.builder.media(VIDEO, path, stored_pixels=True), index, width=width, height=height
        )


def columns_of(estimation: Estimation) -> tuple[tuple[str, ...], list[int]]:
    """The keypoints of an estimation, and the column of each series among them.

    They are the nodes of the skeleton where each series is one of them by its name, or by the end of it
    ("PoseEstimationSeriesSnout"); else the series by their names.
    """
    nodes, series = estimation.skeleton.nodes, [each.name for each in estimation.series]
    columns: list[int] = []
    for name in series:
        plain = _plain(name)
        fitting = [n for n, node in enumerate(nodes) if node == name] or [
            n for n, node in enumerate(nodes) if _plain(node) == plain
        ]
        if not fitting:
            ends = [n for n, node in enumerate(nodes) if _plain(node) and plain.endswith(_plain(node))]
            longest = max((len(_plain(nodes[n])) for n in ends), default=0)
            fitting = [n for n in ends if len(_plain(nodes[n])) == longest]
        columns.append(fitting[0] if len(fitting) == 1 else -1)
    if -1 in columns or len(set(columns)) < len(columns):
        return tuple(series), list(range(len(series)))
    return nodes, columns


def track_name(name: str) -> str:
    """The animal that an estimation is named for; "" if it is only numbered. SLEAP writes "track=NAME"."""
    is_sleap = name.startswith("track=")
    name = name.removeprefix("track=").strip()
    return "" if _NUMBERED.fullmatch(name) or (is_sleap and name == "untracked") else name


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
