"""AlphaTracker's labels: a list with a record an image, whose annotations are a box followed by its points.

``[{"class": "image", "filename": "a.png", "annotations": [{"class": "Mouse", "x": 1, "y": 2, "width": 3, "height": 4},
{"class": "point", "x": 1, "y": 2}, ...]}]`` (https://github.com/ZexinChen/AlphaTracker).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import LabelError
from engine.formats.base import BaseFormat
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.files import first_keys
from engine.formats.results.records import ResultsBuilder, box_of, number_of, points_of
from engine.formats.text_files import read_json
from engine.labels.features import Feature
from engine.labels.model import Floats
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, Context

_POINT = "point"


class AlphaTrackerFormat(BaseFormat):
    """One JSON file for all images; labels of a person, not predictions."""

    name = "alphatracker"
    title = "AlphaTracker labels"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.is_dir():
            return NO
        is_list, keys, values = first_keys(path)
        known = {"filename", "annotations"} <= keys or (keys == {"annotations"} and values == {})
        return CERTAIN if is_list and known else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        builder = ResultsBuilder(context, "", is_prediction=False)
        content = read_json(path)
        if not isinstance(content, list):
            raise LabelError("is not a list of images", where=path)
        objects: list[tuple[int, str, str, Floats | None, list[list[float]]]] = []
        for position, image in enumerate(content, 1):
            name = image.get("filename") if isinstance(image, dict) else None
            listed = image.get("annotations") if isinstance(image, dict) else None
            if not isinstance(name, str) or not name or not isinstance(listed, list):
                builder.left_out(f"number {position}", "Image without a name and a list of annotations", listed)
                continue
            frame = builder.labels.frame(name)
            objects += _objects(frame, name, listed, builder)
        counts = Counter(len(points) for _, _, _, _, points in objects if points)
        count = counts.most_common(1)[0][0] if counts else 0
        for frame, where, kind, box, points in objects:
            if len(points) != count:
                context.report(
                    where, f"Object with another number of points than {count}, so that nobody knows which they are",
                    "its points are left out", severity=ERROR,
                )  # fmt: skip
            usable = len(points) == count and count > 0
            category = builder.category(kind, count) if count else builder.labels.category(kind)
            builder.add(frame, category, points_of(np.array(points)) if usable else None, where, box=box)
        return builder.labels.build(path)


def _objects(
    frame: int, name: str, listed: list[Any], builder: ResultsBuilder
) -> list[tuple[int, str, str, Floats | None, list[list[float]]]]:
    objects: list[tuple[int, str, str, Floats | None, list[list[float]]]] = []
    for position, record in enumerate(listed, 1):
        where = f"{name}: annotation {position}"
        kind = record.get("class") if isinstance(record, dict) else None
        if not isinstance(kind, str) or not kind:
            builder.left_out(where, "Annotation without a class")
        elif kind != _POINT:
            box = box_of([record.get(key) for key in ("x", "y", "width", "height")])
            if box is None:
                builder.context.report(where, "Box that is not four numbers", "left out", severity=ERROR)
            objects.append((frame, where, kind, box, []))
        elif not objects:
            builder.left_out(where, "Point without a box in front of it")
        else:
            x, y = number_of(record.get("x")), number_of(record.get("y"))
            if x is None or y is None:
                builder.context.report(where, "Keypoint whose coordinates are no usable numbers", "taken as absent")
            objects[-1][4].append([0.0, 0.0] if x is None or y is None else [x, y])
    return objects


register_format(AlphaTrackerFormat())
