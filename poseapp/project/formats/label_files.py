"""Recognizing label files, and finding those in a folder of images or videos."""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from engine.formats.archives.contents import FOLDER, LabelsInFolder, labels_in
from engine.formats.datasets.kinds import KINDS
from engine.formats.deeplabcut.folder import is_dlc_folder
from engine.formats.registry import NO, formats
from engine.media.images import is_image
from engine.media.source import is_video
from poseapp.project.formats.coco.results import RESULTS, is_results_file
from poseapp.project.formats.datasets import is_dataset

COCO, DATASET, SLEAP, DLC = "coco", "dataset", "sleap", "dlc"
"""Kinds of labels that have importers of their own; of all others the kind is the name of the label format."""

_KINDS_OF_FORMATS = {"coco": COCO, "sleap": SLEAP, "deeplabcut": DLC}

_COCO_RESULTS, _ZIP = "coco_results", "zip"

_MAX_ENTRIES = 200_000
_MAX_DEPTH = 6
_MAX_SEARCHED_BYTES = 1 << 30
_NOT_SEARCHED = "The folder is too large or too deep: videos in some of its subfolders were not looked for"
_SPLIT = re.compile(
    r"(?:^|[_\-.])(train|val|valid|validation|test|minival|trainval)(?:\d{0,4})?(?=$|[_\-.])", re.IGNORECASE
)
_SPLIT_FOLDERS = frozenset({"train", "val", "valid", "validation", "test"})
_LABEL_FOLDERS = ("", "annotations", "annotation", "labels", *sorted(_SPLIT_FOLDERS))
# Label files that cannot be read: what identifies them, and what they are called.
_UNSUPPORTED = {
    ".xml": ((b"<annotation>", "Pascal VOC"),),
    ".json": ((b'"_via_', "VIA"),),
}


@dataclass(frozen=True)
class LabelSet:
    """Label files that belong together, such as the splits of a data set. ``paths`` are opened in this order."""

    kind: str
    paths: tuple[Path, ...]

    @property
    def title(self) -> str:
        """File names, for messages."""
        names = [path.name for path in self.paths]
        if len(set(names)) < len(names):
            names = [f"{path.parent.name}/{path.name}" for path in self.paths]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


@dataclass
class FolderContents:
    """What a folder holds. ``unsupported``: a sentence for each kind of label files that cannot be read."""

    labels: list[LabelSet] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)


def kind_of(path: Path) -> str:
    """The kind of labels that a path holds, by its content, else by its suffix; "" for none."""
    if is_dataset(path):
        return DATASET
    if path.suffix.lower() == ".json" and is_results_file(path):
        return RESULTS
    if path.is_dir():
        return DLC if is_dlc_folder(path) else _kind_by_content(path, "")
    by_suffix = {".csv": DLC, ".h5": DLC, ".json": COCO, ".slp": SLEAP}.get(path.suffix.lower(), "")
    return _kind_by_content(path, by_suffix) or by_suffix


def _kind_by_content(path: Path, by_suffix: str) -> str:
    """The kind that the registry of label formats recognizes; "" for none."""
    readable = ((format.sniff(path), format.name) for format in formats() if format.can_read and format.name != FOLDER)
    certainty, name = max(readable, default=(NO, ""))
    if certainty <= NO or (by_suffix == COCO and name in KINDS):  # COCO-style data sets keep their records, as COCO
        return ""
    return _KINDS_OF_FORMATS.get(name, name)


