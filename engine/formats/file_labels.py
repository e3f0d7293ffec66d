"""Labels of formats that have a JSON file for each image, in a folder: the files, and labels that know them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from engine.errors import LabelError
from engine.labels.builder import LabelsBuilder
from engine.labels.reader import Labels

MAX_FILES = 500_000
MAX_DEPTH = 6
_MAX_ENTRIES = 2000
_MAX_SNIFFED = 5
_MAX_SNIFFED_FOLDERS = 20


class FileLabels(Labels):
    """Labels of several files.

    Args:
        files: label file of each frame, by its position.
        image_in: the encoded image that a label file holds; None = they hold none.
    """

    def __init__(
        self,
        builder: LabelsBuilder,
        path: Path,
        files: Sequence[Path],
        image_in: Callable[[Path], bytes | None] | None = None,
    ) -> None:
        labels = builder.build(path)
        super().__init__(
            labels.frames(), labels.instances(), labels.categories, labels.media, path=path, tracks=labels.tracks
        )
        self._files, self._image_in = files, image_in

    def source_file(self, frame: int) -> Path:
        return self._files[frame] if 0 <= frame < len(self._files) else self.path

    def embedded_image(self, frame: int) -> bytes | None:
        """The image that the label file holds; None where the image file itself lies by its name."""
        if self._image_in is None or not 0 <= frame < len(self._files):
            return None
        folder = self.path if self.path.is_dir() else self.path.parent
        return None if os.path.isfile(folder / self._frames[frame].name) else self._image_in(self._files[frame])


def json_files(folder: Path) -> list[Path]:
    """The JSON files below a folder, sorted; those in folders whose names begin with a dot are left out.

    Raises:
        LabelError: there are too many.
    """
    files: list[Path] = []
    top = str(folder).rstrip(os.sep).count(os.sep)
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if parent.count(os.sep) - top >= MAX_DEPTH:
            folders.clear()
        files += [Path(parent, name) for name in names if is_json_name(name)]
        if len(files) > MAX_FILES:
            raise LabelError(f"holds more than {MAX_FILES:,} JSON files; read a part of them", where=folder)
    return sorted(files)


def holds_one(folder: Path, is_one: Callable[[Path], bool]) -> bool:
    """Whether one of the first JSON files of a folder, without its subfolders, is of a kind. Never raises."""
    return any(map(is_one, islice(first_json_files(folder), _MAX_SNIFFED)))


def holds_one_below(folder: Path, is_one: Callable[[Path], bool]) -> bool:
    """As :func:`holds_one`, of a folder or of the first folders below it."""
    folders, seen = [folder], 0
    while folders and seen < _MAX_SNIFFED_FOLDERS:
        current = folders.pop()
        seen += 1
        files = list(islice(first_json_files(current), _MAX_SNIFFED))
        if files:
            return any(map(is_one, files))
        folders += reversed(subfolders(current))
    return False


def first_json_files(folder: Path) -> Iterator[Path]:
    """JSON files among the first entries of a folder. Never raises."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, _MAX_ENTRIES) if is_json_name(entry.name))
    except (OSError, ValueError):
        return
    yield from (folder / name for name in names)


def is_json_name(name: str) -> bool:
    return name.lower().endswith(".json") and not name.startswith(".")


def subfolders(folder: Path, limit: int = 50) -> list[Path]:
    """Folders in a folder, the first of them by name. Never raises."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in islice(entries, _MAX_ENTRIES) if not e.name.startswith(".") and e.is_dir()]
    except (OSError, ValueError):
        return []
    return [folder / name for name in sorted(names)[:limit]]
