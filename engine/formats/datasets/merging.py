"""Data sets brought to one schema and put together, as AI Challenger is beside COCO for the visibility model."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoCategory
from engine.formats.datasets.dataset import ImageRecord, KeypointDataset, TopDownSample
from engine.schema.builtin import find_schema
from engine.schema.schema import Schema

AIC_INTO_COCO17: Mapping[int, int] = {0: 6, 1: 8, 2: 10, 3: 5, 4: 7, 5: 9, 6: 12, 7: 14, 8: 16, 9: 11, 10: 13, 11: 15}
"""AI Challenger's points by position, and where they stand among COCO's 17; head top and neck have no place there."""


def remap(data: KeypointDataset, schema: Schema, positions: Mapping[int, int]) -> KeypointDataset:
    """A data set in another schema.

    Points of the new schema that come from nowhere have coordinates and visibility 0 and are not ``covered``; a loss on
    visibility must leave them out, for they may well be visible.

    Args:
        positions: position in the new schema, by position in the old one; points not named are left out.

    Raises:
        CocoError: a position that one of the schemas does not have.
    """
    old, new = data.schema.num_keypoints, schema.num_keypoints
    if not all(0 <= a < old and 0 <= b < new for a, b in positions.items()):
        raise CocoError(f"a point outside {data.schema.name} ({old} points) or {schema.name} ({new} points)")
    source, target = list(positions), list(positions.values())

    def mapped(sample: TopDownSample) -> TopDownSample:
        keypoints, visibility = np.zeros((new, 2)), np.zeros(new)
        weights, covered = np.zeros(new, np.float32), np.zeros(new, np.bool_)
        keypoints[target], visibility[target] = sample.keypoints[source], sample.visibility[source]
        weights[target], covered[target] = sample.weights[source], sample.covered[source]
        return replace(
            sample,
            keypoints=keypoints,
            visibility=visibility,
            weights=weights,
            covered=covered,
            num_keypoints=int(np.count_nonzero(visibility > 0)),
        )

    return replace(data, kind=schema.name, schema=schema, samples=tuple(mapped(sample) for sample in data.samples))


def aic_into_coco17(data: KeypointDataset) -> KeypointDataset:
    """AI Challenger's people as COCO's 17 points, the five of the face not covered.

    Raises:
        CocoError: the data set is not of AI Challenger's 14 points.
    """
    if data.schema.name != "aic":
        raise CocoError(f"holds points of {data.schema.name}; only aic merges into coco", where=data.file)
    return remap(data, find_schema("coco"), AIC_INTO_COCO17)


def combine(parts: Sequence[KeypointDataset]) -> KeypointDataset:
    """Several data sets of one schema as one.

    Categories of one name become one; images and instances are numbered anew from 1 where ids meet. Image names become
    relative to the folder that all image folders share. ``source`` of each sample tells where it came from.

    Raises:
        CocoError: no parts, or their keypoints differ.
    """
    if not parts:
        raise CocoError("no data sets to put together")
    first = parts[0]
    for part in parts[1:]:
        if part.schema.names != first.schema.names:
            raise CocoError(
                f"has the points of {part.schema.name}, {first.file} those of {first.schema.name}", where=part.file
            )
    if len(parts) == 1:
        return first
    root = _common_folder([image.folder for part in parts for image in part.images] or [first.file.parent])
    ids = {name: n for n, name in enumerate(dict.fromkeys(c.name for part in parts for c in part.categories), 1)}
    images: list[ImageRecord] = []
    samples: list[TopDownSample] = []
    dropped: Counter[str] = Counter()
    for part in parts:
        base = len(images)
        for sample in part.samples:
            samples.append(
                replace(
                    sample,
                    id=len(samples) + 1,
                    image=base + sample.image,
                    image_id=base + sample.image + 1,
                    category_id=ids[sample.category],
                )
            )
        images += [_moved(image, base + n, root) for n, image in enumerate(part.images, 1)]
        dropped += part.dropped
    return KeypointDataset(
        kind=first.kind,
        file=first.file,
        schema=first.schema,
        images=tuple(images),
        samples=tuple(samples),
        categories=tuple(CocoCategory(index, name) for name, index in ids.items()),
        dropped=dropped,
    )


def _moved(image: ImageRecord, image_id: int, root: Path) -> ImageRecord:
    path = os.path.abspath(image.path)
    try:
        name = Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # on another drive
        name = path
    return ImageRecord(image_id, name, root, image.width, image.height)


def _common_folder(folders: Sequence[Path]) -> Path:
    absolute = {os.path.abspath(folder) for folder in folders}
    try:
        return Path(os.path.commonpath(absolute))
    except ValueError:
        return Path(min(absolute))
