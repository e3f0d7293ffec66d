"""Which label files a folder holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.formats.registry import LIKELY, NO, LabelFormat, formats
from engine.media.images import is_image
from engine.media.source import is_video

FOLDER = "folder"
"""Name of the format of a folder that no other format knows as a whole; it is what is looked into here."""

_MAX_DEPTH = 3
_MAX_SNIFFED = 2000
"""Files of one folder that are looked into; a folder with more of them that are no images is no folder of labels."""
_SKIPPED = frozenset({"images", "labels", "videos"})


@dataclass(frozen=True)
class LabelsInFolder:
    """Attributes:
    path: a file, or a folder that is a label file as a whole.
    format: what it is.
    """

    path: Path
    format: LabelFormat


def labels_in(folder: Path, accepts: Callable[[LabelFormat], bool] = lambda format: True) -> list[LabelsInFolder]:
    """The label files and label folders of a folder, by their content; those nearest to the top only.

    A folder that a format knows as a whole is one; else its files are looked at, else those of its subfolders.
    Never raises.

    Args:
        accepts: which formats to look for.
    """
    readers = [format for format in formats() if format.can_read and format.name != FOLDER and accepts(format)]
    level = [folder]
    for _ in range(_MAX_DEPTH + 1):
        matches = [match for parent in level for match in _of_folder(parent, readers)]
        if matches:
            return matches
        level = [child for parent in level for child in _subfolders(parent)]
    return []


def _of_folder(folder: Path, readers: list[LabelFormat]) -> Iterator[LabelsInFolder]:
    whole = _format_of(folder, readers)
    if whole is not None:
        yield LabelsInFolder(folder, whole)
        return
    for path in _files(folder):
        format = _format_of(path, readers)
        if format is not None:
            yield LabelsInFolder(path, format)


def _format_of(path: Path, readers: list[LabelFormat]) -> LabelFormat | None:
    """The only format that is sure of a path, with at least :data:`LIKELY`."""
    sureness = [(format.sniff(path), format) for format in readers]
    best = max((sure for sure, _ in sureness), default=NO)
    matches = [format for sure, format in sureness if sure == best]
    return matches[0] if best >= LIKELY and len(matches) == 1 else None


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    except OSError:
        return []
    return [folder / name for name in names if not is_image(name) and not is_video(name)][:_MAX_SNIFFED]


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []
    return [folder / name for name in names if name.lower() not in _SKIPPED][:_MAX_SNIFFED]
