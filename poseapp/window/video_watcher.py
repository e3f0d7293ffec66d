"""The files behind the videos of the open project: another one is noticed, and labelled frames can be known again."""

from __future__ import annotations

import contextlib
from typing import Any

from PySide6.QtCore import QObject

from engine.errors import PoseError
from engine.media.alignment.fingerprint import Fingerprint
from engine.media.alignment.matching import gray_picture
from engine.media.video.index.folder import index_home, use_index_home
from engine.media.video.index.index import content_key
from poseapp.commands import relink
from poseapp.commands.context import Context
from poseapp.jobs.check_videos import VideoCheck
from poseapp.jobs.video_relink import FramePicturesJob
from poseapp.project.model import Change, FrameKey
from poseapp.project.relink.fingerprints import fingerprints
from poseapp.project.relink.frame_images import frames_without_picture, has_picture, keep_pictures
from poseapp.project.relink.video_cache import project_cache
from poseapp.project.store import ProjectStore
from poseapp.window.project_opener import ProjectOpener

PICTURES_AT_ONCE = 64


class VideoWatcher(QObject):
    """Asks what to do about a video that is another file now, and keeps a small picture of each labelled frame: by
    these the frames are found in whatever file comes in its place.
    """

    def __init__(self, context: Context, opener: ProjectOpener, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context, self._session = context, context.session
        self._shown: tuple[FrameKey, Any] | None = None
        self._keys: dict[int, str] = {}
        self._session.media_changed.connect(self._on_media)
        self._session.project_changed.connect(self._on_project)
        self._session.changed.connect(self._on_change)
        context.loader.loaded.connect(self._on_loaded)
        opener.checked.connect(self._on_checked)

    def _on_project(self) -> None:
        path = self._session.path
        use_index_home(None if path is None else project_cache(path))
        self._forget()

    def _forget(self) -> None:
        self._shown = None
        self._keys.clear()

    def _on_media(self) -> None:
        """Other files: what has been read of the old ones is of no use."""
        self._forget()
        self._context.loader.clear()
        store = self._session.store
        if store is None:
            return
        files = {media.id: media.path for media in store.media()}
        for media, text in fingerprints(store).items():
            with contextlib.suppress(PoseError, ValueError, KeyError):
                key = Fingerprint.from_text(text).key
                if content_key(files[media]) == key:
                    self._keys[media] = key

    def _on_checked(self, check: VideoCheck) -> None:
        store = self._session.store
        if store is None:
            return
        if check.differs and not store.read_only:
            relink.offer(self._context, check)
        elif check.fits and check.kept == check.fingerprint and not store.read_only:
            self._keys[check.media] = Fingerprint.from_text(check.fingerprint).key
            self._take_pictures(store, check)

    def _take_pictures(self, store: ProjectStore, check: VideoCheck) -> None:
        """Of frames that were labelled elsewhere, some at each opening."""
        key = self._keys[check.media]
        missing = frames_without_picture(store, check.media, key, PICTURES_AT_ONCE)
        if not missing:
            return

        def keep(results: list[tuple[str, dict[int, Any]]]) -> None:
            if self._session.store is store:
                self._keep(
                    store, key, {index: picture for _, pictures in results for index, picture in pictures.items()}
                )

        self._context.runner.submit(FramePicturesJob(check.path, key, missing, index_home()), on_results=keep)

    def _on_loaded(self, key: FrameKey, pixels: Any) -> None:
        self._shown = (key, pixels)

    def _on_change(self, change: Change) -> None:
        """Keep the picture of a frame when it is labelled: it is on the screen, and costs nothing to speak of."""
        store, shown = self._session.store, self._shown
        if store is None or store.read_only or shown is None or shown[0] not in change.frames:
            return
        key, pixels = shown
        content = self._keys.get(key.media)
        if content is not None and store.frame_counts(key).labelled and not has_picture(store, content, key.index):
            self._keep(store, content, {key.index: gray_picture(pixels)})

    @staticmethod
    def _keep(store: ProjectStore, content: str, pictures: dict[int, Any]) -> None:
        try:
            keep_pictures(store, content, pictures)
        except PoseError:
            return  # a full disk is told of by the label itself
