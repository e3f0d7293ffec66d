from pathlib import Path

import numpy as np
import pytest

from engine.train.config import AugmentConfig
from engine.train.data.pose_crops import ImageCache, PoseDataset
from engine.train.data.training_set import read_training_set
from tests.engine.train.conftest import COLORS

NO_COLOR = {"brightness": 0.0, "contrast": 0.0, "color": 0.0}


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_points_stay_on_their_colors_however_a_crop_is_turned(bars: Path, flip: float) -> None:
    augment = AugmentConfig(rotation=180, flip=flip, scale=(0.8, 1.2), **NO_COLOR)
    data = PoseDataset(read_training_set(bars), (96, 128), 1.25, augment, ImageCache(1 << 24))
    # A mirrored bar has its left on the other side: the colors of the two sides change places, their names do not.
    colors = np.array(COLORS)[[0, 2, 1, 3] if flip else [0, 1, 2, 3]]
    for index in range(len(data)):
        sample = data.sample(index, np.random.default_rng(index))
        assert sample.crop.shape == (128, 96, 3)
        for (x, y), color in zip(np.rint(sample.keypoints).astype(int), colors, strict=True):
            if 2 <= x < 94 and 2 <= y < 126:
                assert np.abs(sample.crop[y, x].astype(int) - color).max() < 60


def test_a_sample_is_the_same_for_the_same_generator(bars: Path) -> None:
    data = PoseDataset(read_training_set(bars), (64, 64), 1.25, AugmentConfig(rotation=180), ImageCache(0))
    first, second = (data.sample(3, np.random.default_rng([1, 2])) for _ in range(2))
    assert (first.crop == second.crop).all()
    assert (first.keypoints == second.keypoints).all()


def test_the_cache_keeps_what_fits_and_shrinks_what_is_large(bars: Path) -> None:
    paths = [bars.with_name(f"{n:03}.png") for n in (1, 2)]
    cache = ImageCache(max_bytes=60 * 60 * 3, longest=60)
    first, factor = cache.get(paths[0])
    assert first.shape == (60, 60, 3)
    assert factor == 0.5
    assert cache.get(paths[0])[0] is first
    assert cache.get(paths[1])[0] is not cache.get(paths[1])[0]
