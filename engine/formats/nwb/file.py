"""The poses of an NWB file as plain arrays. Only HDF5 is read for it, not the classes that a file brings along.

Layout: https://github.com/rly/ndx-pose/blob/main/spec/ndx-pose.extensions.yaml, versions 0.1 to 0.4.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from engine.errors import PoseError
from engine.formats.hdf5 import HDF5_ERRORS, damaged, open_hdf5
from engine.formats.nwb.tree import Node, Tree, number_of, text_of
from engine.media.images import is_image
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

DESCRIPTION = "NWB file"
_ROOTS = ("processing", "acquisition", "analysis", "scratch")
_MAX_DEPTH = 6

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Video:
    """Files of a video or of images.

    Attributes:
        paths: as the file writes them. first_frames: the number of the first frame of each, () if not given.
        rate: frames a second, and ``start``: seconds of the first frame; 0 if the file does not say.
        times: (n,) seconds of the frames, if the file lists them.
    """

    paths: tuple[str, ...] = ()
    rate: float = 0.0
    start: float = 0.0
    width: int = 0
    height: int = 0
    times: Array | None = None
    first_frames: tuple[int, ...] = ()

    @cached_property
    def is_images(self) -> bool:
        return bool(self.paths) and all(map(is_image, self.paths))


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A name, its nodes and pairs of positions of nodes."""

    name: str = ""
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()


