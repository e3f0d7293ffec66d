"""Mean errors of faces as a share of their size."""

from __future__ import annotations

import numpy as np
import pytest

from engine.metrics.matching import Pose
from engine.metrics.nme import face_norm, has_norm, nme


def face(count: int, first: int, second: int, apart: float) -> Pose:
    points = np.zeros((count, 2))
    points[first], points[second] = (10, 20), (10 + apart, 20)
    return Pose(points, np.ones(count, bool), np.array([0.0, 0.0, 40.0, 90.0]))


@pytest.mark.parametrize(
    ("schema", "count", "first", "second"), [("300w", 68, 36, 45), ("wflw", 98, 60, 72), ("cofw", 29, 8, 9)]
)
def test_faces_are_measured_by_the_outer_corners_of_their_eyes(
    schema: str, count: int, first: int, second: int
) -> None:
    truth = [face(count, first, second, 50), face(count, first, second, 0)]
    norm = face_norm(schema, truth)
    assert norm[0] == 50
    assert np.isnan(norm[1])
    distance = np.full((2, count), 5.0)
    distance[0, 0] = np.inf  # not found
    visible = np.ones((2, count), bool)
    visible[0, 1] = False
    distance[0, 1] = 1000
    assert nme(distance, visible, norm) == pytest.approx(0.1)


def test_an_eye_that_is_not_labelled_gives_no_norm() -> None:
    pose = face(68, 36, 45, 50)
    pose.labelled[45] = False
    assert np.isnan(face_norm("300w", [pose])).all()
    assert np.isnan(nme(np.ones((1, 68)), np.ones((1, 68), bool), face_norm("300w", [pose])))


def test_aflw_is_measured_by_the_box() -> None:
    assert face_norm("aflw", [face(19, 0, 1, 5)])[0] == pytest.approx(60)
    assert has_norm("aflw")
    assert not has_norm("coco")
