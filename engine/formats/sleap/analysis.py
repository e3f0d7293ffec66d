"""SLEAP's "Analysis HDF5": the poses of one video as arrays over tracks, keypoints and frames.

Layout: https://docs.sleap.ai/latest/tutorials/exporting-the-results/. MATLAB's order of axes is usual (``tracks`` is
tracks x 2 x nodes x frames); frames x tracks x nodes x 2 is read too. A pose with a score is a prediction, one without
is a label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, ProjectError
from engine.formats.base import BaseFormat
from engine.formats.category_schema import schema_of_names
from engine.formats.deeplabcut.writer import free_names
from engine.formats.hdf5 import read_arrays, try_in_a_process
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.sleap.categories import ANIMAL
from engine.formats.sleap.pixels import StoredPixels
from engine.formats.text_files import head_of
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, IMAGES, VIDEO, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import kept_mode, replacing
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

_SNIFFED_BYTES = 1 << 20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NAMES = (
    "tracks", "node_names", "edge_inds", "track_names", "track_occupancy", "point_scores", "instance_scores",
    "video_path",
)  # fmt: skip
_MAX_TRACKS = 100_000
_STEP = 1000

Array = npt.NDArray[Any]


class SleapAnalysisFormat(BaseFormat):
    """Tracks of one video, as they are exported for analysis; read by movement and others."""

    name = "sleap_analysis"
    title = "SLEAP analysis"
    suffixes: tuple[str, ...] = (".h5", ".hdf5")
    names_categories = False
    keeps: Collection[Feature] = frozenset({Feature.SCORES, Feature.TRACKS, Feature.TRACK_NAMES, Feature.VIDEO_FRAMES})

    def sniff(self, path: Path) -> float:
        head = head_of(path, _SNIFFED_BYTES)
        is_one = head.startswith(_SIGNATURE) and b"track_occupancy" in head and b"node_names" in head
        return CERTAIN if is_one else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        try:
            try_in_a_process(path, "arrays", lambda _done, _total: context.progress(0), _NAMES)
            arrays = read_arrays(path, "SLEAP analysis file", _NAMES)
        except ProjectError as error:
            raise LabelError(error.message, where=error.where) from None
        return _read(path, arrays, context)

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        write_analysis(labels, path, options, context)


def _read(path: Path, arrays: dict[str, Array], context: Context) -> LabelReader:
    if "tracks" not in arrays or "node_names" not in arrays:
        raise LabelError("is not a SLEAP analysis file: it has no tracks or no node_names", where=path)
    nodes = [text[:MAX_NAME] for text in _texts(arrays["node_names"])]
    if not 0 < len(nodes) <= MAX_KEYPOINTS:
        raise LabelError(f"has {len(nodes)} keypoints", where=path)
    points, scores, instance_scores = _in_order(path, arrays, len(nodes))  # by frame and track
    frame_count, track_count = points.shape[:2]
    names = _texts(arrays["track_names"]) if "track_names" in arrays else []
    if names and len(names) != track_count:
        context.report(path.name, "Names of tracks whose number is not that of the tracks", "not used")
        names = []
    edges = arrays.get("edge_inds", np.zeros((0, 2)))
    pairs = edges.T if edges.ndim == 2 and edges.shape[0] == 2 != edges.shape[1] else edges
    limbs = [(int(a), int(b)) for a, b in pairs.tolist()] if _are_pairs(pairs, len(nodes)) else []
    builder = LabelsBuilder()
    video = next(iter(_texts(arrays.get("video_path", np.array(b"")))), "").replace("\\", "/")
    media = builder.media(VIDEO, video, stored_pixels=True)
    category = builder.category(ANIMAL, schema_of_names(nodes, ANIMAL, limbs))
    present: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=3))
    for index in range(frame_count):
        if index % _STEP == 0:
            context.progress(index, frame_count)
        for column in np.flatnonzero(present[index].any(axis=1)).tolist():
            score = float(instance_scores[index, column])
            point_scores = scores[index, column]
            is_prediction = bool(np.isfinite(score) or np.isfinite(point_scores).any())
            builder.add(
                Instance(
                    builder.frame("", media, index),
                    category,
                    np.where(present[index, column, :, None], points[index, column], 0.0),
                    np.where(present[index, column], VISIBLE, ABSENT).astype(np.uint8),
                    np.nan_to_num(point_scores, posinf=0.0, neginf=0.0) if is_prediction else None,
                    score=float(np.clip(score, 0, 1)) if np.isfinite(score) else None,
                    track=builder.track(column, names[column]) if names else None,
                    is_prediction=is_prediction,
                    source="sleap" if is_prediction else "",
                    key=f"{index}|{column}",
                )
            )
    return builder.build(path)


def _in_order(path: Path, arrays: dict[str, Array], count: int) -> tuple[Array, Array, Array]:
    """Points (frames, tracks, nodes, 2), their scores (frames, tracks, nodes), and scores of instances."""
    tracks = arrays["tracks"]
    if tracks.ndim != 4 or tracks.dtype.kind not in "fiu":
        raise LabelError("has tracks that are not numbers along four axes", where=path)
    orders = {
        (2, 0, 1): (tracks.shape[1:3] == (2, count), tracks.shape[0]),  # tracks, 2, nodes, frames
        (0, 1, 2): (tracks.shape[2:] == (count, 2), tracks.shape[1]),  # frames, tracks, nodes, 2
    }
    possible = [axes for axes, (fits, _) in orders.items() if fits]
    if not possible:
        raise LabelError(f"has tracks of the shape {tracks.shape} for {count} keypoints", where=path)
    names = arrays.get("track_names")
    named = [axes for axes in possible if names is not None and names.size == orders[axes][1]]
    axes = (named or possible)[0]
    points = tracks.transpose(3, 0, 2, 1) if axes == (2, 0, 1) else tracks
    if points.shape[1] > _MAX_TRACKS:
        raise LabelError(f"has {points.shape[1]} tracks", where=path)
    points = points.astype(np.float64)
    scores, instance_scores = np.full(points.shape[:3], np.nan), np.full(points.shape[:2], np.nan)
    written = arrays.get("point_scores")
    if written is not None and written.ndim == 3 and written.dtype.kind in "fiu":
        written = written.transpose(axes)
        scores = written.astype(np.float64) if written.shape == scores.shape else scores
    written = arrays.get("instance_scores")
    if written is not None and written.ndim == 2 and written.dtype.kind in "fiu":
        written = written.T if axes == (2, 0, 1) else written
        instance_scores = written.astype(np.float64) if written.shape == instance_scores.shape else instance_scores
    return points, scores, instance_scores


def _texts(array: Array) -> list[str]:
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in array.reshape(-1).tolist()
    ]


def _are_pairs(edges: Array, count: int) -> bool:
    if edges.ndim != 2 or edges.shape[1:] != (2,) or edges.dtype.kind not in "iu":
        return False
    return bool(((edges >= 0) & (edges < count)).all())


def write_analysis(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a file for each video and category: the first to ``path``, the others beside it.

    Raises:
        LabelError: there are no poses, or a file cannot be written.
        Cancelled: the context was cancelled.
    """
    groups = _collect(labels, options, context)
    if not groups:
        raise LabelError("there are no poses to write", where=path)
    names = [
        f"{PurePosixPath(plain_name(labels.media[media].path)).stem}_{labels.categories[category].name}"
        for media, category in groups
    ]
    pixels = StoredPixels(labels, context)
    for target, ((media, category), poses) in zip(free_names(path, names), groups.items(), strict=True):
        try:
            with replacing(target, mode=kept_mode(target), suffix=".h5") as temporary:
                _write(temporary, labels, media, category, poses, pixels, context)
        except OSError as error:
            raise LabelError(f"cannot be written ({error.strerror or error})", where=target) from None
        if target != path:
            context.report(target.name, "Another video or category has a file of its own", severity=INFO)


