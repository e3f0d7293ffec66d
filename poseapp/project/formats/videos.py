"""Videos into a project: one media, with all of its frames."""

from __future__ import annotations

from pathlib import Path

from engine.media.alignment.fingerprint import fingerprint
from engine.media.source import open_media
from poseapp.project.model import Media
from poseapp.project.relink.fingerprints import keep_fingerprint
from poseapp.project.store import ProjectStore
from poseapp.project.tables.media_state import frame_name


def find_video(store: ProjectStore, path: Path | str) -> Media | None:
    """The media of a video that the project already has, else None."""
    absolute = Path(path).absolute()
    return next((m for m in store.media() if m.kind == "video" and Path(m.path) == absolute), None)


def import_video(store: ProjectStore, path: Path | str, *, cache: Path | None = None) -> Media:
    """Add a video with all of its frames; a video that the project already has is not added again.

    Args:
        cache: folder where the index of the video is kept.

    Raises:
        MediaError: it is missing, not a video, or nothing in it can be decoded.
    """
    known = find_video(store, path)
    if known is not None:
        return known
    with open_media(path, cache=cache) as source:
        count, (width, height) = source.frame_count, source.size
        mark = fingerprint(source).to_text()
    with store.database.write():
        media = store.add_media("video", Path(path))
        store.add_frames(media.id, [(frame_name(n), width, height) for n in range(count)])
        keep_fingerprint(store, media.id, mark)
    return media
