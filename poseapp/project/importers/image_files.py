"""Finding the images that a label file names, wherever they lie now."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_SEARCH_LIMIT = 100_000
_SEARCH_DEPTH = 4
_SCHEME = re.compile(r"(https?|file|s3|gs)://", re.IGNORECASE)


@dataclass(frozen=True)
class FoundImages:
    """Attributes: root: folder of most images; names: per image its path below (or from) the root; missing: names."""

    root: Path
    names: list[str]
    missing: list[str]


class ImageFinder:
    """Looks for images in the places where tools put them.

    In this order: the name as it stands, below the given folders; the same with other letter case; the bare file name
    directly in these folders; the bare file name anywhere below the first folder, if it stands there once.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [os.path.abspath(folder) for folder in folders]
        # Per folder and sub-folder: where that is, and what it holds.
        self._listings: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
        self._everywhere: dict[str, list[str]] | None = None

    def find(self, name: str) -> tuple[str, str] | None:
        """The image's path and the folder from which it was found."""
        plain = plain_name(name)
        parent, _, base = plain.rpartition("/")
        if _is_absolute(plain):
            if os.path.isfile(plain):
                return plain, os.path.dirname(plain)
            parent = ""
        for below in (parent, "") if parent else ("",):
            for folder in self.folders:
                place, listing = self._listings.get((folder, below)) or self._list(folder, below)
                actual = listing.get(base) or listing.get(base.lower())
                if actual is not None:
                    return os.path.join(place, actual), folder
        matches = self._index().get(base.lower(), [])
        return (matches[0], self.folders[0]) if len(matches) == 1 else None

    def _list(self, folder: str, below: str) -> tuple[str, dict[str, str]]:
        place = os.path.normpath(os.path.join(folder, below)) if below else folder
        found = self._listings[folder, below] = place, _listing(place)
        return found

    def _index(self) -> dict[str, list[str]]:
        if self._everywhere is None:
            self._everywhere = {}
            for path in _walk(self.folders[0]):
                self._everywhere.setdefault(os.path.basename(path).lower(), []).append(path)
        return self._everywhere


def find_images(names: Iterable[str], label_file: Path, image_root: Path | None = None) -> FoundImages:
    """Find the images of a label file; those that are missing keep the name they have in the file."""
    finder = ImageFinder(likely_folders(label_file, image_root))
    wanted = list(names)
    found = [finder.find(name) for name in wanted]
    votes = Counter(hit[1] for hit in found if hit is not None)
    root = votes.most_common(1)[0][0] if votes else finder.folders[0]
    missing = [name for name, hit in zip(wanted, found) if hit is None]
    placed = [plain_name(name) if hit is None else _from(root, hit[0]) for name, hit in zip(wanted, found)]
    return FoundImages(Path(root), placed, missing)


def likely_folders(label_file: Path, image_root: Path | None = None) -> list[Path]:
    """Where the images of a label file may lie: where a person says, else beside it, in ``images``, in its split."""
    if image_root is not None:
        return [Path(image_root), Path(image_root) / "images"]
    here = label_file.absolute().parent
    folders = [here, here / "images", here.parent / "images", here.parent]
    # person_keypoints_val2017.json -> val2017
    for split in dict.fromkeys((label_file.stem.split("_")[-1], label_file.stem)):
        folders += [here / split, here.parent / split, here / "images" / split, here.parent / "images" / split]
    return list(dict.fromkeys(folders))


def plain_name(name: str) -> str:
    """A file name with forward slashes, without a scheme in front."""
    scheme = _SCHEME.match(name)
    if scheme is not None:
        rest = unquote(name[scheme.end() :])
        return rest if scheme.group(1).lower() == "file" else rest.split("?")[0].rpartition("/")[2]
    return name.replace("\\", "/")


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or name[1:3] == ":/"


def _from(root: str, path: str) -> str:
    if path.startswith(root + os.sep):
        return path[len(root) + 1 :].replace(os.sep, "/")
    try:
        return os.path.relpath(path, root).replace(os.sep, "/")
    except ValueError:  # another drive
        return path.replace(os.sep, "/")


def _listing(folder: str) -> dict[str, str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    # Names as they are win over those that differ in case.
    return {**{name.lower(): name for name in names}, **{name: name for name in names}}


def _walk(folder: str) -> Iterable[str]:
    count = 0
    top = folder.rstrip(os.sep).count(os.sep)
    for place, folders, files in os.walk(folder):
        if place.count(os.sep) - top >= _SEARCH_DEPTH:
            folders.clear()
        for file in files:
            count += 1
            if count > _SEARCH_LIMIT:
                return
            yield os.path.join(place, file)
