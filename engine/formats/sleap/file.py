"""What stands in a SLEAP label file (``.slp``, HDF5), read without trusting it.

Format: https://io.sleap.ai/latest/formats/slp/. Until format 1.1 coordinates are counted from the corner of the first
pixel, from then on from its centre, as everywhere in this program.
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
FrameIndex = tuple[int, int]
"""Number of a video, and of a frame in it."""
T = TypeVar("T")

_PIXEL_CENTRES = 1.1
_MOST_LINES = 2_000_000
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
        number: what the frames call it.
        name: path as it was when the file was written, with ``/``; "" for pictures that only the file itself holds.
        files: paths of its images, for a sequence of images.
        dataset: where in the file its pictures are, "" for none.
    """

    number: int
    name: str
    files: tuple[str, ...] = ()
    dataset: str = ""


class SleapFile:
    """An open SLEAP file; a context manager.

    Attributes:
        frames, instances, points, pred_points: records by the names of the format; points hold pixel centres.
        skeletons, tracks, videos: as the records number them; tracks are names.
        negative: frames that hold nobody, as a person has said.
        suggestions: frames that are suggested for labelling.

    Raises:
        ProjectError: cannot be read, is no SLEAP file, or h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._h5py, self._file = open_hdf5(path, "SLEAP file")
        try:
            self._guarded("the file", self._read)
        except BaseException:
            self.close()
            raise

    def _guarded(self, what: str, read: Callable[[], T]) -> T:
        """Whatever HDF5 raises for a damaged file, as one error that names the part."""
        try:
            return read()
        except ProjectError:
            raise
        except HDF5_ERRORS as error:
            raise ProjectError(f"{what} is damaged ({_short(error)})", where=self.path) from None

    def _read(self) -> None:
        attributes = self._file["metadata"].attrs if self._is_there("metadata") else {}
        if "json" not in attributes:
            raise ProjectError("is no SLEAP file: it has no metadata", where=self.path)
        metadata = self._json(attributes["json"])
        if not isinstance(metadata, dict):
            raise ProjectError("is no SLEAP file: its metadata is not understood", where=self.path)
        self.frames, self.instances, self.points, self.pred_points = (
            self._guarded(f"the table {name!r}", partial(self._records, name)) for name in _FIELDS
        )
        if float(attributes.get("format_id", 1.0)) < _PIXEL_CENTRES:
            for points in (self.points, self.pred_points):
                points["x"] -= 0.5
                points["y"] -= 0.5
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
        """Index and encoded picture (PNG, JPEG) of the frames that the file itself holds of a video; none for none.

        Raises:
            ProjectError: they are stored in a way that is not understood, or damaged.
        """
        if not video.dataset or not self._guarded(video.dataset, lambda: self._is_there(video.dataset)):
            return
        stored, listed = self._guarded(video.dataset, lambda: self._pictures(video.dataset))
        for row, index in enumerate(listed):
            yield index, self._guarded(f"picture {row} of {video.dataset}", partial(_encoded, stored, row))

    def _pictures(self, name: str) -> tuple[Any, list[int]]:
        stored = self._file[name]
        if not isinstance(stored, self._h5py.Dataset):
            raise ProjectError(f"has no pictures in {name}", where=self.path)
        form = stored.attrs.get("format", b"")
        form = form.decode("utf-8", "replace") if isinstance(form, bytes) else str(form)
        if form.lower() not in ("png", "jpg", "jpeg"):
            raise ProjectError(f"holds pictures as {form[:40] or 'raw numbers'}, which cannot be read", where=self.path)
        check_table(stored, name, self.path, pictures=True)
        folder = name.rpartition("/")[0]
        numbers = self._array(f"{folder}/frame_numbers") if self._is_there(f"{folder}/frame_numbers") else None
        count = len(stored)
        listed = list(range(count)) if numbers is None else [int(n) for n in numbers.reshape(-1)]
        return stored, listed[:count]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> SleapFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_there(self, name: str) -> bool:
        """Not through links, which could lead to other files."""
        at = ""
        for part in name.strip("/").split("/"):
            at = f"{at}/{part}"
            link = self._file.get(at, getlink=True)
            if link is None:
                return False
            if not isinstance(link, self._h5py.HardLink):
                raise ProjectError(f"{at} is a link to elsewhere, which is not followed", where=self.path)
        return True

    def _array(self, name: str) -> Records:
        stored = self._file[name] if self._is_there(name) else None
        if not isinstance(stored, self._h5py.Dataset):
            raise ProjectError(f"has no table {name!r}", where=self.path)
        check_table(stored, name, self.path)
        return np.asarray(stored[()])

    def _records(self, name: str) -> Records:
        found = self._array(name)
        missing = [key for key in _FIELDS[name] if key not in (found.dtype.names or ())]
        if missing and found.size:
            raise ProjectError(f"{name} has no {', '.join(missing)}", where=self.path)
        if missing:
            return np.zeros(0, [(key, "f8") for key in _FIELDS[name]])
        odd = [key for key in _FIELDS[name] if found.size and not _is_number(found.dtype[key], key)]
        if odd:
            raise ProjectError(f"{name} has no numbers as {', '.join(odd)}", where=self.path)
        return found.reshape(-1)

    def _json_lines(self, name: str) -> list[Any]:
        return self._guarded(name, lambda: self._lines(name))

    def _lines(self, name: str) -> list[Any]:
        if not self._is_there(name):
            return []
        found = self._array(name)
        if found.size > _MOST_LINES:
            raise ProjectError(f"{name} is too large to be true", where=self.path)
        return [] if found.dtype.kind == "f" else [self._json(line) for line in found.reshape(-1).tolist()]

    def _json(self, text: Any) -> Any:
        try:
            return msgspec.json.decode(bytes(text) if not isinstance(text, str) else text)
        except (msgspec.DecodeError, UnicodeError, TypeError, RecursionError) as error:
            raise ProjectError(f"holds JSON that cannot be read ({_short(error)})", where=self.path) from None

    def _negative_frames(self) -> list[FrameIndex]:
        if not self._is_there("negative_frames"):
            return []
        found = self._guarded("negative_frames", lambda: self._array("negative_frames")).reshape(-1)
        names = found.dtype.names or ()
        if not {"video_id", "frame_idx"} <= set(names) or any(found.dtype[n].kind not in "iu" for n in names[:2]):
            return []
        return list(zip(found["video_id"].tolist(), found["frame_idx"].tolist()))

    def _suggestions(self, metadata: Mapping[str, Any]) -> list[FrameIndex]:
        listed = self._json_lines("suggestions_json") or metadata.get("suggestions") or []
        found: list[FrameIndex] = []
        for entry in listed if isinstance(listed, list) else ():
            try:
                found.append((int(entry["video"]), int(entry["frame_idx"])))
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
        return found

    def _videos(self) -> list[SleapVideo]:
        listed = [entry if isinstance(entry, dict) else {} for entry in self._json_lines("videos_json")]
        found = [_video(number, entry) for number, entry in enumerate(listed)]
        used = {int(n) for n in self.frames["video"]}
        if used and max(used) >= len(found):
            # Files with pictures inside may call videos by the number of their group: video15/video.
            groups = [re.search(r"(\d+)", video.dataset) for video in found]
            found = [
                SleapVideo(int(group[1]) if group else video.number, video.name, video.files, video.dataset)
                for video, group in zip(found, groups)
            ]
        return found

    def _check(self) -> None:
        """Refuse records that point to what is not there, or all to the same: each is read once."""
        count = len(self.instances)
        starts, ends = self._spans(self.frames, "instance_id_start", "instance_id_end")
        if len(ends) and int(ends.max()) > count:
            raise ProjectError("has frames whose instances are missing; the file is cut off", where=self.path)
        if int(np.maximum(ends - starts, 0).sum()) > count:
            raise ProjectError("has frames that share their instances; the file is damaged", where=self.path)
        for kind, points in ((USER, self.points), (PREDICTED, self.pred_points)):
            chosen = self.instances[self.instances["instance_type"] == kind]
            starts, ends = self._spans(chosen, "point_id_start", "point_id_end")
            if len(ends) and int(ends.max()) > len(points):
                raise ProjectError("has instances whose points are missing; the file is cut off", where=self.path)
            if int(np.maximum(ends - starts, 0).sum()) > len(points):
                raise ProjectError("has instances that share their points; the file is damaged", where=self.path)
        kinds = self.instances["skeleton"]
        if count and not (int(kinds.min()) >= 0 and int(kinds.max()) < len(self.skeletons)):
            raise ProjectError("has instances without a skeleton", where=self.path)

    def _spans(self, records: Records, start: str, end: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First and last but one of each record; numbers that are none are out of range."""
        most = np.iinfo(np.int64).max >> 8
        found = [
            np.nan_to_num(records[name].astype(np.float64), nan=most, posinf=most, neginf=-1) for name in (start, end)
        ]
        first, last = (np.clip(values, -1, most).astype(np.int64) for values in found)
        if len(first) and int(first.min()) < 0:
            raise ProjectError(f"has a negative {start}; the file is damaged", where=self.path)
        # The sum of many wrong numbers must not wrap around.
        return first, np.minimum(last, first + (1 << 32))


