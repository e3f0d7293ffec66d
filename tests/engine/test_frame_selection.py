"""Frames worth labelling: spread, scenes, diversity, uncertainty; the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.frame_selection import (
    frame_features,
    image_features,
    k_means,
    scene_starts,
    select_diverse,
    select_scenes,
    select_uncertain,
    select_uniform,
)


class Scenes:
    """Frames of one color a scene, with a little noise."""

    def __init__(self, *lengths: int) -> None:
        self.scene = [n for n, length in enumerate(lengths) for _ in range(length)]
        self.frame_count = len(self.scene)
        colors = np.random.default_rng(1)
        self.colors = colors.integers(0, 255, (len(lengths), 12, 16, 3))

    def read(self, index: int) -> np.ndarray:
        noise = np.random.default_rng(index).integers(-6, 7, (48, 64, 3))
        picture = np.kron(self.colors[self.scene[index]], np.ones((4, 4, 1), int))
        return (picture + noise).clip(0, 255).astype(np.uint8)


@given(st.integers(0, 60), st.integers(-1, 80))
def test_uniform_is_even_and_complete(total: int, count: int) -> None:
    result = select_uniform(range(total), count)
    assert len(result) == min(total, max(0, count))
    assert result == sorted(set(result))
    steps = np.diff(result)
    assert not len(steps) or steps.max() - steps.min() <= 1


def test_scene_changes_are_found() -> None:
    frames = Scenes(20, 5, 30)
    assert scene_starts(frame_features(frames, range(55))) == [20, 25]
    assert scene_starts(np.zeros((5, 3))) == []
    assert scene_starts(np.zeros((1, 3))) == []


def test_every_scene_gets_a_frame_before_any_gets_two() -> None:
    frames = Scenes(20, 5, 30)
    assert [frames.scene[i] for i in select_scenes(frames, 3)] == [0, 1, 2]
    assert sorted(frames.scene[i] for i in select_scenes(frames, 6)) == [0, 0, 1, 2, 2, 2]
    assert [frames.scene[i] for i in select_scenes(frames, 1)] == [2]


def test_diverse_takes_one_of_each_kind_of_picture() -> None:
    frames = Scenes(40, 3, 7, 10)
    result = select_diverse(frames, 4)
    assert [frames.scene[i] for i in result] == [0, 1, 2, 3]
    assert result == select_diverse(frames, 4)


def test_frames_left_out_are_not_chosen_and_all_come_where_few_are_left() -> None:
    frames = Scenes(4, 4)
    assert select_diverse(frames, 10, exclude=[0, 7]) == [1, 2, 3, 4, 5, 6]
    assert select_scenes(frames, 2, candidates=[1, 5]) == [1, 5]
    assert select_diverse(frames, 0) == []
    assert 7 not in select_diverse(frames, 3, exclude={7})


def test_pictures_that_are_all_the_same_do_not_hang_the_groups() -> None:
    assert k_means(np.ones((6, 4)), 3).shape == (3, 4)

    class Black:
        frame_count = 9

        def read(self, index: int) -> np.ndarray:
            return np.zeros((8, 8, 3), np.uint8)

    assert len(select_diverse(Black(), 4)) == 4
    assert image_features(Black().read(0)).shape == image_features(np.zeros((90, 3, 3), np.uint8)).shape


def test_the_unsurest_come_first_and_not_side_by_side() -> None:
    scores = [(0, 0.9), (10, 0.1), (11, 0.05), (12, 0.2), (40, 0.3), (40, 0.8)]
    assert select_uncertain(scores, 2) == [10, 11]
    assert select_uncertain(scores, 3, spacing=5) == [0, 11, 40]
    assert select_uncertain(scores, 2, spacing=5, exclude=[11]) == [10, 40]


def test_what_progress_raises_ends_the_work() -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyError((done, total))

    with pytest.raises(KeyError, match="20"):
        select_diverse(Scenes(20), 5, progress=stop)
