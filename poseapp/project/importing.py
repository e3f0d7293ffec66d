"""Labels of any format into a project: its media, frames, categories, instances and tracks.

Labels whose image or video is missing are left out and reported; they come in when the file is opened again and the
image is there. Points in the stored pixels of a video are brought to the square pixels that are shown. Images that the
label file itself holds are written beside the project. (COCO has an importer of its own, which keeps the records.)
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError, ProjectError
from engine.formats.deeplabcut.categories import union
from engine.labels import VIDEO, Frame, LabelReader, Media
from engine.labels import Category as LabelCategory
from engine.labels import Instance as LabelInstance
from engine.labels.image_size import GridTransform
from engine.media.image_finder import LOST, find_images, likely_folders
from engine.media.video.frame_size import opencv_grid
from engine.media.video_finder import find_videos
from engine.utils.context import INFO, Context
from poseapp.project.formats.images import frames_of_images
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer, check_sizes, report_sizes
from poseapp.project.formats.report import ImportReport
from poseapp.project.formats.videos import import_video
from poseapp.project.label_update.sources import SourceTable, unique_keys
from poseapp.project.label_update.update import point_order
from poseapp.project.model import Category, FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

HUMAN = "human"

T = TypeVar("T", bound=np.generic)

_NUMBERED = re.compile(r"(track|instance|animal|individual|id)?[-_ ]?\d*", re.IGNORECASE)
_MAX_LISTED_TRACKS = 10
_NEGATIVE, _FLAGGED = 4, 2  # bits of the state of a frame
_STEP = 100
_BLOCK = 1000


def import_labels(
    store: ProjectStore,
    labels: LabelReader,
    *,
    source: str = "",
    videos: Mapping[str, Path] | None = None,
    cache: Path | None = None,
    home: Path | None = None,
    context: Context | None = None,
    label_size: LabelSize = LabelSize.KEEP,
) -> ImportReport:
    """Add labels, their images and videos to a project; all of it or nothing.

    Args:
        source: who made predictions of which the labels do not say it.
        videos: where videos are now, by their path in the labels; others are looked for around the label file.
        cache: folder where indices of videos are kept.
        home: folder for images that the label file itself holds; None = that of the project.
        context: progress, cancellation and findings.
        label_size: what is done with labels that were made on images of another size or orientation.

    Raises:
        PoseError: the labels cannot be read, or the project cannot be written.
        LabelSizesDiffer: with ``LabelSize.ASK``; nothing was added.
    """
    context = context or Context()
    folder = store.path.absolute().parent if home is None else home
    try:
        with store.database.write():
            report = _Import(store, labels, source, videos or {}, cache, folder, context, label_size).run()
    finally:
        store.imported()
    return report


@dataclass(frozen=True)
class _Target:
    """A category of the project, and which keypoint of the labels each of its own is; None = as in the labels."""

    category: Category
    order: npt.NDArray[np.int64] | None


class _Import:
    """One run; within a transaction."""

    def __init__(
        self,
        store: ProjectStore,
        labels: LabelReader,
        source: str,
        videos: Mapping[str, Path],
        cache: Path | None,
        home: Path,
        context: Context,
        label_size: LabelSize,
    ) -> None:
        self._store, self._labels, self._context, self._label_size = store, labels, context, label_size
        self._source, self._cache, self._home = source, cache, home
        self._report = ImportReport()
        self._given_videos = videos
        self._grids: dict[int, GridTransform | None] = {}  # by media of the labels
        self._image_grids: dict[int, GridTransform] = {}  # by position of the frame
        self._targets: dict[int, _Target] = {}  # by category of the labels
        self._existing = store.categories()

    def run(self) -> ImportReport:
        labels = self._labels
        frames = list(labels.frames())
        keys = self._add_media(frames)
        tracks = self._number_tracks()
        records: defaultdict[Path, list[tuple[str, int]]] = defaultdict(list)
        labelled: set[FrameKey] = set()
        block: list[instance_rows.Row] = []
        total = labels.num_instances()
        has_media = {frame.media for frame, key in zip(frames, keys) if key is not None}
        lost: set[int] = set()
        for done, record in enumerate(labels.instances()):
            if done % _STEP == 0:
                self._context.progress(done, total)
            if not record.is_pose:
                continue
            key, media = keys[record.frame], frames[record.frame].media
            if key is None:
                lost.add(record.frame)
                self._leave_out(frames[record.frame], has_media)
                continue
            grid = self._image_grids.get(record.frame) or self._grids.get(media)
            instance = self._instance(record, grid, tracks)
            block.append(instance_rows.to_row(instance, key))
            if len(block) == _BLOCK:
                self._insert(block)
            records[labels.source_file(record.frame)].append((record.key or str(done), instance.id))
            self._report.annotations += 1
            if instance.state is State.LABELLED:
                labelled.add(key)
        self._insert(block)
        self._report.images = sum(key is not None for key in keys)
        self._report_lost(frames, keys, lost, has_media)
        self._mark_frames(frames, keys, labelled)
        self._store.keep_new_numbers()
        for path, of_file in records.items():
            self._report.records[path] = list(zip(unique_keys(key for key, _ in of_file), (i for _, i in of_file)))
        self._report.problems = self._context.findings.sentences()
        return self._report

    def _insert(self, block: list[instance_rows.Row]) -> None:
        self._store.database.many(instance_rows.INSERT, block)
        block.clear()

    def _leave_out(self, frame: Frame, has_media: set[int]) -> None:
        media = self._labels.media[frame.media]
        if _reports_frames(media):
            where = f"{self._labels.path.name}: {self._name_of(frame)}"
            self._context.report(where, "Frame not found", "its labels are left out")
        if media.path or frame.media not in has_media:
            self._report.left_out += 1

    def _report_lost(
        self, frames: Sequence[Frame], keys: Sequence[FrameKey | None], with_poses: set[int], has_media: set[int]
    ) -> None:
        """Missing frames without poses, of media that exist."""
        for position, (frame, key) in enumerate(zip(frames, keys)):
            if key is not None or position in with_poses or frame.is_negative or frame.is_flagged:
                continue
            media = self._labels.media[frame.media]
            if frame.media in has_media and _reports_frames(media):
                name = media.name or self._name_of(frame)
                self._context.report(f"{self._labels.path.name}: {name}", "Frame without poses not found")

    def _name_of(self, frame: Frame) -> str:
        media = self._labels.media[frame.media]
        return f"frame {frame.index} of {media.name or Path(media.path).name or f'media {frame.media + 1}'}"

    # Media

    def _add_media(self, frames: Sequence[Frame]) -> list[FrameKey | None]:
        """The frame of the project for each frame of the labels; None for one that is not found."""
        positions: defaultdict[int, list[int]] = defaultdict(list)
        for position, frame in enumerate(frames):
            positions[frame.media].append(position)
        media = self._labels.media
        names = [m.path for m in media if m.type == VIDEO]
        locations, ambiguous = find_videos(names, self._labels.path, self._given_videos)
        keys: list[FrameKey | None] = [None] * len(frames)
        for media_position, of_media in positions.items():
            if media_position < 0:
                continue
            try:
                if media[media_position].type == VIDEO:
                    location = locations.get(media[media_position].path)
                    media_keys = self._video_keys(
                        media_position, location, [frames[n] for n in of_media], set(ambiguous)
                    )
                else:
                    media_keys = self._image_keys(media[media_position], [(n, frames[n]) for n in of_media])
            except (MediaError, ProjectError) as error:
                self._context.report(str(error), "Pictures cannot be read", "their labels are left out")
                continue
            for position, key in zip(of_media, media_keys):
                keys[position] = key
        return keys

    def _video_keys(
        self, media_position: int, location: Path | None, frames: Sequence[Frame], ambiguous: set[str]
    ) -> list[FrameKey | None]:
        media = self._labels.media[media_position]
        if location is None or location.resolve() == self._labels.path.resolve():
            name = media.path or f"video {media_position}"
            if media.path in ambiguous:
                self._context.report(
                    name, "Videos of the same name, none is taken for another; their labels are left out"
                )
            else:
                self._context.report(name, "Video not found, its labels are left out")
            return [None] * len(frames)
        video = import_video(self._store, location, cache=self._cache)
        if media.stored_pixels:
            self._grids[media_position] = opencv_grid(location, self._cache)
        count = len(self._store.frame_names(video.id))
        return [FrameKey(video.id, frame.index) if 0 <= frame.index < count else None for frame in frames]

    def _image_keys(self, media: Media, frames: Sequence[tuple[int, Frame]]) -> list[FrameKey | None]:
        files = self._embedded_files(media, frames)
        others = [frame for _, frame in frames if frame.name not in files]
        if others:
            files |= self._image_files(media, others, reports_missing=not files)
        if not files:
            return [None] * len(frames)
        self._compare_sizes(frames, files)
        root = Path(media.path) if media.path else self._root_of(files.values())
        frame_of = frames_of_images(self._store, root, files.values(), self._context.findings)
        return [frame_of.get(files[frame.name]) if frame.name in files else None for _, frame in frames]

    def _compare_sizes(self, frames: Sequence[tuple[int, Frame]], files: Mapping[str, Path]) -> None:
        """Find labels that were made on images of another size or orientation.

        Raises:
            LabelSizesDiffer: a person is to say what is done with them.
        """
        paths = [files.get(frame.name) for _, frame in frames]
        check = check_sizes(paths, [(frame.width, frame.height) for _, frame in frames])
        if check.grids and self._label_size is LabelSize.ASK:
            raise LabelSizesDiffer(len(check.grids), check.example, self._labels.path)
        report_sizes(check, self._label_size, self._context.findings)
        if self._label_size is LabelSize.FIT:
            self._image_grids |= {frames[n][0]: grid for n, grid in check.grids.items()}
            self._report.fitted += len(check.grids)

    def _root_of(self, files: Iterable[Path]) -> Path:
        """The folder that names of images begin at: the one that holds them all, if it is near the label file, so that
        their names say the folders that they are in; else that of the first."""
        parents = list(dict.fromkeys(os.path.abspath(file.parent) for file in files))
        near = [self._labels.path.absolute().parent.parent, *filter(None, [self._labels.image_folder])]
        try:
            shared = Path(os.path.commonpath(parents))
        except ValueError:  # several drives
            return Path(parents[0])
        is_near = any(shared.is_relative_to(folder.absolute()) for folder in near if len(folder.absolute().parts) > 1)
        return shared if is_near else Path(parents[0])

    def _image_files(self, media: Media, frames: Sequence[Frame], *, reports_missing: bool = True) -> dict[str, Path]:
        """The files of images; those that are missing are reported. Where some images are inside the label file, only
        the labels of the others are reported as lost, by whoever adds them."""
        label_file, folder = self._labels.path, self._labels.image_folder
        names = [frame.name for frame in frames]
        files = {name: Path(self._given_videos[name]) for name in names if name in self._given_videos}
        near = [Path(media.path), label_file.absolute().parent] if media.path else likely_folders(label_file, folder)
        unplaced = [frame for frame in frames if frame.name not in files]
        sizes = [(frame.width, frame.height) for frame in unplaced]
        result = find_images([frame.name for frame in unplaced], near, sizes)
        taken = set(files.values())
        files.update(
            (frame.name, path) for frame, path in zip(unplaced, result.paths) if path is not None and path not in taken
        )
        for finding in result.findings:
            if finding.kind in LOST and not reports_missing:
                continue
            is_lost = finding.kind in LOST and media.path
            text = "Image not found, its labels are left out" if is_lost else finding.kind.value
            self._context.report(finding.case, text)
        return files

    def _embedded_files(self, media: Media, frames: Sequence[tuple[int, Frame]]) -> dict[str, Path]:
        """Write the images that the label file itself holds beside the project."""
        files: dict[str, Path] = {}
        for position, frame in frames:
            data = None if media.path else self._labels.embedded_image(position)
            if data is not None:
                files[frame.name] = _write_image(self._home, frame, data)
        return files

    def _mark_frames(self, frames: Sequence[Frame], keys: Sequence[FrameKey | None], labelled: set[FrameKey]) -> None:
        """Negative frames, and suggestions as flags."""
        marks: Counter[FrameKey] = Counter()
        for frame, key in zip(frames, keys):
            for bit, is_marked, what in (
                (_NEGATIVE, frame.is_negative, "Negative frame"),
                (_FLAGGED, frame.is_flagged, "Suggested frame"),
            ):
                if is_marked and key is None:
                    self._context.report(self._name_of(frame), f"{what} not found")
                elif is_marked and key is not None and key not in labelled:
                    marks[key] |= bit
        sql = "UPDATE frame SET state = state | ? WHERE media = ? AND idx = ?"
        self._store.database.many(sql, ((bits, *key) for key, bits in marks.items()))

    # Instances

    def _instance(self, record: LabelInstance, grid: GridTransform | None, tracks: Mapping[int, int]) -> Instance:
        target = self._target(record.category)
        assert record.keypoints is not None
        assert record.visibility is not None
        keypoints, visibility, scores, box = record.keypoints, record.visibility, record.scores, record.box
        if grid is not None:
            keypoints = np.where((visibility > 0)[:, None], grid.points(keypoints), keypoints)
            box = None if box is None else grid.boxes(box)
        if target.order is not None:
            keypoints, visibility = _reordered(keypoints, target.order), _reordered(visibility, target.order)
            scores = None if scores is None else _reordered(scores, target.order)
        present = visibility > 0
        return Instance(
            id=self._store.new_ids(1)[0],
            category=target.category.id,
            keypoints=np.ascontiguousarray(keypoints, np.float64),
            visibility=np.ascontiguousarray(visibility, np.uint8),
            by_human=np.zeros(len(present), np.bool_) if record.is_prediction else present.copy(),
            scores=None if scores is None else np.ascontiguousarray(scores, np.float64),
            score=record.score,
            box=None if box is None else np.ascontiguousarray(box, np.float64),
            track=None if record.track is None else tracks.get(record.track),
            source=record.source or (self._source if record.is_prediction else HUMAN),
            state=State.PREDICTED if record.is_prediction else State.LABELLED,
        )

    def _target(self, position: int) -> _Target:
        if position not in self._targets:
            self._targets[position] = self._add_category(self._labels.categories[position])
        return self._targets[position]

    def _add_category(self, label_category: LabelCategory) -> _Target:
        """A category that the project had before, with at least the same keypoints, or a new one."""
        schema = label_category.schema
        assert schema is not None
        for category in self._existing:
            order = point_order(schema, category.schema, True, False) if category.name == label_category.name else None
            if order is None:
                continue
            limbs = union(category.schema, schema).limbs
            if limbs != category.schema.limbs and set(schema.names) == set(category.schema.names):
                with_limbs = msgspec.structs.replace(category.schema, limbs=limbs)
                category = self._store.update_category(category.id, schema=with_limbs)
            if order == tuple(range(schema.num_keypoints)) and len(order) == category.schema.num_keypoints:
                return _Target(category, None)
            return _Target(category, np.array([-1 if n is None else n for n in order]))
        return _Target(self._store.add_category(label_category.name, schema), None)

    def _number_tracks(self) -> dict[int, int]:
        """Numbers of the project for the tracks of the labels; names are kept."""
        used = self._used_tracks()
        project_track = dict(zip(used, self._store.new_track_numbers(len(used)) if used else ()))
        names = {track: self._labels.tracks.get(track, "") for track in used}
        named = {track: name for track, name in names.items() if name}
        self._report.tracks = dict(
            zip(unique_keys(named.get(t, f"track_{t}") for t in used), (project_track[t] for t in used))
        )
        SourceTable(self._store).name_tracks({project_track[track]: name for track, name in named.items()})
        listed = [f"{name} is {project_track[t]}" for t, name in named.items() if not _NUMBERED.fullmatch(name)]
        if listed:
            self._context.report(", ".join(listed[:_MAX_LISTED_TRACKS]), "Tracks are numbered", severity=INFO)
        return project_track

    def _used_tracks(self) -> list[int]:
        if self._labels.tracks:
            return sorted(self._labels.tracks)
        return sorted({i.track for i in self._labels.instances() if i.track is not None})


def _reports_frames(media: Media) -> bool:
    """Whether missing frames are reported one by one; missing images in a known folder are reported by their name."""
    return media.type == VIDEO or not media.path


def _reordered(values: npt.NDArray[T], order: npt.NDArray[np.int64]) -> npt.NDArray[T]:
    """Values in another order of keypoints; 0 for keypoints that have none."""
    reordered = values[order]
    reordered[order < 0] = 0
    return reordered


def _write_image(home: Path, frame: Frame, data: bytes) -> Path:
    """An embedded image as a file; one that exists already is not written again.

    Raises:
        ProjectError: it is not an image, or cannot be written.
    """
    suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg" if data.startswith(b"\xff\xd8") else ""
    if not suffix:
        raise ProjectError(f"the image of frame {frame.index} is neither PNG nor JPEG")
    parts = [part for part in Path(frame.name).parts if part not in ("..", ".", os.sep) and ":" not in part]
    path = home.joinpath(*parts).with_suffix(suffix)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            raise ProjectError(f"cannot be written ({error.strerror or error})", where=path) from None
    return path
