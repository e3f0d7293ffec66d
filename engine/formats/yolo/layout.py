"""Folders of a data set: where its description is, and which split an image belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from engine.formats.text_files import head_of

SUFFIXES = (".yaml", ".yml")
_SHAPE = re.compile(rb"^[\"']?kpt_shape[\"']?\s*:", re.MULTILINE)
_CLASSES = re.compile(rb"^[\"']?(?:names|nc)[\"']?\s*:", re.MULTILINE)
_MAX_FILES = 1000
_MAX_ENTRIES = 100_000
_MAX_ABOVE = 3
_SPLIT = re.compile(r"(train|val|test)(?:id|idation|ing)?(?:[-_]?20\d{2})?", re.IGNORECASE)  # valid, train2017


def split_of(name: str) -> tuple[str, str]:
    """The split that the folders of an image name say, "train" without one, and the name below it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    index = _split_folder(parts)
    if index is not None:
        match = _SPLIT.fullmatch(parts[index])
        assert match is not None
        beside = {index - 1, index + 1}
        rest = [p for n, p in enumerate(parts) if n != index and not (n in beside and p.lower() == "images")]
        return match[1].lower(), "/".join(rest)
    if len(parts) > 1 and parts[0].lower() == "images":
        parts = parts[1:]
    return "train", "/".join(parts) or name


def names_split(name: str) -> bool:
    """Whether the folders of an image name say its split."""
    return _split_folder(PurePosixPath(name).parts) is not None


def _split_folder(parts: Sequence[str]) -> int | None:
    """The position of the folder that names the split: the first of a name, or one beside ``images``."""
    for index, part in enumerate(parts[:-1]):
        beside = {index - 1, index + 1} & set(range(len(parts) - 1))
        if _SPLIT.fullmatch(part) and (index == 0 or any(parts[n].lower() in ("images", "labels") for n in beside)):
            return index
    return None


def configuration_of(path: Path) -> Path | None:
    """The YAML file that describes a pose data set: the path itself, a file in this folder, or one in the folders above
    a folder ``labels``; None without one."""
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return path if _is_configuration(path) else None
    if is_labels_folder(path):
        return next((file for folder in path.absolute().parents[:_MAX_ABOVE] if (file := description_in(folder))), None)
    return description_in(path)


def is_labels_folder(path: Path) -> bool:
    """Whether it is a folder ``labels``, or a split of one, with label files in it."""
    if "labels" not in path.absolute().parts[-2:]:
        return False
    try:
        return any(file.suffix.lower() == ".txt" for file in islice(path.iterdir(), _MAX_FILES))
    except OSError:
        return False


def description_in(folder: Path) -> Path | None:
    """The YAML file in this folder that describes a pose data set; None without one."""
    try:
        files = sorted(file for file in islice(folder.iterdir(), _MAX_ENTRIES) if file.suffix.lower() in SUFFIXES)
    except OSError:
        return None
    files = sorted(files[:_MAX_FILES], key=lambda file: file.stem.lower() not in ("data", "dataset"))
    return next((file for file in files if _is_configuration(file)), None)


def _is_configuration(path: Path) -> bool:
    """Whether a YAML file has the keys of a pose data set."""
    head = head_of(path)
    return _SHAPE.search(head) is not None and _CLASSES.search(head) is not None
