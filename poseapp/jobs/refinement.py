"""The rest of a pose, estimated again after a person has corrected some of it. No Qt; torch in the worker only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.jobs.inference import ModelChoice, ModelHost
from poseapp.project.model import Instance

Pixels = npt.NDArray[np.uint8]


class AssistJob:
    """Submit it as urgent. Yields the :class:`engine.inference.refinement.Estimate` of one pose.

    Args:
        image: its pixels when they are at hand, else its file; ``index`` is the frame where that is a video.
        before: the pose before it was corrected, None for a new one.
        after: the pose now.
    """

    lane = Lane.ACCELERATOR

    def __init__(
        self,
        host: ModelHost,
        choice: ModelChoice,
        image: Pixels | Path,
        index: int,
        before: Instance | None,
        after: Instance,
    ) -> None:
        self.title = "Following your correction"
        self._host, self._choice, self._image, self._index = host, choice, image, index
        self._before, self._after = before, after

    def run(self, context: Context) -> Iterator[Progress]:
        from engine.inference.refinement import refine_pose

        if not self._host.holds(self._choice):
            yield Progress(0, 1, f"Loading {self._choice.name}")
        model = self._host.get(self._choice)
        pose = self._after
        present = pose.visibility > 0
        refined = refine_pose(
            model.estimator,
            self._pixels(),
            pose.keypoints,
            pose.by_human,
            present,
            before=None if self._before is None else self._before.keypoints,
            box=pose.box,
            scores=pose.scores,
        )
        yield Progress(1, 1, self.title, refined)

    def _pixels(self) -> Pixels:
        if not isinstance(self._image, Path):
            return self._image
        from engine.media.reader import FrameReader

        with FrameReader() as reader:
            return reader.read(self._image, self._index)
