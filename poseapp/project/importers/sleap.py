"""SLEAP labels (``.slp``) into a project: skeletons, tracks, labels of people and predictions.

A point that SLEAP calls not visible but that has a place is occluded; one without a place is absent. A prediction that
a label was made from is left out, as SLEAP itself hides it. Points of a skeleton with the names of a built-in schema
are put in its order, so that its models fit. Points on a video whose pixels are not square are brought from the stored
pixels, which SLEAP shows, to the square ones that are shown here. Pictures that the file itself holds are written beside
the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from engine.contract.coco import CocoCategory
from engine.contract.errors import MediaError, ProjectError
from engine.contract.label_grid import GridTransform
from engine.contract.schema import Schema
from engine.contract.schemas import builtin_schemas, find_schema
from engine.media.images import image_size
from engine.media.video_grid import opencv_grid
from poseapp.project import rows
from poseapp.project.importers.report import ImportReport, Problems, ProgressCallback
from poseapp.project.importers.schemas import schema_of_names
from poseapp.project.importers.sleap_file import (
    PREDICTED,
    USER,
    Skeleton,
    SleapFile,
    SleapVideo,
    finite_or_none,
    points_of,
)
from poseapp.project.importers.videos import import_video
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Category, Flags, FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.project.tracks import new_track_numbers

SOURCE = "sleap"

_ANIMAL = "animal"
_NO_NAME = re.compile(r"skeleton[-_ ]?\d*", re.IGNORECASE)
_NUMBERED = re.compile(r"(track|instance|animal|id)?[-_ ]?\d*", re.IGNORECASE)
_TOLD = 10


@dataclass(frozen=True)
class _Kind:
    """A category, and where in the file's points each of its own comes from."""

    category: Category
    order: npt.NDArray[np.int64]


def import_sleap(
    store: ProjectStore,
    path: Path | str,
    *,
    videos: Mapping[str, Path] | None = None,
    cache: Path | None = None,
    progress: ProgressCallback | None = None,
) -> ImportReport:
    """Add the labels of a SLEAP file, and its videos; all of it or nothing.

    Args:
        videos: where videos are now, by their name in the file; others are looked for around it.
        cache: folder where indices of videos are kept.
        progress: called now and then with frames done and in all; what it raises stops the import.

    Raises:
        ProjectError: the file cannot be understood, holds no labels, or the project cannot be written.
    """
    path = Path(path)
    with SleapFile(path) as file:
        try:
            with store.database.write():
                report = _Import(store, file, videos or {}, cache).run(progress)
        finally:
            store.imported()
    return report