_Poses = list[tuple[int, Instance]]
"""Numbers of frames in the video, with a pose each."""


def _collect(labels: LabelReader, options: WriteOptions, context: Context) -> dict[tuple[int, int], _Poses]:
    """The poses by positions of video and category."""
    frames = list(labels.frames())
    groups: defaultdict[tuple[int, int], _Poses] = defaultdict(list)
    total = labels.num_instances()
    for index, instance in enumerate(labels.instances()):
        if index % _STEP == 0:
            context.progress(index, total)
        name = instance.key or f"instance {index + 1}"
        if not instance.is_pose:
            context.report(name, "Crowd, or record without keypoints, which this format does not have", "left out")
            continue
        frame, schema = frames[instance.frame], labels.categories[instance.category].schema
        assert instance.visibility is not None
        if schema is None or len(instance.visibility) != schema.num_keypoints:
            context.report(name, "Pose whose keypoints are not those of its category", "left out", severity=ERROR)
        elif not (instance.visibility != ABSENT).any():
            context.report(name, "Pose without a keypoint, which this format does not have", "left out")
        elif options.include_predictions or not instance.is_prediction:
            if labels.media[frame.media].type == IMAGES:
                context.report(frame.name, "Image, which this format knows by its number only", severity=INFO)
            groups[frame.media, instance.category].append((frame.index, instance))
    return dict(groups)


