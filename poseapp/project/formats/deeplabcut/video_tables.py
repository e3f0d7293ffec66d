"""What DeepLabCut found in a video, as predictions on the video beside the table.

Points are stored pixels; where these are not square, they are brought to the square ones that are shown here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.formats.deeplabcut.folder import video_beside
from engine.formats.deeplabcut.reader import MIN_LIKELIHOOD
from engine.labels.image_size import GridTransform
from engine.media.video.frame_size import opencv_grid
from poseapp.project.formats.report import ImportReport, Problems
from poseapp.project.formats.videos import import_video
from poseapp.project.model import ABSENT, VISIBLE, Category, FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

Places = dict[str, tuple[int, int, int | None]]
"""Of each point the columns of x, y and likelihood."""
Person = tuple[Category, Places, int | None, tuple[int | None, ...]]
"""Of an individual the category, its columns, its track, and which of its points each of the category's is."""


def import_predictions(
    store: ProjectStore,
    file: Path,
    numbers: list[int],
    values: npt.NDArray[np.float64],
    people: dict[str, Person],
    source: str,
    problems: Problems,
    *,
    cache: Path | None = None,
) -> tuple[ImportReport, list[tuple[str, int]]]:
    """Add the video and its poses; within a transaction. Returns also the key of each pose's record, and its id.

    Args:
        numbers: frame number of each row.
        values: (rows, columns).
        people: of each individual what its poses are; several are tracks.
        source: who found them.

    Raises:
        ProjectError: there is no such video.
        MediaError: it cannot be read.
    """
    video = video_beside(file)
    media = import_video(store, video, cache=cache)
    grid = opencv_grid(video, cache)
    count = len(store.frame_names(media.id))
    report = ImportReport(images=count)
    records: list[tuple[str, int]] = []
    for row, number in enumerate(numbers):
        if not 0 <= number < count:
            problems.add("Frame is not in the video, its poses are left out", str(number))
            continue
        for name, person in people.items():
            instance = _instance(store, person, values[row], grid, source)
            if instance is not None:
                store.database.run(instance_rows.INSERT, instance_rows.to_row(instance, FrameKey(media.id, number)))
                records.append((f"{number}|{name}", instance.id))
    report.annotations = len(records)
    return report, records


def _instance(
    store: ProjectStore, person: Person, row: npt.NDArray[np.float64], grid: GridTransform | None, source: str
) -> Instance | None:
    """None where no point was found."""
    category, places, track, order = person
    points = np.array([[row[x], row[y]] for x, y, _ in places.values()])
    points = points if grid is None else grid.points(points)
    scores = np.array([1.0 if p is None else row[p] for _, _, p in places.values()])
    given = np.array([-1 if n is None else n for n in order])
    has = given >= 0
    points, scores = points[given], np.where(has, scores[given], 0.0)
    there = np.isfinite(points).all(axis=1) & has
    scores = np.where(there & np.isfinite(scores), scores, 0.0).clip(0, 1)
    seen = there & (scores >= MIN_LIKELIHOOD)
    if not seen.any():
        return None
    return Instance(
        id=store.new_ids(1)[0],
        category=category.id,
        keypoints=np.where(there[:, None], points, 0.0),
        visibility=np.where(seen, VISIBLE, ABSENT).astype(np.uint8),
        by_human=np.zeros(len(order), np.bool_),
        scores=scores,
        score=float(scores[seen].mean()),
        track=track,
        source=source,
        state=State.PREDICTED,
    )
