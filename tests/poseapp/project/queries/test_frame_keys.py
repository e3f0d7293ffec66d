"""The frame that takes the place of one that is gone."""

from __future__ import annotations

from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys


def test_a_frame_that_is_gone_gives_the_last_one_before_it_else_the_first() -> None:
    keys = FrameKeys.of([FrameKey(1, 0), FrameKey(1, 5), FrameKey(3, 0)])
    assert keys.nearest(FrameKey(1, 5)) == (1, 5)
    assert keys.nearest(FrameKey(1, 9)) == (1, 5)
    assert keys.nearest(FrameKey(2, 0)) == (1, 5)
    assert keys.nearest(FrameKey(0, 4)) == (1, 0)
    assert NO_FRAMES.nearest(FrameKey(1, 0)) is None