def _write(
    path: Path,
    labels: LabelReader,
    media: int,
    category: int,
    poses: _Poses,
    pixels: StoredPixels,
    context: Context,
) -> None:
    import h5py

    schema = labels.categories[category].schema
    assert schema is not None
    columns, names = _columns(labels, poses, context)
    shape = (max(index for index, _ in poses) + 1, max(columns, default=0) + 1, schema.num_keypoints)
    points, scores = np.full((*shape, 2), np.nan), np.full(shape, np.nan)
    instance_scores = np.full(shape[:2], np.nan)
    occupancy = np.zeros(shape[:2], np.uint8)
    for (index, instance), column in zip(poses, columns, strict=True):
        assert instance.keypoints is not None
        assert instance.visibility is not None
        present = instance.visibility != ABSENT
        points[index, column, present] = pixels.of(instance.keypoints, media)[present]
        occupancy[index, column] = 1
        if instance.is_prediction:
            scores[index, column] = np.nan if instance.scores is None else instance.scores
            instance_scores[index, column] = np.nan if instance.score is None else instance.score
            if instance.scores is None and instance.score is None:
                instance_scores[index, column] = 0.0  # what says that it is a prediction
    edges = schema.limb_indices
    limb_names = np.array([[schema.names[a], schema.names[b]] for a, b in edges.tolist()], object)
    with h5py.File(path, "w", libver="earliest") as file:
        arrays: dict[str, Array] = {
            "track_names": _encoded(names),
            "node_names": _encoded(schema.names),
            "edge_names": np.char.encode(limb_names.astype(str), "utf-8") if len(edges) else np.zeros((0, 2), "S1"),
            "edge_inds": np.asarray(edges, np.int32).reshape(-1, 2),
            "tracks": points.transpose(1, 3, 2, 0),
            "track_occupancy": occupancy,
            "point_scores": scores.transpose(1, 2, 0),
            "instance_scores": instance_scores.T,
            "tracking_scores": np.zeros(shape[:2]).T,
        }
        for name, data in arrays.items():
            packed = {"compression": "gzip", "compression_opts": 9} if data.size and data.dtype.kind == "f" else {}
            file.create_dataset(name, data=data, **packed)
        file.create_dataset("labels_path", data="")
        file.create_dataset("video_path", data=labels.media[media].path)
        file.create_dataset("video_ind", data=np.int32(0))
        file.create_dataset("provenance", data="{}")


def _columns(labels: LabelReader, poses: _Poses, context: Context) -> tuple[list[int], list[str]]:
    """The column of each pose, and the names of the columns; no names for one animal without a track."""
    tracks = sorted({instance.track for _, instance in poses if instance.track is not None})
    column_of = {track: n for n, track in enumerate(tracks)}
    names = [labels.tracks.get(track) or f"track_{track}" for track in tracks]
    taken: defaultdict[int, set[int]] = defaultdict(set)
    columns: list[int] = []
    for index, instance in poses:
        if instance.track is not None:
            column = column_of[instance.track]
        else:
            column = len(tracks)
        while column in taken[index]:
            column = max(column + 1, len(tracks))
        taken[index].add(column)
        columns.append(column)
    count = max(columns) + 1
    if not tracks and count == 1:
        return columns, []
    untracked = sum(column >= len(tracks) for column in columns)
    if untracked:
        what = "Poses without a track (or the second of one in a frame) are in columns of their own"
        context.report(f"columns {len(tracks) + 1} to {count}", what, count=untracked)
    return columns, [*names, *(f"untracked_{n}" for n in range(1, count - len(tracks) + 1))]


def _encoded(names: Sequence[str]) -> Array:
    return np.array([name.encode("utf-8", "replace") for name in names]) if names else np.zeros(0, "S1")


register_format(SleapAnalysisFormat())
