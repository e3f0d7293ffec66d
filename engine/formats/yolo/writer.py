"""YOLO-pose data sets from any labels.

Images keep their split where their names say one ("train/images/a.jpg", "images/val/b.jpg"); all others are for
training. Categories whose keypoints differ cannot share a data set: each group gets a folder of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

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
from engine.labels.model import ABSENT, Category, Instance
from engine.labels.reader import LabelReader
from engine.schema.schema import Schema
from engine.utils.context import ERROR, INFO, Context

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_DIGITS = 8
_STEP = 500
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
            split, name = split_of(name_of_frame(self._labels, frame))
            splits[split] = None
            image = names.name(f"images/{split}", name)
            label = PurePosixPath("labels", *PurePosixPath(image).parts[1:]).with_suffix(".txt")
            write_text(self._folder / label, "".join(f"{row}\n" for row in rows.get(position, ())))
            if places_images(self._options) and not self._images.place(
                position, self._folder / image, self._options.images
            ):
                missing += 1
                self._context.report(frame.name or image, "Image not found", "only its labels are written")
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
        points, visibility = self._inside(instance.keypoints, instance.visibility.copy(), size, record)
        box = self._box(instance, points, visibility, size, record)
        if box is None:
            return None
        x1, y1, x2, y2 = box
        width, height = size
        values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        cells = [str(self._classes[instance.category]), *(_number(value) for value in values)]
        for (x, y), state in zip((points / size).tolist(), visibility.tolist(), strict=True):
            cells += [_number(x), _number(y), str(state)] if state != ABSENT else ["0", "0", "0"]
        return " ".join(cells)

    def _inside(
        self, keypoints: np.ndarray, visibility: np.ndarray, size: tuple[int, int], record: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points that are on the image; a data set with others is refused by the programs that train on it."""
        present = visibility != ABSENT
        low, high = np.zeros(2), np.array(size, np.float64)
        with np.errstate(invalid="ignore"):
            far = present & ~((keypoints >= low - _OUTSIDE) & (keypoints <= high + _OUTSIDE)).all(axis=1)
        if far.any():
            visibility[far] = ABSENT
            self._context.report(
                record, "Keypoints outside the image, which this format does not have", "written as absent",
                count=int(far.sum()), severity=ERROR,
            )  # fmt: skip
        return np.clip(np.nan_to_num(keypoints), low, high), visibility

    def _box(
        self, instance: Instance, points: np.ndarray, visibility: np.ndarray, size: tuple[int, int], record: str
    ) -> np.ndarray | None:
        """The box of the instance, or that around its keypoints, on the image; None if there is nothing of it."""
        box = instance.box
        if box is None:
            labelled = points[visibility != ABSENT]
            if len(labelled):
                box = np.concatenate([labelled.min(axis=0), labelled.max(axis=0)])
                box += (-0.5, -0.5, 0.5, 0.5)  # keypoints in a line have a box too
        if box is not None and np.isfinite(box).all():
            clipped = np.clip(box, 0, np.tile(np.array(size, np.float64), 2))
            if (clipped[2:] > clipped[:2]).all():
                if instance.box is not None and not np.allclose(clipped, box, atol=0.01):
                    self._context.report(record, "Box that reaches beyond the image", "clipped to it")
                return clipped
        self._context.report(record, "Pose without a box and keypoints on the image", "left out", severity=ERROR)
        return None

    def _configuration(self, splits: Sequence[str]) -> str:
        import yaml

        names = [self._labels.categories[position].name for position in self._classes]
        data: dict[str, object] = {"path": "."}
        data.update((split, f"images/{split}") for split in ("train", "val", "test") if split in splits)
        data.setdefault("val", "images/train")  # a trainer refuses a data set without one
        data |= {
            "kpt_shape": [self._schema.num_keypoints, 3],
            "flip_idx": self._schema.flip_indices.tolist(),
            "names": dict(enumerate(names)),
            "kpt_names": {n: list(self._schema.names) for n in range(len(names))},
        }
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100))


def split_of(name: str) -> tuple[str, str]:
    """The split that the folders of an image name say, "train" without one, and the name below it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    for index, part in enumerate(parts[:-1]):
        split = _SPLITS.get(part.lower())
        neighbours = {index - 1, index + 1} & set(range(len(parts) - 1))
        if split is not None and (index == 0 or any(parts[n].lower() in ("images", "labels") for n in neighbours)):
            rest = [p for n, p in enumerate(parts) if n != index and not (n in neighbours and p.lower() == "images")]
            return split, "/".join(rest)
    if len(parts) > 1 and parts[0].lower() == "images":
        parts = parts[1:]
    return "train", "/".join(parts) or name


def _number(value: float) -> str:
    return f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".") or "0"
