"""COCO results: a list with an entry a pose (https://cocodataset.org/#format-results).

``[{"image_id": 1, "category_id": 1, "keypoints": [x, y, score, ...], "score": 0.9}, ...]``; WholeBody adds
``foot_kpts``, ``face_kpts``, ``lefthand_kpts`` and ``righthand_kpts``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import CocoError, LabelError, PoseError
from engine.formats.base import BaseFormat
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.document import read_document, read_json_bytes, split_list
from engine.formats.coco.keypoints import BODY, PARTS, WHOLE_BODY
from engine.formats.coco.parsing import parse_categories, parse_images
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.files import first_keys
from engine.formats.results.records import (
    Points,
    ResultsBuilder,
    UnusableRecord,
    box_of,
    identity_of,
    number_of,
    points_of,
    table_of,
)
from engine.formats.text_files import parse_json
from engine.labels.features import Feature
from engine.labels.model import Floats
from engine.labels.reader import LabelReader
from engine.media.image_finder import likely_folders
from engine.media.images import is_image
from engine.utils.context import Context

Id = int | str
_STEP = 1000
_MAX_CANDIDATES = 50
_LARGEST_CANDIDATE = 1 << 29  # bytes
_MAX_IMAGES = 100_000


class CocoResultsFormat(BaseFormat):
    """A JSON list of poses by the ids of images and categories of a COCO file, which is looked for beside it."""

    name = "coco_results"
    title = "COCO results"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.is_dir():
            return NO
        is_list, keys, values = first_keys(path)
        if not is_list or "image_id" not in keys or not keys & {"category_id", "keypoints", "bbox", "score"}:
            return NO
        return NO if is_alphapose(keys, values) else CERTAIN

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        records = split_list(read_json_bytes(path), path)
        return _Reader(path, context, options, "COCO results").read(records)


def is_alphapose(keys: Collection[str], values: dict[str, Any]) -> bool:
    """Whether a record of a results list is one of AlphaPose: images by their file names."""
    if "image_id" not in keys or "keypoints" not in keys or "bbox" in keys:
        return False
    identity = values.get("image_id")
    return isinstance(identity, str) and is_image(identity)


class _Reader:
    def __init__(self, path: Path, context: Context, options: ReadOptions, source: str) -> None:
        self._path, self._context, self._options = path, context, options
        self._builder = ResultsBuilder(context, source)
        self._names: dict[Id, str] = {}
        self._points: dict[Id, tuple[list[str], list[tuple[int, int]]]] = {}
        self._category_ids = IdMatcher(())
        self._boxes: list[tuple[int, str, Id, Floats | None, float | None, str]] = []

    def read(self, raws: Iterable[bytes]) -> LabelReader:
        records = list(self._records(list(raws)))
        image_ids: dict[Id, int] = {}
        for _, record in records:
            image_ids.setdefault(record["image_id"], len(image_ids))
        coco_file = self._coco_file(list(image_ids))
        frames = self._frames_of_file(coco_file) if coco_file is not None else self._frames_of_ids(list(image_ids))
        matcher = IdMatcher(frames)
        for done, (where, record) in enumerate(records):
            if done % _STEP == 0:
                self._context.progress(done, len(records))
            frame = frames.get(matcher.match(record["image_id"]))
            if frame is None:
                self._builder.left_out(where, "Result of an image that the COCO file does not list")
                continue
            self._add(frame, record, where)
        for frame, name, category_id, box, score, where in self._boxes:
            category = self._builder.box_category(name, category_id)
            self._builder.add(frame, category, None, where, box=box, score=score)
        return self._builder.labels.build(self._path)

    def _records(self, raws: list[bytes]) -> Iterable[tuple[str, dict[str, Any]]]:
        for position, raw in enumerate(raws, 1):
            where = f"number {position}"
            try:
                record = parse_json(bytes(raw), where)
            except LabelError:
                record = None
            if not isinstance(record, dict):
                self._builder.left_out(where, "Result that is no record")
                continue
            identity = _id_of(record.get("image_id"))
            if identity is None:
                self._builder.left_out(where, "Result without an image_id")
                continue
            record["image_id"] = identity
            yield where, record

    def _add(self, frame: int, record: dict[str, Any], where: str) -> None:
        category_id = _id_of(record.get("category_id", 1))
        if category_id is None:
            self._builder.left_out(where, "Result without a category_id")
            return
        box, score = box_of(record.get("bbox")), number_of(record.get("score"))
        name = self._names.get(self._category_ids.match(category_id)) or _invented(category_id, record)
        try:
            points: Points | None = points_of(_table(record))
        except UnusableRecord as error:
            if box is None:
                self._builder.left_out(where, str(error))
                return
            if record.get("keypoints"):
                self._context.report(where, str(error), "its box is taken")
            points = None
        self._builder.check_values(record, where, box="bbox", score="score")
        if points is None:  # added after the poses, which say which keypoints the category has
            self._boxes.append((frame, name, category_id, box, score, where))
            return
        names, limbs = self._points.get(self._category_ids.match(category_id), ([], []))
        category = self._builder.category(name, points.count, names, limbs, category_id)
        track = identity_of(record.get("track_id"))
        track_number = (
            None if track is None else self._builder.labels.track(track, track if isinstance(track, str) else "")
        )
        self._builder.add(frame, category, points, where, box=box, score=score, track=track_number)

    def _frames_of_file(self, path: Path) -> dict[Id, int]:
        """The frames of a COCO file, by their ids; its categories are noted."""
        document = read_document(path)
        categories = list(parse_categories(document.categories, path, unreadable=_skip))
        self._names = {category.id: category.name for category in categories}
        self._category_ids = IdMatcher(self._names)
        self._points = {category.id: (category.keypoints, category.skeleton) for category in categories}
        frames: dict[Id, int] = {}
        for index, image in enumerate(parse_images(document.images, path, unreadable=_skip)):
            frames[image.id] = self._builder.labels.frame(  # by index: PoseTrack names several images alike
                image.file_name, index=index, width=image.width, height=image.height
            )
        return frames

    def _frames_of_ids(self, image_ids: list[Id]) -> dict[Id, int]:
        """Frames named by ids: file names as they are, numbers by the only image beside the list with this number."""
        by_number = self._numbered_images() if any(not _is_name(identity) for identity in image_ids) else {}
        frames: dict[Id, int] = {}
        for identity in image_ids:
            files = by_number.get(str(identity).lstrip("0"), [])
            if _is_name(identity):
                name = str(identity)
            elif len(files) == 1:
                name = files[0]
            else:
                name = str(identity)
                self._context.report(
                    name, "Image known by its number only, and no image beside the list has it",
                    "named by the number; open the list together with its COCO file",
                )  # fmt: skip
            frames[identity] = self._builder.labels.frame(name)
        return frames

    def _numbered_images(self) -> dict[str, list[str]]:
        numbered: dict[str, list[str]] = {}
        for folder in likely_folders(self._path, self._options.images):
            try:
                names = sorted(entry.name for entry, _ in zip(folder.iterdir(), range(_MAX_IMAGES), strict=False))
            except OSError:
                continue
            for name in names:
                digits = Path(name).stem.rpartition("_")[2].lstrip("0")
                if is_image(name) and digits.isascii() and digits.isdigit() and name not in numbered.get(digits, []):
                    numbered.setdefault(digits, []).append(name)
        return numbered

    def _coco_file(self, image_ids: list[Id]) -> Path | None:
        """The only COCO file beside the list that names all of its images."""
        here = self._path.absolute().parent
        folders = [here, here / "annotations", here.parent, here.parent / "annotations"]
        files = [file for folder in folders for file in _json_files(folder) if file != self._path.absolute()]
        matches = [file for file in dict.fromkeys(files[:_MAX_CANDIDATES]) if _lists_images(file, image_ids)]
        if len(matches) > 1:
            names = ", ".join(file.name for file in matches[:4])
            self._context.report(names, "Several COCO files could be the one of these results", "none was taken")
        return matches[0] if len(matches) == 1 else None


def _table(record: dict[str, Any]) -> Floats:
    """(K, 3) numbers of a record; the parts of COCO-WholeBody are joined."""
    table = table_of(record.get("keypoints"), (3,))
    if len(table) != BODY or not any(record.get(key) for key in PARTS if key != "keypoints"):
        return table
    whole = np.zeros((WHOLE_BODY, 3))
    for key, (start, stop) in PARTS.items():
        if record.get(key):
            part = table_of(record[key], (3,))
            if len(part) != stop - start:
                raise UnusableRecord(f"Record whose {key} are not {stop - start} keypoints")
            whole[start:stop] = part
    return whole


def _invented(category_id: Id, record: dict[str, Any]) -> str:
    keypoints = record.get("keypoints")
    count = len(keypoints) // 3 if isinstance(keypoints, list) else 0
    return "person" if category_id == 1 and count in (0, 17, 26, 133, 136) else f"category {category_id}"


def _id_of(value: Any) -> Id | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value == value and abs(value) < 2**53 and value == int(value) else None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    return value if isinstance(value, str) and value else None


def _is_name(identity: Id) -> bool:
    return isinstance(identity, str) and not identity.strip().isdigit()


def _json_files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.json"))
    except OSError:
        return []


def _lists_images(file: Path, image_ids: list[Id]) -> bool:
    try:
        if file.stat().st_size > _LARGEST_CANDIDATE:
            return False
        images = parse_images(read_document(file).images, file, unreadable=_skip)
        matcher = IdMatcher(image.id for image in images)
    except (PoseError, OSError):
        return False
    return bool(image_ids) and all(matcher.knows(identity) for identity in image_ids)


def _skip(position: int, error: CocoError) -> None:
    """Records of the COCO file that cannot be read name no image."""


register_format(CocoResultsFormat())
