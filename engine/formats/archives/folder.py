"""A folder with label files somewhere below it, as a label format: one file, or the splits of a data set."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from engine.errors import LabelError
from engine.formats.archives.contents import FOLDER, LabelsInFolder, labels_in
from engine.formats.archives.joined import JoinedLabels
from engine.formats.base import BaseFormat
from engine.formats.registry import NO, POSSIBLE, ReadOptions, register_format
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

_SPLIT = re.compile(r"(?:^|[_\-.])(train|val|valid|validation|test|minival|trainval)(?:\d{0,4})?(?=$|[_\-.])", re.I)
_SPLIT_FOLDERS = frozenset({"train", "val", "valid", "validation", "test"})
_LISTED = 6


class FolderFormat(BaseFormat):
    """A folder that no format knows as a whole: COCO files in ``annotations``, one file in ``train`` and ``valid``."""

    name = FOLDER
    title = "Folder with label files"
    can_read, can_write = True, False
    keeps: Collection[Feature] = frozenset(Feature)

    def sniff(self, path: Path) -> float:
        return POSSIBLE if path.is_dir() and labels_in(path) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        return read_label_files(labels_in(path), path, context, options)


def read_label_files(
    matches: Sequence[LabelsInFolder], folder: Path, context: Context, options: ReadOptions
) -> LabelReader:
    """The labels of the files that were found in a folder: of one file, or of the splits of one data set.

    Raises:
        LabelError: there are none, or several that are not splits of one data set; or one cannot be read.
    """
    if not matches:
        raise LabelError("holds no labels of a known format", where=folder)
    if options.split and len(matches) > 1:
        matches = [match for match in matches if options.split in _splits_in(match.path, folder)] or matches
    if len(matches) == 1:
        return matches[0].format.read(matches[0].path, context, options)
    if len({match.format.name for match in matches}) > 1 or not are_splits([m.path for m in matches], folder):
        names = [match.path.relative_to(folder).as_posix() for match in matches]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise LabelError(f"holds several label files, name one: {', '.join(names[:_LISTED])}{more}", where=folder)
    with ExitStack() as stack:
        readers = [stack.enter_context(match.format.read(match.path, context, options)) for match in matches]
        labels = JoinedLabels(readers, folder, context)
        stack.pop_all()
    return labels


def are_splits(paths: Sequence[Path], folder: Path) -> bool:
    """Whether the paths of label files differ in the names of splits only, each another one."""
    return (
        len({_without_split(path, folder) for path in paths}) == 1
        and len({tuple(sorted(_splits_in(path, folder))) for path in paths}) == len(paths)
        and all(_splits_in(path, folder) for path in paths)
    )


def _without_split(path: Path, folder: Path) -> str:
    parents = [part for part in path.parent.relative_to(folder).parts if part.lower() not in _SPLIT_FOLDERS]
    return "/".join([*parents, _SPLIT.sub("", path.stem).lower()])


def _splits_in(path: Path, folder: Path) -> set[str]:
    """The splits that the name of a file and its folders say: "train", "val" or "test"."""
    parts = [part.lower() for part in path.parent.relative_to(folder).parts if part.lower() in _SPLIT_FOLDERS]
    parts += [match.lower() for match in _SPLIT.findall(path.stem)]
    return {{"valid": "val", "validation": "val"}.get(part, part) for part in parts}


register_format(FolderFormat())
