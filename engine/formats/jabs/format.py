"""Pose files of JABS, the behavior classifier for mice of the Jackson Laboratory.

Layout: https://jabs-tutorial.readthedocs.io/en/latest/User_Guide.html (versions 2 to 6). Group ``poseest``: ``points``
are y, x in pixels of the video, ``confidence`` is 0 for a keypoint that was not found. Version 2 has one mouse a frame;
later ones have ``instance_count`` mice, numbered within a tracklet by ``instance_track_id``, from version 4 on with
``instance_embed_id`` as the identity, which ``id_mask`` may void.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, ProjectError
from engine.formats.base import BaseFormat
from engine.formats.hdf5 import HDF5_ERRORS, damaged, open_hdf5, read_arrays, try_in_a_process
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.text_files import head_of
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, VIDEO, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.media.source import VIDEO_SUFFIXES
from engine.schema.schema import schema_from_names
from engine.utils.context import ERROR, INFO, Context

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SNIFFED_BYTES = 1 << 20
_STEP = 1000
_MAX_MICE = 1000
_GROUP = "poseest"
_ARRAYS = ("points", "confidence", "instance_count", "instance_track_id", "instance_embed_id", "id_mask")
_KEYPOINTS = (
    "nose", "left_ear", "right_ear", "base_neck", "left_front_paw", "right_front_paw", "center_spine",
    "left_rear_paw", "right_rear_paw", "base_tail", "mid_tail", "tip_tail",
)  # fmt: skip
_LIMBS = ((4, 6), (6, 5), (7, 9), (9, 8), (0, 3), (3, 6), (6, 9), (9, 10), (10, 11))
_NAME = re.compile(r"(.+)_pose_est_v\d+\.h5", re.IGNORECASE)

Array = npt.NDArray[Any]


class JabsFormat(BaseFormat):
    """Predictions for the mice of one video, ``NAME_pose_est_v5.h5`` beside ``NAME.avi``."""

    name = "jabs"
    title = "JABS pose file"
    suffixes: tuple[str, ...] = (".h5",)
    can_write = False
    keeps: Collection[Feature] = frozenset({Feature.SCORES, Feature.TRACKS, Feature.VIDEO_FRAMES})

    def sniff(self, path: Path) -> float:
        head = head_of(path, _SNIFFED_BYTES)
        is_one = head.startswith(_SIGNATURE) and b"poseest" in head and b"points" in head and b"confidence" in head
        return CERTAIN if is_one else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        names = [f"{_GROUP}/{name}" for name in _ARRAYS]
        try:
            try_in_a_process(path, "arrays", lambda _done, _total: context.progress(0), names)
            arrays = read_arrays(path, self.title, names)
            _report_others(path, context)
        except ProjectError as error:
            raise LabelError(error.message, where=error.where) from None
        return _read(path, {name.partition("/")[2]: array for name, array in arrays.items()}, context)


def _report_others(path: Path, context: Context) -> None:
    """Report what else the file holds: static objects of the arena, segmentations."""
    _, file = open_hdf5(path, JabsFormat.title)
    try:
        with file:
            others = [name for name in list(file)[:100] if name != _GROUP]
            others += [name for name in list(file[_GROUP])[:100] if name.startswith("seg_") or "segmentation" in name]
    except HDF5_ERRORS as error:
        raise damaged(error, path) from None
    for name in others:
        what = "Data of a JABS file that are no poses"
        context.report(str(name)[:100], what, "not taken over", severity=INFO, listed=True)


def _read(path: Path, arrays: dict[str, Array], context: Context) -> LabelReader:
    points, confidence = arrays.get("points"), arrays.get("confidence")
    if points is None or confidence is None or points.dtype.kind not in "fiu" or confidence.dtype.kind not in "fiu":
        raise LabelError("is not a JABS pose file: it has no points or no confidence", where=path)
    if points.ndim == 3 and confidence.ndim == 2:  # version 2
        points, confidence = points[:, None], confidence[:, None]
    if points.ndim != 4 or points.shape[3] != 2 or points.shape[:3] != confidence.shape:
        raise LabelError(f"has points of the shape {points.shape} and confidences of {confidence.shape}", where=path)
    frame_count, mouse_count, keypoint_count = confidence.shape
    if keypoint_count != len(_KEYPOINTS) or mouse_count > _MAX_MICE:
        raise LabelError(f"has {mouse_count} mice of {keypoint_count} keypoints; JABS has 12", where=path)
    counts = _whole_numbers(arrays.get("instance_count"), (frame_count,))
    identities, are_valid = _identities(arrays, (frame_count, mouse_count))
    builder = LabelsBuilder()
    media = builder.media(VIDEO, _video_of(path))
    category = builder.category("mouse", schema_from_names("mouse", list(_KEYPOINTS), _LIMBS, category="mouse"))
    usable = np.isfinite(confidence) & np.isfinite(points).all(axis=3)
    present = usable & (confidence > 0)
    for index in range(frame_count):
        if index % _STEP == 0:
            context.progress(index, frame_count)
        count = mouse_count if counts is None else min(int(counts[index]), mouse_count)
        for slot in range(count):
            seen = present[index, slot]
            if not seen.any():
                if counts is not None:
                    context.report(
                        f"frame {index} mouse {slot}", "Mouse without a keypoint", "left out", severity=ERROR
                    )
                continue
            track = None
            if identities is not None and are_valid[index, slot]:
                track = builder.track(int(identities[index, slot]))
            builder.add(
                Instance(
                    builder.frame("", media, index),
                    category,
                    np.where(seen[:, None], points[index, slot, :, ::-1], 0).astype(np.float64),
                    np.where(seen, VISIBLE, ABSENT).astype(np.uint8),
                    np.where(seen, np.clip(confidence[index, slot], 0, 1), 0.0).astype(np.float64),
                    track=track,
                    is_prediction=True,
                    source="jabs",
                    key=f"{index}|{slot}",
                )
            )
    return builder.build(path)


def _identities(arrays: dict[str, Array], shape: tuple[int, int]) -> tuple[Array | None, Array]:
    """(frames, mice) identities, or tracklets where there are none, and where they hold."""
    are_valid = np.ones(shape, bool)
    identities = _whole_numbers(arrays.get("instance_embed_id"), shape)
    if identities is None:
        return _whole_numbers(arrays.get("instance_track_id"), shape), are_valid
    are_valid = identities > 0  # 0 is no mouse
    mask = arrays.get("id_mask")
    if mask is not None and mask.shape == shape and mask.dtype.kind in "biu":
        are_valid &= mask == 0
    return identities, are_valid


def _whole_numbers(array: Array | None, shape: tuple[int, ...]) -> Array | None:
    return array if array is not None and array.shape == shape and array.dtype.kind in "iu" else None


def _video_of(path: Path) -> str:
    """The video that a pose file belongs to, by its name; JABS's own are AVI."""
    match = _NAME.fullmatch(path.name)
    stem = match[1] if match else path.stem
    names = [f"{stem}{suffix}" for suffix in (".avi", ".mp4", *sorted(VIDEO_SUFFIXES))]
    return next((name for name in names if (path.parent / name).is_file()), names[0])


register_format(JabsFormat())
