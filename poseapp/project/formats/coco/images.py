"""The images of a COCO file as frames of a project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import MediaError, quoted
from engine.formats.coco.dataset import Id
from engine.formats.coco.parsing import parse_images
from engine.labels.image_size import GridTransform
from engine.media.pages import CHECKED_IN_FOLDERS, has_pages
from poseapp.project.formats.coco.archive import NOBODY, SECTION_GRIDS, CocoArchive
from poseapp.project.formats.coco.faults import Faulty, in_place
from poseapp.project.formats.coco.videos import frames_of_videos, grids_of_videos
from poseapp.project.formats.image_files import find_images, likely_folders
from poseapp.project.formats.images import add_pages
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer, check_sizes, report_sizes
from poseapp.project.formats.report import Problems
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore

_BLOCK = 4096
_LOST_FRAME = FrameKey(NOBODY, NOBODY)


@dataclass
class Frames:
    keys: list[FrameKey]
    by_id: dict[Id, FrameKey]
    grids: dict[FrameKey, GridTransform] = field(default_factory=dict)


def add_images(
    store: ProjectStore,
    archive: CocoArchive,
    file: int,
    path: Path,
    records: Sequence[msgspec.Raw],
    image_root: Path | str | None,
    problems: Problems,
    cache: Path | None,
    label_size: LabelSize,
) -> Frames:
    faulty = Faulty("image", problems)
    images = list(parse_images(records, path, unreadable=faulty))
    root = None if image_root is None else Path(image_root)
    of_videos = frames_of_videos(store, images, likely_folders(path, root), problems, cache)
    stills = [n for n in range(len(images)) if n not in of_videos]
    record_sizes = [(images[n].width, images[n].height) for n in stills]
    result = find_images((images[n].file_name for n in stills), path, root, record_sizes)
    for finding in result.findings:
        problems.add(finding.kind.value, finding.case)
    check = check_sizes(result.paths, record_sizes)
    if check.grids and label_size is LabelSize.ASK:
        raise LabelSizesDiffer(len(check.grids), check.example, path)
    report_sizes(check, label_size, problems)
    shown = {stills[n]: size for n, size in check.shown.items()}
    names = dict(zip(stills, result.names))
    known = _known_frames(store)
    root_name = str(result.root)
    of_videos |= _first_pages(store, dict(zip(stills, result.paths)), problems)
    keys = [
        of_videos[n] if n in of_videos else known.pop(_joined(root_name, names[n]), None) for n in range(len(images))
    ]
    new = [n for n, key in enumerate(keys) if key is None]
    if new:
        media = _media_at(store, result.root)
        sizes = [(names[n], *shown.get(n, (images[n].width, images[n].height))) for n in new]
        for n, key in zip(new, store.add_frames(media, sizes)):
            keys[n] = key
    settled = [key for key in keys if key is not None]
    by_id: dict[Id, FrameKey] = {}
    for image, key in zip(images, settled):
        if image.id in by_id:
            problems.add("Duplicate image id; its annotations go to the first one", quoted(image.id))
        by_id.setdefault(image.id, key)
    placed = in_place(settled, faulty, range(len(records)))
    for start in range(0, len(records), _BLOCK):
        owners = np.array([key or _LOST_FRAME for key in placed[start : start + _BLOCK]], dtype=np.int64)
        raws = [bytes(record) for record in records[start : start + _BLOCK]]
        archive.add_block(file, "images", owners.reshape(-1, 2), raws)
    fit = label_size is not LabelSize.KEEP
    grids = grids_of_videos(store, images, of_videos, problems, cache, fit=fit)
    if label_size is LabelSize.FIT and check.grids:
        grids |= {settled[stills[n]]: grid for n, grid in check.grids.items()}
    if grids:
        owners = np.array(list(grids), dtype=np.int64).reshape(-1, 2)
        archive.add_block(file, SECTION_GRIDS, owners, [msgspec.json.encode(grid) for grid in grids.values()])
    return Frames(settled, by_id, grids)


def _first_pages(store: ProjectStore, paths: Mapping[int, Path | None], problems: Problems) -> dict[int, FrameKey]:
    """The first frames of the files that hold several pictures, by the position of the image; a file that the project
    has as an image already stays one."""
    candidates = {
        n: path for n, path in paths.items() if path is not None and path.suffix.lower() in CHECKED_IN_FOLDERS
    }
    if not candidates:
        return {}
    known = _known_frames(store)
    frames: dict[int, FrameKey] = {}
    for position, path in candidates.items():
        if os.path.normpath(path) in known or not has_pages(path):
            continue
        try:
            frames[position] = add_pages(store, path)
        except MediaError as error:
            problems.add("File of several pictures cannot be read", str(error))
    return frames


def _known_frames(store: ProjectStore) -> dict[str, FrameKey]:
    """Frames that the project has already, by the path of their image."""
    roots = {media.id: media.path for media in store.media() if media.kind == "images"}
    return {_joined(roots[f.key.media], f.name): f.key for f in store.frames() if f.key.media in roots}


def _joined(root: str, name: str) -> str:
    """The path of an image, spelled always the same way."""
    path = os.path.join(root, name)
    return os.path.normpath(path) if ".." in name else path


def _media_at(store: ProjectStore, root: Path) -> int:
    for media in store.media():
        if media.kind == "images" and Path(media.path) == root:
            return media.id
    return store.add_media("images", root).id
