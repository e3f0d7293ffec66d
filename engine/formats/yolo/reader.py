"""YOLO-pose data sets as labels.

A row is: class, box center x and y, box width and height, then x, y (and visibility 0, 1, 2) of each keypoint, in parts
of the width and height of the image as it is shown. Rows that a model wrote hold confidences in place of visibilities
and may end with the confidence of the box; they are read as predictions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.errors import LabelError, PoseError
from engine.formats.registry import ReadOptions
from engine.formats.yolo.config import Configuration, read_configuration
from engine.formats.yolo.layout import description_in, names_split
from engine.labels.builder import LabelsBuilder
from engine.labels.model import ABSENT, IMAGES, VISIBLE, Instance
from engine.labels.reader import Labels
from engine.media.image_finder import find_images, likely_folders
from engine.media.image_headers import read_header_of
from engine.media.images import is_image
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import MAX_TEXT_BYTES, read_text

_STEP = 200
_MAX_CLASS = 1_000_000
_LARGEST = 1e6  # times the size of the image


def read_yolo(path: Path, context: Context, options: ReadOptions, folder: Path | None = None) -> Labels:
    """Read a data set.

    Args:
        path: its ``data.yaml``.
        folder: read the label files in this folder only; None = all.

    Raises:
        LabelError: the description cannot be used, or there is not one image or label.
    """
    return _Reader(read_configuration(path), context, options, folder).read()


class _Reader:
    def __init__(
        self, configuration: Configuration, context: Context, options: ReadOptions, folder: Path | None
    ) -> None:
        self._configuration, self._context, self._options = configuration, context, options
        self._folder = "" if folder is None else os.path.normpath(folder.absolute()) + os.sep
        self._missing_images: list[str] = []
        self._builder = LabelsBuilder()
        # so that a project has the images by their names in the data set, which say the split
        self._media = self._builder.media(IMAGES, "" if options.images else str(configuration.root))
        self._categories = {
            class_id: self._builder.category(name, configuration.schemas[class_id], id=class_id)
            for class_id, name in configuration.names.items()
        }

    def read(self) -> Labels:
        configuration = self._configuration
        images: dict[str, str] = {}  # image files with their split
        for split in configuration.splits or {"": []}:
            if self._options.split and split not in ("", self._options.split):
                continue
            same = self._split_with_entries_of(split)
            if same and not self._options.split:
                self._context.report(f"{same}, {split}", "Splits of the same images", "read once", severity=INFO)
                continue
            for file in self._images_of(split):
                if not self._label_file(file).startswith(self._folder):
                    continue
                if file in images:
                    self._context.report(
                        self._name(file),
                        f"Image of two splits, {images[file]} and {split}",
                        "its labels are taken once",
                    )
                else:
                    images[file] = split
        self._report_splits(images)
        labels: dict[str, str] = {}
        for file in images:
            other = labels.setdefault(self._label_file(file), file)
            if other != file:
                self._context.report(
                    self._name(file), f"Image that has the same labels as {self._name(other)}", "left out",
                    severity=ERROR,
                )  # fmt: skip
        missing = [file for file in self._label_files(list(images)) if file not in labels]
        if not images and not missing:
            raise LabelError("no images and labels were found in its folders", where=configuration.path)
        names = self._find_images(missing, labels)
        for file in missing:
            if file in labels:
                continue
            count = sum(1 for line in self._lines(Path(file)) if line.strip())
            self._context.report(
                self._name(file), "Labels without an image, whose size they need", f"left out (rows: {count})",
                severity=ERROR,
            )  # fmt: skip
        for done, (label_file, image) in enumerate(labels.items()):
            if done % _STEP == 0:
                self._context.progress(done, len(labels))
            self._read_image(Path(image), Path(label_file), names.get(image) or self._name(image))
        return self._builder.build(configuration.path, image_folder=self._options.images or configuration.root)

    def _find_images(self, label_files: Sequence[str], labels: dict[str, str]) -> dict[str, str]:
        """Find images that are where nothing lists them, such as in a folder that a person named.

        Args:
            label_files: without an image. labels: image by label file; gets those that are found.

        Returns:
            their names by image: where they would be in the data set.
        """
        if not label_files and not self._missing_images:
            return {}
        root = self._configuration.root
        folders = likely_folders(self._configuration.path, self._options.images)
        if self._options.images is None:
            folders = [root, root / "images", *folders]
        expected = [self._name(self._image_stem(file)) for file in label_files]
        taken = {os.path.normpath(image) for image in labels.values()}
        names = {}
        for file, name, image in zip(label_files, expected, find_images(expected, folders).paths, strict=True):
            if image is None or os.path.normpath(image) in taken:
                continue
            labels[file] = os.path.normpath(image)
            names[labels[file]] = f"{name}{image.suffix}"
        if names:
            self._context.report(
                next(iter(names.values())), "Labels whose images data.yaml does not list", "read",
                count=len(names), severity=INFO,
            )  # fmt: skip
        stems = {Path(name).stem for name in names.values()}
        for entry in self._missing_images:
            if Path(entry).stem not in stems:
                self._context.report(entry, "Image not found", "left out with its labels", severity=ERROR)
        return names

    def _images_of(self, split: str) -> Iterator[str]:
        entries = self._configuration.splits.get(split, [])
        found_any = False
        for entry in entries:
            target = self._resolve(entry)
            if target is None:
                continue
            found_any = True
            if os.path.isdir(target):
                yield from _image_files(target)
            else:
                yield from self._listed_images(target)
        if not found_any:
            if entries:
                self._context.report(", ".join(entries), f"Images of the split {split} not found", "left out")
            elif not split:
                yield from _image_files(self._configuration.root)

    def _split_with_entries_of(self, split: str) -> str:
        """An earlier split with the same folders and lists; "" without one."""
        splits = self._configuration.splits
        earlier = list(splits)[: list(splits).index(split)] if split in splits else []
        return next((other for other in earlier if splits[other] and splits[other] == splits[split]), "")

    def _report_splits(self, images: Mapping[str, str]) -> None:
        """Tell of images whose split is said by a list only: names keep it, lists do not come along."""
        for split in dict.fromkeys(images.values()):
            files = [self._name(file) for file, other in images.items() if other == split]
            lost = [name for name in files if not names_split(name)]
            if lost and split not in ("", "train"):
                self._context.report(
                    lost[0], f"Images of the split {split} in a folder that does not say so",
                    "read; a data set that is written of them has them in train", count=len(lost), severity=INFO,
                )  # fmt: skip

    def _resolve(self, entry: str) -> Path | None:
        """The folder or list of an entry. Some programs write ``../train/images`` for ``train/images``."""
        entry = entry.replace("\\", "/")
        root, here = self._configuration.root, self._configuration.path.absolute().parent
        candidates = [root / entry, here / entry]
        shortened = entry.removeprefix("../")
        if shortened != entry:
            candidates = [root / shortened, here / shortened, *candidates]
        parts = entry.rstrip("/").split("/")
        if "images" in parts:  # the data set was moved: its last folders
            candidates += [here.joinpath(*parts[-length:]) for length in (2, 1) if len(parts) >= length]
        for candidate in candidates:
            try:
                if candidate.is_dir() or candidate.is_file():
                    return Path(os.path.normpath(candidate))
            except (OSError, ValueError):
                continue
        return None

    def _listed_images(self, path: Path) -> Iterator[str]:
        """The images of a text file with a path a line, relative to the root or to the file."""
        for line in self._lines(path):
            entry = line.strip().replace("\\", "/")
            if not entry or "\0" in entry:
                continue
            candidates = [path.parent / entry, self._configuration.root / entry]
            image = next((os.path.normpath(c) for c in candidates if os.path.isfile(c)), None)
            if image is None:
                image = self._other_place(entry)
            if image is None:
                self._missing_images.append(entry)
            else:
                yield image

    def _other_place(self, entry: str) -> str | None:
        """CVAT writes ``data/images/train/a.jpg`` for ``images/train/a.jpg``."""
        parts = entry.split("/")
        for start in range(1, len(parts)):
            candidate = self._configuration.root.joinpath(*parts[start:])
            if os.path.isfile(candidate):
                return os.path.normpath(candidate)
        return None

    def _label_file(self, image: str) -> str:
        """The text file of an image: in the folder ``labels`` in place of the last ``images`` of the path."""
        head, separator, tail = image.rpartition(f"{os.sep}images{os.sep}")
        if separator:
            return os.path.splitext(f"{head}{os.sep}labels{os.sep}{tail}")[0] + ".txt"
        return os.path.splitext(image)[0] + ".txt"

    def _image_stem(self, label_file: str) -> str:
        """The path of the image of a label file, without its ending."""
        head, separator, tail = label_file.rpartition(f"{os.sep}labels{os.sep}")
        return os.path.splitext(f"{head}{os.sep}images{os.sep}{tail}" if separator else label_file)[0]

    def _label_files(self, images: list[str]) -> Iterator[str]:
        """Label files in the folders of the labels of these images, and in all folders ``labels`` of the root."""
        folders = {os.path.dirname(self._label_file(image)) for image in images}
        root = self._configuration.root
        if not self._options.split:
            for parent, subfolders, _ in os.walk(root):
                subfolders[:] = _own_folders(parent, subfolders)
                if len(Path(parent).relative_to(root).parts) > 4:
                    subfolders.clear()
                elif "labels" in Path(parent).relative_to(root).parts:
                    folders.add(parent)
        for folder in sorted(folders):
            if not f"{folder}{os.sep}".startswith(self._folder):
                continue
            if not os.path.isdir(folder) or "labels" not in Path(folder).parts:
                continue
            for name in sorted(os.listdir(folder)):
                if name.lower().endswith(".txt") and os.path.isfile(os.path.join(folder, name)):
                    yield os.path.join(folder, name)

    def _lines(self, path: Path) -> list[str]:
        try:
            return read_text(path, MAX_TEXT_BYTES).splitlines()
        except (OSError, PoseError, UnicodeDecodeError) as error:
            what = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            self._context.report(self._name(str(path)), f"File cannot be read: {what}", "left out", severity=ERROR)
            return []

    def _name(self, path: str) -> str:
        """A path relative to the root, with forward slashes."""
        root = str(self._configuration.root) + os.sep
        return path.removeprefix(root).replace(os.sep, "/")

    def _read_image(self, image: Path, label_file: Path, name: str) -> None:
        header = read_header_of(image)
        lines = self._lines(label_file) if os.path.exists(label_file) else []
        if header is None:
            rows = sum(1 for line in lines if line.strip())
            self._context.report(name, "Image cannot be read, and its labels need its size", f"left out (rows: {rows})",
                                 severity=ERROR)  # fmt: skip
            return
        width, height = header.size
        frame = self._builder.frame(name, self._media, width=width, height=height)
        for line_number, line in enumerate(lines, 1):
            cells = line.split()
            if cells:
                record = f"{self._name(str(label_file))}:{line_number}"
                instance = self._instance(cells, frame, (width, height), record)
                if instance is not None:
                    self._builder.add(instance)

    def _instance(self, cells: list[str], frame: int, size: tuple[int, int], record: str) -> Instance | None:
        configuration = self._configuration
        count, num_values = configuration.num_keypoints, configuration.num_values
        pose_length = 5 + count * num_values
        if len(cells) not in (5, 6, pose_length, pose_length + 1):
            self._context.report(
                record, f"Row with another count of numbers than the {pose_length} of kpt_shape", "left out",
                severity=ERROR,
            )  # fmt: skip
            return None
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            self._context.report(record, "Row with text in place of a number", "left out", severity=ERROR)
            return None
        if not all(-_LARGEST < value < _LARGEST for value in values):  # NaN too
            self._context.report(record, "Row with numbers that are no parts of an image", "left out", severity=ERROR)
            return None
        category = self._category(values[0], record)
        if category is None:
            return None
        width, height = size
        center_x, center_y, box_width, box_height = values[1:5]
        box = np.array(
            [
                (center_x - box_width / 2) * width,
                (center_y - box_height / 2) * height,
                (center_x + box_width / 2) * width,
                (center_y + box_height / 2) * height,
            ]
        )
        score = values[-1] if len(values) in (6, pose_length + 1) else None
        if len(values) <= 6:
            return Instance(frame, category, box=box, score=score, is_prediction=score is not None, key=record)
        points = np.array(values[5:pose_length]).reshape(count, num_values)
        keypoints = points[:, :2] * (width, height)
        scores = None
        if num_values == 2:
            visibility = np.where(points.any(axis=1), VISIBLE, ABSENT).astype(np.uint8)
        elif score is None and np.isin(points[:, 2], (0, 1, 2)).all():
            visibility = points[:, 2].astype(np.uint8)
        else:
            scores = points[:, 2].copy()
            if ((scores < 0) | (scores > 1)).any():
                self._context.report(record, "Visibility that is neither 0, 1, 2 nor a confidence", "taken as visible")
                scores = None
            visibility = np.where(points[:, 2] > 0, VISIBLE, ABSENT).astype(np.uint8)
        return Instance(
            frame,
            category,
            keypoints,
            visibility,
            scores,
            box,
            score,
            is_prediction=score is not None or scores is not None,
            key=record,
        )

    def _category(self, value: float, record: str) -> int | None:
        if not 0 <= value <= _MAX_CLASS or value != int(value):
            self._context.report(record, "Class that is not a whole number", "left out", severity=ERROR)
            return None
        category = self._categories.get(int(value))
        if category is None:
            self._context.report(record, "Class that data.yaml does not name", "left out", severity=ERROR)
        return category


def _image_files(folder: Path) -> Iterator[str]:
    for parent, subfolders, files in os.walk(folder):
        subfolders[:] = _own_folders(parent, subfolders)
        for name in sorted(files):
            if is_image(name) and not name.startswith("."):
                yield os.path.join(parent, name)


def _own_folders(parent: str, names: Sequence[str]) -> list[str]:
    """Folders of a data set, without hidden ones and without those that are data sets of their own."""
    visible = sorted(name for name in names if not name.startswith("."))
    return [name for name in visible if description_in(Path(parent, name)) is None]
