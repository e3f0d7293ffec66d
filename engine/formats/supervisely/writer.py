"""Labels as a project of Supervisely: each folder of images is a data set, each pose an object of type ``graph``."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from engine.formats.frame_images import (
    FrameImages,
    ImageNames,
    name_of_frame,
    new_folder,
    places_images,
    safe_part,
    write_text,
)
from engine.formats.named_poses import named_categories, points_of, poses_by_frame
from engine.formats.registry import WriteOptions
from engine.labels.model import OCCLUDED, UNKNOWN, Category
from engine.labels.reader import LabelReader
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, Context

_STEP = 200
_DATA_SET = "ds0"
_COLOR = "#4CAF50"
_NAMESPACE = uuid.UUID("2b1f6f0c-8f0e-5b1e-8f0d-7d6d3a1c9e44")


def write_supervisely(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a new folder.

    Raises:
        LabelError: it cannot be written. Cancelled: the context was cancelled; nothing is left behind.
    """
    folder = path.with_suffix("") if path.suffix.lower() == ".json" else path
    by_frame = poses_by_frame(labels, options, context)
    categories = named_categories(labels, context)
    nodes = [_node_ids(category) for category in categories]
    images = FrameImages(labels)
    names = ImageNames(unique_stems=False)
    try:
        with new_folder(folder) as temporary:
            for position, frame in enumerate(images.frames):
                if position % _STEP == 0:
                    context.progress(position, len(images.frames))
                if frame.media == UNKNOWN:  # a record that could not be read, of which the reader has told
                    continue
                data_set, name = _data_set_of(name_of_frame(labels, frame))
                image = PurePosixPath(names.name(f"{data_set}/img", name))
                if places_images(options) and not images.place(position, temporary / image, options.images):
                    context.report(frame.name or name, "Image not found", "only its labels are written")
                size = images.size(position)
                objects: list[dict[str, Any]] = []
                for instance in by_frame.get(position, ()):
                    category = categories[instance.category]
                    assert category.schema is not None
                    points = points_of(instance, category.schema.names, name, context)
                    if not points:
                        context.report(name, "Pose without keypoints, which this format does not have", "left out",
                                       severity=ERROR)  # fmt: skip
                        continue
                    locations: dict[str, dict[str, Any]] = {}
                    for point in points:
                        location: dict[str, Any] = {"loc": [point.x, point.y]}
                        if point.state == OCCLUDED:
                            location["disabled"] = True
                        locations[nodes[instance.category][point.name]] = location
                    objects.append(
                        {
                            "id": len(objects) + 1,
                            "classTitle": category.name,
                            "geometryType": "graph",
                            "description": "",
                            "tags": [],
                            "nodes": locations,
                        }
                    )
                if size is None:
                    context.report(name, "Size of the image is unknown", "written as 0, which Supervisely may refuse")
                width, height = size or (0, 0)
                record = {
                    "description": "",
                    "tags": [],
                    "size": {"height": height, "width": width},
                    "objects": objects,
                }
                target = temporary / image.parent.parent / "ann" / f"{image.name}.json"
                write_text(target, msgspec.json.encode(record).decode() + "\n")
            write_text(temporary / "meta.json", msgspec.json.encode(_meta(categories, nodes)).decode() + "\n")
            if not images.frames:
                (temporary / _DATA_SET / "ann").mkdir(parents=True)
    finally:
        images.close()


def _data_set_of(name: str) -> tuple[str, str]:
    """The data set of an image, and its name there: both without folders."""
    path = PurePosixPath(plain_name(name))
    parts = [safe_part(part) for part in path.parent.parts if part not in ("/", ".", "..") and not part.endswith(":")]
    if len(parts) > 1 and parts[-1] == "img":  # from a project of Supervisely
        parts.pop()
    return "_".join(parts) or _DATA_SET, path.name


def _node_ids(category: Category) -> dict[str, str]:
    """Ids of the nodes of a category by their names, the same for the same names."""
    names = () if category.schema is None else category.schema.names
    return {name: str(uuid.uuid5(_NAMESPACE, f"{category.name}\n{name}")) for name in names}


def _meta(categories: Sequence[Category], nodes: Sequence[dict[str, str]]) -> dict[str, Any]:
    classes: list[dict[str, Any]] = []
    for category, ids in zip(categories, nodes, strict=True):
        record: dict[str, Any] = {"title": category.name, "shape": "rectangle", "color": _COLOR, "geometry_config": {}}
        if category.schema is not None:
            record["shape"] = "graph"
            record["geometry_config"] = {
                "nodes": {
                    ids[name]: {"label": name, "loc": [20 * n, 20 * (n % 5)], "color": _COLOR}
                    for n, name in enumerate(category.schema.names)
                },
                "edges": [
                    {"src": ids[limb.start], "dst": ids[limb.end], "color": _COLOR} for limb in category.schema.limbs
                ],
            }
        classes.append(record)
    return {"classes": classes, "tags": [], "projectType": "images"}
