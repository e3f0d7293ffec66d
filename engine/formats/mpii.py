"""MPII Human Pose as JSON, the lists that HRNet and MMPose train on: one record per person, 16 joints.

A record: ``{"image": "a.jpg", "joints": [[x, y], ...], "joints_vis": [1, ...], "center": [x, y], "scale": 4.7}``.
Coordinates are those of Matlab, counted from 1. A person is ``scale`` times 200 pixels high; the box is the square of
that size around the center. Lists for testing have no joints.

Format: https://mmpose.readthedocs.io/en/latest/dataset_zoo/2d_body_keypoint.html (MPII)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.text_files import head_of, read_json
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.schema.builtin import find_schema
from engine.utils.context import ERROR, Context

_FIRST = 1.0  # the coordinate of the first pixel in Matlab
_PIXELS_PER_SCALE = 200.0
_STEP = 1000


class MpiiFormat:
    """A list of MPII annotations."""

    name, title = "mpii", "MPII, 16 points (JSON of HRNet and MMPose)"
    suffixes: tuple[str, ...] = (".json",)
    can_read, can_write = True, False
    keeps: Collection[Feature] = frozenset({Feature.BOXES})

    def sniff(self, path: Path) -> float:
        if path.suffix.lower() != ".json":
            return NO
        head = head_of(path)
        is_list = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
        has_keys = b'"image"' in head and (b'"joints_vis"' in head or (b'"center"' in head and b'"scale"' in head))
        return CERTAIN if is_list and has_keys and b'"image_id"' not in head else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        context = context or Context()
        records = read_json(path)
        if not isinstance(records, list):
            raise LabelError("is not a list of MPII annotations", where=path)
        schema = find_schema("mpii")
        builder = LabelsBuilder()
        category = builder.category("person", schema)
        persons: Counter[str] = Counter()
        for index, record in enumerate(records):
            if index % _STEP == 0:
                context.progress(index, len(records))
            name = record.get("image") if isinstance(record, dict) else None
            if not isinstance(name, str) or not name:
                context.report(f"record {index + 1}", "Record without the name of an image", "left out", severity=ERROR)
                continue
            frame = builder.frame(name)
            persons[name] += 1
            where = f"record {index + 1} ({name})"
            box = _box(record)
            points = _points(record, schema.num_keypoints)
            if isinstance(points, str):
                context.report(where, points, "left out", severity=ERROR)
                continue
            if points is None:
                context.report(where, "Person without joints", "the image alone is read")
                continue
            keypoints, visibility = points
            builder.add(Instance(frame, category, keypoints, visibility, box=box, key=f"{name}|{persons[name]}"))
        return builder.build(path, image_folder=None if options is None else options.images)

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        raise LabelError(f"{self.title} can be read, but not written; write it as COCO", where=path)


def _points(
    record: Mapping[str, Any], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]] | str | None:
    """Keypoints and visibility; None without any, a fault as a sentence."""
    joints, states = record.get("joints"), record.get("joints_vis")
    if joints is None:
        return None
    keypoints = _numbers(joints, (count, 2))
    if keypoints is None:
        return f"Joints that are not {count} pairs of numbers"
    present: npt.NDArray[np.bool_] = np.asarray((np.isfinite(keypoints) & (keypoints >= 0)).all(axis=1))
    if states is not None:
        known = _numbers(states, (count,))
        if known is None:
            return f"Visibilities that are not {count} numbers"
        present = present & (known > 0)
    visibility = np.where(present, VISIBLE, ABSENT).astype(np.uint8)
    return np.where(present[:, None], keypoints - _FIRST, 0.0), visibility


def _box(record: Mapping[str, Any]) -> npt.NDArray[np.float64] | None:
    center, scale = _numbers(record.get("center"), (2,)), _numbers([record.get("scale")], (1,))
    if center is None or scale is None or not np.isfinite([*center, *scale]).all() or scale[0] <= 0 or center[0] < 0:
        return None
    half = scale[0] * _PIXELS_PER_SCALE / 2
    # The center of a pixel in Matlab is 1, its edge in COCO is 0.
    middle = center - _FIRST + 0.5
    return np.concatenate([middle - half, middle + half])


def _numbers(value: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64] | None:
    """An array of numbers of this shape, or None."""
    flat = value
    if len(shape) == 2:
        if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == shape[1] for row in value):
            return None
        flat = [cell for row in value for cell in row]
    if not isinstance(flat, list) or not all(type(cell) in (int, float, bool) for cell in flat):
        return None
    try:
        numbers = np.array(flat, np.float64)
    except OverflowError:
        return None
    return numbers.reshape(shape) if numbers.size == int(np.prod(shape)) else None


register_format(MpiiFormat())
