"""The status bar: current frame, running jobs, model and device, save state."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QLabel, QStatusBar, QToolButton

from engine.errors import PoseError
from engine.models.catalog import find_model
from poseapp.app.i18n import tr
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.panels.job_tray import JobTray
from poseapp.session.playback import Player
from poseapp.session.session import Session


class StatusLine(QObject):
    """Fills a status bar and keeps it up to date. ``model`` is a button that opens the list of models."""

    def __init__(self, bar: QStatusBar, session: Session, loader: FrameLoader, tray: JobTray, playback: Player) -> None:
        super().__init__(bar)
        self._session, self._playback = session, playback
        self._model = ""
        bar.setSizeGripEnabled(False)
        self.place, self.saved = QLabel(), QLabel()
        self.place.setProperty("role", "soft")
        self.saved.setProperty("role", "soft")
        for label in (self.place, self.saved):
            label.setContentsMargins(8, 0, 8, 0)
        self.place.setTextFormat(Qt.TextFormat.PlainText)
        self.model = QToolButton()
        self.model.setProperty("role", "status")
        self.model.setAccessibleName(tr("Model in use"))
        self.model.setToolTip(tr("The model that Run uses. Click to choose another."))
        bar.addWidget(self.place)
        bar.addPermanentWidget(tray)
        bar.addPermanentWidget(self.model)
        bar.addPermanentWidget(self.saved)
        session.frame_changed.connect(self.show_place)
        playback.shown.connect(self.show_place)
        loader.loaded.connect(self.show_place)  # the size of a picture is known once it has been read
        session.project_changed.connect(self.show_saved)
        session.chunked_edits.working.connect(self.show_working)
        session.changed.connect(lambda _change: self.show_place())

    def show_place(self, *_: object) -> None:
        info = self._session.frame_info(self._playback.frame)
        if info is None:
            self.place.setText("")
            return
        size = f"   {info.width} × {info.height}" if info.width else ""
        store = self._session.store
        video = None if store is None else next((m for m in store.media() if m.id == info.key.media), None)
        if video is not None and video.kind == "video":  # counted from 0, as in all files that are written
            self.place.setText(tr(f"{Path(video.path).name}{size}   frame {info.key.index:,}"))
            return
        count = len(self._session.frames)
        self.place.setText(tr(f"{info.name}{size}   {self._session.position(info.key) + 1:,} of {count:,}"))

    def show_saved(self) -> None:
        if self._session.store is None:
            self.saved.setText("")
        else:
            self.saved.setText(tr("Read only" if self._session.read_only else "All changes saved"))

    def show_working(self, text: str) -> None:
        """Show the pending work instead of the save state; "" for none."""
        if text:
            self.saved.setText(tr(text))
        else:
            self.show_saved()

    def show_model(self, model: str, device: str) -> None:
        """``device`` is "" until a model has been loaded."""
        if model != self._model:
            self._model = model
            try:
                self._title = find_model(model).title
            except PoseError:
                self._title = f"{model} (not found)"
        self.model.setText(tr(f"{self._title}  ·  {device}" if device else self._title))
