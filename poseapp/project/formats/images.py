"""Images and folders of images into a project. Sizes stay unknown until an image is first shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from engine.errors import MediaError, ProjectError
from engine.media.images import image_size, is_image, list_image_names
from engine.media.pages import CHECKED_IN_FOLDERS, has_pages
from poseapp.project.formats.report import ImportReport, Problems
from poseapp.project.formats.videos import import_video
from poseapp.project.model import FrameKey
from poseapp.project.relink.video_cache import project_cache
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
    """The frames of images, wherever the project has them; new ones are added below ``root``. A file of several
    pictures is a media of its own, like a video, and the image of it is its first frame.

    Images that cannot be read are reported and left out.
    """
    requested = {os.path.normpath(os.path.abspath(path)): path for path in paths}
    known = frames_by_file(store)
    sizes: dict[str, tuple[str, int, int]] = {}
    for location, path in requested.items():
        if location not in known:
            try:
                if has_pages(path):
                    known[location] = add_pages(store, path)
                else:
                    sizes[location] = (_name(location, root), *image_size(path))
            except MediaError as error:
                problems.add("Image cannot be read, its labels are left out", str(error))
    if sizes:
        media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root), None)
        media_id = store.add_media("images", root).id if media is None else media.id
        known.update(zip(sizes, store.add_frames(media_id, list(sizes.values()))))
    return {path: known[location] for location, path in requested.items() if location in known}


def frames_by_file(store: ProjectStore) -> dict[str, FrameKey]:
    """The frame of each image of a project by the path of its file; the first one of files of several pictures."""
    frames: dict[str, FrameKey] = {}
    for media in store.media():
        if media.kind == "video":
            frames[os.path.normpath(media.path)] = FrameKey(media.id, 0)
        else:
            for frame in store.frames(media.id):
                frames[os.path.normpath(os.path.join(media.path, frame.name))] = frame.key
    return frames


def add_pages(store: ProjectStore, path: Path | str) -> FrameKey:
    """Add an image file of several pictures as a media of its own; returns its first frame.

    Raises:
        MediaError: it cannot be read.
    """
    return FrameKey(import_video(store, path, cache=project_cache(store.path)).id, 0)


def _add(store: ProjectStore, root: Path, names: Iterable[str], problems: Problems) -> ImportReport:
    """Add images by their names below ``root``. Works on strings, not paths: a folder may hold 200,000 images."""
    known = {_location(m.path, name) for m in store.media() for name in store.frame_names(m.id)}
    known |= {os.path.normpath(m.path) for m in store.media() if m.kind == "video"}
    new = [name for name in dict.fromkeys(names) if _location(str(root), name) not in known]
    paged = _files_of_pages(root, new, problems)
    images = [name for name in new if name not in paged] if paged else new
    count = len(images)
    with store.database.write():
        if images:
            media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root), None)
            media_id = store.add_media("images", root).id if media is None else media.id
            store.add_frames(media_id, [(name, 0, 0) for name in images])
        for name in paged:
            try:
                count += len(store.frame_names(add_pages(store, os.path.join(root, name)).media))
            except MediaError as error:
                problems.add("File of several pictures cannot be read", str(error))
    return ImportReport(images=count, problems=problems.sentences())


def _files_of_pages(root: Path, names: Iterable[str], problems: Problems) -> dict[str, None]:
    """Those of some files that hold several pictures, in order; only the first thousands of a folder are looked at."""
    candidates = [name for name in names if os.path.splitext(name)[1].lower() in CHECKED_IN_FOLDERS]
    for name in candidates[_MAX_CHECKED:]:
        problems.add("Not looked at for further pictures, only the first is shown", name)
    return dict.fromkeys(name for name in candidates[:_MAX_CHECKED] if has_pages(os.path.join(root, name)))


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
