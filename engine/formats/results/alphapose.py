"""AlphaPose's JSON (https://github.com/MVIG-SJTU/AlphaPose/blob/master/docs/output.md).

A list as of COCO results with file names for ``image_id``, and ``box`` and ``idx`` of the track; or, in the forms "cmu"
and "open", an object with a record an image: ``{"a.jpg": {"bodies": [{"joints": [...]}]}}`` and ``{"a.jpg": {"people":
[{"pose_keypoints_2d": [...]}]}}``, whose 18 points are in OpenPose's order.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.base import BaseFormat
from engine.formats.coco.document import read_json_bytes, split_list
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.bodies import limbs_of, names_of_body
from engine.formats.results.coco_results import is_alphapose
from engine.formats.results.files import first_keys
from engine.formats.results.records import (
    ResultsBuilder,
    UnusableRecord,
    box_of,
    identity_of,
    index_of,
    number_of,
    points_of,
    table_of,
)
from engine.formats.text_files import parse_json, read_json
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

_STEP = 1000
_LISTS = {"bodies": "joints", "people": "pose_keypoints_2d"}


class AlphaPoseFormat(BaseFormat):
    """One JSON file for all images."""

    name = "alphapose"
    title = "AlphaPose results"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.is_dir():
            return NO
        is_list, keys, values = first_keys(path)
        if is_list:
            return CERTAIN if is_alphapose(keys, values) else NO
        first = next(iter(values.values()), None)
        return CERTAIN if isinstance(first, dict) and "version" in first and _LISTS.keys() & first.keys() else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        builder = ResultsBuilder(context, "AlphaPose")
        if first_keys(path)[0]:
            _read_list(path, context, builder)
        else:
            _read_object(path, context, builder)
        return builder.labels.build(path)


def _read_list(path: Path, context: Context, builder: ResultsBuilder) -> None:
    raws = split_list(read_json_bytes(path), path)
    for position, raw in enumerate(raws, 1):
        if position % _STEP == 1:
            context.progress(position, len(raws))
        where = f"number {position}"
        try:
            record = parse_json(bytes(raw), where)
        except LabelError:
            record = None
        name = record.get("image_id") if isinstance(record, dict) else None
        if not isinstance(record, dict) or not isinstance(name, str) or not name:
            builder.left_out(where, "Result without the name of an image")
            continue
        try:
            points = points_of(table_of(record.get("keypoints"), (3,)))
        except UnusableRecord as error:
            builder.left_out(where, str(error))
            continue
        builder.check_values(record, where, box="box", score="score")
        track = identity_of(record.get("idx"))
        category_id = index_of(record.get("category_id", 1))
        builder.add(
            builder.labels.frame(name),
            builder.category("person" if category_id in (None, 1) else f"category {category_id}", points.count),
            points,
            where,
            box=box_of(record.get("box")),
            score=number_of(record.get("score")),
            track=None if track is None else builder.labels.track(track),
        )


def _read_object(path: Path, context: Context, builder: ResultsBuilder) -> None:
    content = read_json(path)
    if not isinstance(content, dict):
        raise LabelError("is neither a list of poses nor an object of images", where=path)
    for done, (name, record) in enumerate(content.items()):
        if done % _STEP == 0:
            context.progress(done, len(content))
        frame = builder.labels.frame(name)
        key = next((key for key in _LISTS if isinstance(record, dict) and key in record), "")
        listed: Any = record[key] if key else None
        if not isinstance(listed, list):
            builder.left_out(name, "Image without a list of bodies")
            continue
        for position, body in enumerate(listed, 1):
            where = f"{name}: number {position}"
            try:
                points = points_of(table_of(body.get(_LISTS[key]) if isinstance(body, dict) else None, (3,)))
            except UnusableRecord as error:
                builder.left_out(where, str(error))
                continue
            names = names_of_body(points.count) if points.count in (15, 18, 25) else ()
            category = builder.category("person", points.count, names, limbs_of(names))
            builder.add(frame, category, points, where)


register_format(AlphaPoseFormat())
