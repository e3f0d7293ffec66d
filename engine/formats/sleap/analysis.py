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

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, ProjectError
from engine.formats.base import BaseFormat
from engine.formats.category_schema import schema_of_names
from engine.formats.deeplabcut.writer import free_names
from engine.formats.hdf5 import SIGNATURE, try_in_a_process
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.sleap.analysis_file import AnalysisFile
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

_SNIFFED_BYTES = 1 << 20
_BLOCK_NUMBERS = 1 << 15
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
        is_one = head.startswith(SIGNATURE) and b"track_occupancy" in head and b"node_names" in head
        return CERTAIN if is_one else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        try:
            try_in_a_process(path, "sleap_analysis", lambda _done, _total: context.progress(0))
            with AnalysisFile(path) as file:
                return _read(file, context)
        except ProjectError as error:
            raise LabelError(error.message, where=error.where) from None

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        write_analysis(labels, path, options, context)


def _read(file: AnalysisFile, context: Context) -> LabelReader:
    names = file.track_names
    if names and len(names) != file.track_count:
        context.report(file.path.name, "Names of tracks whose number is not that of the tracks", "not used")
        names = []
    edges = file.edges
    pairs = edges.T if edges.ndim == 2 and edges.shape[0] == 2 != edges.shape[1] else edges
    limbs = [(int(a), int(b)) for a, b in pairs.tolist()] if _are_pairs(pairs, len(file.nodes)) else []
    builder = LabelsBuilder()
    media = builder.media(VIDEO, file.video, stored_pixels=True)
    category = builder.category(ANIMAL, schema_of_names(file.nodes, ANIMAL, limbs))
    poses: list[tuple[int, int, Instance]] = []
    for first, points, scores, instance_scores in file.blocks():
        context.progress(first, file.track_count)
        present: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=3))
        for offset, index in np.argwhere(present.any(axis=2)).tolist():
            is_present, point_scores = present[offset, index], scores[offset, index]
            score, column = float(instance_scores[offset, index]), first + offset
            is_prediction = bool(np.isfinite(score) or np.isfinite(point_scores).any())
            pose = Instance(
                0,
                category,
                np.where(is_present[:, None], points[offset, index], 0.0),
                np.where(is_present, VISIBLE, ABSENT).astype(np.uint8),
                np.nan_to_num(point_scores, posinf=0.0, neginf=0.0) if is_prediction else None,
                score=float(np.clip(score, 0, 1)) if np.isfinite(score) else None,
                is_prediction=is_prediction,
                source="sleap" if is_prediction else "",
                key=f"{index}|{column}",
            )
            poses.append((index, column, pose))
    for index, column, pose in sorted(poses, key=lambda item: item[:2]):
        track = builder.track(column, names[column]) if names else None
        builder.add(msgspec.structs.replace(pose, frame=builder.frame("", media, index), track=track))
    return builder.build(file.path)


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
    of_column: defaultdict[int, _Poses] = defaultdict(list)
    for pose, column in zip(poses, columns, strict=True):
        of_column[column].append(pose)
    occupancy = np.zeros(shape[:2], np.uint8)
    edges = schema.limb_indices
    limb_names = np.array([[schema.names[a], schema.names[b]] for a, b in edges.tolist()], object)
    with h5py.File(path, "w", libver="earliest") as file:
        arrays: dict[str, Array] = {
            "track_names": _encoded(names),
            "node_names": _encoded(schema.names),
            "edge_names": np.char.encode(limb_names.astype(str), "utf-8") if len(edges) else np.zeros((0, 2), "S1"),
            "edge_inds": np.asarray(edges, np.int32).reshape(-1, 2),
        }
        for name, data in arrays.items():
            file.create_dataset(name, data=data)
        frames, tracks, nodes = shape
        block = min(frames, max(1, _BLOCK_NUMBERS // nodes))
        packed = {"fillvalue": np.nan, "compression": "gzip", "compression_opts": 1}
        all_points = file.create_dataset(
            "tracks", (tracks, 2, nodes, frames), "f8", chunks=(1, 2, nodes, block), **packed
        )
        all_scores = file.create_dataset(
            "point_scores", (tracks, nodes, frames), "f8", chunks=(1, nodes, block), **packed
        )
        instance_scores = file.create_dataset("instance_scores", (tracks, frames), "f8", chunks=(1, frames), **packed)
        for column, own in of_column.items():  # the arrays of all tracks may be far larger than what is in them
            context.progress(column, tracks)
            _write_track(own, column, nodes, block, (all_points, all_scores, instance_scores), media, pixels)
            occupancy[[index for index, _ in own], column] = 1
        file.create_dataset("track_occupancy", data=occupancy)
        file.create_dataset("tracking_scores", (tracks, frames), "f8", chunks=(1, frames), compression="gzip")
        file.create_dataset("labels_path", data="")
        file.create_dataset("video_path", data=labels.media[media].path)
        file.create_dataset("video_ind", data=np.int32(0))
        file.create_dataset("provenance", data="{}")


def _write_track(
    poses: _Poses, column: int, nodes: int, block: int, datasets: Sequence[Any], media: int, pixels: StoredPixels
) -> None:
    """Write the blocks of a track that have poses."""
    all_points, all_scores, all_instance_scores = datasets
    frames = all_points.shape[3]
    own_scores = np.full(frames, np.nan)
    of_block: defaultdict[int, _Poses] = defaultdict(list)
    for index, instance in poses:
        of_block[index // block].append((index, instance))
    for block_index, members in of_block.items():
        first = block_index * block
        length = min(block, frames - first)
        points, scores = np.full((2, nodes, length), np.nan), np.full((nodes, length), np.nan)
        for index, instance in members:
            assert instance.keypoints is not None
            assert instance.visibility is not None
            present = instance.visibility != ABSENT
            points[:, present, index - first] = pixels.of(instance.keypoints, media)[present].T
            if instance.is_prediction:
                scores[:, index - first] = np.nan if instance.scores is None else instance.scores
                own_scores[index] = np.nan if instance.score is None else instance.score
                if instance.scores is None and instance.score is None:
                    own_scores[index] = 0.0  # what says that it is a prediction
        all_points[column, :, :, first : first + length] = points
        if np.isfinite(scores).any():
            all_scores[column, :, first : first + length] = scores
    if np.isfinite(own_scores).any():
        all_instance_scores[column] = own_scores


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
