"""Labels as training frames, added to a file that pynwb has written.

A training frame and each of its poses is a group with data sets of its own. pynwb takes 5 ms for a pose, so that
100,000 labels would take ten minutes; HDF5 itself is 30 times as fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import numpy.typing as npt

_NAMESPACE = "ndx-pose"


@dataclass(frozen=True)
class TrainingPose:
    """A pose: (K, 2) points in pixels, NaN where absent, (K,) whether visible, the HDF5 path of its skeleton."""

    name: str
    points: npt.NDArray[np.float64]
    visible: npt.NDArray[np.bool_]
    skeleton: str


@dataclass(frozen=True)
class TrainingPoses:
    """A frame: the HDF5 path of its video, its number there, its poses."""

    name: str
    video: str
    index: int
    poses: list[TrainingPose]


def add_training_frames(path: Path, group_path: str, frames: Iterable[TrainingPoses]) -> None:
    """Add training frames to an NWB file.

    Args:
        group_path: HDF5 path of the PoseTraining.

    Raises:
        OSError: the file cannot be written.
    """
    import h5py

    with h5py.File(path, "r+") as file:
        writer = _Writer(h5py, file[group_path].id, group_path)
        for frame in frames:
            writer.write(frame)


class _Writer:
    def __init__(self, h5py: Any, parent: Any, path: str) -> None:
        self._h5, self._path = h5py, path
        self._scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        self._text = h5py.h5t.C_S1.copy()
        self._text.set_size(h5py.h5t.VARIABLE)
        self._text.set_cset(h5py.h5t.CSET_UTF8)
        self._text_dtype = h5py.string_dtype()
        self._flag = h5py.h5t.py_create(np.dtype(np.bool_), logical=True)
        self._small_group = h5py.h5p.create(h5py.h5p.GROUP_CREATE)  # links in the header, not in a table of their own
        self._small_group.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED)
        self._in_header = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        self._in_header.set_layout(h5py.h5d.COMPACT)
        self._spaces: dict[tuple[int, ...], Any] = {}
        self._frames = self._group(parent, "training_frames", "TrainingFrames", path, is_small=False)

    def write(self, frame: TrainingPoses) -> None:
        where = f"{self._path}/training_frames"
        group = self._group(self._frames, frame.name, "TrainingFrame", where)
        index = self._h5.h5a.create(group, b"source_video_frame_index", self._h5.h5t.STD_U32LE, self._scalar)
        index.write(np.array(frame.index, np.uint32))
        group.links.create_soft(b"source_video", frame.video.encode())
        where = f"{where}/{frame.name}"
        instances = self._group(group, "skeleton_instances", "SkeletonInstances", where)
        for pose_id, pose in enumerate(frame.poses):
            child = self._group(instances, pose.name, "SkeletonInstance", f"{where}/skeleton_instances")
            attribute = self._h5.h5a.create(child, b"id", self._h5.h5t.STD_U32LE, self._scalar)
            attribute.write(np.array(pose_id, np.uint32))
            self._dataset(child, b"node_locations", self._h5.h5t.IEEE_F64LE, pose.points)
            self._dataset(child, b"node_visibility", self._flag, pose.visible)
            child.links.create_soft(b"skeleton", pose.skeleton.encode())

    def _group(self, parent: Any, name: str, type_name: str, parent_path: str, *, is_small: bool = True) -> Any:
        group = self._h5.h5g.create(parent, name.encode(), None, self._small_group if is_small else None)
        attributes = {
            b"namespace": _NAMESPACE,
            b"neurodata_type": type_name,
            b"object_id": str(uuid5(NAMESPACE_URL, f"{parent_path}/{name}")),
        }
        for key, value in attributes.items():
            attribute = self._h5.h5a.create(group, key, self._text, self._scalar)
            attribute.write(np.array(value, self._text_dtype))
        return group

    def _dataset(self, group: Any, name: bytes, type_id: Any, array: npt.NDArray[Any]) -> None:
        space = self._spaces.get(array.shape)
        if space is None:
            space = self._spaces[array.shape] = self._h5.h5s.create_simple(array.shape)
        in_header = self._in_header if array.nbytes < 1 << 15 else None  # 64 KB at most
        dataset = self._h5.h5d.create(group, name, type_id, space, in_header)
        dataset.write(self._h5.h5s.ALL, self._h5.h5s.ALL, np.ascontiguousarray(array))
