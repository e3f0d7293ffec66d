"""Labels as a JSON file of tasks that Label Studio imports, with the labeling configuration beside it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import msgspec

from engine.errors import LabelError
from engine.formats.frame_images import FrameImages, name_of_frame
from engine.formats.label_studio.configuration import OCCLUDED_CHOICE, VISIBILITY, configuration_text, control_of
from engine.formats.label_studio.reader import AROUND_KEYPOINTS
from engine.formats.named_poses import Point, box_around, finite_box, named_categories, points_of, poses_by_frame
from engine.formats.registry import WriteOptions
from engine.labels.model import OCCLUDED, UNKNOWN, Category, Instance
from engine.labels.reader import LabelReader
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, Context
from engine.utils.files import kept_mode, replacing

_STEP = 200
_POINT_SIZE = 0.5  # percent
_LOCAL = "/data/local-files/?d="
_ADDRESSES = ("/data/", "http://", "https://", "s3://", "gs://", "azure-blob://")


def write_label_studio(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write the tasks, and ``STEM.xml`` with the configuration.

    Raises:
        LabelError: it cannot be written. Cancelled: the context was cancelled; nothing is left behind.
    """
    by_frame = poses_by_frame(labels, options, context)
    categories = named_categories(labels, context)
    images = FrameImages(labels)
    taken: set[str] = set()
    xml = path.with_suffix(".xml")
    is_first = True
    try:
        with ExitStack() as stack:  # both files or none
            temporary = stack.enter_context(replacing(path, mode=kept_mode(path)))
            temporary_xml = stack.enter_context(replacing(xml, mode=kept_mode(xml)))
            temporary_xml.write_text(configuration_text(categories), encoding="utf-8", newline="\n")
            with temporary.open("wb") as file:
                file.write(b"[")
                for position, frame in enumerate(images.frames):
                    if position % _STEP == 0:
                        context.progress(position, len(images.frames))
                    if frame.media == UNKNOWN:  # a record that could not be read, of which the reader has told
                        continue
                    name = _free_name(name_of_frame(labels, frame), taken, context)
                    source = images.path(position)
                    address = name
                    if not name.startswith(_ADDRESSES):
                        is_absolute = options.absolute_paths and source is not None
                        address = _LOCAL + quote(str(source).lstrip("/") if is_absolute else plain_name(name))
                    instances = by_frame.get(position, [])
                    size = images.size(position)
                    if size is None and instances:
                        context.report(name, "Size of the image is unknown", "its poses are left out",
                                       count=len(instances), severity=ERROR)  # fmt: skip
                        instances = []
                    task = _task(position + 1, address, instances, categories, size or (1, 1), context, name)
                    if frame.is_negative and not task["annotations"]:
                        task["annotations"] = [{"result": []}]
                    file.write(b"\n" if is_first else b",\n")
                    file.write(msgspec.json.encode(task))
                    is_first = False
                file.write(b"\n]\n")
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None
    finally:
        images.close()


def _free_name(name: str, taken: set[str], context: Context) -> str:
    path, count, free = PurePosixPath(name), 1, name
    while free in taken:
        count += 1
        free = path.with_name(f"{path.stem}_{count}{path.suffix}").as_posix()
    if free != name:
        context.report(name, "Image of the same name as another", f"written as {free}")
    taken.add(free)
    return free


def _task(
    task_id: int,
    address: str,
    instances: Sequence[Instance],
    categories: Sequence[Category],
    size: tuple[int, int],
    context: Context,
    where: str,
) -> dict[str, Any]:
    labels: list[dict[str, Any]] = []
    predictions: dict[str, list[dict[str, Any]]] = {}
    for index, instance in enumerate(instances):
        target = predictions.setdefault(instance.source, []) if instance.is_prediction else labels
        target += _regions(f"i{index}", instance, categories, size, context, where)
    return {
        "id": task_id,
        "data": {"image": address},
        "annotations": [{"result": labels}] if labels else [],
        "predictions": [
            {"model_version": source, "result": result} for source, result in predictions.items() if result
        ],
    }


def _regions(
    region_id: str,
    instance: Instance,
    categories: Sequence[Category],
    size: tuple[int, int],
    context: Context,
    where: str,
) -> list[dict[str, Any]]:
    category = categories[instance.category]
    assert category.schema is not None
    points = points_of(instance, category.schema.names, where, context)
    own_box = finite_box(instance)
    box = own_box or box_around([(point.x, point.y) for point in points])
    if box is None:
        context.report(where, "Pose without a box and without keypoints", "left out", severity=ERROR)
        return []
    width, height = size
    x1, y1, x2, y2 = box
    value: dict[str, Any] = {
        "x": x1 / width * 100,
        "y": y1 / height * 100,
        "width": (x2 - x1) / width * 100,
        "height": (y2 - y1) / height * 100,
        "rotation": 0,
        "rectanglelabels": [category.name],
    }
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    region = {"id": region_id, "type": "rectanglelabels", "from_name": "box", "value": value, **common}
    if own_box is None:
        region["meta"] = {"text": [AROUND_KEYPOINTS]}
    if instance.score is not None:
        region["score"] = instance.score
    regions = [region]
    control = control_of(instance.category)
    for index, point in enumerate(points):
        regions += _keypoint(f"{region_id}k{index}", region_id, point, control, common)
    return regions


def _keypoint(region_id: str, parent: str, point: Point, control: str, common: dict[str, Any]) -> list[dict[str, Any]]:
    position = {
        "x": point.x / common["original_width"] * 100,
        "y": point.y / common["original_height"] * 100,
        "width": _POINT_SIZE,
    }
    region = {
        "id": region_id,
        "type": "keypointlabels",
        "parentID": parent,
        "from_name": control,
        "value": {**position, "keypointlabels": [point.name]},
        **common,
    }
    if point.score is not None:
        region["score"] = point.score
    if point.state != OCCLUDED:
        return [region]
    choice = {
        "id": region_id,
        "type": "choices",
        "from_name": VISIBILITY,
        "value": {**position, "choices": [OCCLUDED_CHOICE]},
        **common,
    }
    return [region, choice]
