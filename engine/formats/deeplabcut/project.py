"""A whole DeepLabCut project folder: config.yaml, and below labeled-data for each video the labelled images with their
tables, as csv and HDF5.

Labelled frames of a video become images named by the number of the frame, as DeepLabCut's own frame extraction names
them. Images keep their names, in the folder that they lie in. The categories of a project share their keypoints, but
for one that stands alone in every image ("single", the unique body parts); others get a project of their own in a
subfolder.

Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from engine.errors import LabelError, PoseError
from engine.formats.deeplabcut.folder import LABEL_FOLDER
from engine.formats.deeplabcut.h5_writer import write_h5
from engine.formats.deeplabcut.individuals import Individuals, PoseGroups, TableKey, largest_first
from engine.formats.deeplabcut.writer import (
    SCORER,
    Cell,
    as_numbers,
    header_of_columns,
    pose_cells,
    pose_of,
    write_named_rows,
)
from engine.formats.frame_images import FrameImages, ImageNames, new_folder, places_images, safe_part
from engine.formats.registry import WriteOptions
from engine.labels.image_size import GridTransform
from engine.labels.model import VIDEO, Frame, Instance
from engine.labels.reader import LabelReader
from engine.media.image_finder import plain_name
from engine.media.video.frame_size import opencv_grid
from engine.schema.schema import Schema
from engine.utils.context import INFO, Context

UNIQUE = "single"
"""The individual to which the unique body parts of a project belong."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COORDS = ("x", "y")


@dataclass
class _VideoFolder:
    """A folder of labeled-data.

    Attributes:
        name: of the folder, and of its video without the ending.
        media: position of its media.
        frames: positions of its frames and the names of their images, in order.
    """

    name: str
    media: int
    frames: list[tuple[int, str]] = field(default_factory=list)


