"""The arrays of a SLEAP analysis file, read a few tracks at a time: most of thousands of tracks by hours is empty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, PoseError, ProjectError
from engine.formats.hdf5 import HDF5_ERRORS, check_table, damaged, dataset_of, open_hdf5
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

DESCRIPTION = "SLEAP analysis file"
_SMALL = ("node_names", "edge_inds", "track_names", "video_path")
_MAX_TRACKS = 100_000
_BLOCK_BYTES = 32 << 20

Array = npt.NDArray[Any]


class AnalysisFile:
    """An open file.

    Attributes:
        nodes, track_names: names of keypoints and tracks. edges: (n, 2) positions of nodes. video: its path.
        frame_count, track_count: of the arrays.

    Raises:
        PoseError: it cannot be read, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        h5py, self._file = open_hdf5(path, DESCRIPTION)
        try:
            self._read_head(h5py)
        except PoseError:
            self._file.close()
            raise
        except HDF5_ERRORS as error:
            self._file.close()
            raise damaged(error, path) from None

    def __enter__(self) -> AnalysisFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self) -> Iterator[tuple[int, Array, Array, Array]]:
        """Number of the first track, points (tracks, frames, nodes, 2), their scores (tracks, frames, nodes) and scores
        of instances (tracks, frames), float64 with NaN for what is missing; block by block.

        Raises:
            ProjectError: the file is damaged.
        """
        try:
            for first in range(0, self.track_count, self._block_tracks):
                tracks = slice(first, min(self.track_count, first + self._block_tracks))
                points = self._block(self._points, tracks)
                points = points.transpose(0, 3, 2, 1) if self._tracks_first else points.transpose(1, 0, 2, 3)
                scores = np.full(points.shape[:3], np.nan)
                if self._point_scores is not None:
                    block = self._block(self._point_scores, tracks)
                    scores[:] = block.transpose(0, 2, 1) if self._tracks_first else block.transpose(1, 0, 2)
                instance_scores = np.full(points.shape[:2], np.nan)
                if self._instance_scores is not None:
                    block = self._block(self._instance_scores, tracks)
                    instance_scores[:] = block if self._tracks_first else block.T
                yield first, points, scores, instance_scores
        except HDF5_ERRORS as error:
            raise damaged(error, self.path) from None

    def _block(self, dataset: Any, tracks: slice) -> Array:
        block = dataset[tracks] if self._tracks_first else dataset[:, tracks]
        return np.asarray(block, np.float64)

    def _read_head(self, h5py: Any) -> None:
        small: dict[str, Array] = {}
        for name in _SMALL:
            dataset = dataset_of(h5py, self._file, name, self.path)
            if dataset is not None:
                check_table(dataset, name, self.path)
                small[name] = np.asarray(dataset[()])
        points = self._numbers(h5py, "tracks")
        if points is None or "node_names" not in small:
            raise LabelError("is not a SLEAP analysis file: it has no tracks or no node_names", where=self.path)
        self.nodes = [text[:MAX_NAME] for text in _texts(small["node_names"])]
        if not 0 < len(self.nodes) <= MAX_KEYPOINTS:
            raise LabelError(f"has {len(self.nodes)} keypoints", where=self.path)
        self.track_names = _texts(small["track_names"]) if "track_names" in small else []
        self.edges = small.get("edge_inds", np.zeros((0, 2)))
        self.video = next(iter(_texts(small.get("video_path", np.array(b"")))), "").replace("\\", "/")
        self._points = points
        self._find_order(points.shape)
        nodes, frames, tracks = len(self.nodes), self.frame_count, self.track_count
        order = (tracks, nodes, frames) if self._tracks_first else (frames, tracks, nodes)
        self._point_scores = self._of_shape(h5py, "point_scores", order)
        self._instance_scores = self._of_shape(
            h5py, "instance_scores", (tracks, frames) if self._tracks_first else (frames, tracks)
        )
        chunk = points.chunks[0 if self._tracks_first else 1] if points.chunks else 1
        track_bytes = max(1, frames * nodes * 2 * 8)
        if track_bytes > _BLOCK_BYTES * 16:
            raise ProjectError("tracks claims a size that cannot be real", where=self.path)
        self._block_tracks = chunk * max(1, math.floor(_BLOCK_BYTES / (track_bytes * chunk)))
        if self._block_tracks * track_bytes > _BLOCK_BYTES * 16:
            self._block_tracks = max(1, math.floor(_BLOCK_BYTES / track_bytes))

    def _find_order(self, shape: tuple[int, ...]) -> None:
        """The order of the axes: MATLAB's, tracks x 2 x nodes x frames, or frames x tracks x nodes x 2."""
        if len(shape) != 4:
            raise LabelError("has tracks that are not numbers along four axes", where=self.path)
        count = len(self.nodes)
        orders = {
            True: (shape[1:3] == (2, count), shape[0], shape[3]),
            False: (shape[2:] == (count, 2), shape[1], shape[0]),
        }
        possible = [tracks_first for tracks_first, (fits, _, _) in orders.items() if fits]
        if not possible:
            raise LabelError(f"has tracks of the shape {shape} for {count} keypoints", where=self.path)
        named = [order for order in possible if self.track_names and len(self.track_names) == orders[order][1]]
        self._tracks_first = (named or possible)[0]
        _, self.track_count, self.frame_count = orders[self._tracks_first]
        if self.track_count > _MAX_TRACKS:
            raise LabelError(f"has {self.track_count} tracks", where=self.path)

    def _numbers(self, h5py: Any, name: str) -> Any:
        """A data set of numbers that is read in blocks; None if there is none."""
        dataset = dataset_of(h5py, self._file, name, self.path)
        if dataset is None:
            return None
        check_table(dataset, name, self.path, is_sparse=True)
        return dataset if dataset.dtype.kind in "fiu" else None

    def _of_shape(self, h5py: Any, name: str, shape: tuple[int, ...]) -> Any:
        dataset = self._numbers(h5py, name)
        return dataset if dataset is not None and dataset.shape == shape else None


def _texts(array: Array) -> list[str]:
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in array.reshape(-1).tolist()
    ]
