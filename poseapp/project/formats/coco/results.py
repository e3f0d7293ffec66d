"""A COCO results list into a project: predictions on the images of a COCO file that the project holds.

A results list names images and categories by the ids of the COCO file that it was made for. That file is looked for in
the project, else beside the list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import CocoError, quoted
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.dataset import CocoResult, Id
from engine.formats.coco.document import read_document, read_json_bytes, split_list
from engine.formats.coco.parsing import parse_categories, parse_images, parse_results
from engine.formats.registry import NO, format_named
from engine.labels.image_size import GridTransform
from poseapp.project.formats.coco.archive import NOBODY, SECTION_GRIDS, CocoArchive
from poseapp.project.formats.report import ImportReport, Problems
from poseapp.project.model import ABSENT, VISIBLE, Category, Edit, FrameEdit, FrameKey, Instance, State
from poseapp.project.store import ProjectStore

RESULTS = "results"
_MOST_CANDIDATES = 50
_LARGEST_CANDIDATE = 1 << 29  # bytes


def is_results_file(path: Path) -> bool:
    """Whether a JSON file is a list of COCO results; only its beginning is read. Never raises."""
    return path.is_file() and format_named("coco_results").sniff(path) > NO


def import_results(store: ProjectStore, path: Path | str) -> ImportReport:
    """Add the lines of a results list as predictions, as one step that can be undone.

    Lines that cannot be understood, of images or categories that the COCO file does not have, and those that the
    project has already, are left out and reported.

    Raises:
        CocoError: the list cannot be read, or the project holds no COCO file that it belongs to.
    """
    path = Path(path)
    problems = Problems()

    def unreadable(position: int, error: CocoError) -> None:
        problems.add(f"Unreadable result, left out: it {error.message}", f"number {position + 1}")

    results = list(parse_results(split_list(read_json_bytes(path), path), path, unreadable))
    target = _target(store, results, path)
    lots: dict[FrameKey, list[Instance]] = defaultdict(list)
    for position, result in enumerate(results, 1):
        where = f"number {position}, image {quoted(result.image_id)}"
        key = target.frames.get(target.images.match(result.image_id))
        category = target.category(result.category_id)
        if key is None:
            problems.add("Result of an image that is not in the COCO file, left out", where)
        elif category is None:
            problems.add("Result of a category without points in the COCO file, left out", where)
        else:
            instance = _instance(store, result, category, target.grids.get(key))
            if instance is None:
                count = category.schema.num_keypoints
                given = len(result.keypoints or [])
                problems.add(
                    f"Result without the {count} points of its category, left out", f"{where}: {given} numbers"
                )
            else:
                lots[key].append(instance)
    edits: list[FrameEdit] = []
    added = 0
    for key, instances in lots.items():
        known = {_mark(instance) for instance in store.instances(key)}
        new = tuple(instance for instance in instances if _mark(instance) not in known)
        if len(new) < len(instances):
            problems.add("Result that the project has already", store.frame(key).name, len(instances) - len(new))
        if new:
            added += len(new)
            edits.append(FrameEdit(key, (), new))
    if edits:
        store.apply(Edit(f"Import {added:,} results of {path.name}", tuple(edits)))
    return ImportReport(0, added, problems.sentences())


def find_coco_file(results: Path) -> Path:
    """The COCO file beside a results list that lists all of its images.

    Raises:
        CocoError: there is none, or more than one.
    """
    image_ids = {
        result.image_id for result in parse_results(split_list(read_json_bytes(results), results), results, _skip)
    }
    here = results.absolute().parent
    folders = [here, here / "annotations", here.parent, here.parent / "annotations"]
    candidates = [file for folder in folders for file in sorted(folder.glob("*.json")) if file != results.absolute()]
    fitting = [file for file in dict.fromkeys(candidates[:_MOST_CANDIDATES]) if _lists_images(file, image_ids)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(file.name for file in fitting[:4])
    why = (
        f"several files beside it could be the COCO file that it belongs to ({names})"
        if fitting
        else ("the COCO file that it belongs to is not beside it")
    )
    raise CocoError(f"is a list of results, and {why}; open it together with that file", where=results)


def _lists_images(file: Path, image_ids: set[Id]) -> bool:
    try:
        if file.stat().st_size > _LARGEST_CANDIDATE:
            return False
        matcher = IdMatcher(image.id for image in parse_images(read_document(file).images, file, unreadable=_skip))
    except (CocoError, OSError):
        return False
    return bool(image_ids) and all(matcher.knows(identity) for identity in image_ids)


def _skip(position: int, error: CocoError) -> None:
    """These records are reported when they are imported."""


@dataclass(frozen=True)
class _Target:
    """The imported COCO file that a results list belongs to."""

    frames: dict[Id, FrameKey]
    images: IdMatcher
    categories: dict[Id, Category]
    category_ids: IdMatcher
    grids: dict[FrameKey, GridTransform]

    def category(self, identity: Id) -> Category | None:
        return self.categories.get(self.category_ids.match(identity))


def _target(store: ProjectStore, results: Sequence[CocoResult], path: Path) -> _Target:
    """The file that lists most of the images; the last one of equals."""
    archive = CocoArchive(store.database)
    image_ids = {result.image_id for result in results}
    best: tuple[int, int, dict[Id, FrameKey]] | None = None
    for file in archive.files():
        frames: dict[Id, FrameKey] = {}
        for owner, record in archive.records(file.id, "images"):
            for image in parse_images([record], file.path, unreadable=_skip):
                frames.setdefault(image.id, FrameKey(*owner))
        matcher = IdMatcher(frames)
        count = sum(matcher.knows(identity) for identity in image_ids)
        if count and (best is None or count >= best[0]):
            best = count, file.id, frames
    if best is None:
        raise CocoError("is a list of results; open it together with the COCO file whose images it names", where=path)
    _, file_id, frames = best
    known = {category.id: category for category in store.categories()}
    categories: dict[Id, Category] = {}
    for owner, record in archive.records(file_id, "categories"):
        for category in parse_categories([record], path, unreadable=_skip):
            if owner != NOBODY and owner in known:
                categories.setdefault(category.id, known[owner])
    for owner, record in archive.records(file_id, "category_ids"):
        if owner in known:
            categories.setdefault(msgspec.json.decode(record), known[owner])
    grids = {
        FrameKey(*owner): msgspec.json.decode(record, type=GridTransform)
        for owner, record in archive.records(file_id, SECTION_GRIDS)
    }
    return _Target(frames, IdMatcher(frames), categories, IdMatcher(categories), grids)


def _instance(
    store: ProjectStore, result: CocoResult, category: Category, grid: GridTransform | None
) -> Instance | None:
    """None where the line has another number of points than its category."""
    count = category.schema.num_keypoints
    flat = result.keypoints or [0] * (3 * count)
    if len(flat) != 3 * count or (not result.keypoints and result.bbox is None):
        return None
    triples = np.asarray(flat, np.float64).reshape(-1, 3)
    points, scores = triples[:, :2].copy(), triples[:, 2].copy()
    box = None
    if result.bbox is not None and len(result.bbox) == 4:
        x, y, width, height = result.bbox
        box = np.array([x, y, x + width, y + height], np.float64)
    if grid is not None:
        points = grid.points(points)
        box = None if box is None else grid.boxes(box)
    return Instance(
        id=store.new_ids(1)[0],
        category=category.id,
        keypoints=points,
        visibility=np.where(scores > 0, VISIBLE, ABSENT).astype(np.uint8),
        by_human=np.zeros(count, np.bool_),
        scores=scores,
        score=result.score if np.isfinite(result.score) else 0.0,
        box=box,
        source="imported",
        state=State.PREDICTED,
    )


def _mark(instance: Instance) -> tuple[int, bytes, bytes, float | None]:
    """What two equal predictions have in common."""
    box = b"" if instance.box is None else instance.box.tobytes()
    return instance.category, instance.keypoints.tobytes(), box, instance.score