class _Import:
    """One run; within a transaction."""

    def __init__(self, store: ProjectStore, file: SleapFile, videos: Mapping[str, Path], cache: Path | None) -> None:
        self._store, self._file, self._given, self._cache = store, file, videos, cache
        self._problems, self._report = Problems(), ImportReport()
        self._kinds: dict[int, _Kind] = {}
        self._tracks: dict[int, int] = {}
        self._grids: dict[int, GridTransform | None] = {}
        self._grid: GridTransform | None = None  # of the frame at hand
        self._replaced = {int(n) for n in file.instances["from_predicted"] if int(n) >= 0}

    def run(self, progress: ProgressCallback | None) -> ImportReport:
        used = {int(n) for n in self._file.frames["video"]}
        keys = {video.number: self._keys(video) for video in self._file.videos if video.number in used}
        self._settle_tracks()
        total = len(self._file.frames)
        for done, frame in enumerate(self._file.frames):
            if progress is not None and done % 100 == 0:
                progress(done, total)
            key = keys.get(int(frame["video"]), {}).get(int(frame["frame_idx"]))
            if key is None:
                self._problems.add("Frame not found, its labels are left out", self._where(frame))
                continue
            self._report.images += 1
            self._grid = self._grids.get(int(frame["video"]))
            for instance in self._instances(int(frame["instance_id_start"]), int(frame["instance_id_end"])):
                self._store.database.run(rows.INSERT, rows.to_row(instance, key))
                self._report.annotations += 1
        self._store.database.set_meta("next_instance", self._store.new_ids(0).start)
        if self._replaced:
            where = f"{len(self._replaced):,} in {self._file.path.name}"
            self._problems.add("Predictions that a label replaced are left out", where)
        self._report.problems = self._problems.sentences()
        return self._report

    def _instances(self, start: int, end: int) -> Iterator[Instance]:
        for record in self._file.instances[start:end]:
            if int(record["instance_type"]) == PREDICTED and int(record["instance_id"]) in self._replaced:
                continue
            made = self._instance(record)
            if made is not None:
                yield made

    def _instance(self, record: np.void) -> Instance | None:
        """None for one without a point."""
        kind = self._kind(int(record["skeleton"]))
        by_user = int(record["instance_type"]) == USER
        points = self._file.points if by_user else self._file.pred_points
        start, end = int(record["point_id_start"]), int(record["point_id_end"])
        places, visible = points_of(points, start, end)
        if len(places) != len(kind.order):
            self._problems.add("Instance with another number of points than its skeleton", self._file.path.name)
            return None
        places, visible = places[kind.order], visible[kind.order]
        places = places if self._grid is None else self._grid.points(places)
        there: Flags = np.asarray(np.isfinite(places).all(axis=1))
        if not there.any():
            return None
        scores = None if by_user else np.nan_to_num(points["score"][start:end].astype(np.float64))[kind.order]
        return Instance(
            id=self._store.new_ids(1)[0],
            category=kind.category.id,
            keypoints=np.where(there[:, None], places, 0.0),
            visibility=np.where(there, np.where(visible, VISIBLE, OCCLUDED), ABSENT).astype(np.uint8),
            by_human=there.copy() if by_user else np.zeros(len(there), np.bool_),
            scores=scores,
            score=None if scores is None else _instance_score(float(record["score"]), scores[there]),
            track=self._tracks.get(int(record["track"])),
            source="human" if by_user else SOURCE,
            state=State.LABELLED if by_user else State.PREDICTED,
        )

    def _kind(self, number: int) -> _Kind:
        if number not in self._kinds:
            skeleton = self._file.skeletons[number]
            schema, order = _schema(skeleton)
            name = skeleton.name
            if _NO_NAME.fullmatch(name):
                name = schema.category if schema.name in builtin_schemas() else _ANIMAL
            known = (c for c in self._store.categories() if c.name == name and c.schema.names == schema.names)
            category = next(known, None) or self._store.add_category(
                name, msgspec.structs.replace(schema, category=name)
            )
            self._kinds[number] = _Kind(category, order)
        return self._kinds[number]

    def _settle_tracks(self) -> None:
        used = sorted({int(n) for n in self._file.instances["track"] if 0 <= int(n) < len(self._file.tracks)})
        self._tracks = dict(zip(used, new_track_numbers(self._store, len(used))))
        named = [(number, self._file.tracks[n]) for n, number in self._tracks.items()]
        told = [f"{name} is {number}" for number, name in named if not _NUMBERED.fullmatch(name)]
        if told:
            self._problems.add("Tracks are numbered", ", ".join(told[:_TOLD]))

    def _keys(self, video: SleapVideo) -> dict[int, FrameKey]:
        """Frames of a video by their index in it; empty, and told of, where they are not found."""
        try:
            found = self._found(video)
        except (MediaError, ProjectError) as error:
            self._problems.add("Pictures cannot be read, their labels are left out", str(error))
            return {}
        if found is None:
            self._problems.add("Video not found, its labels are left out", video.name or f"video {video.number}")
        return found or {}

    def _found(self, video: SleapVideo) -> dict[int, FrameKey] | None:
        if video.files:
            files = {n: _look_for(name, self._file.path, self._given) for n, name in enumerate(video.files)}
            return self._pictures({n: file for n, file in files.items() if file is not None}) or None
        place = _look_for(video.name, self._file.path, self._given) if video.name else None
        if place is not None and place.resolve() != self._file.path.resolve():
            media = import_video(self._store, place, cache=self._cache)
            self._grids[video.number] = opencv_grid(place, self._cache)
            return {frame.key.index: frame.key for frame in self._store.frames(media.id)}
        held = self._file.embedded(video)
        if not held:
            return None
        folder = self._store.path.absolute().parent / f"{self._file.path.stem}.pictures" / f"video{video.number}"
        return self._pictures({index: _written(folder, index, data) for index, data in held.items()})

    def _pictures(self, files: Mapping[int, Path]) -> dict[int, FrameKey]:
        if not files:
            return {}
        root = Path(next(iter(files.values()))).parent
        media = next((m for m in self._store.media() if m.kind == "images" and Path(m.path) == root), None)
        number = self._store.add_media("images", root).id if media is None else media.id
        known = {frame.name: frame.key for frame in self._store.frames(number)}
        names = {n: _name(file, root) for n, file in files.items()}
        new = [n for n in files if names[n] not in known]
        keys = self._store.add_frames(number, [(names[n], *image_size(files[n])) for n in new])
        return {**{n: known[names[n]] for n in files if names[n] in known}, **dict(zip(new, keys))}

    def _where(self, frame: np.void) -> str:
        return f"{self._file.path.name}: frame {int(frame['frame_idx'])} of video {int(frame['video'])}"


