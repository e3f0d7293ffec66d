"""What stands in a SLEAP label file (``.slp``, HDF5), read without trusting it.

Format: https://io.sleap.ai/latest/formats/slp/. Until format 1.1 coordinates are counted from the corner of the first
pixel, from then on from its centre, as everywhere in this program.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.contract.coco import unique_names
from engine.contract.errors import ProjectError
from engine.contract.files import FileError, check_regular
from poseapp.project.model import Floats

Records = npt.NDArray[Any]

USER, PREDICTED = 0, 1
SYMMETRY = 2

_PIXEL_CENTRES = 1.1
_MOST_BYTES = 4 << 30
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
class Skeleton:
    """Nodes in the order of the points, edges and symmetries between them by position."""

    name: str
    nodes: list[str]
    edges: list[tuple[int, int]] = field(default_factory=list)
    symmetries: list[tuple[int, int]] = field(default_factory=list)


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

    Raises:
        ProjectError: cannot be read, is no SLEAP file, or h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._h5py = _h5py(path)
        try:
            check_regular(path)
            self._file = self._h5py.File(path, "r")
        except FileError as error:
            raise ProjectError(error.message, where=path) from None
        except OSError as error:
            reason = "does not exist" if not path.exists() else f"is no SLEAP file ({error})"
            raise ProjectError(reason, where=path) from None
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        attributes = self._file["metadata"].attrs if self._is_there("metadata") else {}
        if "json" not in attributes:
            raise ProjectError("is no SLEAP file: it has no metadata", where=self.path)
        metadata = self._json(attributes["json"])
        self.frames, self.instances, self.points, self.pred_points = (self._records(name) for name in _FIELDS)
        if float(attributes.get("format_id", 1.0)) < _PIXEL_CENTRES:
            for points in (self.points, self.pred_points):
                points["x"] -= 0.5
                points["y"] -= 0.5
        try:
            self.skeletons = _skeletons(metadata)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ProjectError(f"has a skeleton that cannot be understood ({error!r})", where=self.path) from None
        self.tracks = [_track_name(entry) for entry in self._json_lines("tracks_json")]
        self.videos = self._videos()
        self._check()

    def embedded(self, video: SleapVideo) -> dict[int, bytes]:
        """Encoded pictures (PNG, JPEG) that the file itself holds of a video, by frame index; empty for none.

        Raises:
            ProjectError: they are stored in a way that is not understood.
        """
        if not video.dataset or not self._is_there(video.dataset):
            return {}
        stored = self._file[video.dataset]
        form = stored.attrs.get("format", b"")
        form = form.decode() if isinstance(form, bytes) else str(form)
        if form.lower() not in ("png", "jpg", "jpeg"):
            raise ProjectError(f"holds pictures as {form or 'raw numbers'}, which cannot be read", where=self.path)
        folder = video.dataset.rpartition("/")[0]
        numbers = self._array(f"{folder}/frame_numbers") if self._is_there(f"{folder}/frame_numbers") else None
        listed = range(len(stored)) if numbers is None else [int(n) for n in numbers]
        self._array(video.dataset)  # not too large, and stored in this file
        return {index: np.asarray(stored[row]).astype(np.uint8).tobytes() for row, index in enumerate(listed)}

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
        if stored.external or stored.is_virtual:
            raise ProjectError(f"{name} is stored in another file, which is not followed", where=self.path)
        if stored.size is not None and stored.size * stored.dtype.itemsize > _MOST_BYTES:
            raise ProjectError(f"{name} is too large to be true", where=self.path)
        try:
            return np.asarray(stored[()])
        except (OSError, MemoryError, ValueError) as error:
            raise ProjectError(f"{name} is damaged ({error})", where=self.path) from None

    def _records(self, name: str) -> Records:
        found = self._array(name)
        missing = [key for key in _FIELDS[name] if key not in (found.dtype.names or ())]
        if missing and found.size:
            raise ProjectError(f"{name} has no {', '.join(missing)}", where=self.path)
        if missing:
            return np.zeros(0, [(key, "f8") for key in _FIELDS[name]])
        return found.reshape(-1)

    def _json_lines(self, name: str) -> list[Any]:
        if not self._is_there(name):
            return []
        found = self._array(name)
        return [] if found.dtype.kind == "f" else [self._json(line) for line in found.reshape(-1).tolist()]

    def _json(self, text: Any) -> Any:
        try:
            return msgspec.json.decode(bytes(text) if not isinstance(text, str) else text)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
            raise ProjectError(f"holds JSON that cannot be read ({error})", where=self.path) from None

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
        count = len(self.instances)
        for name in ("instance_id_start", "instance_id_end"):
            if len(self.frames) and int(self.frames[name].max()) > count:
                raise ProjectError("has frames whose instances are missing; the file is cut off", where=self.path)
        for kind, points in ((USER, self.points), (PREDICTED, self.pred_points)):
            ends = self.instances["point_id_end"][self.instances["instance_type"] == kind]
            if len(ends) and int(ends.max()) > len(points):
                raise ProjectError("has instances whose points are missing; the file is cut off", where=self.path)
        if count and int(self.instances["skeleton"].max()) >= len(self.skeletons):
            raise ProjectError("has instances without a skeleton", where=self.path)


def points_of(points: Records, start: int, end: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(K, 2) x, y, NaN where there is none, and (K,) whether visible."""
    chosen = points[start:end]
    return np.column_stack([chosen["x"], chosen["y"]]).astype(np.float64), chosen["visible"].astype(np.bool_)


def finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _h5py(path: Path) -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise ProjectError("needs the package h5py to be read: pip install 'poseapp[formats]'", where=path) from None
    module: ModuleType = h5py
    return module


def _skeletons(metadata: Mapping[str, Any]) -> list[Skeleton]:
    names = [str(node["name"]) for node in metadata["nodes"]]
    found: list[Skeleton] = []
    for number, entry in enumerate(metadata["skeletons"]):
        ids = [int(node["id"]) for node in entry["nodes"]]
        place = {identity: position for position, identity in enumerate(ids)}
        kinds: list[int] = []  # by order of their first use, which later links point to
        edges: list[tuple[int, int]] = []
        symmetries: list[tuple[int, int]] = []
        for link in entry.get("links", ()):
            pair = (place[int(link["source"])], place[int(link["target"])])
            kind = _edge_kind(link.get("type"), kinds)
            (symmetries if kind == SYMMETRY else edges).append(pair)
        title = str((entry.get("graph") or {}).get("name") or f"Skeleton-{number}")
        found.append(Skeleton(title, unique_names([names[identity] for identity in ids]), edges, symmetries))
    return found


def _edge_kind(written: Any, kinds: list[int]) -> int:
    """1 for an edge, 2 for a symmetry: written out at the first use, then named by the number of that use."""
    if isinstance(written, Mapping):
        if "py/reduce" in written:
            kinds.append(int(written["py/reduce"][1]["py/tuple"][0]))
            return kinds[-1]
        number = int(written.get("py/id", 1))
        return kinds[number - 1] if 0 < number <= len(kinds) else number
    return int(written) if isinstance(written, int) else 1


def _track_name(entry: Any) -> str:
    return str(entry[-1]) if isinstance(entry, list) and entry else str(entry)


def _video(number: int, entry: Mapping[str, Any]) -> SleapVideo:
    backend = entry.get("backend") or {}
    name = backend.get("filename") or entry.get("filename") or ""
    source = entry.get("source_video") or {}
    if name == "." and source:
        name = (source.get("backend") or {}).get("filename") or source.get("filename") or ""
    several = backend.get("filenames") or backend.get("image_filenames") or (name if isinstance(name, list) else ())
    files = tuple(str(file).replace("\\", "/") for file in several)
    plain = "" if isinstance(name, list) or name == "." else str(name).replace("\\", "/")
    return SleapVideo(number, plain, files, str(backend.get("dataset") or ""))
