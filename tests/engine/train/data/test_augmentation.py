import numpy as np

from engine.train.config import AugmentConfig
from engine.train.data.augmentation import mirror, random_color, random_view


def test_views_stay_within_what_is_configured() -> None:
    config = AugmentConfig(rotation=30, scale=(0.5, 2.0), shift=0.1, flip=0.5)
    rng = np.random.default_rng(0)
    views = [random_view(config, rng) for _ in range(500)]
    assert max(abs(v.rotation) for v in views) <= 30
    assert all(0.5 <= v.scale <= 2.0 for v in views)
    assert 0.45 < np.mean([v.scale > 1 for v in views]) < 0.55  # as often larger as smaller
    assert max(abs(s) for v in views for s in v.shift) <= 0.1
    assert 0.4 < np.mean([v.flip for v in views]) < 0.6


def test_mirror_exchanges_the_first_and_the_last_column() -> None:
    plain = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert (mirror(plain, 10) @ [0, 3, 1]).tolist() == [9, 3]
    assert (mirror(plain, 10) @ [9, 3, 1]).tolist() == [0, 3]


def test_color_changes_keep_size_and_type_and_depend_on_the_generator_only() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 9, 3), np.uint8)
    config = AugmentConfig()
    first = random_color(image, config, np.random.default_rng(5))
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert (first == random_color(image, config, np.random.default_rng(5))).all()
    assert (first != random_color(image, config, np.random.default_rng(6))).any()


def test_no_color_change_leaves_the_picture_alone() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert random_color(image, AugmentConfig(brightness=0, contrast=0, color=0), np.random.default_rng(0)) is image
