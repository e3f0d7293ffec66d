"""OpenPose's JSON: a folder with a file ``NAME_keypoints.json`` an image or a frame of a video.

``{"people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, score, ...], "hand_left_keypoints_2d": ..., ...}]}``.
Coordinates are pixels, or with ``--keypoint_scale`` 0 to 1 or -1 to 1 of the image.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import LabelError, PoseError
from engine.formats.base import BaseFormat
from engine.formats.frame_images import FrameImages
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.bodies import limbs_of, names_of_body, names_of_part
from engine.formats.results.files import files_of, first_keys, folder_holds, image_names, video_named
from engine.formats.results.records import ResultsBuilder, UnusableRecord, identity_of, points_of, table_of
from engine.formats.text_files import read_json
from engine.labels.features import Feature
from engine.labels.model import VIDEO, Floats
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, Context

ENDING = "_keypoints.json"
_FRAME = re.compile(r"(.+)_(\d{12})")
_STEP = 200
_PARTS = {
    "pose": ("pose_keypoints_2d", "pose_keypoints"),
    "left_hand": ("hand_left_keypoints_2d", "hand_left_keypoints"),
    "right_hand": ("hand_right_keypoints_2d", "hand_right_keypoints"),
    "face": ("face_keypoints_2d", "face_keypoints"),
}


class OpenPoseFormat(BaseFormat):
    """A folder with a JSON file an image or frame, or one such file."""

    name = "openpose"
    title = "OpenPose JSON"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.is_dir():
            return CERTAIN if folder_holds(path, ENDING, _is_one) else NO
        return CERTAIN if _is_one(path) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        return _Reader(path, context, options).read()


def _is_one(path: Path) -> bool:
    is_list, keys, _ = first_keys(path)
    if is_list or "people" not in keys:
        return False
    return "version" in keys or path.name.endswith(ENDING)


class _Reader:
    def __init__(self, path: Path, context: Context, options: ReadOptions) -> None:
        self._path, self._context, self._options = path, context, options
        self._builder = ResultsBuilder(context, "OpenPose")

    def read(self) -> LabelReader:
        files = files_of(self._path, ENDING if self._path.is_dir() else "")
        stems = [file.name.removesuffix(ENDING).removesuffix(".json") for file in files]
        frames = self._frames(stems)
        people: list[tuple[int, str, dict[str, Floats], Any]] = []
        num_read = 0
        for done, (file, frame) in enumerate(zip(files, frames, strict=True)):
            if done % _STEP == 0:
                self._context.progress(done, len(files))
            try:
                content = read_json(file)
            except PoseError as error:
                self._context.report(file.name, f"File cannot be read: it {error.message}", "left out", severity=ERROR)
                continue
            listed = content.get("people") if isinstance(content, dict) else None
            if not isinstance(listed, list):
                self._builder.left_out(file.name, "File without a list of people")
                continue
            num_read += 1
            for position, person in enumerate(listed, 1):
                where = f"{file.name}: person {position}"
                parts = self._parts(person, where)
                if parts:
                    people.append((frame, where, parts, person.get("person_id")))
        if not num_read:
            raise LabelError("holds no file that can be read as OpenPose's JSON", where=self._path)
        self._add(people)
        return self._builder.labels.build(self._path)

    def _parts(self, person: Any, where: str) -> dict[str, Floats]:
        """(K, 3) numbers by part; {} for a person that is left out, which is reported."""
        if not isinstance(person, dict):
            self._builder.left_out(where, "Person that is no record")
            return {}
        if any(person.get(key) for key in person if key.endswith("_3d")):
            self._context.report(where, "Person with points in space", "only those in the image are taken")
        parts: dict[str, Floats] = {}
        for part, keys in _PARTS.items():
            value = next((person[key] for key in keys if person.get(key)), None)
            if value is None:
                continue
            try:
                parts[part] = table_of(value, (3,))
            except UnusableRecord as error:
                self._context.report(where, f"{error} ({part})", "left out", severity=ERROR)
        if not parts:
            self._builder.left_out(where, "Person without keypoints")
        return parts

    def _frames(self, stems: Sequence[str]) -> list[int]:
        """Images with these names; frames of videos where their images are missing and the names end in 12 digits."""
        labels = self._builder.labels
        images = image_names(self._path, self._options.images, stems)
        matches = [_FRAME.fullmatch(stem) for stem in stems]
        videos: dict[str, str] = {}
        for name in dict.fromkeys(match[1] for match in matches if match is not None):
            numbers = [int(match[2]) for match in matches if match is not None and match[1] == name]
            if any(image for image, match in zip(images, matches, strict=True) if match and match[1] == name):
                continue
            video = video_named(self._path, self._options.images, name)
            if video is not None:
                videos[name] = str(video)
            elif min(numbers) < len(numbers) and max(numbers) < 2 * len(numbers) and len(numbers) > 1:
                videos[name] = name
                self._context.report(name, "Video not found", "its frames are listed")
        frames = []
        for stem, image, match in zip(stems, images, matches, strict=True):
            if match is not None and match[1] in videos:
                media = labels.media(VIDEO, videos[match[1]])
                frames.append(labels.frame(stem, media, int(match[2])))
            else:
                frames.append(labels.frame(image or stem))
        return frames

    def _add(self, people: Sequence[tuple[int, str, dict[str, Floats], Any]]) -> None:
        scale = _scale([table for _, _, parts, _ in people for table in parts.values()])
        images = (
            FrameImages(self._builder.labels.build(self._path, image_folder=self._options.images)) if scale else None
        )
        sizes = {part: self._size(part, people) for part in _PARTS}
        names = tuple(
            name
            for part, size in sizes.items()
            for name in (names_of_body(size) if part == "pose" else names_of_part(part, size))
        )
        for frame, where, parts, identity in people:
            whole = np.zeros((len(names), 3))
            start = 0
            odd = [part for part, table in parts.items() if len(table) != sizes[part]]
            if odd:
                self._builder.left_out(where, f"Person with another number of points than the others ({odd[0]})")
                continue
            for part, size in sizes.items():
                if part in parts:
                    whole[start : start + size] = parts[part]
                start += size
            if images is not None:
                size_of_image = images.size(frame)
                if size_of_image is None:
                    self._builder.left_out(where, "Person in parts of an image whose size is unknown")
                    continue
                whole = _in_pixels(whole, scale, size_of_image)
            track = identity_of(identity)
            self._builder.add(
                frame,
                self._builder.category("person", len(names), names, limbs_of(names)),
                points_of(whole),
                where,
                track=None if track is None else self._builder.labels.track(track),
            )

    @staticmethod
    def _size(part: str, people: Sequence[tuple[int, str, dict[str, Floats], Any]]) -> int:
        """The most frequent number of points of a part."""
        counts = [len(parts[part]) for _, _, parts, _ in people if part in parts]
        return max(set(counts), key=lambda count: (counts.count(count), count)) if counts else 0


def _scale(tables: Sequence[Floats]) -> str:
    """ "unit" for coordinates of 0 to 1, "centered" for -1 to 1, "" for pixels."""
    rows = [table[table[:, 2] > 0, :2] for table in tables]
    values = np.concatenate(rows) if rows else np.zeros((0, 2))
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 2 or np.abs(values).max() > 1 or (values == np.round(values)).all():
        return ""
    return "centered" if values.min() < 0 else "unit"


def _in_pixels(table: Floats, scale: str, size: tuple[int, int]) -> Floats:
    table = table.copy()
    points = (table[:, :2] + 1) / 2 if scale == "centered" else table[:, :2]
    table[:, :2] = np.where(table[:, 2:] > 0, points * size, 0)
    return table


register_format(OpenPoseFormat())
