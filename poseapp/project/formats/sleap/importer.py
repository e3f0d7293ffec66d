"""SLEAP labels (``.slp``) into a project: skeletons, tracks, labels of people and predictions.

A point that SLEAP calls not visible but that has a place is occluded; one without a place is absent. A prediction that
a label was made from is left out, as SLEAP itself hides it. Points of a skeleton with the names of a built-in schema
are put in its order, so that its models fit. Points on a video whose pixels are not square are brought from the stored
pixels, which SLEAP shows, to the square ones that are shown here. Pictures that the file itself holds are written
beside the project. A frame that SLEAP calls negative is negative; one that it suggests for labelling, and that has no
label, is flagged.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError, ProjectError
from engine.formats.hdf5 import try_in_a_process
from engine.formats.sleap.categories import category_of
from engine.formats.sleap.file import PREDICTED, USER, SleapFile, SleapVideo, points_of
from engine.formats.sleap.reader import SOURCE, instance_score
from engine.formats.sleap.videos import find_videos
from engine.labels.image_size import GridTransform
from engine.media.image_finder import find_images, likely_folders
from engine.media.video.frame_size import opencv_grid
from poseapp.project.formats.images import frames_of_images
from poseapp.project.formats.report import INFO, ImportReport, Problems, ProgressCallback
from poseapp.project.formats.videos import import_video
from poseapp.project.label_update.sources import SourceTable, unique_keys
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Category, Flags, FrameKey, Instance, State
from poseapp.project.queries.tracks import new_track_numbers
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

_NUMBERED = re.compile(r"(track|instance|animal|id)?[-_ ]?\d*", re.IGNORECASE)
_LISTED = 10
_NEGATIVE, _FLAGGED = 4, 2  # bits of the state of a frame


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
    home: Path | None = None,
) -> ImportReport:
    """Add the labels of a SLEAP file, and its videos; all of it or nothing.

    Args:
        videos: where videos are now, by their name in the file; others are looked for around it.
        cache: folder where indices of videos are kept.
        home: folder beside whose files pictures are written that the file itself holds; None: that of the project.
        progress: called now and then with frames done and in all; what it raises stops the import.

    Raises:
        ProjectError: the file cannot be understood, holds no labels, or the project cannot be written.
    """
    path = Path(path)
    try_in_a_process(path, "sleap", progress)
    with SleapFile(path) as file:
        try:
            with store.database.write():
                folder = store.path.absolute().parent if home is None else home
                report = _Import(store, file, videos or {}, cache, folder).run(progress)
        finally:
            store.imported()
    return report


class _Import:
    """One run; within a transaction."""

    def __init__(
        self, store: ProjectStore, file: SleapFile, videos: Mapping[str, Path], cache: Path | None, home: Path
    ) -> None:
        self._store, self._file, self._cache, self._home = store, file, cache, home
        self._problems, self._report = Problems(), ImportReport()
        self._kinds: dict[int, _Kind] = {}
        self._tracks: dict[int, int] = {}
        self._grids: dict[int, GridTransform | None] = {}
        self._grid: GridTransform | None = None  # of the frame at hand
        self._replaced = {n for n in file.instances["from_predicted"].tolist() if n >= 0}
        self._places, ambiguous = find_videos(
            [video.name for video in file.videos if not video.files], file.path, videos
        )
        self._ambiguous = set(ambiguous)
        self._given = videos

    def run(self, progress: ProgressCallback | None) -> ImportReport:
        frames = self._file.frames
        of_video = frames["video"].astype(np.int64)
        index_of = frames["frame_idx"].astype(np.int64)
        counts = frames["instance_id_end"].astype(np.int64) - frames["instance_id_start"].astype(np.int64)
        used = {*of_video.tolist(), *(video for video, _ in (*self._file.negative, *self._file.suggestions))}
        keys = {video.number: self._keys(video) for video in self._file.videos if video.number in used}
        self._settle_tracks()
        records: list[tuple[str, int]] = []
        seen: Counter[tuple[int, int]] = Counter()
        labelled: set[FrameKey] = set()
        todo = np.flatnonzero(counts > 0).tolist()
        for done, row in enumerate(todo):
            if progress is not None and done % 100 == 0:
                progress(done, len(todo))
            video, index = int(of_video[row]), int(index_of[row])
            key = keys.get(video, {}).get(index)
            if key is None:
                self._leave_out(video, index, keys, int(counts[row]))
                continue
            self._report.images += 1
            self._grid = self._grids.get(video)
            start, end = int(frames["instance_id_start"][row]), int(frames["instance_id_end"][row])
            for instance in self._instances(start, end):
                self._store.database.run(instance_rows.INSERT, instance_rows.to_row(instance, key))
                records.append((f"{video}|{index}|{seen[video, index]}", instance.id))
                seen[video, index] += 1
                self._report.annotations += 1
                if instance.state is State.LABELLED:
                    labelled.add(key)
        self._report.images += self._empty_frames(of_video, index_of, counts == 0, keys)
        self._mark_frames(keys, labelled)
        self._store.database.set_meta("next_instance", self._store.new_ids(0).start)
        if self._replaced:
            where = f"{len(self._replaced):,} in {self._file.path.name}"
            self._problems.add("Predictions that a label replaced are left out", where)
        self._report.problems = self._problems.sentences()
        self._report.records[self._file.path] = list(
            zip(unique_keys(key for key, _ in records), (i for _, i in records))
        )
        return self._report

    def _leave_out(self, video: int, index: int, keys: Mapping[int, Mapping[int, FrameKey]], count: int) -> None:
        where = f"{self._file.path.name}: frame {index} of video {video}"
        self._problems.add("Frame not found, its labels are left out", where)
        if not keys.get(video):
            self._report.left_out += count

    def _empty_frames(
        self,
        of_video: npt.NDArray[np.int64],
        index_of: npt.NDArray[np.int64],
        empty: npt.NDArray[np.bool_],
        keys: Mapping[int, Mapping[int, FrameKey]],
    ) -> int:
        """How many frames without poses are there."""
        total = 0
        for video, found in keys.items():
            indices = index_of[empty & (of_video == video)]
            there = int(np.isin(indices, np.fromiter(found, np.int64, len(found))).sum())
            if there < len(indices) and found:
                where = f"{self._file.path.name}: video {video}"
                self._problems.add("Frame without poses not found", where, len(indices) - there)
            total += there
        return total

    def _mark_frames(self, keys: Mapping[int, Mapping[int, FrameKey]], labelled: set[FrameKey]) -> None:
        """Negative frames, and suggestions as flags."""
        marks: defaultdict[FrameKey, int] = defaultdict(int)
        for bit, listed, kind in (
            (_NEGATIVE, self._file.negative, "Negative frame"),
            (_FLAGGED, self._file.suggestions, "Suggested frame"),
        ):
            for video, index in dict.fromkeys(listed):
                key = keys.get(video, {}).get(index)
                if key is None:
                    self._problems.add(f"{kind} not found", f"frame {index} of video {video}")
                elif key not in labelled:
                    marks[key] |= bit
                elif bit == _NEGATIVE:
                    self._problems.add("Negative frame has labels, it is not marked", f"frame {index} of video {video}")
        sql = "UPDATE frame SET state = state | ? WHERE media = ? AND idx = ?"
        self._store.database.many(sql, ((bits, *key) for key, bits in marks.items()))
        flagged = sum(bits & _FLAGGED > 0 for bits in marks.values())
        if flagged:
            self._problems.add("Frames suggested for labelling are flagged", f"{flagged:,} in {self._file.path.name}")

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
        scores = (
            None
            if by_user
            else np.nan_to_num(points["score"][start:end].astype(np.float64), posinf=0.0, neginf=0.0)[kind.order]
        )
        return Instance(
            id=self._store.new_ids(1)[0],
            category=kind.category.id,
            keypoints=np.where(there[:, None], places, 0.0),
            visibility=np.where(there, np.where(visible, VISIBLE, OCCLUDED), ABSENT).astype(np.uint8),
            by_human=there.copy() if by_user else np.zeros(len(there), np.bool_),
            scores=scores,
            score=None if scores is None else instance_score(float(record["score"]), scores[there]),
            track=self._tracks.get(int(record["track"])),
            source="human" if by_user else SOURCE,
            state=State.LABELLED if by_user else State.PREDICTED,
        )

    def _kind(self, number: int) -> _Kind:
        if number not in self._kinds:
            name, schema, order = category_of(self._file.skeletons[number])
            known = (c for c in self._store.categories() if c.name == name and c.schema.names == schema.names)
            category = next(known, None) or self._store.add_category(name, schema)
            self._kinds[number] = _Kind(category, order)
        return self._kinds[number]

    def _settle_tracks(self) -> None:
        used = sorted({n for n in self._file.instances["track"].tolist() if 0 <= n < len(self._file.tracks)})
        self._tracks = dict(zip(used, new_track_numbers(self._store, len(used)) if used else ()))
        names = dict(zip(used, unique_keys(self._file.tracks[n] for n in used)))
        self._report.tracks = {names[n]: number for n, number in self._tracks.items()}
        SourceTable(self._store).name_tracks({number: self._file.tracks[n] for n, number in self._tracks.items()})
        named = [(number, self._file.tracks[n]) for n, number in self._tracks.items()]
        numbers = [f"{name} is {number}" for number, name in named if not _NUMBERED.fullmatch(name)]
        if numbers:
            self._problems.add("Tracks are numbered", ", ".join(numbers[:_LISTED]), severity=INFO)

    def _keys(self, video: SleapVideo) -> dict[int, FrameKey]:
        """Frames of a video by their index in it; empty, and told of, where they are not found."""
        try:
            found = self._found(video)
        except (MediaError, ProjectError) as error:
            self._problems.add("Pictures cannot be read, their labels are left out", str(error))
            return {}
        if found is None:
            name = video.name or f"video {video.number}"
            if video.name in self._ambiguous:
                self._problems.add(
                    "Videos of the same name, none is taken for another; their labels are left out", name
                )
            else:
                self._problems.add("Video not found, its labels are left out", name)
        return found or {}

    def _found(self, video: SleapVideo) -> dict[int, FrameKey] | None:
        if video.files:
            return self._sequence(video)
        place = self._places.get(video.name)
        if place is not None and place.resolve() != self._file.path.resolve():
            media = import_video(self._store, place, cache=self._cache)
            self._grids[video.number] = opencv_grid(place, self._cache)
            return {frame.key.index: frame.key for frame in self._store.frames(media.id)}
        folder = self._home / f"{self._file.path.stem}.pictures" / f"video{video.number}"
        held = {index: _written(folder, index, data) for index, data in self._file.embedded(video)}
        return self._pictures(held) if held else None

    def _sequence(self, video: SleapVideo) -> dict[int, FrameKey] | None:
        """The images of a sequence; those that are missing are listed."""
        near, ambiguous = find_videos(video.files, self._file.path, self._given)
        files = {n: near[name] for n, name in enumerate(video.files) if name in near}
        for name in ambiguous:
            self._problems.add("Images of the same name, none is taken for another", name)
        left = [n for n, name in enumerate(video.files) if name not in near and name not in ambiguous]
        found = find_images([video.files[n] for n in left], likely_folders(self._file.path))
        for finding in found.findings:
            self._problems.add(finding.kind.value, finding.case)
        taken = set(files.values())
        files.update((n, path) for n, path in zip(left, found.paths) if path is not None and path not in taken)
        return self._pictures(files) or None

    def _pictures(self, files: Mapping[int, Path]) -> dict[int, FrameKey]:
        if not files:
            return {}
        root = Path(os.path.abspath(next(iter(files.values())).parent))
        known = frames_of_images(self._store, root, files.values(), self._problems)
        return {n: known[path] for n, path in files.items() if path in known}


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
