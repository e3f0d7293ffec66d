"""Label files into a project, once: opening a file again adds nothing, opening a changed file adds what is new.

A file is imported directly into an empty project. Otherwise it becomes a draft, a project in a temporary folder, which
:class:`~poseapp.project.label_update.update.LabelUpdate` compares with the project.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Cancelled, PoseError
from engine.formats.deeplabcut.folder import label_files
from engine.formats.registry import format_named
from engine.utils.context import Context
from poseapp.project.formats.coco.archive import SECTION_GRIDS, CocoArchive
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.formats.datasets import import_dataset
from poseapp.project.formats.deeplabcut.importer import import_dlc
from poseapp.project.formats.image_files import find_images
from poseapp.project.formats.label_files import COCO, DATASET, DLC, SLEAP
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.formats.report import ImportReport, LabelOffer, ProgressCallback
from poseapp.project.formats.sleap.importer import import_sleap
from poseapp.project.importing import import_labels
from poseapp.project.label_update.archive import image_ids, record_keys
from poseapp.project.label_update.sources import (
    LabelSource,
    SourceRecord,
    SourceTable,
    digest_of,
    pose_digest,
    size_and_time,
    track_of_row,
)
from poseapp.project.label_update.update import LabelUpdate, UpdateReport
from poseapp.project.relink.video_cache import project_cache
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

_FITTED = "fitted/"
"""Numbers of a project under this and the id of a label file: images whose labels were turned or scaled."""


class UnreadableLabels(Exception):
    """A label file cannot be read; ``reason`` says why."""

    def __init__(self, reason: PoseError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True)
class LabelImport:
    """One run of opening label files.

    Attributes:
        take_changes: take in what a file that was imported before has new; False: offer it in the report.
        asked_for: a person has named this file, and not only the folder or the project; then it is taken in also where
            its poses land in frames that have poses already, and offered again after "no".
        progress: called now and then with records done and in all; what it raises stops the import.
        label_size: what is done with labels that were made on pictures of another size or orientation, the first time
            that a file comes in; later it is done as then.
        preview: change nothing; the report has an offer that says what would be done.
        take_conflicts: what the file and a person have changed becomes as it is in the file.
    """

    store: ProjectStore
    take_changes: bool = True
    asked_for: bool = True
    progress: ProgressCallback | None = None
    label_size: LabelSize = LabelSize.KEEP
    preview: bool = False
    take_conflicts: bool = False

    def run(self, path: Path, kind: str) -> ImportReport:
        """Bring the labels of a file (or of a folder of DeepLabCut) into the project, as far as they are new.

        Raises:
            PoseError: they cannot be read or understood, or the project cannot be written; nothing was changed. A file
                whose labels the project has already is not needed to open it: its errors go into the report.
        """
        files = label_files(path) if kind == DLC and path.is_dir() else [path]
        table = SourceTable(self.store)
        before = [table.find(file) for file in files]
        known = [source for source in before if source is not None]
        if not known and not self.preview and not self._has_poses() and not table.all():
            return self._import_directly(path, kind, files)
        try:
            is_unchanged = len(known) == len(files) and all(self._is_unchanged(s, f) for s, f in zip(known, files))
            if known and is_unchanged and not self.take_conflicts:
                return ImportReport(notes=[f"{path.name} is unchanged since it was imported; nothing was added"])
            return self._update(path, kind, files, known)
        except UnreadableLabels as error:
            if known or not table.all():
                return ImportReport(
                    problems=[f"The file cannot be read now, so its labels stay as they are: {error.reason}"]
                )
            raise error.reason from None

    def _import_directly(self, path: Path, kind: str, files: Sequence[Path]) -> ImportReport:
        try:
            with self.store.database.write():
                return _read(self.store, self.store, path, kind, files, self.progress, self.label_size)
        finally:
            self.store.imported()

    def _update(self, path: Path, kind: str, files: Sequence[Path], known: Sequence[LabelSource]) -> ImportReport:
        with (
            tempfile.TemporaryDirectory(prefix="poseapp-labels-") as folder,
            ProjectStore.create(Path(folder) / "draft.pose") as draft,
        ):
            with draft.database.write():
                label_size = self._earlier_size(known) if known else self.label_size
                try:
                    report = _read(draft, self.store, path, kind, files, self.progress, label_size)
                except (Cancelled, LabelSizesDiffer):
                    raise
                except PoseError as error:
                    raise UnreadableLabels(error) from error
            draft.imported()
            title = f"{'Update from' if known else 'Import'} {path.name}"
            update = LabelUpdate(self.store, draft, title, take_conflicts=self.take_conflicts)
            counts = update.report
            if self.preview:
                return ImportReport(offers=[_previewed(path, counts, report, label_size)])
            changed = [s for s in SourceTable(draft).all() if _differs(s, known)]
            offer = self._offer(path, update, known, changed)
            if offer is not None:
                return ImportReport(offers=[offer])
            if not self.take_changes and known and changed and self._is_declined(known, changed):
                return ImportReport()
            update.apply()
            self._remember_fitted(draft)
        text = _summary(path, update, known, changed)
        return ImportReport(
            images=counts.images + counts.video_frames,
            annotations=update.report.added,
            problems=[*([text] if text and known else []), *update.report.remarks(), *report.problems],
            notes=[] if text and known else [text] if text else [],
            left_out=report.left_out,
        )

    def _offer(
        self, path: Path, update: LabelUpdate, known: Sequence[LabelSource], changed: Sequence[LabelSource]
    ) -> LabelOffer | None:
        """What a person is to be asked; None where there is nothing to ask."""
        counts = update.report
        if not counts.changes_project and not counts.conflicts:
            return None
        if known and changed:
            if self.take_changes or self._is_declined(known, changed):
                return None
            text = f"{path.name} changed since it was imported: {counts.summary()}"
            if counts.conflicts:
                text += f"; {len(counts.conflicts):,} changed in the file and here stay as they are here"
            return LabelOffer((path,), text, changed[0].digest)
        if not known and not self.asked_for and counts.crowded:
            return LabelOffer((path,), f"{path.name} is not in the project: {counts.summary()}")
        return None

    def _is_declined(self, known: Sequence[LabelSource], changed: Sequence[LabelSource]) -> bool:
        """Whether a person has said no to just this content, and does not ask for it now."""
        return not self.asked_for and {source.digest for source in changed} <= {source.declined for source in known}

    def _remember_fitted(self, draft: ProjectStore) -> None:
        """Take over from a draft which of its label files were fitted to the images."""
        table = SourceTable(self.store)
        for source in SourceTable(draft).all():
            fitted = draft.database.meta(f"{_FITTED}{source.id}")
            own = table.find(source.path) if fitted else None
            if own is not None:
                with self.store.database.write():
                    self.store.database.set_meta(f"{_FITTED}{own.id}", fitted)

    def _earlier_size(self, known: Sequence[LabelSource]) -> LabelSize:
        """How the labels of a file were taken when it came in."""
        archive = CocoArchive(self.store.database)
        archive_ids = [source.archive for source in known if source.archive is not None]
        if any(self.store.database.meta(f"{_FITTED}{source.id}") for source in known):
            return LabelSize.FIT
        fitted = any(True for archive_id in archive_ids for _ in archive.records(archive_id, SECTION_GRIDS))
        return LabelSize.FIT if fitted else LabelSize.KEEP

    def _has_poses(self) -> bool:
        return self.store.database.row("SELECT 1 FROM instance LIMIT 1") is not None or bool(
            CocoArchive(self.store.database).files()
        )

    def _is_unchanged(self, source: LabelSource, file: Path) -> bool:
        """Whether a file has the content that was imported, and nothing that was missing has come since."""
        try:
            if digest_of(file) != source.digest:
                return False
        except PoseError as error:
            raise UnreadableLabels(error) from error
        if source.complete:
            return True
        return source.archive is not None and not self._has_come(source, file)

    def _has_come(self, source: LabelSource, file: Path) -> bool:
        """Whether an image of a COCO file that was missing is there now, or a video of it may be."""
        if source.archive is None:
            return True
        missing: list[str] = []
        for key in image_ids(self.store, source.archive).values():
            if not os.path.exists(self.store.frame_path(key)):
                missing.append(self.store.frame(key).name)
        blocks = CocoArchive(self.store.database).blocks(source.archive, "images")
        if missing and any(b'"frame_index"' in raw for _, records in blocks for raw in records):
            return True
        return bool(missing) and len(find_images(missing, file).missing) < len(missing)


def _previewed(path: Path, counts: UpdateReport, report: ImportReport, label_size: LabelSize) -> LabelOffer:
    """What an import would do."""
    rows = (
        ("New images", counts.images),
        ("New video frames", counts.video_frames),
        ("New poses", counts.added),
        ("New poses in frames that have poses already", counts.crowded),
        ("Poses that only the file has changed", counts.changed),
        ("Poses that differ in the file and in the project", len(counts.conflicts)),
        ("Equal poses", counts.same),
        ("Poses that the file does not have any more; they stay", counts.gone),
        ("Frames that are marked as empty or flagged", counts.marks),
        ("Labels whose image or video is missing; they wait for it", report.left_out),
        *((f"New category: {name}", 1) for name in counts.categories),
    )
    shown = tuple((text, count) for text, count in rows if count)
    rows_of_equal_poses = 1 if counts.same else 0
    has_news = len(shown) > rows_of_equal_poses
    remarks = tuple(report.problems)
    return LabelOffer((path,), counts.summary(), b"", shown, tuple(counts.conflicts), remarks, label_size, has_news)


def stale_sources(store: ProjectStore) -> list[LabelSource]:
    """Label files that may have something new for a project: by size and time, or because something was missing."""
    return [source for source in SourceTable(store).all() if source.path.exists() and _may_have_news(source)]


def _may_have_news(source: LabelSource) -> bool:
    if not source.complete:
        return True
    if source.path.is_file():
        return size_and_time(source.path) != (source.size, source.mtime)
    try:
        return digest_of(source.path) != source.digest  # of a folder that is sizes and times of its label files
    except PoseError:
        return False


def decline(store: ProjectStore, offer: LabelOffer) -> None:
    """A person does not want what an offer brings; it is not offered again until the file changes."""
    table = SourceTable(store)
    for path in offer.paths:
        for file in label_files(path) if path.is_dir() else [path]:
            source = table.find(file)
            if source is not None and file.exists():
                table.decline(source, digest_of(file))


def _read(
    store: ProjectStore,
    project: ProjectStore,
    path: Path,
    kind: str,
    files: Sequence[Path],
    progress: ProgressCallback | None,
    label_size: LabelSize,
) -> ImportReport:
    """Import into ``store``, an empty project or a draft for ``project``, and remember what came from which record."""
    first = store.new_ids(0).start
    cache = project_cache(project.path)
    readers: dict[str, Callable[[], ImportReport]] = {
        COCO: lambda: import_coco(store, path, progress=progress, cache=cache, label_size=label_size),
        DATASET: lambda: import_dataset(store, path, progress=progress),
        SLEAP: lambda: import_sleap(store, path, cache=cache, progress=progress, home=project.path.absolute().parent),
        DLC: lambda: import_dlc(store, path, cache=cache, progress=progress),
    }
    stamps = {file: (digest_of(file), *size_and_time(file)) for file in files}
    report = readers[kind]() if kind in readers else _read_with_format(store, project, path, kind, progress, label_size)
    poses: dict[int, tuple[int, int]] = {}
    for block in store.database.stream(f"{instance_rows.SELECT} WHERE id >= ?", (first,)):
        poses.update((int(row[0]), (pose_digest(row), track_of_row(row))) for row in block)
    table = SourceTable(store)
    archive = None
    tracks = dict(report.tracks)
    if kind in (COCO, DATASET):
        file = CocoArchive(store.database).files()[-1]
        archive, tracks = file.id, {**file.tracks}
        report.records[path] = [(key, instance) for instance, key in record_keys(store, archive)]
        report.left_out += sum(not os.path.isfile(store.frame_path(frame.key)) for frame in store.frames())
    for file_path in files:
        digest, size, mtime = stamps[file_path]
        source = LabelSource(
            Path(os.path.abspath(file_path)), kind, digest, size, mtime, not report.left_out, None, tracks, archive
        )
        records = report.records.get(file_path, ())
        source_id = table.put(
            source, (SourceRecord(key, index, *poses[index]) for key, index in records if index in poses)
        )
        if report.fitted:
            store.database.set_meta(f"{_FITTED}{source_id}", report.fitted)
    return report


def _read_with_format(
    store: ProjectStore,
    project: ProjectStore,
    path: Path,
    format_name: str,
    progress: ProgressCallback | None,
    label_size: LabelSize,
) -> ImportReport:
    """Import a file of any other registered format."""
    context = Context.from_callback(progress)
    cache, home = project_cache(project.path), project.path.absolute().parent
    with format_named(format_name).read(path, context) as labels:
        return import_labels(
            store, labels, source=format_name, cache=cache, home=home, context=context, label_size=label_size
        )


def _differs(source: LabelSource, known: Sequence[LabelSource]) -> bool:
    """Whether the content of a file is another than at its last import."""
    return all(source.digest != other.digest for other in known)


def _summary(path: Path, update: LabelUpdate, known: Sequence[LabelSource], changed: Sequence[LabelSource]) -> str:
    counts = update.report
    if known and changed:
        return f"{path.name} changed since it was imported: {counts.summary()}"
    if known:
        return (
            f"{path.name}: {counts.summary()}, for images or videos have come that were missing"
            if counts.changes_project
            else ""
        )
    if counts.same:
        return f"{path.name}: {counts.same:,} poses were in the project already; {counts.summary()}"
    return ""