def points_of(points: Records, start: int, end: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(K, 2) x, y, NaN where there is none, and (K,) whether visible."""
    chosen = points[start:end]
    return np.column_stack([chosen["x"], chosen["y"]]).astype(np.float64), chosen["visible"].astype(np.bool_)


def finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _track_name(entry: Any) -> str:
    return str(entry[-1]) if isinstance(entry, list) and entry else str(entry)


def _is_number(kind: np.dtype[Any], key: str) -> bool:
    """Whether a column holds what its name promises: places and scores may be fractions, all else are whole numbers."""
    return not kind.shape and kind.kind in ("iufb" if key in ("x", "y", "score") else "iub")


def _encoded(stored: Any, row: int) -> bytes:
    return np.asarray(stored[row]).astype(np.uint8).tobytes()


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _part(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = entry.get(key)
    return found if isinstance(found, Mapping) else {}


def _video(number: int, entry: Mapping[str, Any]) -> SleapVideo:
    backend = _part(entry, "backend")
    name = backend.get("filename") or entry.get("filename") or ""
    source = _part(entry, "source_video")
    if name == "." and source:
        name = _part(source, "backend").get("filename") or source.get("filename") or ""
    several = backend.get("filenames") or backend.get("image_filenames") or (name if isinstance(name, list) else ())
    several = several if isinstance(several, list) else []
    files = tuple(str(file).replace("\\", "/") for file in several)
    plain = "" if isinstance(name, list) or name == "." else str(name).replace("\\", "/")
    return SleapVideo(number, plain, files, str(backend.get("dataset") or ""))
