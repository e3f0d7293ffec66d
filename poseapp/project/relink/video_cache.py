"""The folder beside a project that holds the indices of its videos.

It can be thrown away at any time, and goes with the project when both are moved: then nothing is indexed anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from engine.errors import PoseError
from engine.media.alignment.fingerprint import Fingerprint
from engine.media.video.index.index import index_folder, index_path
from engine.utils.file_names import side_name
from engine.utils.files import replacing
from poseapp.project.relink.fingerprints import fingerprints
from poseapp.project.store import ProjectStore
from poseapp.project.tables.media_state import decode

_SUFFIX = ".videoindex"


def cache_folder(project: Path) -> Path:
    """``film.pose`` has ``film.pose-cache``."""
    return project.with_name(side_name(project.name, "-cache"))


def project_cache(project: Path) -> Path:
    """Where the indices of a project's videos are kept: beside it, or in the user's cache where that cannot be written.

    Nothing is made; the folder comes with the first index.
    """
    folder = cache_folder(project)
    with contextlib.suppress(OSError):
        if folder.is_dir() or not folder.exists():
            parent = folder if folder.is_dir() else project.parent
            if os.access(parent, os.W_OK | os.X_OK):
                return folder
    return index_folder()


def tend_cache(store: ProjectStore) -> None:
    """Bring over what the user's cache has of the project's videos, and remove indices that belong to none of them.

    Those of files that undo would bring back stay. Never fails: without an index a file is only read once more.
    """
    folder = project_cache(store.path)
    if folder != cache_folder(store.path):
        return
    try:
        keys = {key for text in _texts(store) if (key := _key(text))}
    except PoseError:  # damaged: nothing is known to be of no use
        return
    for key in keys:
        source, target = index_path(index_folder(), key), index_path(folder, key)
        with contextlib.suppress(OSError):
            if not target.exists() and source.exists():
                _copy(source, target)
    with contextlib.suppress(OSError):
        for file in folder.glob(f"*{_SUFFIX}*"):
            if file.name.removesuffix(_SUFFIX) not in keys:
                file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _texts(store: ProjectStore) -> list[str]:
    """Fingerprints of all files that the videos of a project are, were, or may be again."""
    texts = list(fingerprints(store).values())
    if store.database.rows("SELECT 1 FROM sqlite_master WHERE name = 'step_media'"):
        for before, after in store.database.rows("SELECT before, after FROM step_media"):
            texts += [decode(before).fingerprint, decode(after).fingerprint]
    return texts


def _key(text: str) -> str:
    try:
        return Fingerprint.from_text(text).key
    except ValueError:
        return ""


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
