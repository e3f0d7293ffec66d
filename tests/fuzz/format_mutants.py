"""Seeded mutants of every label format that the engine reads, tried in processes of their own.

    python -m tests.fuzz.format_mutants --count 10000 [--seed 1] [--kind yolo] [--keep FOLDER]

A small good file or folder of each format is damaged: values of JSON are changed, removed, doubled or nested, words of
text are exchanged, bytes are flipped, files are cut off. Each mutant is read, counted, checked, written as COCO and as
YOLO, and read back. What must hold: an answer or a :class:`PoseError` of one line in 10 seconds
and 1.5 GB; each record of the mutant is an instance or in the report; what is written can be read again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.check import find_problems
from engine.errors import PoseError
from engine.formats.registry import WriteOptions, find_format, format_named
from engine.labels.model import VIDEO, Category, Frame, Instance, Media
from engine.labels.reader import LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context
from tests.engine.formats.sleap.slp_files import write_slp
from tests.fuzz.label_mutants import _ODD, ANY_FILE, SECONDS, Slow, Wrong, _limited

Files = dict[str, bytes]
MEMORY = 3 << 29
"""Bytes that a mutant may take, 1.5 GB."""

HDF5 = (".slp", ".h5", ".nwb")
_SIZE = (100, 80)
_CHUNK = 25
_NUM_IMAGES = 3


@dataclass(frozen=True)
class Kind:
    """A format, and how its mutants are made and counted.

    Attributes:
        format: its name in the registry. make: a good file or folder; images come beside it.
        path: what is read, relative to the folder ("" = the folder itself).
        count: the records of the mutant, counted without the reader; None where nothing can be said.
    """

    format: str
    make: Callable[[], Files]
    path: str
    count: Callable[[Path], int | None] = lambda _: None


@dataclass
class Outcome:
    """What came of many mutants: counts of "read" and "refused", and the failures by what they broke."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0


# --- good files


