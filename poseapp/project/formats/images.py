"""Images and folders of images into a project. Sizes are left open: they are read when an image is first shown."""

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

# Of so many files of a folder it is looked up how many pictures they hold.
_MOST_CHECKED = 5000


def import_folder(store: ProjectStore, folder: Path | str, recursive: bool = True) -> ImportReport:
    """Add the images of a folder in natural order; those that the project has already stay as they are.

    Raises:
        ProjectError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ProjectError("is not a folder", where=folder)
    root = Path(os.path.abspath(folder))
    return _add(store, root, list_image_names(root, recursive), Problems())


def import_images(store: ProjectStore, paths: Iterable[Path | str]) -> ImportReport:
    """Add single images, below the folder that holds them all; what is missing or no image is told of.

    Raises:
        ProjectError: none of them is an image.
    """
    problems = Problems()
    found: list[Path] = []
    for path in map(Path, paths):
        if not is_image(path):
            problems.add("Not an image", str(path))
        elif not path.is_file():
            problems.add("Image not found", str(path))
        else:
            found.append(path)
    if not found:
        raise ProjectError("no images to add" + "".join(f"; {text}" for text in problems.sentences()))
    root = _common_folder(found)
    return _add(store, root, [_name(os.path.abspath(path), root) for path in found], problems)


def frames_of_images(
    store: ProjectStore, root: Path, paths: Iterable[Path], problems: Problems
) -> dict[Path, FrameKey]:
    """The frames of images, below whatever folder the project has them; new ones are added below ``root``.

    Images that cannot be read are told of, and are not in the result.
    """
    wanted = {os.path.normpath(os.path.abspath(path)): path for path in paths}
    known = {
        os.path.normpath(os.path.join(media.path, frame.name)): frame.key
        for media in store.media()
        if media.kind == "images"
        for frame in store.frames(media.id)
    }
    sizes: dict[str, tuple[str, int, int]] = {}
    for place, path in wanted.items():
        if place not in known:
            try:
                sizes[place] = (_name(place, root), *image_size(path))
            except MediaError as error:
                problems.add("Image cannot be read, its labels are left out", str(error))
    if sizes:
        media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root), None)
        number = store.add_media("images", root).id if media is None else media.id
        known.update(zip(sizes, store.add_frames(number, list(sizes.values()))))
    return {path: known[place] for place, path in wanted.items() if place in known}


def _add(store: ProjectStore, root: Path, names: Iterable[str], problems: Problems) -> ImportReport:
    """Add images by their names below ``root``. Plain strings throughout: a folder may hold 200,000."""
    known = {_place(m.path, name) for m in store.media() for name in store.frame_names(m.id)}
    new = [name for name in dict.fromkeys(names) if _place(str(root), name) not in known]
    if new:
        media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root), None)
        note_pages((os.path.join(root, name) for name in new), problems)
        with store.database.write():
            number = store.add_media("images", root).id if media is None else media.id
            store.add_frames(number, [(name, 0, 0) for name in new])
    return ImportReport(images=len(new), problems=problems.sentences())


def note_pages(paths: Iterable[str | Path], problems: Problems) -> None:
    """Tell of files that hold several pictures."""
    candidates = (path for path in paths if os.path.splitext(path)[1].lower() in CHECKED_IN_FOLDERS)
    for path in islice(candidates, _MOST_CHECKED):
        sentence = remark(path)
        if sentence is not None:
            problems.add(f"File {sentence}", os.path.basename(path))


def _place(root: str, name: str) -> str:
    """Where an image lies, for comparing."""
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
