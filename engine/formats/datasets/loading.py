"""Opening a data set in whatever layout it has: files are looked into once, their kind found or checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoDataset
from engine.formats.coco.dialects import kind_of_list
from engine.formats.coco.document import read_document, read_json_bytes, split_list
from engine.formats.datasets.aic import AicList
from engine.formats.datasets.coco_style import CocoStyle
from engine.formats.datasets.dataset import KeypointDataset
from engine.formats.datasets.deepfashion import LANDMARKS, LandmarkLists
from engine.formats.datasets.deepfashion2 import AnnotationFolder, is_annotation_folder
from engine.formats.datasets.kinds import Kind, find_kind
from engine.utils.files import open_regular
from engine.utils.skipped import Skipped


class Layout(Protocol):
    """A way of writing annotations down."""

    def kind(self) -> Kind:
        """The kind that the content tells. Raises: CocoError where it tells none, or several."""

    def read(self, kind: Kind, folder: Path, skipped: Skipped | None = None) -> KeypointDataset:
        """The data set; ``folder`` is that of the images. Raises: CocoError; records at fault go into ``skipped``, if
        there is one."""


def open_dataset(
    kind: str, annotations: Path | str, images: Path | str = "", *, split: str = "", skipped: Skipped | None = None
) -> KeypointDataset:
    """Read a data set in its original layout.

    Args:
        kind: a name of ``engine.formats.datasets.kinds.KINDS``; "" = as the content tells.
        annotations: the file of annotations; for DeepFashion2 also the folder ``annos``, for DeepFashion also the
            folder that holds ``list_landmarks.txt``.
        images: folder of the images; "" = beside the annotations, where the layout has them.
        split: train, val or test, of a layout that keeps all of them in one list (DeepFashion); "" = all.
        skipped: gets the records and files that cannot be understood, and the images whose size cannot be read; None =
            raise for the former.

    Raises:
        CocoError: naming file and record that cannot be understood, or why the kind cannot be told.
    """
    requested = find_kind(kind) if kind else None
    annotations = Path(annotations)
    layout = _layout(annotations, split)
    folder = Path(images) if str(images) not in ("", ".") else _image_folder(annotations, layout)
    return layout.read(requested or layout.kind(), folder, skipped)


def sniff(annotations: Path | str) -> str:
    """Name of the kind of a file or folder, by the keys found.

    Raises:
        CocoError: it cannot be read, fits no kind, or fits several.
    """
    return _layout(Path(annotations), "").kind().name


def is_coco_style(path: Path | str) -> bool:
    """Whether a path is to be read as COCO, or as nothing known here: False for the layouts of other data sets.

    Never raises; only the first characters of a file are looked at, and the names in a folder.
    """
    path = Path(path)
    try:
        if path.is_dir():
            _layout_of_folder(path, "")
            return False
        if path.suffix.lower() == ".txt":
            return LANDMARKS not in path.name
        return not (path.suffix.lower() == ".json" and _begins_list(path) and isinstance(_layout(path, ""), AicList))
    except CocoError:
        return True


def plain_coco(annotations: Path | str, names: Sequence[str] = ()) -> CocoDataset | None:
    """A file that can be used as it is, see :meth:`CocoStyle.is_plain`; None for one that is to be converted.

    Raises:
        CocoError: it cannot be read.
    """
    layout = _layout(Path(annotations), "")
    return layout.plain() if isinstance(layout, CocoStyle) and layout.is_plain(names) else None


def _layout(path: Path, split: str) -> Layout:
    if path.is_dir():
        return _layout_of_folder(path, split)
    if path.suffix.lower() == ".txt":
        return LandmarkLists(_landmark_list(path), split)
    if split:
        raise CocoError("is one part of its data set already; leave --split out", where=path)
    if not _begins_list(path):
        return CocoStyle(path, read_document(path))
    entries = split_list(read_json_bytes(path), path)
    if not entries:
        raise CocoError("is an empty list", where=path)
    if b'"keypoint_annotations"' in bytes(entries[0]):
        return AicList(path, entries)
    raise CocoError(kind_of_list(entries), where=path)


def _begins_list(path: Path) -> bool:
    """Whether the first character of a JSON file opens a list, without reading the file."""
    try:
        with open_regular(path) as file:
            head = file.read(4096)
    except OSError as error:
        raise CocoError(f"cannot be read ({error.strerror or error})", where=path) from None
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] == b"["


def _layout_of_folder(folder: Path, split: str) -> Layout:
    lists = [candidate / f"{LANDMARKS}.txt" for candidate in (folder, folder / "Anno")]
    landmark_list = next((file for file in lists if file.is_file()), None)
    if landmark_list is not None:
        return LandmarkLists(landmark_list, split)
    for candidate in (folder, folder / "annos"):
        if is_annotation_folder(candidate):
            return AnnotationFolder(candidate)
    raise CocoError(
        f"is a folder without {LANDMARKS}.txt (DeepFashion) and without garments in JSON files (DeepFashion2)",
        where=folder,
    )


def _landmark_list(file: Path) -> Path:
    if LANDMARKS not in file.name:
        raise CocoError(f"is no landmark list; such files are called {LANDMARKS}*.txt", where=file)
    return file


def _image_folder(annotations: Path, layout: Layout) -> Path:
    if isinstance(layout, AnnotationFolder):
        return (annotations if (annotations / "annos").is_dir() else annotations.parent) / "image"
    if isinstance(layout, LandmarkLists):
        root = annotations if annotations.is_dir() and (annotations / "Anno").is_dir() else annotations.parent
        return root.parent if root.name == "Anno" else root
    return annotations.parent
