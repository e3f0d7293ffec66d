"""Pose files of JABS, the behavior classifier for mice of the Jackson Laboratory.

Layout: https://jabs-tutorial.readthedocs.io/en/latest/User_Guide.html (versions 2 to 6). Group ``poseest``: ``points``
are y, x in pixels of the video, ``confidence`` is 0 for a keypoint that was not found. Version 2 has one mouse a frame;
later ones have ``instance_count`` mice, numbered within a tracklet by ``instance_track_id``, from version 4 on with
``instance_embed_id`` as the identity, which ``id_mask`` may void. Version 8 has boxes: ``bbox``, x1, y1 and x2, y2.
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
from engine.formats.hdf5 import HDF5_ERRORS, SIGNATURE, damaged, open_hdf5, read_arrays, try_in_a_process
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.text_files import head_of
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, VIDEO, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.media.video_finder import video_of_stem
from engine.schema.schema import schema_from_names
from engine.utils.context import ERROR, INFO, Context

_SNIFFED_BYTES = 1 << 12
"""The name of the group, ``poseest``, stands at the beginning of these files; those in it may stand anywhere."""
_STEP = 1000
_MAX_MICE = 1000
_MAX_OTHERS = 100
_GROUP = "poseest"
_ARRAYS = ("points", "confidence", "instance_count", "instance_track_id", "instance_embed_id", "id_mask", "bbox")
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
    keeps: Collection[Feature] = frozenset({Feature.SCORES, Feature.BOXES, Feature.TRACKS, Feature.VIDEO_FRAMES})

    def sniff(self, path: Path) -> float:
        head = head_of(path, _SNIFFED_BYTES)
        name = _GROUP.encode() + b"\0"  # the end too: other files speak of poseestimation
        return CERTAIN if head.startswith(SIGNATURE) and name in head else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        try:
            try_in_a_process(path, "jabs", lambda _done, _total: context.progress(0))
            arrays, others = read_jabs_arrays(path)
        except ProjectError as error:
            raise LabelError(error.message, where=error.where) from None
        for name in others:
            what = "Data of a JABS file that are no poses"
            context.report(name[:100], what, "not taken over", severity=INFO, listed=True)
        return _Reader(path, arrays, context).read()


def read_jabs_arrays(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The data sets about poses by their names, and the names of what else the file holds: static objects of the arena,
    segmentations.

    Raises:
        ProjectError: it cannot be read.
    """
    arrays = read_arrays(path, JabsFormat.title, [f"{_GROUP}/{name}" for name in _ARRAYS])
    h5py, file = open_hdf5(path, JabsFormat.title)
    try:
        with file:
            others = [name for name in list(file)[:_MAX_OTHERS] if name != _GROUP]
            group = file.get(_GROUP)
            names = list(group)[:_MAX_OTHERS] if isinstance(group, h5py.Group) else []
            others += [name for name in names if "seg" in name]
    except HDF5_ERRORS as error:
        raise damaged(error, path) from None
    return {name.partition("/")[2]: array for name, array in arrays.items()}, [str(name) for name in others]