@dataclass
class Series:
    """One keypoint over time: (n, 2) or (n, 3) points, (n,) confidences, (n,) times in seconds or start and rate."""

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
    software: str = ""
    scorer: str = ""
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

    Attributes:
        unread: what has poses and cannot be used: its HDF5 path, and why; complete after :meth:`poses`.
        remarks: what is not taken over and costs no pose, likewise.

    Raises:
        PoseError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        h5py, self._file = open_hdf5(path, DESCRIPTION)
        self._tree = Tree(h5py, self._file, path)
        self._skeletons: dict[str, Skeleton] = {}
        self._videos: dict[str, Video] = {}
        self.unread: list[tuple[str, str]] = []
        self.remarks: list[tuple[str, str]] = []

    def __enter__(self) -> NwbFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def poses(self) -> Iterator[Estimation | TrainingFrame]:
        """All of them, in the order of the file.

        Raises:
            ProjectError: the file is damaged.
        """
        try:
            for root in _ROOTS:
                group = self._tree.group(self._tree.root, root, follow=False)
                if group is not None:
                    yield from self._walk(group, 1)
        except PoseError:
            raise
        except HDF5_ERRORS as error:
            raise damaged(error, self.path) from None
        self.unread += [(path, "Link to another file, which is not followed") for path in self._tree.foreign_links]

    def _walk(self, group: Node, depth: int) -> Iterator[Estimation | TrainingFrame]:
        type_name = self._tree.type_of(group)
        if type_name == "PoseEstimation":
            estimation = self._estimation(group)
            if estimation is not None:
                yield estimation
        elif type_name == "TrainingFrame":
            yield self._training_frame(group)
        elif type_name == "PoseEstimationSeries":
            self.unread.append((group.path, "Points of several cameras in space"))
        elif type_name == "Skeleton":
            self._skeleton_at(group)
        elif depth < _MAX_DEPTH:
            for name in self._tree.names(group):
                child = self._tree.group(group, name, follow=False)
                if child is not None:
                    yield from self._walk(child, depth + 1)

    def _estimation(self, group: Node) -> Estimation | None:
        tree = self._tree
        video = self._linked_video(group)
        originals = tree.texts(group, "original_videos")
        if not video.paths:
            dimensions = tree.numbers(group, "dimensions")
            size = (0, 0)
            if dimensions is not None and dimensions.ndim == 2 and dimensions.shape[1] == 2 and len(dimensions):
                size = (_pixels(dimensions[0, 0]), _pixels(dimensions[0, 1]))
            if len(originals) > 1:
                self.remarks.append((group.path, f"Names of further videos than {originals[0]}"))
            video = self._videos.setdefault(
                repr((originals[:1], size)), Video(tuple(originals[:1]), width=size[0], height=size[1])
            )
        skeleton = self._linked_skeleton(group)
        if not skeleton.nodes:
            skeleton = self._skeleton_in(group, "")
        software, scorer = (
            next(iter(tree.texts(group, name)), "")[:MAX_NAME] for name in ("source_software", "scorer")
        )
        estimation = Estimation(group.path, group.name, skeleton, video, software, scorer)
        for name in tree.names(group):
            child = tree.group(group, name, follow=False)
            if child is None or tree.type_of(child) != "PoseEstimationSeries":
                continue
            series = self._series(child)
            if series is None:
                self.unread.append((child.path, "Keypoint whose points are no table of coordinates"))
            elif len(estimation.series) < MAX_KEYPOINTS:
                estimation.series.append(series)
            else:
                self.unread.append((child.path, f"Keypoint beyond the first {MAX_KEYPOINTS}"))
        if not estimation.series:
            self.unread.append((group.path, "Pose estimation without keypoints"))
            return None
        return estimation

    def _series(self, group: Node) -> Series | None:
        tree = self._tree
        points, dataset = tree.numbers(group, "data"), tree.child(group, "data")
        if points is None or dataset is None or points.ndim != 2 or points.shape[1] not in (2, 3):
            return None
        conversion, offset = (number_of(tree.attribute(dataset, name)) for name in ("conversion", "offset"))
        if conversion not in (0.0, 1.0) or offset:
            points = points * (conversion or 1.0) + offset
        start, rate = self._start_and_rate(group)
        of_samples = {}
        for name in ("confidence", "timestamps"):
            array = tree.numbers(group, name)
            if array is not None and array.shape != points.shape[:1]:
                self.unread.append((f"{group.path}/{name}", "Numbers that are not one for each sample"))
            of_samples[name] = array if array is not None and array.shape == points.shape[:1] else None
        unit = text_of(tree.attribute(dataset, "unit"))
        return Series(
            group.name[:MAX_NAME], points, of_samples["confidence"], of_samples["timestamps"], start, rate, unit
        )

    def _start_and_rate(self, group: Node) -> tuple[float | None, float]:
        given = self._tree.numbers(group, "starting_time")
        dataset = self._tree.child(group, "starting_time")
        if given is None or dataset is None or given.size != 1:
            return None, 0.0
        return number_of(given.reshape(-1)[0]), max(0.0, number_of(self._tree.attribute(dataset, "rate")))

    def _training_frame(self, group: Node) -> TrainingFrame:
        tree = self._tree
        value = tree.attribute(group, "source_video_frame_index")
        index = None if value is None or not 0 <= number_of(value) < 1 << 31 else int(number_of(value))
        annotator = text_of(tree.attribute(group, "annotator"))
        frame = TrainingFrame(group.path, group.name, annotator, self._linked_video(group), index)
        instances = tree.group(group, "skeleton_instances")
        for name in tree.names(instances) if instances is not None else ():
            assert instances is not None
            child = tree.group(instances, name, follow=False)
            if child is None:
                continue
            points, visible = tree.numbers(child, "node_locations"), tree.array(child, "node_visibility")
            if points is None or points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) > MAX_KEYPOINTS:
                self.unread.append((child.path, "Pose whose points are no table of coordinates"))
                continue
            if visible is not None and (visible.shape != points.shape[:1] or visible.dtype.kind not in "biu"):
                self.unread.append((f"{child.path}/node_visibility", "Visibilities that are not one for each point"))
                visible = None
            frame.instances.append(TrainingInstance(child.name, self._linked_skeleton(child), points, visible))
        return frame

    def _linked_skeleton(self, group: Node) -> Skeleton:
        """The skeleton that a group links to: usually named "skeleton", else whatever the link is called."""
        tree = self._tree
        for name in ("skeleton", *tree.names(group)):
            child = tree.group(group, name)
            if child is None:
                continue
            if child.path in self._skeletons or tree.type_of(child) == "Skeleton":
                return self._skeleton_at(child)
        return Skeleton()

    def _skeleton_at(self, group: Node) -> Skeleton:
        if group.path not in self._skeletons:
            self._skeletons[group.path] = self._skeleton_in(group, group.name)
        return self._skeletons[group.path]

    @property
    def skeletons(self) -> Collection[Skeleton]:
        """All skeletons with names that the file has; complete after :meth:`poses`."""
        return self._skeletons.values()

    def _skeleton_in(self, group: Node, name: str) -> Skeleton:
        nodes = [text[:MAX_NAME] for text in self._tree.texts(group, "nodes")][:MAX_KEYPOINTS]
        edges = self._tree.numbers(group, "edges")
        pairs: list[tuple[int, int]] = []
        if edges is not None and edges.ndim == 2 and edges.shape[1] == 2:
            inside = edges[((edges >= 0) & (edges < len(nodes))).all(axis=1)]
            pairs = [(int(a), int(b)) for a, b in inside.tolist()]
        return Skeleton(name[:MAX_NAME], tuple(nodes), tuple(pairs))

    def _linked_video(self, group: Node) -> Video:
        tree = self._tree
        series = tree.group(group, "source_video")
        if series is None:
            return self._videos.setdefault("", Video())
        if series.path not in self._videos:
            start, rate = self._start_and_rate(series)
            size, times = tree.numbers(series, "dimension"), tree.numbers(series, "timestamps")
            width, height = size.tolist()[:2] if size is not None and size.shape == (2,) else (0, 0)
            files = tuple(tree.texts(series, "external_file"))
            firsts: tuple[int, ...] = ()
            external = tree.child(series, "external_file")
            if external is not None and len(files) > 1:
                firsts = self._first_frames(external, len(files))
            self._videos[series.path] = Video(
                files if all(files) else (), rate, start or 0.0, _pixels(width), _pixels(height),
                times if times is not None and times.ndim == 1 and len(times) else None, firsts,
            )  # fmt: skip
        return self._videos[series.path]

    def _first_frames(self, external: Node, count: int) -> tuple[int, ...]:
        """The attribute ``starting_frame`` of a list of files, if it says where each begins."""
        values = self._tree.attribute_array(external, "starting_frame")
        if values is None or values.shape != (count,) or values.dtype.kind not in "iu":
            return ()
        firsts = [int(value) for value in values.tolist()]
        is_rising = firsts[0] == 0 and all(a < b for a, b in pairwise(firsts))
        return tuple(firsts) if is_rising else ()


def _pixels(value: float) -> int:
    return int(value) if math.isfinite(value) and 0 < value < 1_000_000 else 0