def write_project(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a project into a new folder. Images are copied or linked where ``options.images`` says so.

    Raises:
        LabelError: there are no labels, the folder is not empty, or it cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    frames = list(labels.frames())
    groups = PoseGroups(labels, options, context, by_media=False, is_apart=set(range(len(labels.media))))
    tables = _labels_only(groups.tables(frames), context)
    if not tables:
        raise LabelError("there are no labelled poses, which such a project needs", where=path)
    images = FrameImages(labels)
    try:
        with new_folder(path) as temporary:
            for index, group in enumerate(_groups(labels, tables)):
                name = labels.categories[group[0][1]].name
                subfolder = safe_part(name) if index else ""
                if index:
                    context.report(name, f"Category with other keypoints is a project of its own in {subfolder}",
                                   severity=INFO)  # fmt: skip
                individuals = [(tables[key], labels.categories[key[1]].schema) for key in group]
                Project(labels, images, individuals, name, temporary / subfolder, path.absolute() / subfolder).write(
                    options, context
                )
    finally:
        images.close()


def _labels_only(tables: dict[TableKey, Individuals], context: Context) -> dict[TableKey, Individuals]:
    """A project has labels of people; the predictions of its networks lie beside videos."""
    predicted = sum(table.num_poses for key, table in tables.items() if key[2])
    if predicted:
        context.report("", "Predictions, which a project does not have (write a .csv or .h5 table of them)", "left out",
                       count=predicted)  # fmt: skip
    return {key: table for key, table in tables.items() if not key[2]}


def _groups(labels: LabelReader, tables: dict[TableKey, Individuals]) -> list[list[TableKey]]:
    """The tables of each project, the largest first: a table of animals, and one of unique body parts."""
    order = largest_first(tables)
    unique = next(
        (key for key in order if labels.categories[key[1]].name == UNIQUE and len(tables[key].poses) == 1), None
    )
    groups = [[key] for key in order if key != unique]
    if unique is not None and groups:
        groups[0].append(unique)
    return groups or [[key] for key in order]


class Project:
    """One project.

    Args:
        tables: the individuals of the animals and their schema, and perhaps those of the unique body parts.
        title: of the project.
        folder: where it is written. location: where it will be.
    """

    def __init__(
        self,
        labels: LabelReader,
        images: FrameImages,
        tables: Sequence[tuple[Individuals, Schema | None]],
        title: str,
        folder: Path,
        location: Path,
    ) -> None:
        self._labels, self._images, self._title = labels, images, title
        self._folder, self._location = folder, location
        self._individuals: list[tuple[str, dict[int, Instance], Schema]] = []
        for index, (table, schema) in enumerate(tables):
            assert schema is not None
            for name, poses in table.poses.items():
                self._individuals.append((UNIQUE if index else name, poses, schema))
        self._unique = tables[1][1] if len(tables) > 1 else None
        self._schema = self._individuals[0][2]
        has_names = any(i.track is not None for i in self._individuals[0][1].values())
        self._is_multi = len(self._individuals) > 1 or has_names
        self._grids: dict[int, GridTransform | None] = {}

    def write(self, options: WriteOptions, context: Context) -> None:
        """Write everything."""
        self._folder.mkdir(parents=True, exist_ok=True)
        folders = self._video_folders()
        videos: dict[str, dict[str, str]] = {}
        for folder in folders:
            self._write_tables(folder, context)
            videos[self._video_of(folder, options, context)] = self._crop_of(folder)
        self._write_config(videos)
        self._place_images(folders, options, context)

    def write_one_table(self, options: WriteOptions, context: Context) -> None:
        """Write Lightning Pose's layout: one table for all videos in the folder, names of images in one cell."""
        (self._folder / LABEL_FOLDER).mkdir(parents=True, exist_ok=True)
        folders = self._video_folders()
        for folder in folders:
            if self._labels.media[folder.media].type == VIDEO:
                self._video_of(folder, options, context)
        lines = header_of_columns(self._columns(), has_individuals=False)
        rows = ((("/".join(name),), cells) for folder in folders for name, cells in self._rows(folder, context))
        write_named_rows(self._folder / "CollectedData.csv", lines, rows)
        self._place_images(folders, options, context)

    def _place_images(self, folders: Iterable[_VideoFolder], options: WriteOptions, context: Context) -> None:
        if not places_images(options):
            context.report("", "Images are not in the project; copy them to train on it", severity=INFO)
            return
        for folder in folders:
            for position, image in folder.frames:
                context.check_cancelled()
                target = self._folder / LABEL_FOLDER / folder.name / image
                if not self._images.place(position, target, options.images):
                    context.report(f"{folder.name}/{image}", "Image not found", "only its labels are written")

    def _columns(self) -> list[tuple[str, str, str]]:
        return [
            (name, point, coord)
            for name, _, schema in self._individuals for point in schema.names for coord in _COORDS
        ]  # fmt: skip

    def _video_folders(self) -> list[_VideoFolder]:
        """Videos with their labelled frames, and folders of images."""
        labelled = {frame for _, poses, _ in self._individuals for frame in poses}
        frames = self._images.frames
        digits = {
            media: max(4, math.ceil(math.log10(last + 2))) for media, last in _last_frames(frames).items()
        }  # as many as DeepLabCut needs for all of the frames
        folders: dict[tuple[int, str], _VideoFolder] = {}
        names, images = ImageNames(), ImageNames()
        for position, frame in enumerate(frames):
            is_video = self._labels.media[frame.media].type == VIDEO
            if is_video and position not in labelled:
                continue
            parts = PurePosixPath(plain_name(self._labels.media[frame.media].path if is_video else frame.name)).parts
            source = "" if is_video else "/".join(parts[:-1])
            folder = folders.get((frame.media, source))
            if folder is None:
                stem = PurePosixPath(parts[-1]).stem if is_video and parts else _folder_name(parts[:-1])
                name = names.name("", (stem or "video").replace(".", "_"))
                folder = folders[frame.media, source] = _VideoFolder(name, frame.media)
            image = f"img{frame.index:0{digits[frame.media]}d}.png" if is_video else (parts[-1] if parts else "img.png")
            folder.frames.append((position, images.name(folder.name, image).removeprefix(f"{folder.name}/")))
        return list(folders.values())

    def _write_tables(self, folder: _VideoFolder, context: Context) -> None:
        target = self._folder / LABEL_FOLDER / folder.name
        target.mkdir(parents=True, exist_ok=True)
        columns = self._columns()
        lines = header_of_columns(columns, has_individuals=self._is_multi, row_levels=3)
        write_named_rows(target / f"CollectedData_{SCORER}.csv", lines, self._rows(folder, context))
        names = [(SCORER, *column) if self._is_multi else (SCORER, *column[1:]) for column in columns]
        rows = ((name, as_numbers(cells)) for name, cells in self._rows(folder, context))
        write_h5(target / f"CollectedData_{SCORER}.h5", names, rows, len(folder.frames))

    def _rows(self, folder: _VideoFolder, context: Context) -> Iterator[tuple[tuple[str, ...], list[Cell]]]:
        grid = self._grid(folder.media, context)
        for position, image in folder.frames:
            context.check_cancelled()
            cells: list[Cell] = []
            for _, poses, schema in self._individuals:
                pose = pose_of(poses.get(position))
                if pose is not None:
                    points, visibility, _ = pose
                    pose = (points if grid is None else grid.points(points)), visibility, None
                cells += pose_cells(pose, schema.num_keypoints, len(_COORDS))
            yield (LABEL_FOLDER, folder.name, image), cells

    def _grid(self, media: int, context: Context) -> GridTransform | None:
        """What brings points in the stored pixels of a video into its frames as they are shown and written."""
        if media not in self._grids:
            self._grids[media] = None
            video = self._images.video(media)
            if self._labels.media[media].stored_pixels and video is not None:
                try:
                    self._grids[media] = opencv_grid(video)
                except PoseError as error:
                    context.report(str(error), "Points are stored pixels, right if pixels are square")
        return self._grids[media]

    def _video_of(self, folder: _VideoFolder, options: WriteOptions, context: Context) -> str:
        """The path of the video in the configuration. Its stem must be the name of the folder."""
        media = self._labels.media[folder.media]
        own = self._location / "videos"
        video = self._images.video(folder.media) if media.type == VIDEO else None
        if video is None:
            if media.type == VIDEO:
                context.report(media.path, "Video not found", "named in config.yaml as if it lay in the project")
            suffix = PurePosixPath(plain_name(media.path)).suffix if media.type == VIDEO else ""
            return str(own / f"{folder.name}{suffix or '.mp4'}")
        if video.stem == folder.name and not places_images(options):
            return str(video.absolute())
        target = self._folder / "videos" / f"{folder.name}{video.suffix}"
        target.parent.mkdir(exist_ok=True)
        try:
            target.symlink_to(video.resolve())
        except OSError:  # a file system without links
            return str(video.absolute())
        return str(own / target.name)

    def _crop_of(self, folder: _VideoFolder) -> dict[str, str]:
        size = self._images.size(folder.frames[0][0])
        return {} if size is None else {"crop": f"0, {size[0]}, 0, {size[1]}"}

    def _write_config(self, videos: dict[str, dict[str, str]]) -> None:
        import yaml

        today = datetime.date.today()
        limbs = [[limb.start, limb.end] for limb in self._schema.limbs]
        bodyparts: dict[str, object] = {"bodyparts": list(self._schema.names)}
        if self._is_multi:
            bodyparts = {
                "individuals": [name for name, _, schema in self._individuals if schema is self._schema],
                "uniquebodyparts": [] if self._unique is None else list(self._unique.names),
                "multianimalbodyparts": list(self._schema.names),
                "bodyparts": "MULTI!",
            }
        data: dict[str, object] = {
            "Task": safe_part(self._title).replace(" ", "_"),
            "scorer": SCORER,
            "date": f"{_MONTHS[today.month - 1]}{today.day}",
            "multianimalproject": self._is_multi,
            "identity": False,
            "project_path": str(self._location),
            "video_sets": videos,
            **bodyparts,
            "start": 0,
            "stop": 1,
            "numframes2pick": 20,
            "skeleton": limbs,
            "skeleton_color": "black",
            "pcutoff": 0.6,
            "dotsize": 12,
            "alphavalue": 0.7,
            "colormap": "rainbow",
            "TrainingFraction": [0.95],
            "iteration": 0,
            "default_net_type": "resnet_50",
            "default_augmenter": "default",
            "snapshotindex": -1,
            "batch_size": 8,
            "cropping": False,
            "x1": 0,
            "x2": 640,
            "y1": 277,
            "y2": 624,
            "corner2move2": [50, 50],
            "move2corner": True,
        }
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        (self._folder / "config.yaml").write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _folder_name(parts: Sequence[str]) -> str:
    """A name for the folder of images with this path: its last part, without what all data sets call their folders."""
    named = [part for part in parts if part not in ("/", ".", "..", LABEL_FOLDER, "images") and not part.endswith(":")]
    return "_".join(named) or "images"


def _last_frames(frames: Iterable[Frame]) -> dict[int, int]:
    last: dict[int, int] = {}
    for frame in frames:
        last[frame.media] = max(last.get(frame.media, 0), frame.index)
    return last