class _Reader:
    def __init__(self, path: Path, arrays: dict[str, Array], context: Context) -> None:
        self._path, self._context = path, context
        points, confidence = arrays.get("points"), arrays.get("confidence")
        if points is None or confidence is None or points.dtype.kind not in "fiu" or confidence.dtype.kind not in "fiu":
            raise LabelError("is not a JABS pose file: it has no points or no confidence", where=path)
        if points.ndim == 3 and confidence.ndim == 2:  # version 2
            points, confidence = points[:, None], confidence[:, None]
        if points.ndim != 4 or points.shape[3] != 2 or points.shape[:3] != confidence.shape:
            what = f"has points of the shape {points.shape} and confidences of {confidence.shape}"
            raise LabelError(what, where=path)
        self._points, self._confidence = points, confidence
        self._frame_count, self._mouse_count, keypoint_count = confidence.shape
        if keypoint_count != len(_KEYPOINTS) or self._mouse_count > _MAX_MICE:
            raise LabelError(f"has {self._mouse_count} mice of {keypoint_count} keypoints; JABS has 12", where=path)
        self._counts = _whole_numbers(arrays.get("instance_count"), (self._frame_count,))
        self._identities, self._are_valid = _identities(arrays, confidence.shape[:2])
        self._boxes = self._boxes_in(arrays.get("bbox"))

    def _boxes_in(self, array: Array | None) -> Array | None:
        """(frames, mice, 4) boxes, NaN where there is none."""
        if (
            array is None
            or array.shape != (self._frame_count, self._mouse_count, 2, 2)
            or array.dtype.kind not in "fiu"
        ):
            return None
        boxes = array.reshape(*array.shape[:2], 4).astype(np.float64)
        boxes[~(boxes[..., 2:] > boxes[..., :2]).all(axis=-1) | ~np.isfinite(boxes).all(axis=-1)] = np.nan
        return boxes

    def read(self) -> LabelReader:
        builder = LabelsBuilder()
        media = builder.media(VIDEO, _video_of(self._path), stored_pixels=True)
        category = builder.category("mouse", schema_from_names("mouse", list(_KEYPOINTS), _LIMBS, category="mouse"))
        present: Array = np.isfinite(self._confidence) & (self._confidence > 0) & np.isfinite(self._points).all(axis=3)
        self._report_numbers(present)
        has_points: Array = np.asarray(present.any(axis=2))
        for index in range(self._frame_count):
            if index % _STEP == 0:
                self._context.progress(index, self._frame_count)
            count = self._mouse_count if self._counts is None else int(self._counts[index])
            for slot in range(self._mouse_count):
                name = f"frame {index} mouse {slot}"
                if slot >= count:
                    if has_points[index, slot]:
                        what = "Mouse beyond the number of mice of its frame"
                        self._context.report(name, what, "left out", severity=ERROR)
                elif has_points[index, slot]:
                    frame = builder.frame("", media, index)
                    track = None
                    if self._identities is not None and self._are_valid[index, slot]:
                        track = builder.track(int(self._identities[index, slot]))
                    builder.add(self._pose(index, slot, present[index, slot], frame, category, track))
                elif self._counts is not None:
                    self._context.report(name, "Mouse without a keypoint", "left out", severity=ERROR)
        return builder.build(self._path)

    def _pose(self, index: int, slot: int, seen: Array, frame: int, category: int, track: int | None) -> Instance:
        box = None if self._boxes is None else self._boxes[index, slot]
        return Instance(
            frame,
            category,
            np.where(seen[:, None], self._points[index, slot, :, ::-1], 0).astype(np.float64),
            np.where(seen, VISIBLE, ABSENT).astype(np.uint8),
            np.where(seen, np.clip(self._confidence[index, slot], 0, 1), 0.0).astype(np.float64),
            box=None if box is None or np.isnan(box).any() else box,
            track=track,
            is_prediction=True,
            source="jabs",
            key=f"{index}|{slot}",
        )

    def _report_numbers(self, present: Array) -> None:
        """Report values that are not taken as they are."""
        is_high = present & (self._confidence > 1)
        if is_high.any():  # JABS writes the height of a peak
            what = "Confidences above 1"
            self._context.report(self._path.name, what, "taken as 1", count=int(is_high.sum()), severity=INFO)
        is_lost = ~present & ~(self._confidence <= 0)
        if is_lost.any():
            what = "Keypoints whose numbers are not finite"
            self._context.report(self._path.name, what, "taken as absent", count=int(is_lost.sum()), severity=ERROR)
        if self._counts is not None and (self._counts > self._mouse_count).any():
            what = f"Frames with more than the {self._mouse_count} mice that the file has room for"
            self._context.report(
                self._path.name, what, count=int((self._counts > self._mouse_count).sum()), severity=ERROR
            )


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
    return video_of_stem(path.parent, match[1] if match else path.stem, ".avi")


register_format(JabsFormat())
