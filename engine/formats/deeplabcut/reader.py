"""DeepLabCut's tables as labels: one animal or several, images that a person labelled, or an analysed video.

Coordinates are taken as they are: DeepLabCut counts pixels as this program does, in the stored pixels of a video. A
missing coordinate is an absent point. Keypoints are known by their names: tables with the keypoints in another order,
or with some more, are one category with all of them. Points with a likelihood (of an analysed video, or of images that
a network has seen) are predictions.

Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError, ProjectError
from engine.formats.deeplabcut.categories import categories_of
from engine.formats.deeplabcut.config import read_config
from engine.formats.deeplabcut.crop import crop_origin
from engine.formats.deeplabcut.folder import files_of_other_scorers, label_files, root_of, video_beside
from engine.formats.deeplabcut.table import DlcTable, TableRow, read_table
from engine.labels.model import ABSENT, IMAGES, VIDEO, VISIBLE, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.utils.context import INFO, Context

MIN_LIKELIHOOD = 0.1
"""Points below it are absent: a guess somewhere in the picture is not a label."""

_STEP = 200
_MAX_LISTED_NAMES = 20


@dataclass(frozen=True, eq=False)
class _Columns:
    """Where the keypoints of an individual's category stand in a table.

    Attributes:
        names: of the keypoints; "" for those that the individual lacks. has: whether it has them.
        xy: (K, 2) columns of x and y. likelihood: (K,) columns, -1 without one.
    """

    category: int
    names: list[str]
    has: npt.NDArray[np.bool_]
    xy: npt.NDArray[np.intp]
    likelihood: npt.NDArray[np.intp]


class DlcReader(LabelReader):
    """The labels of a csv or h5, or of all tables of a DeepLabCut project folder.

    Attributes:
        files: the label tables. video_files: those of analysed videos.

    Args:
        context: gets progress and findings; findings about points during the first pass over the instances.

    Raises:
        PoseError: there are no labels, or a file is not a label table.
    """

    def __init__(self, path: Path, context: Context | None = None) -> None:
        self.path = path
        self._context = context or Context()
        self.files = label_files(path) if path.is_dir() else [path]
        if not self.files:
            raise ProjectError("has no labels: no CollectedData_*.csv or .h5 below labeled-data", where=path)
        for other in files_of_other_scorers(path) if path.is_dir() else ():
            name = str(other.relative_to(path))
            self._context.report(name, "Labels of another scorer, not read; open the file to add them", listed=True)
        findings = self._context.findings
        self._tables = [read_table(f, findings, lambda _done, _total: self._context.progress(0)) for f in self.files]
        self.video_files = [table.file for table in self._tables if table.of_video]
        self._configs = {t.file: read_config(root_of(t.file) / "config.yaml", self._context) for t in self._tables}
        self._origins = {
            table.file: crop_origin(table.file, self._configs[table.file], self._context)
            for table in self._tables if table.of_video
        }  # fmt: skip
        self._categories = categories_of(self._tables, self._configs)
        self.categories = self._categories.categories
        self._name_tracks()
        self._index_frames()
        self._has_reported = False
        self._columns: dict[tuple[Path, str], _Columns] = {}

    def _name_tracks(self) -> None:
        """Named individuals are tracks; unique body parts ("single") are none, unless the project has identities."""
        names: dict[str, None] = {}
        unsure: dict[str, None] = {}
        for table in self._tables:
            has_identity = self._configs[table.file].identity
            named = [name for name in table.points if name and (has_identity or name != "single")]
            names.update(dict.fromkeys(named))
            if not table.of_video and not has_identity:
                unsure.update(dict.fromkeys(named))
        self.tracks = dict(enumerate(names))
        self._numbers = {name: track for track, name in self.tracks.items()}
        if unsure:
            self._context.report(
                ", ".join(list(unsure)[:_MAX_LISTED_NAMES]),
                "Individuals may be another animal in each image (identity in config.yaml)",
                "their names are kept as tracks",
                severity=INFO,
            )

    def _index_frames(self) -> None:
        media: dict[Media, int] = {}
        self._frames: dict[tuple[int, str], int] = {}
        self._files: list[Path] = []
        self._media: list[int] = []
        for table in self._tables:
            entry = Media(VIDEO, _video_of(table), stored_pixels=True) if table.of_video else _images_of(table)
            position = media.setdefault(entry, len(media))
            self._media.append(position)
            # An image whose row cannot be read still exists, without poses.
            for name in (*(row.name for row in table.rows), *table.unread):
                if (position, name) not in self._frames:
                    self._frames[position, name] = len(self._frames)
                    self._files.append(table.file)
        self.media = list(media)

    def frames(self) -> Iterator[Frame]:
        count: Counter[int] = Counter()
        for media, name in self._frames:
            if self.media[media].type == VIDEO:
                yield Frame("", media, int(name))
            else:
                yield Frame(name, media, count[media])
                count[media] += 1

    def source_file(self, frame: int) -> Path:
        return self._files[frame]

    def num_instances(self) -> int:
        return sum(len(table.rows) * len(table.points) for table in self._tables)

    def instances(self) -> Iterator[Instance]:
        context = Context() if self._has_reported else self._context
        self._has_reported = True
        seen: set[tuple[int, int, str]] = set()
        for table, media in zip(self._tables, self._media):
            for row_index, row in enumerate(table.rows):
                if row_index % _STEP == 0:
                    self._context.check_cancelled()
                frame = self._frames[media, row.name]
                for individual in table.points:
                    instance = self._instance(table, row, individual, frame, context)
                    if instance is None:
                        continue
                    pose = (frame, instance.category, individual)
                    if len(self._tables) > 1 and pose in seen:
                        where = f"{table.file.name}: {row.name}"
                        context.report(where, "Image that is labelled in another table too", "left out", listed=True)
                        continue
                    seen.add(pose)
                    yield instance

    def _columns_of(self, table: DlcTable, individual: str) -> _Columns:
        columns = self._columns.get((table.file, individual))
        if columns is None:
            category, order = self._categories.of[table.file, individual]
            points = list(table.points[individual].items())
            named = [None if position is None else points[position] for position in order]
            likelihood = [None if p is None else table.likelihood.get((individual, p[0])) for p in named]
            columns = self._columns[table.file, individual] = _Columns(
                category,
                names=["" if p is None else p[0] for p in named],
                has=np.array([p is not None for p in named], np.bool_),
                xy=np.array([(0, 0) if p is None else p[1] for p in named], np.intp),
                likelihood=np.array([-1 if column is None else column for column in likelihood], np.intp),
            )
        return columns

    def _instance(
        self, table: DlcTable, row: TableRow, individual: str, frame: int, context: Context
    ) -> Instance | None:
        """None if no point of the individual is labelled."""
        columns = self._columns_of(table, individual)
        xy = row.values[columns.xy]
        if table.file in self._origins:
            xy = xy + self._origins[table.file]
        is_finite = np.isfinite(xy)
        both: npt.NDArray[np.bool_] = is_finite[:, 0] & is_finite[:, 1]
        present = both & columns.has
        partly = (is_finite[:, 0] ^ is_finite[:, 1]) & columns.has
        if partly.any():
            where = f"{table.file.name}: {row.name} {columns.names[int(np.flatnonzero(partly)[0])]}"
            context.report(where, "Point with x or y alone, left out", count=int(partly.sum()), listed=True)
        if not present.any():
            return None
        keypoints = np.where(present[:, None], xy, 0.0)
        key = f"{row.name}|{individual}"
        track = self._numbers.get(individual)
        if not (table.of_video or table.likelihood):
            visibility = np.where(present, VISIBLE, ABSENT).astype(np.uint8)
            return Instance(frame, columns.category, keypoints, visibility, track=track, key=key)
        likelihood = np.where(columns.likelihood < 0, 1.0, row.values[columns.likelihood])
        scores = np.where(present & np.isfinite(likelihood), likelihood, 0.0).clip(0, 1)
        seen = present & (scores >= MIN_LIKELIHOOD)
        if not seen.any():
            where = f"{table.file.name}: {row.name} {individual}".rstrip()
            context.report(where, f"Individual without a likelihood of {MIN_LIKELIHOOD:g} or more", "left out",
                           severity=INFO)  # fmt: skip
            return None
        return Instance(
            frame,
            columns.category,
            keypoints,
            np.where(seen, VISIBLE, ABSENT).astype(np.uint8),
            scores=scores,
            score=float(scores[seen].mean()),
            track=track,
            is_prediction=True,
            source=table.scorer or "DeepLabCut",
            key=key,
        )


def _images_of(table: DlcTable) -> Media:
    return Media(IMAGES, str(root_of(table.file)))


def _video_of(table: DlcTable) -> str:
    """The video beside the table, else the name that it probably has."""
    try:
        return str(video_beside(table.file))
    except PoseError:
        stem = table.file.stem
        return f"{stem.split('DLC_')[0] or stem}.mp4"