def look_into(folder: Path) -> FolderContents:
    """Find the labels and videos of a folder that is not a data set itself.

    Looks for labels in the folder, in ``annotations`` and in the folders of splits; for videos everywhere below, except
    in folders whose name begins with a dot.
    """
    contents = FolderContents()
    contents.videos, all_seen = _videos(folder)
    if not all_seen:
        contents.unsupported.append(_NOT_SEARCHED)
    tables = sorted(p for p in folder.glob("CollectedData*.csv") if p.is_file())
    contents.labels += [LabelSet(DLC, (path,)) for path in tables]
    contents.labels += [LabelSet(SLEAP, (path,)) for path in sorted(folder.iterdir()) if path.suffix.lower() == ".slp"]
    groups: dict[str, list[Path]] = {}
    unsupported: dict[str, list[Path]] = {}
    for path in _candidates(folder):
        if path.suffix.lower() == ".json" and _holds(path, b'"images"', b'"annotations"'):
            groups.setdefault(_without_split(path, folder), []).append(path)
        else:
            kinds = _UNSUPPORTED.get(path.suffix.lower(), ())
            kind = next((name for mark, name in kinds if _holds(path, mark)), None)
            if kind is not None:
                unsupported.setdefault(kind, []).append(path)
    contents.labels += [LabelSet(COCO, tuple(paths)) for paths in groups.values()]
    listed = {path for labels in contents.labels for path in labels.paths}
    others = (match for match in labels_in(folder) if _is_of_other_format(match) and match.path not in listed)
    contents.labels += [LabelSet(match.format.name, (match.path,)) for match in others]
    settings = (p for p in sorted(folder.glob("*.y*ml")) if _holds(p, b"names:") and not _holds(p, b"kpt_shape:"))
    yolo = next((p for p in settings if _has_texts(folder)), None)
    if yolo is not None:
        unsupported["YOLO without keypoints"] = [yolo]
    for kind, paths in unsupported.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        contents.unsupported.append(f"Label files of {kind} are not read yet: {paths[0].name}{more}")
    return contents


def _is_of_other_format(match: LabelsInFolder) -> bool:
    """Whether labels are of a format that is not looked for here by name; archives are opened where somebody asks."""
    return match.format.name not in (*_KINDS_OF_FORMATS, *KINDS, _COCO_RESULTS, _ZIP)


def _videos(folder: Path) -> tuple[list[Path], bool]:
    """The videos below a folder, and whether the search was complete."""
    top = str(folder).rstrip(os.sep).count(os.sep)
    videos: list[Path] = []
    count = 0
    all_seen = True
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".pictures"))
        if count > _MAX_ENTRIES:
            return videos, False
        if parent.count(os.sep) - top >= _MAX_DEPTH:
            all_seen &= not folders
            folders.clear()
        for name in sorted(files):
            count += 1
            path = Path(parent, name)
            if not name.startswith(".") and is_video(path) and not is_image(path) and path.is_file():
                videos.append(path)
    return videos, all_seen


def _candidates(folder: Path) -> list[Path]:
    """Files whose names are those of labels."""
    candidates: list[Path] = []
    for name in _LABEL_FOLDERS:
        subfolder = folder / name if name else folder
        if subfolder.is_dir():
            candidates += [p for p in sorted(subfolder.iterdir()) if p.suffix.lower() in _UNSUPPORTED and p.is_file()]
    return candidates


def _without_split(path: Path, folder: Path) -> str:
    """The name of a label file without its split: files with equal names are one data set."""
    parents = [part for part in path.parent.relative_to(folder).parts if part.lower() not in _SPLIT_FOLDERS]
    return "/".join([*parents, _SPLIT.sub("", path.stem).lower()])


def _holds(path: Path, *marks: bytes) -> bool:
    """Whether a file contains all of these."""
    try:
        size = path.stat().st_size
        if not 0 < size <= _MAX_SEARCHED_BYTES or not path.is_file():
            return False
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return all(data.find(mark) >= 0 for mark in marks)
    except (OSError, ValueError):
        return False


def _has_texts(folder: Path) -> bool:
    subfolders = (folder / "labels", *(folder / name / "labels" for name in _SPLIT_FOLDERS))
    return any(next(subfolder.rglob("*.txt"), None) is not None for subfolder in subfolders if subfolder.is_dir())
