"""A small project to work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.schema.schema import schema_from_names
from poseapp.project.model import Category, FrameKey, Instance, State
from poseapp.project.store import ProjectStore

NAMES = ("nose", "left_ear", "right_ear", "tail")

MakeInstance = Callable[..., Instance]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    """An open project with two frames and one category of four points."""
    with ProjectStore.create(tmp_path / "test.pose") as opened:
        media = opened.add_media("images", tmp_path / "images")
        opened.add_frames(media.id, [("a.png", 100, 80), ("b.png", 0, 0)])
        opened.add_category("mouse", schema_from_names("mouse", NAMES, [(0, 1), (0, 2)], category="mouse"))
        yield opened


@pytest.fixture
def frame(store: ProjectStore) -> FrameKey:
    return store.frame_keys()[0]


@pytest.fixture
def category(store: ProjectStore) -> Category:
    return store.categories()[0]


@pytest.fixture
def make(store: ProjectStore, category: Category) -> MakeInstance:
    """Makes an instance with a new id; ``seed`` gives other points, ``score`` makes it a prediction."""

    def build(seed: int = 0, score: float | None = None, box: bool = True) -> Instance:
        random = np.random.default_rng(seed)
        points = random.random((4, 2)) * 50
        predicted = score is not None
        return Instance(
            id=store.new_ids(1)[0],
            category=category.id,
            keypoints=points,
            visibility=np.array([2, 2, 1, 0], np.uint8),
            by_human=np.zeros(4, bool) if predicted else np.array([True, True, True, False]),
            scores=random.random(4) if predicted else None,
            score=score,
            box=np.array([1.0, 2.0, 60.0, 70.0]) if box else None,
            source="model" if predicted else "human",
            state=State.PREDICTED if predicted else State.LABELLED,
        )

    return build
