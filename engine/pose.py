"""The results of detectors and pose networks for one image, in pixels of that image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes found in one image.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in image pixels, best score first.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64, index into the detector's ``categories``.
    """

    boxes: Floats
    scores: Floats
    labels: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The pose of one instance.

    Attributes:
        keypoints: (K, 3) float32, x, y, score; x and y in image pixels (pixel centers at integers), score in 0..1.
        box: (4,) float32, x1 y1 x2 y2 in image pixels: the box that the crop was made from, as given.
        score: instance score (box score times mean keypoint score, see ``PoseEstimator``).
        box_score: score of the box; 1 for a box drawn by a person.
        category: name of the category, as in the schema or the detector.
        visibility: (K,) float32 probability of being visible for networks with a visibility head, else None.
    """

    keypoints: Floats
    box: Floats
    score: float
    box_score: float = 1.0
    category: str = "person"
    visibility: Floats | None = None