def _schema(skeleton: Skeleton) -> tuple[Schema, npt.NDArray[np.int64]]:
    """The schema of a skeleton, and which node each of its points is."""
    limbs = [pair for pair in skeleton.edges if pair[0] != pair[1]]
    schema = schema_of_names(skeleton.nodes, CocoCategory(skeleton.name, skeleton.name, list(skeleton.nodes), limbs))
    builtin = find_schema(schema.name) if schema.name in builtin_schemas() else None
    if builtin is not None and builtin.num_keypoints == len(skeleton.nodes):
        place = {_plain(name): n for n, name in enumerate(skeleton.nodes)}
        if all(_plain(name) in place for name in builtin.names):
            return builtin, np.array([place[_plain(name)] for name in builtin.names])
    return _with_symmetries(schema, skeleton.symmetries), np.arange(len(skeleton.nodes))


def _with_symmetries(schema: Schema, pairs: Sequence[tuple[int, int]]) -> Schema:
    """What the file says of left and right goes before what the names tell."""
    partner = {a: b for pair in pairs if pair[0] != pair[1] for a, b in (pair, pair[::-1])}
    if not partner or any(partner[b] != a for a, b in partner.items()):
        return schema
    names = schema.names
    points = tuple(
        msgspec.structs.replace(point, swap=names[partner[n]] if n in partner else "")
        for n, point in enumerate(schema.keypoints)
    )
    return msgspec.structs.replace(schema, keypoints=points)


def _instance_score(written: float, scores: npt.NDArray[np.float64]) -> float:
    """0..1. Some of SLEAP's models write the sum over the points; then it is their mean."""
    score = finite_or_none(written)
    if score is None or not 0 <= score <= 1:
        return float(np.clip(scores.mean(), 0.0, 1.0))
    return score


def _look_for(name: str, file: Path, given: Mapping[str, Path]) -> Path | None:
    """Where something is now: as said, as written, or below the folders around the label file."""
    if name in given:
        return Path(given[name])
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    homes = [file.absolute().parent, *list(file.absolute().parents)[1:3]]
    tails = [Path(*parts[start:]) for start in range(len(parts))]
    places = [Path(name), *(home / tail for home in homes for tail in tails)]
    places += [home / "videos" / parts[-1] for home in homes if parts]
    return next((place.absolute() for place in places if place.is_file()), None)


def _written(folder: Path, index: int, data: bytes) -> Path:
    """A picture as a file; one that is there already is not written again.

    Raises:
        ProjectError: it is no picture, or cannot be written.
    """
    suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg" if data.startswith(b"\xff\xd8") else ""
    if not suffix:
        raise ProjectError(f"the picture of frame {index} is neither PNG nor JPEG")
    path = folder / f"{index:06d}{suffix}"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            raise ProjectError(f"cannot be written ({error.strerror or error})", where=path) from None
    return path


def _name(file: Path, root: Path) -> str:
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
