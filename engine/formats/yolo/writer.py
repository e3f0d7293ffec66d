"""YOLO-pose data sets from any labels.

Images keep their split where their names say one ("train/images/a.jpg", "images/val/b.jpg"); all others are for
training. Categories whose keypoints differ cannot share a data set: each group gets a folder of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from engine.errors import LabelError
from engine.formats.frame_images import (
    FrameImages,
    ImageNames,
    name_of_frame,
    new_folder,
    places_images,
    safe_part,
    write_text,
)
from engine.formats.registry import WriteOptions
from engine.formats.yolo.layout import split_of
from engine.labels.model import ABSENT, UNKNOWN, Category, Instance
from engine.labels.reader import LabelReader
from engine.schema.schema import Schema
from engine.utils.context import ERROR, INFO, Context

_DIGITS = 8
_STEP = 500
_ABSENT = ["0", "0", "0"]
_TOLERANCE = 0.01  # pixels
_OUTSIDE = 1.0  # pixels that a point may lie outside the image to be moved to its edge


def write_yolo(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a data set into a new folder (or into the folder of ``path`` if that names a new ``.yaml`` file).

    Raises:
        LabelError: there are no categories with keypoints, or it cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    folder = path.parent / path.stem if path.suffix.lower() in (".yaml", ".yml") else path
    groups = _groups(labels.categories)
    if not groups:
        raise LabelError("there are no categories with keypoints, which this format needs", where=path)
    images = FrameImages(labels)
    try:
        with new_folder(folder) as temporary:
            for index, positions in enumerate(groups):
                target = temporary
                if index:
                    target = temporary / safe_part(labels.categories[positions[0]].name)
                    names = ", ".join(labels.categories[p].name for p in positions)
                    context.report(
                        names, f"Categories with other keypoints are in the folder {target.name}", severity=INFO
                    )
                _DataSet(labels, positions, images, target, options, context).write()
            _report_others(labels, groups, context)
    finally:
        images.close()


def _label_of(image: str) -> PurePosixPath:
    """The label file of an image where programs look for it: the last folder ``images`` of its path is ``labels``."""
    parts = list(PurePosixPath(image).parts)
    last = max(n for n, part in enumerate(parts[:-1]) if part == "images")
    parts[last] = "labels"
    return PurePosixPath(*parts).with_suffix(".txt")


def _groups(categories: Sequence[Category]) -> list[list[int]]:
    """Positions of categories with the same keypoints, the largest group first."""
    groups: dict[tuple[tuple[str, ...], tuple[int, ...]], list[int]] = {}
    for position, category in enumerate(categories):
        if category.schema is not None:
            key = (category.schema.names, tuple(category.schema.flip_indices.tolist()))
            groups.setdefault(key, []).append(position)
    return sorted(groups.values(), key=len, reverse=True)


def _report_others(labels: LabelReader, groups: Iterable[Sequence[int]], context: Context) -> None:
    written = {position for group in groups for position in group}
    for instance in labels.instances():
        if not instance.is_pose or instance.category not in written:
            context.report(
                instance.key, "Crowd, or record without keypoints, which this format does not have", "left out"
            )


class _DataSet:
    """One data set: one list of keypoints."""

    def __init__(
        self,
        labels: LabelReader,
        categories: Sequence[int],
        images: FrameImages,
        folder: Path,
        options: WriteOptions,
        context: Context,
    ) -> None:
        self._labels, self._images, self._folder = labels, images, folder
        self._options, self._context = options, context
        self._classes = {position: class_id for class_id, position in enumerate(categories)}
        schema = labels.categories[categories[0]].schema
        assert schema is not None
        self._schema: Schema = schema

    def write(self) -> None:
        rows: dict[int, list[str]] = {}
        total = self._labels.num_instances()
        for index, instance in enumerate(self._labels.instances()):
            if index % _STEP == 0:
                self._context.progress(index, total)
            if (
                instance.is_pose
                and instance.category in self._classes
                and (self._options.include_predictions or not instance.is_prediction)
            ):
                row = self._row(instance)
                if row is not None:
                    rows.setdefault(instance.frame, []).append(row)
        names = ImageNames()
        splits = dict.fromkeys(("train",))
        missing = 0
        for position, frame in enumerate(self._images.frames):
            if position % _STEP == 0:
                self._context.progress(position, len(self._images.frames))
            if frame.media == UNKNOWN:  # a record that could not be read, of which the reader has told
                continue
            split, name = split_of(name_of_frame(self._labels, frame))
            if self._options.splits is not None:
                split = self._options.splits[position]
            splits[split] = None
            image = names.name(f"images/{split}", name)
            label = _label_of(image)
            write_text(self._folder / label, "".join(f"{row}\n" for row in rows.get(position, ())))
            if places_images(self._options) and not self._images.place(
                position, self._folder / image, self._options.images
            ):
                missing += 1
                self._context.report(frame.name or image, "Image not found", "only its labels are written")
        if not places_images(self._options):
            what = "The images are not in the data set; put them into images, or link or copy them when you write it"
            self._context.report("data.yaml", what, severity=INFO)
        write_text(self._folder / "data.yaml", self._configuration(list(splits)))

    def _row(self, instance: Instance) -> str | None:
        size = self._images.size(instance.frame)
        record = self._images.frames[instance.frame].name or f"frame {instance.frame}"
        if size is None:
            self._context.report(record, "Size of the image is unknown", "its poses are left out", severity=ERROR)
            return None
        assert instance.keypoints is not None
        assert instance.visibility is not None
        if len(instance.keypoints) != self._schema.num_keypoints:
            self._context.report(record, "Pose with another number of keypoints than its category", "left out",
                                 severity=ERROR)  # fmt: skip
            return None
        width, height = size
        points = self._points(instance, size, record)
        box = self._box(instance, [point for point in points if point[2] != ABSENT], size, record)
        if box is None:
            return None
        x1, y1, x2, y2 = box
        values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        cells = [str(self._classes[instance.category]), *map(_number, values)]
        for x, y, state in points:
            cells += [_number(x / width), _number(y / height), str(state)] if state != ABSENT else _ABSENT
        return " ".join(cells)

    def _points(self, instance: Instance, size: tuple[int, int], record: str) -> list[tuple[float, float, int]]:
        """x, y, visibility of the keypoints; those outside the image are absent, as the programs that train on a data
        set refuse it otherwise."""
        assert instance.keypoints is not None
        assert instance.visibility is not None
        width, height = size
        points, outside = [], 0
        for (x, y), state in zip(instance.keypoints.tolist(), instance.visibility.tolist(), strict=True):
            if state == ABSENT:
                points.append((0.0, 0.0, ABSENT))
            elif -_OUTSIDE <= x <= width + _OUTSIDE and -_OUTSIDE <= y <= height + _OUTSIDE:
                points.append((min(max(x, 0.0), width), min(max(y, 0.0), height), state))
            else:  # NaN too
                outside += 1
                points.append((0.0, 0.0, ABSENT))
        if outside:
            self._context.report(
                record, "Keypoints outside the image, which this format does not have", "written as absent",
                count=outside, severity=ERROR,
            )  # fmt: skip
        return points

    def _box(
        self, instance: Instance, points: Sequence[tuple[float, float, int]], size: tuple[int, int], record: str
    ) -> tuple[float, float, float, float] | None:
        """The box of the instance, or that around its keypoints, on the image; None if there is nothing of it."""
        box = None
        if instance.box is not None:
            x1, y1, x2, y2 = instance.box.tolist()
            box = (x1, y1, x2, y2)
        elif points:
            xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
            # half a pixel more: keypoints in a line have a box too
            box = (min(xs) - 0.5, min(ys) - 0.5, max(xs) + 0.5, max(ys) + 0.5)
        if box is not None and all(map(math.isfinite, box)):
            (x1, y1, x2, y2), (width, height) = box, size
            clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
            if clipped[2] > clipped[0] and clipped[3] > clipped[1]:
                if instance.box is not None and any(abs(a - b) > _TOLERANCE for a, b in zip(clipped, box, strict=True)):
                    self._context.report(record, "Box that reaches beyond the image", "clipped to it")
                return clipped
        self._context.report(record, "Pose without a box and keypoints on the image", "left out", severity=ERROR)
        return None

    def _configuration(self, splits: Sequence[str]) -> str:
        import yaml

        names = [self._labels.categories[position].name for position in self._classes]
        data: dict[str, object] = {}  # without a path, which some programs take from the folder they run in
        data.update((split, f"images/{split}") for split in ("train", "val", "test") if split in splits)
        data.setdefault("val", "images/train")  # a trainer refuses a data set without one
        data |= {
            "kpt_shape": [self._schema.num_keypoints, 3],
            "flip_idx": self._schema.flip_indices.tolist(),
            "names": dict(enumerate(names)),
            "kpt_names": {n: list(self._schema.names) for n in range(len(names))},
        }
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100))


def _number(value: float) -> str:
    return f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".") or "0"
