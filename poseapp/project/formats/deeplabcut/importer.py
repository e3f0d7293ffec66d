"""DeepLabCut labels (``CollectedData_*.csv`` or ``.h5``) into a project: one animal or several, paths of Windows too.

Tables of analysed videos become predictions on the video beside them.

Coordinates are taken as they are: DeepLabCut counts pixels as this program does. A missing coordinate is an absent
point. Rows whose image does not exist are left out and told of. Points are known by their names: tables with the points
in another order, or with some more, are one category with all of them.
Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import ProjectError
from engine.formats.deeplabcut.categories import category_name, schema_of_points, share_keypoints, union
from engine.formats.deeplabcut.config import DlcConfig, read_config
from engine.formats.deeplabcut.folder import files_of_other_scorers, label_files, root_of
from engine.formats.deeplabcut.table import DlcTable, TableRow, read_table
from engine.media.image_finder import LOST, find_images
from poseapp.project.formats.deeplabcut.video_tables import import_predictions
from poseapp.project.formats.images import frames_of_images
from poseapp.project.formats.report import ImportReport, Problems, ProgressCallback
from poseapp.project.label_update.sources import SourceTable, unique_keys
from poseapp.project.label_update.update import point_order
from poseapp.project.model import ABSENT, VISIBLE, Category, FrameKey, Instance
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows


@dataclass(frozen=True)
class _Kind:
    """A category, and which point of the table each of its points is; None for one that the table has not."""

    category: Category
    order: tuple[int | None, ...]


def import_dlc(
    store: ProjectStore,
    path: Path | str,
    *,
    cache: Path | None = None,
    progress: ProgressCallback | None = None,
) -> ImportReport:
    """Add labels to a project; all of them or nothing.

    Args:
        path: a csv or h5 of labels or of an analysed video, or the folder of a DeepLabCut project, of which all labels
            are taken.
        cache: folder where indices of videos are kept.
        progress: called now and then with rows done and in all; what it raises stops the import.

    Raises:
        ProjectError: no labels there, or a file that is no label table.
    """
    path = Path(path)
    files = label_files(path) if path.is_dir() else [path]
    if not files:
        raise ProjectError("has no labels: no CollectedData_*.csv or .h5 below labeled-data", where=path)
    problems = Problems()
    for other in files_of_other_scorers(path) if path.is_dir() else ():
        where = str(other.relative_to(path))
        problems.add("Labels of another scorer, not read; open the file to add them", where, listed=True)
    tables = [read_table(file, problems, progress) for file in files]
    try:
        with store.database.write():
            report = _Import(store, tables, problems, cache).run(progress)
    finally:
        store.imported()
    report.problems = problems.sentences()
    return report


class _Import:
    """One run; within a transaction."""

    def __init__(self, store: ProjectStore, tables: Sequence[DlcTable], problems: Problems, cache: Path | None) -> None:
        self._store, self._tables, self._problems, self._cache = store, tables, problems, cache
        self._report = ImportReport()
        self._configs = {table.file: read_config(root_of(table.file) / "config.yaml") for table in tables}
        self._kinds: dict[tuple[Path, str], _Kind] = {}

    def run(self, progress: ProgressCallback | None) -> ImportReport:
        self._settle_categories()
        self._settle_tracks()
        done, total = 0, sum(len(table.rows) for table in self._tables)
        for table in self._tables:
            if progress is not None:
                progress(done, total)
            done += len(table.rows)
            if table.of_video:
                self._add_video(table)
            else:
                self._add_images(table, progress, done, total)
        self._store.database.set_meta("next_instance", self._store.new_ids(0).start)
        return self._report

    def _settle_categories(self) -> None:
        """One category for all tables with about the same points: the points of the first, then what others add."""
        unions: dict[str, list[list[str]]] = {}
        for table in self._tables:
            for individual, points in table.points.items():
                groups = unions.setdefault(category_name(table, individual), [])
                group = next((g for g in groups if share_keypoints(g, list(points))), None)
                if group is None:
                    groups.append(list(points))
                else:
                    group += [name for name in points if name not in group]
        for table in self._tables:
            for individual, points in table.points.items():
                name = category_name(table, individual)
                names = next(g for g in unions[name] if set(points) <= set(g))
                category = self._category(name, names, self._configs[table.file])
                index = {point: n for n, point in enumerate(points)}
                order = tuple(index.get(point) for point in category.schema.names)
                self._kinds[table.file, individual] = _Kind(category, order)

    def _category(self, name: str, names: Sequence[str], config: DlcConfig) -> Category:
        schema = schema_of_points(name, names, config)
        for category in self._store.categories():
            if category.name == name and point_order(schema, category.schema, True, False) is not None:
                more = union(category.schema, schema)
                if more.limbs != category.schema.limbs and set(names) == set(category.schema.names):
                    whole = msgspec.structs.replace(category.schema, limbs=more.limbs)
                    return self._store.update_category(category.id, schema=whole)
                return category
        return self._store.add_category(name, schema)

    def _settle_tracks(self) -> None:
        """Individuals are tracks in a video, and where the project says that they are the same in every image."""
        names: list[str] = []
        loose: list[str] = []
        for table in self._tables:
            tracked = len(table.points) > 1 if table.of_video else self._configs[table.file].identity
            listed = [name for name in table.points if name]
            (names if tracked else loose).extend(listed)
        self._report.tracks = {name: n for n, name in enumerate(dict.fromkeys(names))}
        SourceTable(self._store).name_tracks({number: name for name, number in self._report.tracks.items()})
        unnamed = [name for name in dict.fromkeys(loose) if name not in self._report.tracks and name != "single"]
        if unnamed:
            self._problems.add(
                "Individuals may be another animal in each image (identity in config.yaml); their names are left out",
                ", ".join(unnamed[:20]),
            )

    def _add_images(self, table: DlcTable, progress: ProgressCallback | None, done: int, total: int) -> None:
        frames = self._frames(table)
        records: list[tuple[str, int]] = []
        for number, row in enumerate(table.rows):
            if progress is not None and number % 200 == 199:
                progress(done - len(table.rows) + number, total)
            key = frames.get(row.name)
            for individual, points in table.points.items():
                if key is None:
                    pairs = points.values()
                    self._report.left_out += any(np.isfinite([row.values[x], row.values[y]]).all() for x, y in pairs)
                    continue
                instance = self._instance(table, row, individual, points)
                if instance is None:
                    continue
                self._store.database.run(instance_rows.INSERT, instance_rows.to_row(instance, key))
                records.append((f"{row.name}|{individual}", instance.id))
        self._report.annotations += len(records)
        self._report.images += len(set(frames.values()))
        self._keep_records(table, records)

    def _keep_records(self, table: DlcTable, records: Sequence[tuple[str, int]]) -> None:
        keys = unique_keys(key for key, _ in records)
        self._report.records[table.file] = list(zip(keys, (number for _, number in records)))

    def _instance(
        self, table: DlcTable, row: TableRow, individual: str, points: Mapping[str, tuple[int, int]]
    ) -> Instance | None:
        """None where no point of the individual is labelled."""
        kind = self._kinds[table.file, individual]
        places = np.array([[row.values[column] for column in pair] for pair in points.values()], np.float64)
        there = np.isfinite(places).all(axis=1)
        half = np.isfinite(places).any(axis=1) & ~there
        if half.any():
            where = f"{table.file.name}: {row.name} {list(points)[int(np.flatnonzero(half)[0])]}"
            self._problems.add("Point with x or y alone, left out", where, int(half.sum()), listed=True)
        if not there.any():
            return None
        source = np.array([-1 if n is None else n for n in kind.order])
        has = source >= 0
        seen = np.array(there)[source] & has
        return Instance(
            id=self._store.new_ids(1)[0],
            category=kind.category.id,
            keypoints=np.where(seen[:, None], places[source], 0.0),
            visibility=np.where(seen, VISIBLE, ABSENT).astype(np.uint8),
            by_human=seen.copy(),
            track=self._report.tracks.get(individual) if individual and self._configs[table.file].identity else None,
        )

    def _frames(self, table: DlcTable) -> dict[str, FrameKey]:
        """The frame of every image that exists, by its name in the table."""
        root = root_of(table.file)
        # An image whose row cannot be read is there all the same, without poses.
        names = [*(row.name for row in table.rows), *table.unread]
        found = find_images(names, [root, table.file.absolute().parent])
        for finding in found.findings:
            lost = finding.kind in LOST
            kind = "Image not found, its labels are left out" if lost else finding.kind.value
            self._problems.add(kind, finding.case)
        paths = {name: path for name, path in zip(names, found.paths) if path is not None}
        keys = frames_of_images(self._store, root, paths.values(), self._problems)
        return {name: keys[path] for name, path in paths.items() if path in keys}

    def _add_video(self, table: DlcTable) -> None:
        width = max((len(row.values) for row in table.rows), default=0)
        values = np.array([row.values for row in table.rows], np.float64).reshape(-1, width)
        people = {
            one: (
                self._kinds[table.file, one].category,
                {p: (x, y, table.likelihood.get((one, p))) for p, (x, y) in points.items()},
                self._report.tracks.get(one) if len(table.points) > 1 else None,
                self._kinds[table.file, one].order,
            )
            for one, points in table.points.items()
        }
        numbers = [int(row.name) for row in table.rows]
        source = table.scorer or "DeepLabCut"
        found, records = import_predictions(
            self._store, table.file, numbers, values, people, source, self._problems, cache=self._cache
        )
        self._report.images += found.images
        self._report.annotations += found.annotations
        self._keep_records(table, records)
