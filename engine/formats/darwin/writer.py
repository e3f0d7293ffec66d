"""Labels as a folder of Darwin 2.0 JSON files, one for each image or video, with the classes in ``.v7``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from engine.formats.darwin.classes import METADATA, metadata_of
from engine.formats.darwin.reader import annotation_id_of, box_id_of
from engine.formats.frame_images import (
    FrameImages,
    ImageNames,
    name_of_frame,
    new_folder,
    places_images,
    safe_part,
    write_text,
)
from engine.formats.named_poses import finite_box, named_categories, points_of, poses_by_frame
from engine.formats.registry import WriteOptions
from engine.labels.model import IMAGES, OCCLUDED, UNKNOWN, Category, Instance
from engine.labels.reader import LabelReader
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, WARNING, Context

_SCHEMA = "https://darwin-public.s3.eu-west-1.amazonaws.com/darwin_json/2.0/schema.json"
_STEP = 200


def write_darwin(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a new folder; images that are copied or linked are in its folder ``images``.

    Raises:
        LabelError: it cannot be written. Cancelled: the context was cancelled; nothing is left behind.
    """
    folder = path.with_suffix("") if path.suffix.lower() == ".json" else path
    by_frame = poses_by_frame(labels, options, context)
    images = FrameImages(labels)
    try:
        with new_folder(folder) as temporary:
            writer = _Writer(labels, images, temporary, options, context)
            for position, frame in enumerate(images.frames):
                if position % _STEP == 0:
                    context.progress(position, len(images.frames))
                if frame.media != UNKNOWN and labels.media[frame.media].type == IMAGES:
                    writer.write_image(position, by_frame.get(position, ()))
            for media, record in enumerate(labels.media):
                if record.type != IMAGES:
                    writer.write_video(media, by_frame)
            write_text(temporary / METADATA, msgspec.json.encode(metadata_of(writer.categories)).decode() + "\n")
    finally:
        images.close()


