"""Poses of an NWB file as labels: pose estimations are predictions, training frames are labels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError
from engine.formats.category_schema import schema_of_names
from engine.formats.hdf5 import try_in_a_process
from engine.formats.nwb.file import Estimation, NwbFile, Series, Skeleton, TrainingFrame, Video, frame_indices
from engine.labels.builder import LabelsBuilder
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Floats, Instance
from engine.labels.reader import Labels
from engine.media.images import is_image
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
            context.report(where, what, "not taken over", severity=INFO if what.startswith("Names") else ERROR)
    if not records:
        raise LabelError("holds no poses of ndx-pose (PoseEstimation or PoseTraining)", where=path)
    reader = _Reader(path, context)
    for record in records:
        if isinstance(record, TrainingFrame):
            reader.read_training_frame(record)
        else:
            reader.read_estimation(record)
    return reader.builder.build(path)


class _Reader:
    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._context = path, context
        self.builder = LabelsBuilder()
        self._has_reported_video = False

    def read_estimation(self, estimation: Estimation) -> None:
        """Add the poses of one animal in one video."""
        series, nodes = _in_order(estimation)
        for each in series:
            self._check(each, f"{estimation.path}/{each.name}")
        count = max(len(each.points) for each in series)
        if len({len(each.points) for each in series}) > 1:
            self._context.report(estimation.path, "Keypoints with numbers of samples that differ", severity=ERROR)
        points, scores = np.full((count, len(series), 2), np.nan), np.full((count, len(series)), np.nan)
        for column, each in enumerate(series):
            points[: len(each.points), column] = each.points[:, :2]
            if each.confidence is not None:
                scores[: len(each.points), column] = each.confidence
        category = self._category(estimation.skeleton, nodes)
        longest = max(series, key=lambda each: len(each.points))
        track = None if _NUMBERED.fullmatch(estimation.name) else estimation.name
        present: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=2))
        has_scores = bool(np.isfinite(scores).any())
        for sample, index in enumerate(frame_indices(longest, estimation.video)):
            if sample % _STEP == 0:
                self._context.progress(sample, count)
            if not present[sample].any():
                continue
            self.builder.add(
                Instance(
                    self._frame(estimation.video, index, ""),
                    category,
                    np.where(present[sample, :, None], points[sample], 0.0),
                    np.where(present[sample], VISIBLE, ABSENT).astype(np.uint8),
                    np.clip(np.nan_to_num(scores[sample]), 0.0, 1.0) if has_scores else None,
                    track=None if track is None else self.builder.track((estimation.video.paths, track), track),
                    is_prediction=True,
                    source="nwb",
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
                track = self.builder.track((frame.video.paths, instance.name), instance.name)
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

    def _category(self, skeleton: Skeleton, nodes: tuple[str, ...]) -> int:
        name = skeleton.name or ANIMAL
        return self.builder.category(name, schema_of_names(nodes, name, skeleton.edges))

    def _frame(self, video: Video, index: int | None, name: str) -> int:
        width, height = video.width, video.height
        if index is not None and index < len(video.paths) and all(map(is_image, video.paths)):
            path = video.paths[index].replace("\\", "/")
            return self.builder.frame(path, self.builder.media(IMAGES), width=width, height=height)
        if index is None:
            self._context.report(name, "Labelled frame that no video is named for", severity=ERROR)
            return self.builder.frame(name, self.builder.media(IMAGES), width=width, height=height)
        path = video.paths[0].replace("\\", "/") if video.paths else ""
        if not path and not self._has_reported_video:
            self._has_reported_video = True
            what = "No video is named; its frames are known by their numbers only"
            self._context.report(self._path.name, what, severity=ERROR)
        media = self.builder.media(VIDEO, path, stored_pixels=True)
        return self.builder.frame("", media, index, width=width, height=height)


def _in_order(estimation: Estimation) -> tuple[list[Series], tuple[str, ...]]:
    """The keypoints in the order of the skeleton, if their names are those of its nodes, or end so."""
    by_name = {series.name: series for series in estimation.series}
    ordered: list[Series] = []
    for node in estimation.skeleton.nodes:
        fitting = [by_name[node]] if node in by_name else [s for name, s in by_name.items() if name.endswith(node)]
        if len(fitting) != 1 or any(fitting[0] is series for series in ordered):
            return estimation.series, tuple(series.name for series in estimation.series)
        ordered.append(fitting[0])
    if len(ordered) != len(estimation.series):
        return estimation.series, tuple(series.name for series in estimation.series)
    return ordered, estimation.skeleton.nodes