def good_labels(media: Media) -> Labels:
    """Two poses a frame, with boxes and tracks, of three images or frames of a video."""
    schema = schema_from_names("mouse", ["nose", "ear", "tail"], [(0, 1), (0, 2)])
    rng = np.random.default_rng(1)
    frames = [Frame(f"img{n}.png", 0, n, *_SIZE) for n in range(_NUM_IMAGES)]
    instances = []
    for n in range(2 * _NUM_IMAGES):
        points = np.round(rng.uniform(8, 60, (3, 2)), 2)
        box = np.concatenate([points.min(axis=0) - 2, points.max(axis=0) + 2])
        instances.append(Instance(n // 2, 0, points, np.array([2, 1 + n % 2, 2], np.uint8), box=box, track=n % 2))
    return Labels(frames, instances, [Category("mouse", schema)], [media])


def image_files() -> Files:
    import cv2

    encoded = cv2.imencode(".png", np.zeros((_SIZE[1], _SIZE[0], 3), np.uint8))[1].tobytes()
    return {f"img{n}.png": encoded for n in range(_NUM_IMAGES)}


def written(format: str, name: str) -> Callable[[], Files]:
    """The good labels as a format of the engine writes them."""

    def make() -> Files:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for image, data in image_files().items():
                (folder / image).write_bytes(data)
            labels = good_labels(Media(VIDEO, "clip.avi") if format == "cvat_video" else Media())
            labels.path, labels.image_folder = folder / "labels", folder
            path = folder / name
            format_named(format).write(labels, path, WriteOptions(images="copy"))
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    return make


def _json(name: str, content: Any) -> Callable[[], Files]:
    return lambda: {name: json.dumps(content).encode()}


_DATUMARO: dict[str, Any] = {
    "info": {},
    "categories": {
        "label": {"labels": [{"name": "mouse", "parent": ""}, {"name": "A", "parent": "mouse"},
                             {"name": "B", "parent": "mouse"}]},
        "points": {"items": [{"label_id": 0, "labels": ["A", "B"], "joints": [[1, 2]]}]},
    },
    "items": [{"id": f"img{n}", "image": {"path": f"img{n}.png", "size": [30, 40]}, "annotations": [
        {"type": "bbox", "label_id": 0, "group": 1, "bbox": [1, 2, 9, 9]},
        {"type": "skeleton", "label_id": 0, "group": 1, "points": [1.5, 2, 2, 3, 4, 1]},
        {"type": "points", "label_id": 0, "group": 0, "points": [5, 6, 7, 8]},
    ]} for n in range(3)],
}  # fmt: skip
_SLEAP_JSON: dict[str, Any] = {
    "version": "2.0.0",
    "skeletons": [{"directed": True, "graph": {"name": "mouse"}, "links": [{"source": 0, "target": 1, "type": {
        "py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [1]}]}}], "nodes": [{"id": 0}, {"id": 1}]}],
    "nodes": [{"name": "A"}, {"name": "B"}],
    "videos": [{"backend": {"filename": "clip.avi"}}],
    "tracks": [[0, "one"]],
    "labels": [{"video": 0, "frame_idx": n, "_instances": [{"skeleton": 0, "track": 0, "_points": {
        "0": {"x": 1.5 + n, "y": 2.0, "visible": True}, "1": {"x": 5.0, "y": 6.0, "visible": False}}}] * 2}
        for n in range(3)],
    "suggestions": [{"video": "0", "frame_idx": 5}],
}  # fmt: skip


def _slp() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.slp"
        points = [(5.0, 6.0, True), (7.0, 8.0, True), (9.0, 10.0, True)]
        frames: list[Any] = [(0, n, [(0, 0, -1, np.nan, points)]) for n in range(_NUM_IMAGES)]
        video = {"backend": {"filename": "", "filenames": [f"img{n}.png" for n in range(_NUM_IMAGES)]}}
        write_slp(path, frames, [video], ["mouse"])
        return {"a.slp": path.read_bytes()}


def _jabs() -> Files:
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a_pose_est_v4.h5"
        with h5py.File(path, "w") as file:
            group = file.create_group("poseest")
            group.attrs["version"] = np.array([4, 0], np.uint16)
            group["points"] = np.arange(3 * 2 * 12 * 2, dtype=np.uint16).reshape(3, 2, 12, 2)
            group["confidence"] = np.full((3, 2, 12), 0.5, np.float32)
            group["instance_count"] = np.full(3, 2, np.uint8)
            group["instance_track_id"] = group["instance_embed_id"] = np.array([[1, 2]] * 3, np.uint32)
            group["id_mask"] = np.zeros((3, 2), bool)
        return {path.name: path.read_bytes()}


def _nwb() -> Files:
    """Predictions of one animal and labels of another, without pynwb, whose files differ each time."""
    import h5py

    def typed(parent: Any, name: str, kind: str) -> Any:
        group = parent.create_group(name)
        group.attrs.update({"neurodata_type": kind, "namespace": "ndx-pose"})
        return group

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nwb"
        with h5py.File(path, "w") as file:
            behavior = file.create_group("processing/behavior")
            skeleton = typed(typed(behavior, "Skeletons", "Skeletons"), "mouse", "Skeleton")
            skeleton["nodes"], skeleton["edges"] = [b"nose", b"tail"], np.array([[0, 1]], np.uint8)
            images = typed(file.create_group("acquisition"), "images", "ImageSeries")
            images["external_file"] = [f"img{n}.png".encode() for n in range(_NUM_IMAGES)]
            images["external_file"].attrs["starting_frame"] = np.arange(_NUM_IMAGES)
            images["starting_time"] = 0.0
            images["starting_time"].attrs["rate"] = 1.0
            links = {"mouse": h5py.SoftLink(skeleton.name), "source_video": h5py.SoftLink(images.name)}
            estimation = typed(behavior, "anna", "PoseEstimation")
            for node in ("nose", "tail"):
                series = typed(estimation, node, "PoseEstimationSeries")
                series["data"], series["confidence"] = np.arange(6.0).reshape(3, 2), np.full(3, 0.5)
                series["data"].attrs.update({"unit": "pixels", "conversion": 1.0})
                series["timestamps"] = np.arange(3.0)
            frames = typed(typed(behavior, "PoseTraining", "PoseTraining"), "training_frames", "TrainingFrames")
            for n in range(_NUM_IMAGES):
                frame = typed(frames, f"frame_{n}", "TrainingFrame")
                frame.attrs["source_video_frame_index"] = n
                frame["source_video"] = links["source_video"]
                instance = typed(typed(frame, "skeleton_instances", "SkeletonInstances"), "bob", "SkeletonInstance")
                instance["node_locations"], instance["skeleton"] = np.ones((2, 2)) * n, links["mouse"]
                instance["node_visibility"] = np.array([True, False])
            for name, link in links.items():
                estimation[name] = link
        return {"a.nwb": path.read_bytes()}


_FLAT = [1.0, 2.0, 0.5, 3.0, 4.0, 0.25, 5.0, 6.0, 0.75]
_BODY = [float(n % 60 + 1) if n % 3 < 2 else 0.5 for n in range(75)]
_PIFPAF = {"keypoints": _FLAT, "bbox": [1, 2, 3, 4], "score": 0.5, "category_id": 1}
_ALPHA = {"category_id": 1, "keypoints": _FLAT, "score": 0.8, "box": [1, 2, 3, 4], "idx": 1}
_POINTS = [{"class": "point", "x": n, "y": n + 1} for n in (1, 2)]
_OBJECT = {"class": "Mouse", "x": 1, "y": 2, "width": 3, "height": 4}
_MMPOSE = {
    "keypoints": [[1, 2], [3, 4]], "keypoint_scores": [0.5, 0.6], "bbox": [[1, 2, 3, 4]], "bbox_score": 0.6,
}  # fmt: skip


# --- independent counts


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"), strict=False)
    except (ValueError, OSError, RecursionError):
        return None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def count_list(path: Path) -> int | None:
    return _length(_content(path))


def count_coco(path: Path) -> int | None:
    content = _content(path)
    return _length(content.get("annotations")) if isinstance(content, dict) else None


def count_people(path: Path) -> int | None:
    contents = [_content(file) for file in path.glob("*_keypoints.json")]
    return sum(_length(content.get("people")) for content in contents if isinstance(content, dict))


def count_lines(path: Path) -> int | None:
    total = 0
    for line in path.read_bytes().splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            total += bool(line.strip())
            continue
        total += _length(record.get("predictions")) if isinstance(record, dict) else 1
    return total


def count_boxes(path: Path) -> int | None:
    content = _content(path)
    images = [image for image in content if isinstance(image, dict)] if isinstance(content, list) else []
    listed = [image["annotations"] for image in images if isinstance(image.get("annotations"), list)]
    return sum(
        isinstance(entry, dict) and entry.get("class") not in ("point", None) for many in listed for entry in many
    )


def _entries(path: Path, key: str) -> Iterator[dict[str, Any]]:
    """Records of a list in each JSON file of a folder."""
    for file in path.rglob("*.json"):
        content = _content(file)
        entries = content.get(key) if isinstance(content, dict) else None
        yield from (entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else ()


def count_rectangles(path: Path) -> int | None:
    return sum(entry.get("shape_type") == "rectangle" for entry in _entries(path, "shapes"))


def count_skeletons(path: Path) -> int | None:
    return sum("skeleton" in entry for entry in _entries(path, "annotations"))


def count_objects(path: Path) -> int | None:
    return sum(1 for _ in _entries(path, "objects"))


def count_regions(path: Path) -> int | None:
    """Boxes of the first annotation of each task."""
    content = _content(path)
    total = 0
    for task in content if isinstance(content, list) else ():
        annotations = task.get("annotations") if isinstance(task, dict) else None
        first = annotations[0] if isinstance(annotations, list) and annotations else None
        result = first.get("result") if isinstance(first, dict) else None
        for region in result if isinstance(result, list) else ():
            total += isinstance(region, dict) and region.get("type") == "rectanglelabels"
    return total


def count_frames(path: Path) -> int | None:
    content = _content(path)
    frames = content.get("instance_info") if isinstance(content, dict) else None
    return sum(_length(frame.get("instances")) for frame in frames or () if isinstance(frame, dict)) if isinstance(
        frames, list
    ) else None  # fmt: skip


def count_rows(path: Path) -> int | None:
    """Rows of YOLO's label files that are text."""
    total = 0
    for file in path.rglob("*.txt"):
        if "labels" in file.parts:
            try:
                total += sum(1 for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
            except UnicodeDecodeError:
                continue
    return total


def count_items(path: Path) -> int | None:
    """Annotations of Datumaro's items but for boxes, which join the pose of their group."""
    content = _content(path)
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list):
        return None
    lists = [item.get("annotations") for item in items if isinstance(item, dict)]
    return sum(
        isinstance(a, dict) and a.get("type") != "bbox" for many in lists if isinstance(many, list) for a in many
    )


def count_sleap_json(path: Path) -> int | None:
    content = _content(path)
    frames = content.get("labels") if isinstance(content, dict) else None
    return sum(
        _length(frame.get("_instances")) for frame in frames or () if isinstance(frame, dict)
    ) if isinstance(frames, list) else None  # fmt: skip


def count_csv_rows(path: Path) -> int | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return sum(1 for line in lines[1:] if line.strip()) if '"' not in text else None


KINDS: dict[str, Kind] = {
    "coco": Kind("coco", written("coco", "a.json"), "a.json", count_coco),
    "yolo": Kind("yolo", written("yolo", "set"), "set", count_rows),
    "cvat": Kind("cvat", written("cvat", "a.xml"), "a.xml"),
    "cvat_video": Kind("cvat", written("cvat_video", "a.xml"), "a.xml"),
    "deeplabcut_csv": Kind("deeplabcut", written("deeplabcut", "CollectedData_me.csv"), "CollectedData_me.csv"),
    "deeplabcut_h5": Kind("deeplabcut", written("deeplabcut", "a.h5"), "a.h5"),
    "lightning_pose": Kind("lightning_pose", written("lightning_pose", "set"), "set"),
    "sleap": Kind("sleap", _slp, "a.slp"),
    "datumaro": Kind("datumaro", _json("a.json", _DATUMARO), "a.json", count_items),
    "sleap_json": Kind("sleap_json", _json("a.json", _SLEAP_JSON), "a.json", count_sleap_json),
    "sleap_analysis": Kind("sleap_analysis", written("sleap_analysis", "a.h5"), "a.h5"),
    "sleap_analysis_csv": Kind(
        "sleap_analysis_csv",
        lambda: {"a.000_clip.analysis.csv": ("track,frame_idx,instance.score,A.x,A.y,A.score\n" + "".join(
            f"one,{n},0.5,{n},2,0.25\n" for n in range(6))).encode()},
        "a.000_clip.analysis.csv", count_csv_rows,
    ),
    "jabs": Kind("jabs", _jabs, "a_pose_est_v4.h5"),
    "nwb": Kind("nwb", _nwb, "a.nwb"),
    "labelme": Kind("labelme", written("labelme", "set"), "set", count_rectangles),
    "label_studio": Kind("label_studio", written("label_studio", "a.json"), "a.json", count_regions),
    "darwin": Kind("darwin", written("darwin", "set"), "set", count_skeletons),
    "supervisely": Kind("supervisely", written("supervisely", "set"), "set", count_objects),
    "zip": Kind("zip", written("coco", "a.json"), "a.zip"),
    "coco_results": Kind(
        "coco_results",
        _json("a.json", [{"image_id": n % 3, "category_id": 1, "keypoints": _FLAT, "score": 0.5, "bbox": [1, 2, 3, 4]}
                         for n in range(5)]),
        "a.json", count_list,
    ),
    "alphapose": Kind(
        "alphapose", _json("a.json", [{"image_id": f"img{n % 3}.png", **_ALPHA} for n in range(5)]),
        "a.json", count_list,
    ),
    "openpose": Kind(
        "openpose",
        lambda: {f"out/img{n}_keypoints.json": json.dumps(
            {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": _BODY, "face_keypoints_2d": []}] * 2}
        ).encode() for n in range(3)},
        "out", count_people,
    ),
    "openpifpaf": Kind(
        "openpifpaf",
        lambda: {"a.mp4.openpifpaf.json": "\n".join(json.dumps(
            {"frame": n, "predictions": [_PIFPAF] * 2}
        ) for n in range(3)).encode()},
        "a.mp4.openpifpaf.json", count_lines,
    ),
    "alphatracker": Kind(
        "alphatracker",
        _json("a.json", [{"class": "image", "filename": f"img{n}.png", "annotations": [_OBJECT, *_POINTS] * 2}
                         for n in range(3)]),
        "a.json", count_boxes,
    ),
    "mmpose": Kind(
        "mmpose",
        _json("a.json", {"meta_info": {"keypoint_id2name": {"0": "a", "1": "b"}, "skeleton_links": [[0, 1]]},
                         "instance_info": [{"frame_id": n, "instances": [_MMPOSE] * 2} for n in range(3)]}),
        "a.json", count_frames,
    ),
}  # fmt: skip


# --- damage


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """One value anywhere in a JSON text is replaced, removed, doubled, cut off or nested."""
    try:
        top = json.loads(data)
    except (ValueError, RecursionError):
        return data
    containers = list(_containers(top))
    if not containers:
        return data
    chosen = rng.choice(containers)
    key = rng.choice(list(chosen) if isinstance(chosen, dict) else range(len(chosen)))
    action = rng.randrange(6)
    if action == 0:
        del chosen[key]
    elif action == 1:
        chosen[key] = [chosen[key]]
    elif action == 2 and isinstance(chosen, list):
        chosen.insert(rng.randrange(len(chosen) + 1), chosen[key])
    elif action == 3 and isinstance(chosen, list):
        del chosen[key:]
    elif action == 4:
        chosen[key] = str(chosen[key])
    else:
        chosen[key] = rng.choice(_ODD)
    return json.dumps(top).encode()


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


_TOKEN = re.compile(rb"[^\s,;:<>\"'=\[\]{}]+")
_ODD_TOKENS = (
    b"", b"nan", b"-inf", b"1e999", b"-1", b"0", b"9" * 400, b"x", b"\x00", b"\xff", b"&amp;", b"&x;", b"[", b"{",
    b"../..", b"/dev/zero", b"999999999999", b"1e308", b"True", "\u00b2".encode(), b"null", b"*a", b"&a", b"0.5",
)  # fmt: skip


def mutate_token(data: bytes, rng: random.Random) -> bytes:
    """A word or number of a text is replaced, removed or exchanged with another."""
    tokens = list(_TOKEN.finditer(data))
    if not tokens:
        return data
    first = rng.choice(tokens)
    other = rng.choice(tokens).group() if rng.random() < 0.3 else rng.choice(_ODD_TOKENS)
    return data[: first.start()] + other + data[first.end() :]


def mutate_lines(data: bytes, rng: random.Random) -> bytes:
    """A line of a text is removed, doubled or moved."""
    lines = data.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def mutate_hdf5(data: bytes, rng: random.Random) -> bytes:
    """A dataset or attribute of an HDF5 file is removed, cut off, or holds other values."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        path.write_bytes(data)
        try:
            with h5py.File(path, "r+") as file:
                names: list[str] = []
                file.visit(names.append)
                name = rng.choice(names)
                node = file[name]
                action = rng.randrange(5)
                if action == 0:
                    del file[name]
                elif action == 1 and len(node.attrs):
                    key = rng.choice(list(node.attrs))
                    node.attrs[key] = rng.choice((-1, 1e30, "x", b"\xff", [1, 2, 3], "{"))
                elif isinstance(node, h5py.Dataset):
                    table = np.asarray(node[()])
                    del file[name]
                    if action == 2:
                        file[name] = np.atleast_1d(table)[:-1]
                    elif action == 3:
                        file[name] = np.zeros((2, 2)) if rng.random() < 0.5 else np.array([b"x", b"{"])
                    else:
                        raw = (
                            bytearray(np.ascontiguousarray(table).tobytes()) if table.dtype.kind != "O" else bytearray()
                        )
                        for _ in range(3 if raw else 0):
                            raw[rng.randrange(len(raw))] = rng.randrange(256)
                        file[name] = np.frombuffer(bytes(raw), table.dtype).reshape(table.shape) if raw else table
        except (OSError, RuntimeError, LookupError, TypeError, ValueError):
            return data
        return path.read_bytes()


def mutants_of(name: str, seed: int, index: int) -> Files:
    """The files of one mutant; the same numbers give the same files."""
    rng = random.Random(f"{name} {seed} {index}")
    files = dict(_good(name))
    text = [file for file in files if not file.endswith(".png")]
    steps = rng.choice((1, 1, 1, 2, 4))
    num_changed = rng.randrange(steps + 1) if any(file.endswith(HDF5) for file in text) else 0
    for step in range(steps):
        target = rng.choice(text)
        if target.endswith(HDF5):  # bytes last: the library that edits the file does not survive damage
            mutate = mutate_hdf5 if step < num_changed else rng.choice(ANY_FILE[:2])
            files[target] = mutate(files[target], rng)
        else:
            files[target] = _damaged(files[target], target, rng)
    if name == "zip":
        return {"a.zip": _zipped(files, rng)}
    return files


def _damaged(data: bytes, target: str, rng: random.Random) -> bytes:
    if target.endswith(".json") and rng.random() < 0.75:
        return mutate_json(data, rng)
    return rng.choice((mutate_token, mutate_token, mutate_token, mutate_lines, *ANY_FILE))(data, rng)


def _zipped(files: Files, rng: random.Random) -> bytes:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, data in files.items():
            archive.writestr(rng.choice((name, name, name, f"../{name}", f"/{name}", f"a/{name}")), data)
    data = buffer.getvalue()
    return rng.choice(ANY_FILE[:2])(data, rng) if rng.random() < 0.6 else data


@cache
def _good(name: str) -> Files:
    return {**image_files(), **KINDS[name].make()}


# --- what must hold


def try_mutant(name: str, folder: Path) -> str:
    """Read, count, check and write one mutant; "read" or "refused".

    Raises:
        Wrong: what does not hold; the first word says which: loss, export, message.
    """
    kind = KINDS[name]
    path, context = folder / kind.path, Context()
    try:
        format = find_format(path)
    except PoseError as error:
        _check_message(error)
        format = format_named(kind.format)
    try:
        labels = format.read(path, context)
    except PoseError as error:
        _check_message(error)
        return "refused"
    with labels:
        try:
            instances = list(labels.instances())
        except PoseError as error:
            _check_message(error)
            return "refused"
        frames = list(labels.frames())
        _check_instances(labels, instances, len(frames))
        expected = kind.count(path) if format.name == kind.format else None
        remarks = context.findings.sentences()
        reported = sum(int(getattr(remark, "occurrences", 1)) for remark in remarks)
        if expected is not None and expected > len(instances) + reported:
            raise Wrong(f"loss: {expected} records, {len(instances)} instances, {reported} reported: {remarks[:3]}")
        list(find_problems(labels))
        _check_export(labels, folder / "out" / "written.json", "coco", instances)
        _check_export(labels, folder / "out" / "set", "yolo", None)
    return "read"


def _check_instances(labels: LabelReader, instances: list[Instance], num_frames: int) -> None:
    for instance in instances:
        if not (-1 <= instance.frame < num_frames and -1 <= instance.category < len(labels.categories)):
            raise Wrong("export: an instance of a frame or category that is not there")
        if instance.is_pose:
            schema = labels.categories[instance.category].schema
            if schema is None or instance.keypoints is None or len(instance.keypoints) != schema.num_keypoints:
                raise Wrong("export: a pose with another number of points than its category")
            if instance.visibility is None or instance.visibility.max(initial=0) > 2:
                raise Wrong("export: a pose whose visibilities are none")
            if not np.isfinite(instance.keypoints[instance.visibility > 0]).all():
                raise Wrong("export: a pose with numbers that are not finite")


def _check_export(labels: LabelReader, path: Path, format: str, instances: list[Instance] | None) -> None:
    path.parent.mkdir(exist_ok=True)
    context = Context()
    try:
        format_named(format).write(labels, path, WriteOptions(), context)
    except PoseError as error:
        _check_message(error)
        if format == "coco":
            raise Wrong(f"export: COCO is not written: {error}") from None
        return
    if format == "yolo" and not any(path.rglob("*.txt")):
        return  # images of unknown size, which is reported
    try:
        with format_named(format).read(path, Context()) as back:
            again = list(back.instances())
            list(back.frames())
    except PoseError as error:
        raise Wrong(f"export: {format} is written and cannot be read: {error}") from None
    if instances is not None and len(again) != len(instances):
        reported = context.findings.sentences()
        missing = len(instances) - len(again)
        if missing > sum(int(getattr(remark, "occurrences", 1)) for remark in reported):
            raise Wrong(f"export: {len(instances)} instances, {len(again)} came back from {format}: {reported[:3]}")


def _check_message(error: PoseError) -> None:
    if len(str(error)) > 2000 or "\n" in str(error) or "Traceback" in str(error):
        raise Wrong(f"message: {len(str(error))} characters: {str(error)[:200]!r}")


def run_chunk(name: str, seed: int, indices: list[int], keep: Path | None = None) -> Outcome:
    """Try some mutants in this process."""
    outcome = Outcome()
    for index in indices:
        with tempfile.TemporaryDirectory(prefix="mutant-") as temporary:
            folder = Path(temporary)
            for file, data in mutants_of(name, seed, index).items():
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            begin, problem, text = time.monotonic(), "", ""
            try:
                with _limited(SECONDS):
                    outcome.counts[try_mutant(name, folder)] += 1
            except Slow:
                problem = "hang"
            except MemoryError:
                problem = "memory"
            except Wrong as error:
                problem, _, text = str(error).partition(":")
            except Exception:
                problem, text = "traceback", traceback.format_exc(limit=-5)
            outcome.slowest = max(outcome.slowest, time.monotonic() - begin)
            if problem:
                outcome.broken[problem] += 1
                outcome.failures.append(f"{name} {seed} {index}: {problem}: {text}")
                if keep is not None:
                    shutil.copytree(folder, keep / f"{name}-{seed}-{index}", dirs_exist_ok=True)
    return outcome


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with open("/proc/self/statm", "rb") as file:
        in_use = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))


def _try_chunks(
    chunks: list[tuple[str, list[int]]], seed: int, keep: Path | None, workers: int, total: dict[str, Outcome]
) -> list[bool]:
    """Try chunks in one pool; which of them came back. When a process ends, the chunks that are left do not."""
    done = []
    with ProcessPoolExecutor(workers, initializer=_limit_memory) as pool:
        jobs: list[Future[Outcome] | None] = []
        for name, ids in chunks:
            try:
                jobs.append(pool.submit(run_chunk, name, seed, ids, keep))
            except BrokenProcessPool:
                jobs.append(None)
        for (name, _), job in zip(chunks, jobs, strict=True):
            try:
                if job is None:
                    raise BrokenProcessPool
                outcome = job.result()
            except BrokenProcessPool:
                done.append(False)
                continue
            done.append(True)
            total[name].counts += outcome.counts
            total[name].broken += outcome.broken
            total[name].failures += outcome.failures
            total[name].slowest = max(total[name].slowest, outcome.slowest)
    return done


def run(names: list[str], count: int, seed: int, keep: Path | None = None, workers: int = 2) -> dict[str, Outcome]:
    """Try ``count`` mutants of these kinds in all, in processes with limited memory."""
    total = {name: Outcome() for name in names}
    each = -(-count // len(names))
    chunks = [(name, list(range(n, min(n + _CHUNK, each)))) for name in names for n in range(0, each, _CHUNK)]
    done = _try_chunks(chunks, seed, keep, workers, total)
    left = [chunk for chunk, is_done in zip(chunks, done, strict=True) if not is_done]
    done = [all(_try_chunks([chunk], seed, keep, 1, total)) for chunk in left]
    # One by one: a mutant that ends a process in which it is alone is at fault.
    for name, ids in [chunk for chunk, is_done in zip(left, done, strict=True) if not is_done]:
        for index in ids:
            if not all(_try_chunks([(name, [index])], seed, keep, 1, total)):
                total[name].broken["crash"] += 1
                total[name].failures.append(f"{name} {seed} {index}: crash: the process ended")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="only this kind; may be repeated")
    parser.add_argument("--count", type=int, default=10_000, help="mutants of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the mutants that failed")
    options = parser.parse_args()
    total = run(options.kind or sorted(KINDS), options.count, options.seed, options.keep)
    for name, outcome in total.items():
        print(f"{name}: {dict(outcome.counts)}, broken: {dict(outcome.broken)}, slowest {outcome.slowest:.1f} s")
        for text in outcome.failures[:5]:
            print("   ", text.replace("\n", "\n    "))
    return 1 if any(outcome.failures for outcome in total.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