class _Writer:
    def __init__(
        self, labels: LabelReader, images: FrameImages, folder: Path, options: WriteOptions, context: Context
    ) -> None:
        self.categories: list[Category] = named_categories(labels, context)
        self._labels, self._images, self._folder = labels, images, folder
        self._options, self._context = options, context
        self._image_names = ImageNames()
        self._file_names = ImageNames()

    def write_image(self, position: int, instances: Iterable[Instance]) -> None:
        frame = self._images.frames[position]
        name = self._image_names.name("", name_of_frame(self._labels, frame))
        if places_images(self._options):
            target = self._folder / "images" / name
            if not self._images.place(position, target, self._options.images):
                self._context.report(frame.name or name, "Image not found", "only its labels are written")
        annotations: list[dict[str, Any]] = []
        for index, instance in enumerate(instances):
            skeleton, box = self._geometries(instance, name)
            annotation_id = annotation_id_of(f"{name} {index}")
            common = self._common(instance, annotation_id)
            if skeleton is not None:
                annotations.append({**common, "skeleton": skeleton})
            if box is not None:
                own_id = box_id_of(annotation_id) if skeleton is not None else annotation_id
                annotations.append({**common, "id": own_id, "bounding_box": box})
        self._write(name, self._images.size(position), "image", annotations)

    def write_video(self, media: int, by_frame: dict[int, list[Instance]]) -> None:
        name = plain_name(self._labels.media[media].path)
        positions = [p for p, frame in enumerate(self._images.frames) if frame.media == media]
        tracks: dict[object, dict[int, Instance]] = {}
        empty = 0
        for position in positions:
            index = self._images.frames[position].index
            instances = by_frame.get(position, [])
            empty += not instances
            for order, instance in enumerate(instances):
                key: object = (instance.track, instance.category)
                if instance.track is None or index in tracks.get(key, {}):
                    key = f"frame {index} {order}"
                tracks.setdefault(key, {})[index] = instance
        if empty:
            self._context.report(name, "Frames of a video without objects, which this format does not have",
                                 "left out", count=empty, severity=WARNING)  # fmt: skip
        annotations = []
        for order, (key, at_frames) in enumerate(tracks.items()):
            self._context.check_cancelled()
            annotations += self._video_annotations(key, at_frames, annotation_id_of(f"{name} {order}"), name)
        size = next((self._images.size(position) for position in positions), None)
        last = max((self._images.frames[position].index for position in positions), default=-1)
        self._write(name, size, "video", annotations, self._images.num_frames(media) or last + 1)

    def _video_annotations(
        self, key: object, at_frames: dict[int, Instance], annotation_id: str, name: str
    ) -> list[dict[str, Any]]:
        skeletons: dict[str, dict[str, Any]] = {}
        boxes: dict[str, dict[str, Any]] = {}
        for index, instance in sorted(at_frames.items()):
            skeleton, box = self._geometries(instance, f"{name}: frame {index}")
            if skeleton is not None:
                skeletons[str(index)] = {"skeleton": skeleton, "keyframe": True}
            if box is not None:
                boxes[str(index)] = {"bounding_box": box, "keyframe": True}
        common = self._common(next(iter(at_frames.values())), annotation_id)
        if isinstance(key, str):
            common.pop("instance_id", None)
        annotations = []
        for frames, own_id in ((skeletons, annotation_id), (boxes, box_id_of(annotation_id))):
            if frames:
                ranges = _ranges([int(index) for index in frames])
                annotations.append(
                    {
                        **common,
                        "id": own_id,
                        "frames": frames,
                        "ranges": ranges,
                        "interpolated": False,
                        "hidden_areas": [],
                    }
                )
        return annotations

    def _geometries(self, instance: Instance, where: str) -> tuple[dict[str, Any] | None, dict[str, float] | None]:
        schema = self.categories[instance.category].schema
        assert schema is not None
        points = points_of(instance, schema.names, where, self._context)
        nodes = [{"name": p.name, "x": p.x, "y": p.y, "occluded": p.state == OCCLUDED} for p in points]
        box = finite_box(instance)
        if not nodes and box is None:
            self._context.report(where, "Pose without a box and without keypoints", "left out", severity=ERROR)
        sides = None if box is None else {"x": box[0], "y": box[1], "w": box[2] - box[0], "h": box[3] - box[1]}
        return ({"nodes": nodes} if nodes else None), sides

    def _common(self, instance: Instance, annotation_id: str) -> dict[str, Any]:
        common: dict[str, Any] = {
            "id": annotation_id,
            "name": self.categories[instance.category].name,
            "slot_names": ["0"],
            "properties": [],
        }
        if instance.track is not None:
            common["instance_id"] = {"value": instance.track}
        return common

    def _write(
        self,
        name: str,
        size: tuple[int, int] | None,
        kind: str,
        annotations: Sequence[dict[str, Any]],
        num_frames: int | None = None,
    ) -> None:
        path = PurePosixPath(name)
        slot: dict[str, Any] = {"type": kind, "slot_name": "0", "source_files": [{"file_name": path.name, "url": ""}]}
        if size is not None:
            slot |= {"width": size[0], "height": size[1]}
        if num_frames is not None:
            slot["frame_count"] = num_frames
        parent = path.parent.as_posix()
        record = {
            "version": "2.0",
            "schema_ref": _SCHEMA,
            "item": {
                "name": path.name,
                "path": "/" if parent == "." else f"/{parent.lstrip('/')}",
                "slots": [slot],
            },
            "annotations": list(annotations),
        }
        stem = "_".join(safe_part(part) for part in path.parts if part != "/")
        target = self._file_names.name("", f"{stem}.json")
        (self._folder / target).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def _ranges(frames: Sequence[int]) -> list[list[int]]:
    """Runs of neighboring frames, as pairs of the first and the one after the last."""
    ranges: list[list[int]] = []
    for index in frames:
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] = index + 1
        else:
            ranges.append([index, index + 1])
    return ranges
