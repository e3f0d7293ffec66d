"""The content of a SLEAP label file (``.slp``, HDF5), read without trusting it.

Format: https://io.sleap.ai/latest/formats/slp/. Before format 1.1, the origin of coordinates is the corner of the first
pixel; since then it is the center of that pixel, as everywhere in this program.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.formats.hdf5 import HDF5_ERRORS, check_table, open_hdf5
from engine.formats.sleap.skeletons import Skeleton, read_skeletons

Floats = npt.NDArray[np.float64]
Records = npt.NDArray[Any]

USER, PREDICTED = 0, 1
PROVENANCE = "poseapp"
"""``source`` in the provenance of files that this program writes."""
FrameIndex = tuple[int, int]
"""Number of a video, and index of a frame in it."""
T = TypeVar("T")

_FIRST_PIXEL_CENTER_FORMAT = 1.1
_MAX_LINES = 2_000_000
_FIELDS = {
    "frames": ("video", "frame_idx", "instance_id_start", "instance_id_end"),
    "instances": (
        "instance_id", "instance_type", "skeleton", "track", "from_predicted", "score", "point_id_start",
        "point_id_end",
    ),
    "points": ("x", "y", "visible"),
    "pred_points": ("x", "y", "visible", "score"),
}  # fmt: skip


@dataclass(frozen=True)
class SleapVideo:
    """A video that labels belong to.

    Attributes:
        number: by which frames refer to it.
        name: its path when the file was written, with ``/``; "" if its images exist only inside the label file.
        files: paths of the images, for a sequence of images.
        dataset: HDF5 path of its images inside the label file; "" = none.
    """

    number: int
    name: str
    files: tuple[str, ...] = ()
    dataset: str = ""


class SleapFile:
    """An open SLEAP file; a context manager.

    Attributes:
        frames, instances, points, pred_points: record arrays with the field names of the format; coordinates are
            pixels, pixel centers at integers.
        skeletons, tracks, videos: in the order in which records number them; tracks are names.
        is_of_this_program: whether this program has written the file.
        negative: frames that a person marked as empty.
        suggestions: frames suggested for labelling.

    Raises:
        ProjectError: it cannot be read, is not a SLEAP file, or h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._h5py, self._file = open_hdf5(path, "SLEAP file")
        self._embedded_rows: dict[int, dict[int, int]] = {}
        try:
            self._guarded("the file", self._read)
        except BaseException:
            self.close()
            raise

    def _guarded(self, what: str, read: Callable[[], T]) -> T:
        """Turn whatever HDF5 raises for a damaged file into one error that names the part."""
        try:
            return read()
        except ProjectError:
            raise
        except HDF5_ERRORS as error:
            raise ProjectError(f"{what} is damaged ({_short(error)})", where=self.path) from None

    def _read(self) -> None:
        attributes = self._file["metadata"].attrs if self._exists("metadata") else {}
        if "json" not in attributes:
            raise ProjectError("is not a SLEAP file: it has no metadata", where=self.path)
        metadata = self._json(attributes["json"])
        if not isinstance(metadata, dict):
            raise ProjectError("is not a SLEAP file: its metadata cannot be understood", where=self.path)
        self.frames, self.instances, self.points, self.pred_points = (
            self._guarded(f"the table {name!r}", partial(self._records, name)) for name in _FIELDS
        )
        if float(attributes.get("format_id", 1.0)) < _FIRST_PIXEL_CENTER_FORMAT:
            for points in (self.points, self.pred_points):
                points["x"] -= 0.5
                points["y"] -= 0.5
        self.is_of_this_program = _mapping(metadata, "provenance").get("source") == PROVENANCE
        try:
            self.skeletons: list[Skeleton] = read_skeletons(metadata)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ProjectError(f"has a skeleton that cannot be understood ({_short(error)})", where=self.path) from None
        self.tracks = [_track_name(entry) for entry in self._json_lines("tracks_json")]
        self.videos = self._videos()
        self._check()
        self.negative = self._negative_frames()
        self.suggestions = self._suggestions(metadata)

    def embedded(self, video: SleapVideo) -> Iterator[tuple[int, bytes]]:
        """Frame index and encoded image (PNG or JPEG) of each frame of a video that the label file itself holds.

        Raises:
            ProjectError: they are damaged, or stored in an unknown way.
        """
        if not video.dataset or not self._guarded(video.dataset, lambda: self._exists(video.dataset)):
            return
        dataset, indices = self._guarded(video.dataset, lambda: self._embedded_images(video.dataset))
        for row, index in enumerate(indices):
            yield index, self._guarded(f"picture {row} of {video.dataset}", partial(_encoded_image, dataset, row))

    def embedded_image(self, video: SleapVideo, index: int) -> bytes | None:
        """The encoded image of one frame; None if the label file does not hold it.

        Raises:
            ProjectError: as :meth:`embedded`.
        """
        row = self._rows_of(video).get(index)
        if row is None:
            return None
        dataset, _ = self._guarded(video.dataset, lambda: self._embedded_images(video.dataset))
        return self._guarded(f"picture {row} of {video.dataset}", partial(_encoded_image, dataset, row))

    def embedded_indices(self, video: SleapVideo) -> list[int]:
        """Indices of the frames of which the label file holds the image; none if these cannot be read."""
        try:
            return list(self._rows_of(video))
        except ProjectError:  # reading the images tells what is wrong with them
            return []

    def _rows_of(self, video: SleapVideo) -> dict[int, int]:
        """Row of each embedded image, by frame index."""
        if video.number not in self._embedded_rows:
            rows: dict[int, int] = {}
            if video.dataset and self._guarded(video.dataset, lambda: self._exists(video.dataset)):
                _, indices = self._guarded(video.dataset, lambda: self._embedded_images(video.dataset))
                rows = {index: row for row, index in enumerate(indices)}
            self._embedded_rows[video.number] = rows
        return self._embedded_rows[video.number]

    def embedded_suffix(self, video: SleapVideo) -> str:
        """Suffix of the embedded images of a video, ".png" or ".jpg"."""

        def is_jpeg() -> bool:
            encoding = self._file[video.dataset].attrs.get("format", b"") if self._exists(video.dataset) else b""
            return b"jp" in (encoding if isinstance(encoding, bytes) else str(encoding).encode()).lower()

        try:
            return ".jpg" if self._guarded(video.dataset, is_jpeg) else ".png"
        except ProjectError:  # reading the images tells what is wrong with them
            return ".png"

    def _embedded_images(self, name: str) -> tuple[Any, list[int]]:
        """Data set of encoded images, and the frame index of each."""
        dataset = self._file[name]
        if not isinstance(dataset, self._h5py.Dataset):
            raise ProjectError(f"has no pictures in {name}", where=self.path)
        encoding = dataset.attrs.get("format", b"")
        encoding = encoding.decode("utf-8", "replace") if isinstance(encoding, bytes) else str(encoding)
        if encoding.lower() not in ("png", "jpg", "jpeg"):
            raise ProjectError(
                f"stores images as {encoding[:40] or 'raw frame_numbers'}, which cannot be read", where=self.path
            )
        check_table(dataset, name, self.path, read_by_row=True)
        folder = name.rpartition("/")[0]
        frame_numbers = self._array(f"{folder}/frame_numbers") if self._exists(f"{folder}/frame_numbers") else None
        count = len(dataset)
        indices = list(range(count)) if frame_numbers is None else [int(n) for n in frame_numbers.reshape(-1)]
        return dataset, indices[:count]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> SleapFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exists(self, name: str) -> bool:
        """Whether an object exists; soft and external links, which could lead to other files, are refused."""
        partial_path = ""
        for part in name.strip("/").split("/"):
            partial_path = f"{partial_path}/{part}"
            link = self._file.get(partial_path, getlink=True)
            if link is None:
                return False
            if not isinstance(link, self._h5py.HardLink):
                raise ProjectError(f"{partial_path} is a link to elsewhere, which is not followed", where=self.path)
        return True

    def _array(self, name: str) -> Records:
        dataset = self._file[name] if self._exists(name) else None
        if not isinstance(dataset, self._h5py.Dataset):
            raise ProjectError(f"has no table {name!r}", where=self.path)
        check_table(dataset, name, self.path)
        return np.asarray(dataset[()])

    def _records(self, name: str) -> Records:
        records = self._array(name)
        missing = [key for key in _FIELDS[name] if key not in (records.dtype.names or ())]
        if missing and records.size:
            raise ProjectError(f"{name} has no {', '.join(missing)}", where=self.path)
        if missing:
            return np.zeros(0, [(key, "f8") for key in _FIELDS[name]])
        invalid = [key for key in _FIELDS[name] if records.size and not _is_numeric(records.dtype[key], key)]
        if invalid:
            raise ProjectError(f"{name}: {', '.join(invalid)} holds something other than numbers", where=self.path)
        return records.reshape(-1)

    def _json_lines(self, name: str) -> list[Any]:
        return self._guarded(name, lambda: self._lines(name))

    def _lines(self, name: str) -> list[Any]:
        if not self._exists(name):
            return []
        lines = self._array(name)
        if lines.size > _MAX_LINES:
            raise ProjectError(f"{name} claims a size that cannot be real", where=self.path)
        return [] if lines.dtype.kind == "f" else [self._json(line) for line in lines.reshape(-1).tolist()]

    def _json(self, text: Any) -> Any:
        try:
            return msgspec.json.decode(bytes(text) if not isinstance(text, str) else text)
        except (msgspec.DecodeError, UnicodeError, TypeError, RecursionError) as error:
            raise ProjectError(f"contains JSON that cannot be read ({_short(error)})", where=self.path) from None

    def _negative_frames(self) -> list[FrameIndex]:
        if not self._exists("negative_frames"):
            return []
        records = self._guarded("negative_frames", lambda: self._array("negative_frames")).reshape(-1)
        names = records.dtype.names or ()
        if not {"video_id", "frame_idx"} <= set(names) or any(records.dtype[n].kind not in "iu" for n in names[:2]):
            return []
        return list(zip(records["video_id"].tolist(), records["frame_idx"].tolist()))

    def _suggestions(self, metadata: Mapping[str, Any]) -> list[FrameIndex]:
        entries = self._json_lines("suggestions_json") or metadata.get("suggestions") or []
        suggestions: list[FrameIndex] = []
        for entry in entries if isinstance(entries, list) else ():
            try:
                suggestions.append((int(entry["video"]), int(entry["frame_idx"])))
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
        return suggestions

    def _videos(self) -> list[SleapVideo]:
        entries = [entry if isinstance(entry, dict) else {} for entry in self._json_lines("videos_json")]
        videos = [video_of(index, entry) for index, entry in enumerate(entries)]
        used = {int(n) for n in self.frames["video"]}
        if used and max(used) >= len(videos):
            # Files with embedded images may number videos by their group: video15/video.
            groups = [re.search(r"(\d+)", video.dataset) for video in videos]
            videos = [
                SleapVideo(int(group[1]) if group else video.number, video.name, video.files, video.dataset)
                for video, group in zip(videos, groups)
            ]
        return videos

    def _check(self) -> None:
        """Refuse records that point beyond the tables, or share instances or points."""
        count = len(self.instances)
        starts, ends = self._spans(self.frames, "instance_id_start", "instance_id_end")
        if len(ends) and int(ends.max()) > count:
            raise ProjectError("has frames whose instances are missing; the file is cut off", where=self.path)
        if int(np.maximum(ends - starts, 0).sum()) > count:
            raise ProjectError("has frames that share their instances; the file is damaged", where=self.path)
        for instance_type, points in ((USER, self.points), (PREDICTED, self.pred_points)):
            instances = self.instances[self.instances["instance_type"] == instance_type]
            starts, ends = self._spans(instances, "point_id_start", "point_id_end")
            if len(ends) and int(ends.max()) > len(points):
                raise ProjectError("has instances whose points are missing; the file is cut off", where=self.path)
            if int(np.maximum(ends - starts, 0).sum()) > len(points):
                raise ProjectError("has instances that share their points; the file is damaged", where=self.path)
        skeletons = self.instances["skeleton"]
        if count and not (int(skeletons.min()) >= 0 and int(skeletons.max()) < len(self.skeletons)):
            raise ProjectError("has instances without a skeleton", where=self.path)

    def _spans(self, records: Records, start: str, end: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Start and end (exclusive) of each record; a NaN counts as out of range."""
        limit = np.iinfo(np.int64).max >> 8
        columns = [
            np.nan_to_num(records[name].astype(np.float64), nan=limit, posinf=limit, neginf=-1) for name in (start, end)
        ]
        first, last = (np.clip(values, -1, limit).astype(np.int64) for values in columns)
        if len(first) and int(first.min()) < 0:
            raise ProjectError(f"has a negative {start}; the file is damaged", where=self.path)
        # The sum of many wrong numbers must not wrap around.
        return first, np.minimum(last, first + (1 << 32))


def points_of(points: Records, start: int, end: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Coordinates (K, 2) in pixels, NaN for absent points, and visible (K,) bool."""
    span = points[start:end]
    return np.column_stack([span["x"], span["y"]]).astype(np.float64), span["visible"].astype(np.bool_)


def finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _track_name(entry: Any) -> str:
    return str(entry[-1]) if isinstance(entry, list) and entry else str(entry)


def _is_numeric(dtype: np.dtype[Any], key: str) -> bool:
    """Whether a column has the type that its name promises: fractions for coordinates and scores, else integers."""
    return not dtype.shape and dtype.kind in ("iufb" if key in ("x", "y", "score") else "iub")


def _encoded_image(dataset: Any, row: int) -> bytes:
    return np.asarray(dataset[row]).astype(np.uint8).tobytes()


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _mapping(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, Mapping) else {}


def video_of(index: int, entry: Mapping[str, Any]) -> SleapVideo:
    backend = _mapping(entry, "backend")
    name = backend.get("filename") or entry.get("filename") or ""
    source = _mapping(entry, "source_video")
    if name == "." and source:
        name = _mapping(source, "backend").get("filename") or source.get("filename") or ""
    filenames = backend.get("filenames") or backend.get("image_filenames") or (name if isinstance(name, list) else ())
    filenames = filenames if isinstance(filenames, list) else []
    files = tuple(str(file).replace("\\", "/") for file in filenames)
    path = "" if isinstance(name, list) or name == "." else str(name).replace("\\", "/")
    return SleapVideo(index, path, files, str(backend.get("dataset") or ""))
