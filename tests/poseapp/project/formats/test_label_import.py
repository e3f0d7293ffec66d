"""Labels of any format that were made on images of another size are fitted once a person has said so, and later too."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from poseapp.project.formats.label_import import LabelImport
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.store import ProjectStore

CVAT = (
    "<annotations><version>1.1</version><meta/>"
    '<image id="0" name="a.png" width="80" height="60"><points label="eye" points="{x},{y}"/></image></annotations>'
)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A label file of CVAT, made on an image twice as large as it is now."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 40, 3), np.uint8))
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT.format(x=20.5, y=40.5))
    return path


def points(store: ProjectStore) -> list[list[float]]:
    return [instance.keypoints[0].tolist() for _, instance in store.all_instances()]


def test_a_question_comes_before_anything_is_added(tmp_path: Path, labels: Path) -> None:
    with ProjectStore.create(tmp_path / "p.pose") as store:
        with pytest.raises(LabelSizesDiffer):
            LabelImport(store, label_size=LabelSize.ASK).run(labels, "cvat")
        assert points(store) == []
        assert not list(store.frames())


def test_labels_left_as_they_are_are_told(tmp_path: Path, labels: Path) -> None:
    with ProjectStore.create(tmp_path / "p.pose") as store:
        report = LabelImport(store, label_size=LabelSize.KEEP).run(labels, "cvat")
        assert points(store) == [[20.5, 40.5]]
        assert any("another size" in problem for problem in report.problems)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_fitted_file_that_changes_is_fitted_again(tmp_path: Path, labels: Path, is_empty: bool) -> None:
    with ProjectStore.create(tmp_path / "p.pose") as store:
        if not is_empty:  # then the file comes in by way of a comparison
            other = tmp_path / "other"
            other.mkdir()
            cv2.imwrite(str(other / "b.png"), np.zeros((30, 40, 3), np.uint8))
            (other / "annotations.xml").write_text(
                CVAT.format(x=1, y=1).replace("a.png", "b.png").replace('width="80" height="60"', "")
            )
            LabelImport(store).run(other / "annotations.xml", "cvat")
        LabelImport(store, label_size=LabelSize.FIT).run(labels, "cvat")
        assert points(store)[-1] == [10, 20]
        labels.write_text(CVAT.format(x=30.5, y=40.5))
        LabelImport(store).run(labels, "cvat")
        assert points(store)[-1] == [15, 20]
