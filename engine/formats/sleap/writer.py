"""SLEAP's label files from any labels (https://io.sleap.ai/latest/formats/slp/).

Format 1.2: pixel centers are at integers. A skeleton a category, with limbs as edges and left/right partners as
symmetries. A point that is occluded is not ``visible`` and has coordinates; an absent one has none. Points of a video
are written in its stored pixels, which SLEAP shows. A negative frame is in ``negative_frames``, a flagged one is a
suggestion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import LabelError
from engine.formats.frame_images import FrameImages, path_text
from engine.formats.registry import WriteOptions
from engine.formats.sleap.file import PREDICTED, PROVENANCE, USER
from engine.formats.sleap.pixels import StoredPixels
from engine.formats.sleap.skeletons import EDGE, SYMMETRY
from engine.labels.model import ABSENT, IMAGES, VISIBLE, Category, Instance
from engine.labels.reader import LabelReader
from engine.schema.schema import Schema
from engine.utils.context import ERROR, Context
from engine.utils.files import kept_mode, replacing

FORMAT_ID = 1.2

_STEP = 1000
_BLOCK = 65_536
_MAX_ATTRIBUTE = 60_000  # bytes that old layouts of HDF5 allow for an attribute are a few more
_FRAMES = np.dtype(
    [
        ("frame_id", "<u8"), ("video", "<u4"), ("frame_idx", "<u8"), ("instance_id_start", "<u8"),
        ("instance_id_end", "<u8"),
    ]
)  # fmt: skip
_INSTANCES = np.dtype(
    [
        ("instance_id", "<i8"), ("instance_type", "u1"), ("frame_id", "<u8"), ("skeleton", "<u4"), ("track", "<i4"),
        ("from_predicted", "<i8"), ("score", "<f4"), ("point_id_start", "<u8"), ("point_id_end", "<u8"),
        ("tracking_score", "<f4"),
    ]
)  # fmt: skip
_POINTS = np.dtype([("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")])
_PREDICTED_POINTS = np.dtype([*_POINTS.descr, ("score", "<f8")])
_NEGATIVE = np.dtype([("video_id", "<u4"), ("frame_idx", "<u8")])

Records = npt.NDArray[Any]


def write_sleap(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a ``.slp`` file.

    Raises:
        LabelError: there are no categories with keypoints, or it cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    skeletons = {position: n for n, position in enumerate(_with_keypoints(labels.categories))}
    if not skeletons:
        raise LabelError("there are no categories with keypoints, which SLEAP needs", where=path)
    for category in labels.categories:
        if category.schema is None:
            context.report(category.name, "Category without keypoints, which SLEAP does not have", "left out")
    tables = _Tables(labels, skeletons, options, context)
    tables.collect()
    images = FrameImages(labels)
    try:
        videos = [_video_entry(labels, position, images, path, options) for position in range(len(labels.media))]
    finally:
        images.close()
    try:
        with replacing(path, mode=kept_mode(path), suffix=".slp") as temporary:
            _write(temporary, labels, tables, [labels.categories[position] for position in skeletons], videos)
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


def _with_keypoints(categories: Sequence[Category]) -> list[int]:
    return [position for position, category in enumerate(categories) if category.schema is not None]


class _Tables:
    """The rows of the file: instances stand in the order of their frames."""

    def __init__(
        self, labels: LabelReader, skeletons: Mapping[int, int], options: WriteOptions, context: Context
    ) -> None:
        self._labels, self._skeletons, self._options, self._context = labels, skeletons, options, context
        self._all_frames = list(labels.frames())
        self._pixels = StoredPixels(labels, context)
        self.tracks: dict[int, int] = {}
        self.frames: Records = np.zeros(0, _FRAMES)
        self.instances: Records = np.zeros(0, _INSTANCES)
        self.points: Records = np.zeros(0, _POINTS)
        self.predicted_points: Records = np.zeros(0, _PREDICTED_POINTS)

    def collect(self) -> None:
        """Fill the tables.

        Raises:
            Cancelled: the context was cancelled.
        """
        by_frame: dict[int, list[Instance]] = {}
        for instance in self._usable():
            by_frame.setdefault(instance.frame, []).append(instance)
        used = {i.track for instances in by_frame.values() for i in instances if i.track is not None}
        self.tracks = {track: n for n, track in enumerate(sorted(used))}
        frames = np.zeros(len(self._all_frames), _FRAMES)
        rows_of_instances: list[tuple[Any, ...]] = []
        points: dict[int, list[Records]] = {USER: [], PREDICTED: []}
        counts = {USER: 0, PREDICTED: 0}
        for position, frame in enumerate(self._all_frames):
            if position % _STEP == 0:
                self._context.progress(position, len(self._all_frames))
            first = len(rows_of_instances)
            for instance in by_frame.pop(position, ()):
                type_ = PREDICTED if instance.is_prediction else USER
                rows = self._points_of(instance, frame.media, type_)
                start = counts[type_]
                counts[type_] += len(rows)
                points[type_].append(rows)
                track = -1 if instance.track is None else self.tracks[instance.track]
                score = 0.0 if instance.score is None or type_ == USER else instance.score
                skeleton = self._skeletons[instance.category]
                rows_of_instances.append(
                    (len(rows_of_instances), type_, position, skeleton, track, -1, score, start, counts[type_], 0.0)
                )
            frames[position] = (position, frame.media, frame.index, first, len(rows_of_instances))
        self.frames = frames
        self.instances = np.array(rows_of_instances, _INSTANCES)
        self.points = _joined(points[USER], _POINTS)
        self.predicted_points = _joined(points[PREDICTED], _PREDICTED_POINTS)

    def _usable(self) -> Iterator[Instance]:
        total = self._labels.num_instances()
        for index, instance in enumerate(self._labels.instances()):
            if index % _STEP == 0:
                self._context.progress(index, total)
            name = instance.key or f"instance {index + 1}"
            if not instance.is_pose or instance.category not in self._skeletons:
                self._context.report(name, "Crowd, or record without keypoints, which SLEAP does not have", "left out")
                continue
            schema = self._labels.categories[instance.category].schema
            assert schema is not None
            assert instance.keypoints is not None
            assert instance.visibility is not None
            if len(instance.keypoints) != schema.num_keypoints:
                what = "Pose with another number of keypoints than its category"
                self._context.report(name, what, "left out", severity=ERROR)
            elif not (instance.visibility != ABSENT).any():
                self._context.report(name, "Pose without a keypoint, which SLEAP does not show", "left out")
            elif self._options.include_predictions or not instance.is_prediction:
                if instance.scores is not None and not instance.is_prediction:
                    self._context.report(name, "Scores of a label of a person", "left out")
                yield instance

    def _points_of(self, instance: Instance, media: int, type_: int) -> Records:
        assert instance.keypoints is not None
        assert instance.visibility is not None
        keypoints = self._pixels.of(instance.keypoints, media)
        present = (instance.visibility != ABSENT) & np.isfinite(keypoints).all(axis=1)
        rows = np.zeros(len(keypoints), _PREDICTED_POINTS if type_ == PREDICTED else _POINTS)
        rows["x"] = np.where(present, keypoints[:, 0], np.nan)
        rows["y"] = np.where(present, keypoints[:, 1], np.nan)
        rows["visible"] = present & (instance.visibility == VISIBLE)
        rows["complete"] = present if type_ == USER else False
        if type_ == PREDICTED:
            rows["score"] = np.nan if instance.scores is None else instance.scores
        return rows

    def negative_frames(self) -> Records:
        """Frames that a person has marked as empty."""
        rows = [(frame.media, frame.index) for frame in self._all_frames if frame.is_negative]
        return np.array(rows, _NEGATIVE)

    def suggestions(self) -> list[bytes]:
        """Flagged frames, a JSON text each."""
        return [
            msgspec.json.encode({"video": str(frame.media), "frame_idx": frame.index, "group": 0})
            for frame in self._all_frames
            if frame.is_flagged
        ]


def _joined(blocks: list[Records], dtype: np.dtype[Any]) -> Records:
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype)


def _video_entry(
    labels: LabelReader, position: int, images: FrameImages, target: Path, options: WriteOptions
) -> dict[str, Any]:
    """A media as SLEAP describes a video: a file, or a list of images."""
    media = labels.media[position]
    frames = [(n, frame) for n, frame in enumerate(images.frames) if frame.media == position]
    size = next((size for n, _ in frames[:20] if (size := images.size(n)) is not None), None)
    backend: dict[str, Any] = {"grayscale": False, "bgr": True, "dataset": "", "input_format": ""}
    if media.type != IMAGES:
        path = images.video(position)
        name = (
            media.path
            if path is None
            else path_text(path, target.absolute().parent, is_absolute=options.absolute_paths)
        )
        return {"filename": name, "backend": {"type": "MediaVideo", "filename": name, **backend}}
    files = [""] * (max((frame.index for _, frame in frames), default=-1) + 1)
    for n, frame in frames:
        path = images.path(n)
        files[frame.index] = (
            frame.name
            if path is None
            else path_text(path, target.absolute().parent, is_absolute=options.absolute_paths)
        )
    backend = {"type": "ImageVideo", "filename": files[0] if files else "", "filenames": files, **backend}
    if size is not None:
        backend |= {"height_": size[1], "width_": size[0], "channels_": 3}
    return {"filename": files, "backend": backend}


def _write(
    path: Path, labels: LabelReader, tables: _Tables, categories: Sequence[Category], videos: Sequence[dict[str, Any]]
) -> None:
    import h5py

    metadata = msgspec.json.encode(_metadata(categories))
    # Attributes of any size need a newer layout than the one that every reader knows.
    versions = ("earliest", "v108") if len(metadata) <= _MAX_ATTRIBUTE else ("v108", "v110")
    with h5py.File(path, "w", libver=versions) as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = FORMAT_ID
        group.attrs["json"] = np.bytes_(metadata)
        _create(file, "videos_json", _lines([msgspec.json.encode(video) for video in videos]))
        names = [labels.tracks.get(track) or f"track_{track}" for track in tables.tracks]
        _create(file, "tracks_json", _lines([msgspec.json.encode([0, name]) for name in names]))
        _create(file, "suggestions_json", _lines(tables.suggestions()))
        _create(file, "frames", tables.frames)
        _create(file, "instances", tables.instances)
        _create(file, "points", tables.points)
        _create(file, "pred_points", tables.predicted_points)
        negative = tables.negative_frames()
        if len(negative):
            _create(file, "negative_frames", negative)


def _create(file: Any, name: str, data: Records) -> None:
    """A table that may grow, as SLEAP makes them."""
    chunks = (max(1, min(len(data), _BLOCK)),)
    file.create_dataset(name, data=data, maxshape=(None,), chunks=chunks, dtype=data.dtype)


def _lines(lines: list[bytes]) -> Records:
    return np.array(lines, dtype=f"S{max(map(len, lines), default=1)}")


def _metadata(categories: Sequence[Category]) -> dict[str, Any]:
    """The skeletons as NetworkX graphs in the way of jsonpickle, which SLEAP reads."""
    names: dict[str, int] = {}
    for category in categories:
        assert category.schema is not None
        for name in category.schema.names:
            names.setdefault(name, len(names))
    skeletons = [_skeleton(category.name, category.schema, names) for category in categories if category.schema]
    return {
        "version": "2.0.0",
        "skeletons": skeletons,
        "nodes": [{"name": name, "weight": 1.0} for name in names],
        "videos": [],
        "tracks": [],
        "suggestions": [],
        "negative_anchors": {},
        "provenance": {"source": PROVENANCE},
    }


def _skeleton(name: str, schema: Schema, nodes: Mapping[str, int]) -> dict[str, Any]:
    links: list[dict[str, Any]] = []
    types: dict[int, dict[str, Any]] = {}

    def type_of(link_type: int) -> dict[str, Any]:
        """The type of an edge, spelled out the first time and referred to by its number later."""
        if link_type in types:
            return types[link_type]
        types[link_type] = {"py/id": len(types) + 1}
        return {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [link_type]}]}

    for index, limb in enumerate(schema.limbs):
        ends = {"source": nodes[limb.start], "target": nodes[limb.end]}
        links.append({"edge_insert_idx": index, "key": 0, **ends, "type": type_of(EDGE)})
    for point in schema.keypoints:
        if point.swap and schema.index[point.name] < schema.index[point.swap]:
            for source, target in ((point.name, point.swap), (point.swap, point.name)):
                ends = {"source": nodes[source], "target": nodes[target]}
                links.append({"key": 0, **ends, "type": type_of(SYMMETRY)})
    return {
        "directed": True,
        "graph": {"name": name, "num_edges_inserted": len(schema.limbs)},
        "links": links,
        "multigraph": True,
        "nodes": [{"id": nodes[node]} for node in schema.names],
    }
