"""Detector, pose network and tracker on a real video: one dancer, one track."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.inference.pose_model import PoseModel
from engine.media.source import open_media
from engine.tracking.tracker import track_sequence


@pytest.mark.slow
def test_the_dancer_is_one_track(shared: Path) -> None:
    model = PoseModel.load(device="cpu")
    with open_media(shared / "data" / "dance-video" / "dance.mp4") as source:
        chosen = range(0, source.frame_count // 2, 18)
        poses = [model.run([source.read(index)])[0] for index in chosen]
        result = track_sequence(poses, model.schema, [source.time(index) for index in chosen])
    assert result == [[1]] * len(chosen)
