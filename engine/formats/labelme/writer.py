"""Labels as a folder of JSON files that labelme and X-AnyLabeling open, with the keypoint names in ``pose.yaml``."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from engine.formats.frame_images import FrameImages, ImageNames, name_of_frame, new_folder, places_images, write_text
from engine.formats.labelme.pose_config import NAME, config_text
from engine.formats.labelme.reader import AROUND_POINTS
from engine.formats.named_poses import box_around, finite_box, named_categories, points_of, poses_by_frame
from engine.formats.registry import WriteOptions
from engine.labels.model import OCCLUDED, UNKNOWN, Category, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, Context

_VERSION = "5.5.0"
_STEP = 200


def write_labelme(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a new folder: a JSON file beside each image.

    Raises:
        LabelError: it cannot be written. Cancelled: the context was cancelled; nothing is left behind.
    """
    folder = path.with_suffix("") if path.suffix.lower() == ".json" else path
    by_frame = poses_by_frame(labels, options, context)
    categories = named_categories(labels, context)
    images = FrameImages(labels)
    names = ImageNames()
    encoder = msgspec.json.Encoder()
    try:
        with new_folder(folder) as temporary:
            for position, frame in enumerate(images.frames):
                if position % _STEP == 0:
                    context.progress(position, len(images.frames))
                if frame.media == UNKNOWN:  # a record that could not be read, of which the reader has told
                    continue
                name = names.name("", name_of_frame(labels, frame))
                file = temporary / PurePosixPath(name).with_suffix(".json")
                image_path, has_image = PurePosixPath(name).name, True
                if places_images(options):
                    has_image = images.place(position, temporary / name, options.images)
                    if not has_image:
                        context.report(frame.name or name, "Image not found", "only its labels are written")
                elif options.absolute_paths and images.path(position) is not None:
                    image_path = str(images.path(position))
                width, height = images.size(position) or (0, 0)
                shapes: list[dict[str, Any]] = []
                for group, instance in enumerate(by_frame.get(position, ()), 1):
                    shapes += _shapes(instance, categories[instance.category], group, name, context)
                record: dict[str, Any] = {
                    "version": _VERSION,
                    "flags": {},
                    "shapes": shapes,
                    "imagePath": image_path,
                    "imageData": None,
                    "imageHeight": height,
                    "imageWidth": width,
                }
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(msgspec.json.format(encoder.encode(record), indent=1) + b"\n")
            write_text(temporary / NAME, config_text(categories))
    finally:
        images.close()


def _shapes(instance: Instance, category: Category, group: int, where: str, context: Context) -> list[dict[str, Any]]:
    assert category.schema is not None
    points = points_of(instance, category.schema.names, where, context)
    own_box = finite_box(instance)
    box = own_box or box_around([(point.x, point.y) for point in points])
    if box is None:
        context.report(where, "Pose without a box and without keypoints", "left out", severity=ERROR)
        return []
    flags = {} if own_box else {AROUND_POINTS: True}
    corners = [[box[0], box[1]], [box[2], box[3]]]
    shapes = [_shape("rectangle", category.name, corners, group, instance.score, flags=flags)]
    for point in points:
        is_occluded = point.state == OCCLUDED
        shapes.append(_shape("point", point.name, [[point.x, point.y]], group, point.score, is_difficult=is_occluded))
    return shapes


def _shape(
    kind: str,
    label: str,
    points: list[list[float]],
    group: int,
    score: float | None,
    *,
    flags: dict[str, bool] | None = None,
    is_difficult: bool = False,
) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": flags or {},
        "mask": None,
        "score": score,
        "difficult": is_difficult,
    }
