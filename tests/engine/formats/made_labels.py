"""Labels that hold everything that the label model can hold, with the images they name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engine.labels import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.schema.schema import schema_from_names

WIDTH, HEIGHT = 160, 120
MOUSE = schema_from_names("mouse", ["nose", "left_ear", "right_ear", "tail"], [(0, 1), (0, 2), (0, 3)])
BIRD = schema_from_names("bird", ["beak", "tail"], [(0, 1)])


def pose(frame: int, category: int, rng: np.random.Generator, **fields: object) -> Instance:
    count = MOUSE.num_keypoints if category == 0 else BIRD.num_keypoints
    points = np.round(rng.uniform((8, 8), (WIDTH - 8, HEIGHT - 8), (count, 2)), 2)
    visibility = np.full(count, VISIBLE, np.uint8)
    return Instance(frame, category, points, visibility, **{"key": f"i{rng.integers(1 << 30)}", **fields})  # type: ignore[arg-type]


def box_of(instance: Instance) -> np.ndarray:
    assert instance.keypoints is not None
    return np.concatenate([instance.keypoints.min(axis=0) - 2, instance.keypoints.max(axis=0) + 3])


def plain_images(folder: Path) -> Labels:
    """One category, one pose an image, all keypoints visible: what every format can keep."""
    rng = np.random.default_rng(1)
    frames = _images(folder, ["a.png", "b.png", "c.png"])
    return Labels(
        frames,
        [pose(n, 0, rng) for n in range(3)],
        [Category("mouse", MOUSE)],
        path=folder / "labels",
        image_folder=folder,
    )


def rich_images(folder: Path) -> Labels:
    """Images of two folders with two categories, boxes, tracks with names, predictions, occluded and absent points."""
    rng = np.random.default_rng(2)
    frames = _images(folder, ["one/a.png", "one/b.png", "two/a.png", "two/empty.png", "two/marked.png"])
    frames[3] = _replaced(frames[3], is_negative=True)
    frames[4] = _replaced(frames[4], is_flagged=True)
    instances = []
    for n in range(3):
        for track in range(2):
            instance = pose(n, 0, rng, track=track)
            visibility = np.array([VISIBLE, OCCLUDED, ABSENT, VISIBLE], np.uint8)
            instances.append(instance.replace(visibility=visibility, box=box_of(instance)))
        bird = pose(n, 1, rng)
        scores = np.array([0.75, 0.5])
        instances.append(bird.replace(scores=scores, score=0.625, is_prediction=True, box=box_of(bird)))
    crowd = Instance(0, 0, box=np.array([5.0, 6.0, 50.0, 60.0]), is_crowd=True, key="crowd")
    return Labels(
        frames,
        [*instances, crowd],
        [Category("mouse", MOUSE), Category("bird", BIRD)],
        path=folder / "labels",
        image_folder=folder,
        tracks={0: "Mickey", 1: "Minnie"},
    )


def videos(folder: Path) -> Labels:
    """Two videos with tracks, occluded points, an empty frame and predictions."""
    rng = np.random.default_rng(3)
    (folder / "cage").mkdir()
    for n, name in enumerate(("first.avi", "second.avi")):
        writer = cv2.VideoWriter(str(folder / "cage" / name), cv2.VideoWriter.fourcc(*"MJPG"), 25, (WIDTH, HEIGHT))
        for index in range(32):
            writer.write(np.full((HEIGHT, WIDTH, 3), 100 * n + index, np.uint8))
        writer.release()
    media = [Media(VIDEO, "cage/first.avi"), Media(VIDEO, "cage/second.avi")]
    frames = [Frame("", m, index, WIDTH, HEIGHT) for m in range(2) for index in (0, 3, 4, 20)]
    frames.append(Frame("", 0, 30, WIDTH, HEIGHT, is_negative=True))
    instances = []
    for n in range(8):
        for track in range(2):
            instance = pose(n, 0, rng, track=track)
            visibility = np.array([VISIBLE, VISIBLE, ABSENT, OCCLUDED if n % 2 else VISIBLE], np.uint8)
            instances.append(instance.replace(visibility=visibility))
    for n in (0, 5):
        instances.append(
            pose(n, 0, rng, scores=np.array([0.5, 0.25, 1.0, 0.75]), score=0.875, is_prediction=True, track=2)
        )
    return Labels(
        frames,
        instances,
        [Category("mouse", MOUSE)],
        media,
        path=folder / "labels",
        tracks={0: "Mickey", 1: "Minnie", 2: "third"},
    )


def _images(folder: Path, names: list[str]) -> list[Frame]:
    for n, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 20 * n, np.uint8))
    return [Frame(name, 0, n, WIDTH, HEIGHT) for n, name in enumerate(names)]


def _replaced(frame: Frame, **changes: bool) -> Frame:
    import msgspec

    return msgspec.structs.replace(frame, **changes)


__all__ = ["BIRD", "IMAGES", "MOUSE", "plain_images", "rich_images", "videos"]
