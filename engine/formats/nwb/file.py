"""The poses of an NWB file as plain arrays. Only HDF5 is read for it, not the classes that a file brings along.

Layout: https://github.com/rly/ndx-pose/blob/main/spec/ndx-pose.extensions.yaml, versions 0.1 to 0.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError
from engine.formats.hdf5 import HDF5_ERRORS, check_table, damaged, dataset_of, open_hdf5
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

DESCRIPTION = "NWB file"
_ROOTS = ("processing", "acquisition", "analysis", "scratch")
_MAX_DEPTH = 6
_MAX_GROUPS = 2_000_000

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Video:
    """Files of a video or of images; ``rate`` in frames a second and ``start`` in seconds, if the file says."""

    paths: tuple[str, ...] = ()
    rate: float = 0.0
    start: float = 0.0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Skeleton:
    """A name, its nodes and pairs of positions of nodes."""

    name: str = ""
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()


@dataclass
class Series:
    """One keypoint over time: (n, 2) or (n, 3) points, (n,) confidences, times in seconds."""

    name: str
    points: Array
    confidence: Array | None
    times: Array | None
    start: float | None
    rate: float
    unit: str


@dataclass
class Estimation:
    """A PoseEstimation: one animal in one video."""

    path: str
    name: str
    skeleton: Skeleton
    video: Video
    series: list[Series] = field(default_factory=list)


@dataclass
class TrainingInstance:
    """A labelled pose: (nodes, 2 or 3) points and, if the file says, whether each is visible."""

    name: str
    skeleton: Skeleton
    points: Array
    visible: Array | None


@dataclass
class TrainingFrame:
    """A frame with labelled poses; ``index`` is None if it is not a frame of the video."""

    path: str
    name: str
    annotator: str
    video: Video
    index: int | None
    instances: list[TrainingInstance] = field(default_factory=list)


class NwbFile:
    """An open file.

    Raises:
        PoseError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._h5py, self._file = open_hdf5(path, DESCRIPTION)
        self._groups_seen = 0
        self._skeletons: dict[str, Skeleton] = {}
        self._videos: dict[str, Video] = {}
        self.unread: list[tuple[str, str]] = []

    def __enter__(self) -> NwbFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def poses(self) -> Iterator[Estimation | TrainingFrame]:
        """All of them, in the order of the file. What has poses and cannot be used is listed in ``unread``: its HDF5
        path, and why.

        Raises:
            ProjectError: the file is damaged.
        """
        try:
            for root in _ROOTS:
                group = self._child(self._file, root)
                if group is not None:
                    yield from self._walk(group, f"/{root}", 1)
        except PoseError:
            raise
        except HDF5_ERRORS as error:
            raise damaged(error, self.path) from None

    def _walk(self, group: Any, path: str, depth: int) -> Iterator[Estimation | TrainingFrame]:
        type_name = _text(group.attrs.get("neurodata_type", ""))
        if type_name == "PoseEstimation":
            estimation = self._estimation(group, path)
            if estimation is not None:
                yield estimation
            return
        if type_name == "TrainingFrame":
            yield self._training_frame(group, path)
            return
        if type_name == "PoseEstimationSeries":
            self.unread.append((path, "Points of several cameras in space"))
            return
        if depth >= _MAX_DEPTH:
            return
        for name in group:
            child = self._child(group, name)
            if child is not None:
                yield from self._walk(child, f"{path}/{name}", depth + 1)

    def _child(self, group: Any, name: str, *, follow: bool = False) -> Any:
        """A group in a group; None for anything else. Links within the file are followed on request."""
        link = group.get(name, getlink=True)
        allowed = (self._h5py.HardLink, self._h5py.SoftLink) if follow else self._h5py.HardLink
        if not isinstance(link, allowed):
            return None
        child = group.get(name)
        if not isinstance(child, self._h5py.Group):
            return None
        self._groups_seen += 1
        return child if self._groups_seen <= _MAX_GROUPS else None

    def _array(self, group: Any, name: str) -> Array | None:
        dataset = dataset_of(self._h5py, group, name, self.path)
        if dataset is None:
            return None
        check_table(dataset, name, self.path)
        return np.asarray(dataset[()])

    def _numbers(self, group: Any, name: str) -> Array | None:
        array = self._array(group, name)
        return array.astype(np.float64) if array is not None and array.dtype.kind in "fiu" else None

    def _texts(self, group: Any, name: str) -> list[str]:
        array = self._array(group, name)
        return [] if array is None or array.dtype.kind not in "SUO" else [_text(v) for v in array.reshape(-1).tolist()]

    def _estimation(self, group: Any, path: str) -> Estimation | None:
        video = self._linked_video(group, "source_video")
        if not video.paths:
            dimensions = self._numbers(group, "dimensions")
            size = (0, 0)
            if dimensions is not None and dimensions.ndim == 2 and dimensions.shape[1] == 2 and len(dimensions):
                size = (_pixels(dimensions[0, 0]), _pixels(dimensions[0, 1]))
            originals = self._texts(group, "original_videos")
            if len(originals) > 1:
                self.unread.append((path, f"Names of further videos than {originals[0]}"))
            video = Video(tuple(originals[:1]), width=size[0], height=size[1])
        skeleton = self._linked_skeleton(group)
        if not skeleton.nodes:
            skeleton = self._skeleton_in(group, "")
        estimation = Estimation(path, path.rpartition("/")[2], skeleton, video)
        for name in group:
            child = self._child(group, name)
            if child is None or _text(child.attrs.get("neurodata_type", "")) != "PoseEstimationSeries":
                continue
            series = self._series(child, name)
            if series is None:
                self.unread.append((f"{path}/{name}", "Keypoint whose points are no table of coordinates"))
            elif len(estimation.series) < MAX_KEYPOINTS:
                estimation.series.append(series)
        if not estimation.series:
            self.unread.append((path, "Pose estimation without keypoints"))
            return None
        return estimation

    def _series(self, group: Any, name: str) -> Series | None:
        dataset = dataset_of(self._h5py, group, "data", self.path)
        points = self._numbers(group, "data")
        if points is None or points.ndim != 2 or points.shape[1] not in (2, 3):
            return None
        conversion = _number(dataset.attrs.get("conversion", 1.0))
        points = points * conversion if conversion not in (0.0, 1.0) else points
        confidence = self._numbers(group, "confidence")
        times = self._numbers(group, "timestamps")
        start, rate = None, 0.0
        given = dataset_of(self._h5py, group, "starting_time", self.path)
        if given is not None and given.shape == ():
            start, rate = _number(given[()]), _number(given.attrs.get("rate", 0.0))
        return Series(
            name[:MAX_NAME],
            points,
            confidence if confidence is not None and confidence.shape == points.shape[:1] else None,
            times if times is not None and times.shape == points.shape[:1] else None,
            start,
            rate,
            _text(dataset.attrs.get("unit", "pixels")),
        )

    def _training_frame(self, group: Any, path: str) -> TrainingFrame:
        video = self._linked_video(group, "source_video")
        index = group.attrs.get("source_video_frame_index")
        frame_index = int(_number(index)) if index is not None and np.ndim(index) == 0 and _number(index) >= 0 else None
        name = path.rpartition("/")[2]
        frame = TrainingFrame(path, name, _text(group.attrs.get("annotator", "")), video, frame_index)
        instances = self._child(group, "skeleton_instances")
        for child_name in instances if instances is not None else ():
            child = self._child(instances, child_name)
            if child is None:
                continue
            points = self._numbers(child, "node_locations")
            visible = self._array(child, "node_visibility")
            if points is None or points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) > MAX_KEYPOINTS:
                self.unread.append((f"{path}/{child_name}", "Pose whose points are no table of coordinates"))
                continue
            if visible is not None and (visible.shape != points.shape[:1] or visible.dtype.kind not in "biu"):
                visible = None
            frame.instances.append(TrainingInstance(child_name, self._linked_skeleton(child), points, visible))
        return frame

    def _linked_skeleton(self, group: Any) -> Skeleton:
        """The skeleton that a group links to, whatever the link is called."""
        for name in group:
            child = self._child(group, name, follow=True)
            if child is not None and _text(child.attrs.get("neurodata_type", "")) == "Skeleton":
                target = str(child.name)
                if target not in self._skeletons:
                    self._skeletons[target] = self._skeleton_in(child, target.rpartition("/")[2])
                return self._skeletons[target]
        return Skeleton()

    def _skeleton_in(self, group: Any, name: str) -> Skeleton:
        nodes = [text[:MAX_NAME] for text in self._texts(group, "nodes")][:MAX_KEYPOINTS]
        edges = self._numbers(group, "edges")
        pairs: list[tuple[int, int]] = []
        if edges is not None and edges.ndim == 2 and edges.shape[1] == 2:
            inside = edges[((edges >= 0) & (edges < len(nodes))).all(axis=1)]
            pairs = [(int(a), int(b)) for a, b in inside.tolist()]
        return Skeleton(name[:MAX_NAME], tuple(nodes), tuple(pairs))

    def _linked_video(self, group: Any, name: str) -> Video:
        series = self._child(group, name, follow=True)
        if series is None:
            return Video()
        target = str(series.name)
        if target not in self._videos:
            rate, start = 0.0, 0.0
            given = dataset_of(self._h5py, series, "starting_time", self.path)
            if given is not None and given.shape == ():
                start, rate = _number(given[()]), _number(given.attrs.get("rate", 0.0))
            size = self._numbers(series, "dimension")
            width, height = size.tolist()[:2] if size is not None and size.shape == (2,) else (0, 0)
            files = tuple(path for path in self._texts(series, "external_file") if path)
            self._videos[target] = Video(files, rate, start, _pixels(width), _pixels(height))
        return self._videos[target]


def frame_indices(series: Series, video: Video) -> Sequence[int]:
    """The frame of each sample: by its time, if the times are those of frames of a video whose rate is known; else
    samples are frames from the first on."""
    count = len(series.points)
    if video.rate > 0:
        times = series.times
        if times is None and series.start is not None and series.rate > 0:
            times = series.start + np.arange(count) / series.rate
        if times is not None and np.isfinite(times).all():
            frames = (times - video.start) * video.rate
            rounded = np.rint(frames)
            is_exact = (np.abs(frames - rounded) < 0.25).all() and (np.diff(rounded) > 0).all()
            if is_exact and count and rounded[0] >= 0 and rounded[-1] < 1 << 31:
                return [int(frame) for frame in rounded.tolist()]
    return range(count)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    """A finite number; 0 for anything else."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return result if math.isfinite(result) else 0.0


def _pixels(value: float) -> int:
    return int(value) if math.isfinite(value) and 0 < value < 1_000_000 else 0
