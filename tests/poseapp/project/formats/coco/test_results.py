"""A results list becomes predictions on the images of the COCO file that it belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.errors import CocoError
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.coco.results import is_results_file
from poseapp.project.model import State
from poseapp.project.opening import open_with_report

LABELS: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "keypoints": [1, 2, 2, 3, 4, 1]}],
    "categories": [{"id": 3, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}],
}
LINE = {"image_id": 7, "category_id": 3, "keypoints": [5, 6, 0.5, 7, 8, 0.25], "score": 0.75}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((40, 50, 3), np.uint8))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    return tmp_path


def results(folder: Path, *lines: Any) -> Path:
    (folder / "results.json").write_text(json.dumps(lines))
    return folder / "results.json"


@pytest.mark.parametrize("together", [True, False])
def test_results_are_predictions_beside_the_labels(folder: Path, together: bool) -> None:
    lines = results(folder, LINE, {**LINE, "image_id": "8", "bbox": [1, 2, 3, 4]})
    store, report = open_with_report([lines, folder / "labels.json"] if together else lines)
    with store:
        assert store.path == folder / ("labels.pose" if together else "results.pose")
        poses = [instance for _, instance in store.all_instances()]
        assert [pose.state for pose in poses] == [State.LABELLED, State.PREDICTED, State.PREDICTED]
        assert poses[1].keypoints.tolist() == [[5, 6], [7, 8]]
        assert poses[1].visibility.tolist() == [2, 2]
        assert poses[1].scores is not None
        assert poses[1].scores.tolist() == [0.5, 0.25]
        assert poses[1].score == 0.75
        assert poses[2].box is not None
        assert poses[2].box.tolist() == [1, 2, 4, 6]
        assert report.problems == []
        export_coco(store, folder / "out.json")
        assert json.loads((folder / "out.json").read_text()) == LABELS
        store.undo()
        assert len(list(store.all_instances())) == 1


def test_results_for_the_open_project_come_once(folder: Path) -> None:
    with open_with_report(folder / "labels.json")[0] as store:
        project = store.path
    for _ in range(2):
        store, report = open_with_report([project, results(folder, LINE)])
        with store:
            assert len(list(store.all_instances())) == 2
    assert any("already" in problem for problem in report.problems)


def test_lines_that_fit_nothing_are_left_out_and_told(folder: Path) -> None:
    lines = results(
        folder, LINE, {**LINE, "image_id": 99}, {**LINE, "category_id": 9}, {**LINE, "keypoints": [1, 2, 3]}, 5
    )
    store, report = open_with_report([folder / "labels.json", lines])
    with store:
        assert len(list(store.all_instances())) == 2
    assert len(report.problems) == 4


def test_results_without_their_coco_file_are_refused_with_what_to_do(folder: Path) -> None:
    lines = results(folder, LINE, {**LINE, "image_id": 99})
    with pytest.raises(CocoError, match="open it together with that file"):
        open_with_report(lines)
    (folder / "more.json").write_text(json.dumps(LABELS))
    with pytest.raises(CocoError, match="several files beside it"):
        open_with_report(results(folder, LINE))
    assert not list(folder.glob("*.pose"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps([LINE]), True),
        (json.dumps(LABELS), False),
        ('[{"image": "a", "joints": []}]', False),
        ("[]", False),
        ("", False),
        ("[" * 1000, False),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": {"size": [1, 2]}}]', True),
    ],
)
def test_a_results_list_is_recognised(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "a.json").write_text(text)
    assert is_results_file(tmp_path / "a.json") is expected
