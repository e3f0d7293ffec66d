"""Opening what a person points at: the slow part in the background, and what is open stays until the new is ready."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.errors import PoseError
from engine.media.source import has_frames
from poseapp.app.reports import Report
from poseapp.app.settings import Settings
from poseapp.jobs.base import Outcome
from poseapp.jobs.check_videos import CheckVideosJob, VideoCheck
from poseapp.jobs.opening import Opened, OpenJob, PreviewLabelsJob
from poseapp.jobs.runner import JobRunner
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.formats.report import LabelOffer
from poseapp.project.model import FrameKey
from poseapp.project.relink.fingerprints import fingerprints
from poseapp.project.storage.writer_lock import InUseError
from poseapp.project.store import ProjectStore
from poseapp.session.session import Session


class ProjectOpener(QObject):
    """Puts projects into the session.

    Signals:
        told(text, kind): what went wrong, or what is worth knowing of what was opened.
        reported(Report): what was odd about the labels and pictures that came in.
        size_asked(LabelSizesDiffer, callable): labels were made on pictures of another size; the callable takes the
            answer, a LabelSize.
        offered(tuple of LabelOffer): label files of which a person must say whether they are taken in.
        previewed(LabelOffer, Path): what importing a path would do; :meth:`import_labels` does it.
        imported(int, str): labels came in; the number of the report in the project, and its title.
        checked(VideoCheck): a video of the project that has just been opened was compared with what was labelled.
        replacing(): another project is about to be shown; pictures of the one before can be forgotten.
    """

    told = Signal(str, str)
    reported = Signal(object)
    imported = Signal(int, str)
    offered = Signal(object)
    previewed = Signal(object, object)
    size_asked = Signal(object, object)
    checked = Signal(object)
    replacing = Signal()

    def __init__(self, session: Session, runner: JobRunner, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._runner, self._settings = session, runner, settings
        session.closing.connect(self._keep_frame)

    def _keep_frame(self) -> None:
        path, frame = self._session.path, self._session.frame
        if path is not None and frame is not None:
            self._settings.keep_last_frame_of(path, frame.media, frame.index)

    def open(self, paths: Iterable[Path | str]) -> None:
        """Open pictures, folders, labels or a project."""
        from poseapp.project.opening import project_path  # with all importers: not needed to show the window

        requested = [Path(path) for path in paths]
        missing = [path for path in requested if not os.path.exists(path)]
        if missing or not requested:
            self.told.emit(f"{missing[0] if missing else 'Nothing'}: there is no such file or folder", "error")
            return
        current = self._session.path
        if len(requested) == 1 and _is_same(requested[0], current):
            return
        is_open = current is not None and current in (*requested, project_path(requested))
        if current is not None and is_open and not (len(requested) == 1 and has_frames(requested[0])):
            self._take_in(current, requested)
            return
        self._start(requested, current)

    def _start(self, requested: list[Path], current: Path | None, label_size: LabelSize = LabelSize.ASK) -> None:
        def ended(outcome: Outcome) -> None:
            if isinstance(outcome.error, LabelSizesDiffer):
                self.size_asked.emit(outcome.error, lambda answer: self._start(requested, current, answer))
            else:
                self._ended(outcome)

        self._runner.submit(
            OpenJob(requested, current, label_size=label_size), on_results=self._ready, on_finished=ended
        )

    def _take_in(
        self,
        current: Path,
        requested: list[Path],
        *,
        take_changes: bool = False,
        label_size: LabelSize = LabelSize.ASK,
        take_conflicts: bool = False,
    ) -> None:
        """More pictures, videos and labels for the open project: it is closed while they come in, then shown where one
        was."""
        frame = self._session.frame
        self._session.close()

        def ready(results: list[Any]) -> None:
            self._ready(results)
            if frame is not None and self._session.path == current:
                self._session.go_to(frame)

        def go_on(answer: LabelSize) -> None:
            if self._session.path == current:
                self._take_in(current, requested, take_changes=take_changes, label_size=answer)

        def ended(outcome: Outcome) -> None:
            if isinstance(outcome.error, LabelSizesDiffer):
                self.size_asked.emit(outcome.error, go_on)
            else:
                self._ended(outcome)
            if not outcome.ok and self._session.path is None and not self._runner.is_shut_down:
                self.open([current])

        others = [path for path in requested if path != current]
        job = OpenJob(
            [current, *others], take_changes=take_changes, label_size=label_size, take_conflicts=take_conflicts
        )
        self._runner.submit(job, on_results=ready, on_finished=ended)

    def _ready(self, results: list[Any]) -> None:
        """Show what was opened. A window that is closing shows nothing more; the project is complete on the disk."""
        if self._runner.is_shut_down:
            return
        for result in results:
            self._take(result)

    def _ended(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.told.emit(str(outcome.error), "error")

    def _take(self, opened: Opened) -> None:
        if _is_same(opened.path, self._session.path):
            self._session.structure_changed()
        else:
            store = self._store(opened.path)
            if store is None:
                return
            self.replacing.emit()
            if not self._show(store):
                return
            left_at = self._settings.last_frame_of(opened.path)
            if left_at is not None:
                self._session.go_to(FrameKey(*left_at))
            self._settings.add_recent(opened.path)
            self._check_videos(store)
            if store.database.remarks:
                remarks = tuple(store.database.remarks)
                self.reported.emit(Report(f"Opening {opened.path.name}", f"{opened.path.stem} is open.", remarks))
        title = f"Import of {opened.source or opened.path.name}"
        if opened.problems:
            report = Report(title, f"{opened.path.stem} is open.", opened.problems, project=opened.path)
            self.reported.emit(report)
        if opened.report and opened.poses:
            self.imported.emit(opened.report, title)
        for note in opened.notes:
            self.told.emit(note, "info")
        if opened.offers and not self._session.read_only:
            self.offered.emit(opened.offers)

    def preview_labels(self, path: Path, label_size: LabelSize = LabelSize.ASK) -> None:
        """Find out what importing labels into the open project would do, and say so."""
        current = self._session.path
        if current is None:
            return
        self._session.chunked_edits.finish()

        def ready(results: list[Any]) -> None:
            for report in results:
                if self._session.path != current:
                    return
                if not report.offers:
                    for text in (*report.problems, *report.notes):
                        self.told.emit(text, "info")
                for offer in report.offers:
                    self.previewed.emit(offer, path)

        def ended(outcome: Outcome) -> None:
            if isinstance(outcome.error, LabelSizesDiffer):
                self.size_asked.emit(outcome.error, lambda answer: self.preview_labels(path, answer))
            else:
                self._ended(outcome)

        self._runner.submit(PreviewLabelsJob(current, path, label_size), on_results=ready, on_finished=ended)

    def import_labels(self, path: Path, label_size: LabelSize, *, take_conflicts: bool) -> None:
        """Import labels into the open project, as one step of the history."""
        current = self._session.path
        if current is not None and not self._session.read_only:
            self._take_in(current, [path], take_changes=True, label_size=label_size, take_conflicts=take_conflicts)

    def take_offers(self, offers: Sequence[LabelOffer]) -> None:
        """Take in what a person was asked about."""
        current = self._session.path
        if current is not None:
            self._take_in(current, [path for offer in offers for path in offer.paths], take_changes=True)

    def decline_offers(self, offers: Sequence[LabelOffer]) -> None:
        """Leave it, and do not ask again until the files change."""
        store = self._session.store
        if store is not None:
            from poseapp.project.formats.label_import import decline

            try:
                for offer in offers:
                    decline(store, offer)
            except PoseError as error:
                self.told.emit(str(error), "warning")

    def _show(self, store: ProjectStore) -> bool:
        """Show a project; one whose content cannot be read is closed again."""
        try:
            self._session.set_store(store)
        except PoseError as error:
            self.told.emit(str(error), "error")
            self._session.set_store(None)
            return False
        return True

    def _check_videos(self, store: ProjectStore) -> None:
        """Tell when a video is no longer the file that was labelled."""
        files = {media.id: Path(media.path) for media in store.media() if media.kind == "video"}
        items = [(media, files[media], text) for media, text in fingerprints(store).items() if media in files]

        def take(results: list[VideoCheck]) -> None:
            for result in results:
                if result.text:
                    self.told.emit(result.text, "warning")
                if self._session.store is store:
                    self.checked.emit(result)

        if items:
            self._runner.submit(CheckVideosJob(items), on_results=take)

    def retry_writing(self) -> None:
        """Open for writing what is shown read-only, once the other window has let go of it."""
        path, frame = self._session.path, self._session.frame
        if path is None or not self._session.read_only:
            return
        try:
            store = ProjectStore.open(path)
        except PoseError as error:
            self.told.emit(str(error), "warning")
            return
        self._session.set_store(store)
        if frame is not None:
            self._session.go_to(frame)

    def _store(self, path: Path) -> ProjectStore | None:
        try:
            return ProjectStore.open(path)
        except PoseError as error:
            try:
                store = ProjectStore.open(path, read_only=True)
            except PoseError:
                self.told.emit(str(error), "error")
                return None
            if isinstance(error, InUseError):
                why = f"{path.name} is open in another window; it is shown read-only here"
            else:
                why = f"{path.name} cannot be written; it is shown read-only here"
        self.told.emit(why, "warning")
        return store


def _is_same(path: Path, other: Path | None) -> bool:
    """Whether both name one file, also through links."""
    if other is None:
        return False
    try:
        return os.path.samefile(path, other)
    except OSError:
        return path == other
