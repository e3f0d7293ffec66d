"""OpenPifPaf's JSON: ``IMAGE.predictions.json`` with a list of poses, or for a video a line a frame
``{"frame": 1, "predictions": [...]}`` (https://openpifpaf.github.io/predict_cli.html)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from engine.errors import LabelError, PoseError
from engine.formats.base import BaseFormat
from engine.formats.coco.document import read_json_bytes
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.files import files_of, first_keys, folder_holds, image_names, video_named
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
from engine.labels.model import VIDEO
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context

ENDING = ".predictions.json"
_VIDEO_ENDINGS = (".openpifpaf.json", ".predictions.json", ".json", ".jsonl")


class OpenPifPafFormat(BaseFormat):
    """Predictions of one image, of a folder of images, or of a video."""

    name = "openpifpaf"
    title = "OpenPifPaf predictions"
    suffixes: tuple[str, ...] = (".json", ".jsonl")
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.is_dir():
            return CERTAIN if folder_holds(path, ENDING, _is_image_file) else NO
        return CERTAIN if _is_image_file(path) or _is_video_file(path) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        reader = _Reader(path, context, options)
        return reader.read_video() if not path.is_dir() and _is_video_file(path) else reader.read_images()


def _is_image_file(path: Path) -> bool:
    is_list, keys, _ = first_keys(path)
    if not is_list or {"image_id", "keypoint_scores", "filename"} & keys:
        return False
    return {"keypoints", "category_id"} <= keys or (path.name.endswith(ENDING) and (not keys or "keypoints" in keys))


def _is_video_file(path: Path) -> bool:
    is_list, keys, _ = first_keys(path)
    return not is_list and {"frame", "predictions"} <= keys


class _Reader:
    def __init__(self, path: Path, context: Context, options: ReadOptions) -> None:
        self._path, self._context, self._options = path, context, options
        self._builder = ResultsBuilder(context, "OpenPifPaf")

    def read_images(self) -> LabelReader:
        files = files_of(self._path, ENDING if self._path.is_dir() else "")
        names = [file.name.removesuffix(ENDING).removesuffix(".json") for file in files]
        images = image_names(self._path, self._options.images, names)
        num_read = 0
        for file, name, image in zip(files, names, images, strict=True):
            self._context.progress(num_read, len(files))
            frame = self._builder.labels.frame(image or name)
            try:
                listed = read_json(file)
            except PoseError as error:
                self._context.report(file.name, f"File cannot be read: it {error.message}", "left out", severity=ERROR)
                continue
            if not isinstance(listed, list):
                self._builder.left_out(file.name, "File without a list of predictions")
                continue
            num_read += 1
            self._add_all(frame, listed, file.name)
        if not num_read:
            raise LabelError("holds no file that can be read as OpenPifPaf's predictions", where=self._path)
        return self._builder.labels.build(self._path)

    def read_video(self) -> LabelReader:
        stem = self._path.name
        for ending in _VIDEO_ENDINGS:
            stem = stem.removesuffix(ending)
        video = video_named(self._path, self._options.images, stem)
        if video is None:
            self._context.report(stem, "Video not found", "its frames are listed")
        media = self._builder.labels.media(VIDEO, stem if video is None else str(video))
        lines: list[tuple[str, int, list[Any]]] = []
        for line_number, line in enumerate(read_json_bytes(self._path).splitlines(), 1):
            if line.strip():
                parsed = self._line(line, f"line {line_number}")
                if parsed is not None:
                    lines.append(parsed)
        first = min((index for _, index, _ in lines), default=0)
        offset = 1 if first >= 1 else 0
        if offset:
            self._context.report("", "Frames are counted from 1", "the first frame of the video is 1", severity=INFO)
        for done, (where, index, listed) in enumerate(lines):
            self._context.progress(done, len(lines))
            frame = self._builder.labels.frame("", media, index - offset)
            self._add_all(frame, listed, where)
        return self._builder.labels.build(self._path)

    def _line(self, line: bytes, where: str) -> tuple[str, int, list[Any]] | None:
        try:
            record = parse_json(line, where)
        except LabelError:
            self._builder.left_out(where, "Line that is not valid JSON")
            return None
        index = index_of(record.get("frame")) if isinstance(record, dict) else None
        if index is None or not isinstance(record.get("predictions"), list):
            listed = record.get("predictions") if isinstance(record, dict) else None
            self._builder.left_out(where, "Line without a frame and a list of predictions", listed)
            return None
        return where, index, record["predictions"]

    def _add_all(self, frame: int, listed: list[Any], file: str) -> None:
        for position, record in enumerate(listed, 1):
            where = f"{file}: number {position}"
            if not isinstance(record, dict):
                self._builder.left_out(where, "Prediction that is no record")
                continue
            box = box_of(record.get("bbox"))
            try:
                points = points_of(table_of(record.get("keypoints"), (3,)))
            except UnusableRecord as error:
                self._builder.left_out(where, str(error))
                continue
            self._builder.check_values(record, where, box="bbox", score="score")
            category_id = index_of(record.get("category_id", 1))
            person = category_id in (None, 1) and points.count in (17, 133)
            name = "person" if person else f"category {1 if category_id is None else category_id}"
            track = identity_of(record.get("id_"))
            self._builder.add(
                frame,
                self._builder.category(name, points.count, id=category_id),
                points,
                where,
                box=box,
                score=number_of(record.get("score")),
                track=None if track is None else self._builder.labels.track(track),
            )


register_format(OpenPifPafFormat())
