"""Images and folders of images into a project. Sizes stay unknown until an image is first shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from engine.errors import MediaError, ProjectError
from engine.media.images import image_size, is_image, list_image_names
from engine.media.pages import CHECKED_IN_FOLDERS, remark
from poseapp.project.formats.report import ImportReport, Problems
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore

# Files of a folder of which the number of pages is checked.
_MAX_CHECKED = 5000


def import_folder(store: ProjectStore, folder: Path | str, recursive: bool = True) -> ImportReport:
    """Add the images of a folder in natural order; images that the project already has are not added again.

    Raises:
        ProjectError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ProjectError("is not a folder", where=folder)
    root = Path(os.path.abspath(folder))
    return _add(store, root, list_image_names(root, recursive), Problems())


def import_images(store: ProjectStore, paths: Iterable[Path | str]) -> ImportReport:
    """Add single images, below their common folder; paths that are missing or not images are reported.

    Raises:
        ProjectError: none of them is an image.
    """
    problems = Problems()
    images: list[Path] = []
    for path in map(Path, paths):
        if not is_image(path):
            problems.add("Not an image", str(path))
        elif not path.is_file():
            problems.add("Image not found", str(path))
        else:
            images.append(path)
    if not images:
        raise ProjectError("no images to add" + "".join(f"; {text}" for text in problems.sentences()))
    root = _common_folder(images)
    return _add(store, root, [_name(os.path.abspath(path), root) for path in images], problems)


def frames_of_images(
    store: ProjectStore, root: Path, paths: Iterable[Path], problems: Problems
) -> dict[Path, FrameKey]:
    """The frames of images, wherever the project has them; new ones are added below ``root``.

    Images that cannot be read are reported and left out.
    """
    requested = {os.path.normpath(os.path.abspath(path)): path for path in paths}
    known = {
        os.path.normpath(os.path.join(media.path, frame.name)): frame.key
        for media in store.media()
        if media.kind == "images"
        for frame in store.frames(media.id)
    }
    sizes: dict[str, tuple[str, int, int]] = {}
    for location, path in requested.items():
        if location not in known:
            try:
                sizes[location] = (_name(location, root), *image_size(path))
            except MediaError as error:
                problems.add("Image cannot be read, its labels are left out", str(error))
    if sizes:
        media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root), None)
        media_id = store.add_media("images", root).id if media is None else media.id
        known.update(zip(sizes, store.add_frames(media_id, list(sizes.values()))))
    return {path: known[location] for location, path in requested.items() if location in known}


def _add(store: ProjectStore, root: Path, names: Iterable[str], problems: Problems) -> ImportReport:
    """Add images by their names below ``root``. Works on strings, not paths: a folder may hold 200,000 images."""
    known = {_location(m.path, name) for m in store.media() for name in store.frame_names(m.id)}
    new = [name for name in dict.fromkeys(names) if _location(str(root), name) not in known]
    if new:
        media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root), None)
        note_pages((os.path.join(root, name) for name in new), problems)
        with store.database.write():
            media_id = store.add_media("images", root).id if media is None else media.id
            store.add_frames(media_id, [(name, 0, 0) for name in new])
    return ImportReport(images=len(new), problems=problems.sentences())


def note_pages(paths: Iterable[str | Path], problems: Problems) -> None:
    """Report files that hold several images."""
    candidates = (path for path in paths if os.path.splitext(path)[1].lower() in CHECKED_IN_FOLDERS)
    for path in islice(candidates, _MAX_CHECKED):
        sentence = remark(path)
        if sentence is not None:
            problems.add(f"File {sentence}", os.path.basename(path))


def _location(root: str, name: str) -> str:
    """Path of an image, for comparison."""
    if os.path.isabs(name) or ".." in name:
        return os.path.abspath(os.path.join(root, name))
    return os.path.join(root, name.replace("/", os.sep))


def _name(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:  # on another drive
        return path


def _common_folder(paths: list[Path]) -> Path:
    parents = [os.path.dirname(os.path.abspath(path)) for path in paths]
    try:
        return Path(os.path.commonpath(parents))
    except ValueError:
        return Path(parents[0])
