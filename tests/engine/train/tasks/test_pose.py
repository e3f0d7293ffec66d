"""Which epoch of a pose network is the best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.train.config import TaskConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.training_set import read_training_set
from engine.train.initial_weights import initial_pose_network
from engine.train.tasks.pose import PoseTask


@pytest.mark.parametrize(
    ("select", "expected"),
    [("EPE", 3.0), ("PCK@0.2", 0.0), ("AUC", 1 - 16 / 20), ("", None), ("AP", None)],
)
def test_the_chosen_figure_decides(bars: Path, tmp_path: Path, select: str, expected: float | None) -> None:
    data = read_training_set(bars)
    network, info = initial_pose_network("movenet_lightning", "", data.schema)
    phase = PoseTask(network, info, TaskConfig(select=select), data, data, ImageCache(1 << 24), tmp_path)
    measured = [0, 2, 5]
    points = np.stack([data.instances[i].keypoints for i in measured]) + np.array([3.0, 0.0])
    result = phase._measure(points, np.ones((3, 4)), measured, 0.1)
    assert result.metrics["mean_px"] == pytest.approx(3.0, abs=1e-4)
    if select == "AUC":
        expected = 1 - sum(30 * i / 20 > 3.0 for i in range(20)) / 20
    if select == "AP":
        expected = 1 - result.metrics["AP"]
    if expected is not None:
        assert result.error == pytest.approx(expected, abs=1e-3)
    else:
        assert 0 < result.error < 0.2
