"""Label files that are opened again: nothing comes in twice, what is new does, what a person has changed stays."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from poseapp.project import edits
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.label_import import LabelImport, decline, stale_sources
from poseapp.project.label_update.sources import SourceTable
from poseapp.project.model import FrameKey, State
from poseapp.project.opening import open_any, open_with_report
from poseapp.project.store import ProjectStore

DOCUMENT: dict[str, Any] = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": 30, "height": 20} for n in (1, 2)],
    "annotations": [
        {"id": 11, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1], "mine": "a"},
        {"id": 12, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1], "mine": "twin"},
        {"id": 13, "image_id": 2, "category_id": 1, "keypoints": [5, 6, 2, 7, 8, 2]},
    ],
    "categories": [{"id": 1, "name": "fly", "keypoints": ["head", "tail"], "skeleton": [[1, 2]]}],
}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    for name in ("1", "2", "3"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((20, 30, 3), np.uint8))
    return write(tmp_path / "labels.json", DOCUMENT)


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document))
    return path


def changed() -> dict[str, Any]:
    """A pose moved (13), one added to image 1 (14), an image with a pose (3, 15)."""
    document = copy.deepcopy(DOCUMENT)
    document["annotations"][2]["keypoints"][0] = 9
    document["images"].append({"id": 3, "file_name": "3.png", "width": 30, "height": 20})
    document["annotations"] += [
        {"id": 14, "image_id": 1, "category_id": 1, "keypoints": [20, 2, 2, 13, 4, 1]},
        {"id": 15, "image_id": 3, "category_id": 1, "keypoints": [1, 1, 2, 2, 2, 2]},
    ]
    return document


def points(store: ProjectStore) -> list[list[float]]:
    return sorted(instance.keypoints.ravel().tolist() for _, instance in store.all_instances())


def forget_sources(project: Path) -> None:
    """As a project is that an earlier version made."""
    with ProjectStore.open(project) as store, store.database.write():
        store.database.run("DELETE FROM source")
        store.database.run("DELETE FROM source_block")


def test_the_same_labels_add_nothing(labels: Path) -> None:
    open_any(labels).close()
    for paths in (labels, [labels.with_suffix(".pose"), labels]):
        store, report = open_with_report(paths)
        with store:
            assert store.summary().labelled == 3
            assert store.history() == []
        assert report.notes == ["labels.json is unchanged since it was imported; nothing was added"]


def test_a_copy_of_the_labels_adds_nothing(labels: Path, tmp_path: Path) -> None:
    open_any(labels).close()
    other = tmp_path / "copy.json"
    other.write_bytes(labels.read_bytes())
    with open_any([labels.with_suffix(".pose"), other]) as store:
        assert store.summary().labelled == 3


def test_the_projects_own_export_adds_nothing(labels: Path, tmp_path: Path) -> None:
    with open_any(labels) as store:
        export_coco(store, tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())
    document["info"] = {"by": "another program"}
    with open_any([labels.with_suffix(".pose"), write(tmp_path / "out.json", document)]) as store:
        assert store.summary().labelled == 3
        export_coco(store, tmp_path / "again.json")
    assert len(json.loads((tmp_path / "again.json").read_text())["annotations"]) == 3


def test_what_is_new_and_what_only_the_file_has_changed_comes_in_as_one_step(labels: Path) -> None:
    open_any(labels).close()
    write(labels, changed())
    store, report = open_with_report(labels)
    with store:
        assert "changed since it was imported: 1 new image, 2 new poses, 1 changed pose" in report.problems[0]
        assert (store.frame_count(), store.summary().labelled) == (3, 5)
        assert [9, 6, 7, 8] in points(store)
        assert [step.text for step in store.history()] == ["Update from labels.json"]
        store.undo()
        assert store.summary().labelled == 3
        assert [5, 6, 7, 8] in points(store)
        store.redo()
        export_coco(store, labels.with_name("out.json"))
    assert json.loads(labels.with_name("out.json").read_text()) == changed()
    with open_any(labels) as store:
        assert store.summary().labelled == 5


def test_what_a_person_has_changed_stays_and_is_listed(labels: Path) -> None:
    with open_any(labels) as store:
        key = FrameKey(1, 1)
        (pose,) = store.instances(key)
        store.apply(edits.move_keypoints(key, pose, {0: (2.0, 3.0)}))
        (first, _) = store.instances(FrameKey(1, 0))
        store.apply(edits.delete_instances(FrameKey(1, 0), [first]))
    document = changed()
    document["annotations"][0]["keypoints"][0] = 17
    write(labels, document)
    store, report = open_with_report(labels)
    with store:
        assert [2, 3, 7, 8] in points(store)
        assert [9, 6, 7, 8] not in points(store)
        assert [17, 2, 3, 4] not in points(store)
        assert store.summary().labelled == 4
    assert sum("it stays as it is here" in text for text in report.problems) == 2
    store, report = open_with_report(labels)
    with store:
        assert report.problems == []


def test_what_is_gone_from_the_file_stays(labels: Path) -> None:
    open_any(labels).close()
    document = copy.deepcopy(DOCUMENT)
    del document["annotations"][2]
    write(labels, document)
    store, report = open_with_report(labels)
    with store:
        assert store.summary().labelled == 3
    assert any("No longer in the file" in text for text in report.problems)


def test_a_changed_file_can_be_offered_first_and_declined(labels: Path) -> None:
    open_any(labels).close()
    write(labels, changed())
    project = labels.with_suffix(".pose")
    with ProjectStore.open(project) as store:
        assert [source.path for source in stale_sources(store)] == [labels]
    store, report = open_with_report(project)
    with store:
        (offer,) = report.offers
        assert "2 new poses, 1 changed pose" in offer.text
        assert (store.summary().labelled, store.history()) == (3, [])
        decline(store, offer)
    store, report = open_with_report(project)
    with store:
        assert report.offers == []
    store, report = open_with_report(labels, take_changes=False)
    with store:  # a person asks for the file itself
        assert len(report.offers) == 1


def test_a_project_that_does_not_know_its_label_file_does_not_take_it_twice(labels: Path) -> None:
    with open_any(labels) as store:
        key = FrameKey(1, 1)
        (pose,) = store.instances(key)
        store.apply(edits.move_keypoints(key, pose, {0: (15.0, 3.0)}))
        (first, _) = store.instances(FrameKey(1, 0))
        store.apply(edits.delete_instances(FrameKey(1, 0), [first]))
        before = points(store)
    forget_sources(labels.with_suffix(".pose"))
    for _ in range(2):
        with open_any([labels.with_suffix(".pose"), labels]) as store:
            assert points(store) == before
            assert len(SourceTable(store).all()) == 1


def test_a_damaged_label_file_does_not_keep_its_project_shut(labels: Path) -> None:
    open_any(labels).close()
    labels.write_text("{")
    store, report = open_with_report(labels)
    with store:
        assert store.summary().labelled == 3
    assert any("cannot be read now" in text for text in report.problems)


def test_stopping_leaves_the_project_as_it_was(labels: Path) -> None:
    open_any(labels).close()
    write(labels, changed())

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with ProjectStore.open(labels.with_suffix(".pose")) as store:
        with pytest.raises(KeyboardInterrupt):
            LabelImport(store, progress=stop).run(labels, "coco")
        assert (store.summary().labelled, store.frame_count()) == (3, 2)


def dlc_table(folder: Path, rows: str, video: str = "v1", parts: str = "a,b") -> Path:
    position = folder / "labeled-data" / video
    position.mkdir(parents=True, exist_ok=True)
    cells = [part for part in parts.split(",") for _ in "xy"]
    head = f"scorer,{','.join('m' for _ in cells)}\nbodyparts,{','.join(cells)}\n"
    head += f"coords,{','.join('xy'[n % 2] for n in range(len(cells)))}\n"
    path = position / "CollectedData_m.csv"
    path.write_text(head + rows)
    return path


def picture(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((20, 30, 3), np.uint8))


def test_images_that_come_later_bring_their_labels(tmp_path: Path) -> None:
    folder = tmp_path / "dlc"
    dlc_table(folder, "labeled-data/v1/1.png,1,2,3,4\nlabeled-data/v1/2.png,5,6,7,8\n")
    picture(folder, "labeled-data/v1/1.png")
    with open_any(folder) as store:
        assert store.summary().labelled == 1
    picture(folder, "labeled-data/v1/2.png")
    for _ in range(2):
        with open_any(folder) as store:
            assert points(store) == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_labels_that_come_later_come_into_the_folder_of_images(tmp_path: Path) -> None:
    folder = tmp_path / "dlc"
    picture(folder, "labeled-data/v1/1.png")
    open_any(folder).close()
    dlc_table(folder, "labeled-data/v1/1.png,1,2,3,4\n")
    with open_any(folder) as store:
        assert points(store) == [[1, 2, 3, 4]]
        assert store.frame_count() == 1


def test_a_point_that_is_added_later_joins_the_category(tmp_path: Path) -> None:
    folder = tmp_path / "dlc"
    picture(folder, "labeled-data/v1/1.png")
    picture(folder, "labeled-data/v2/1.png")
    dlc_table(folder, "labeled-data/v1/1.png,1,2,3,4\n")
    open_any(folder).close()
    dlc_table(folder, "labeled-data/v2/1.png,1,2,3,4,5,6\n", "v2", "b,a,c")
    for _ in range(2):
        with open_any(folder) as store:
            used = {instance.category for _, instance in store.all_instances()}
            (category,) = (c for c in store.categories() if c.id in used)
            assert (category.name, category.schema.names) == ("animal", ("a", "b", "c"))
            assert points(store) == [[1, 2, 3, 4, 0, 0], [3, 4, 1, 2, 5, 6]]


@pytest.mark.parametrize("position", ["labels.json", "annotations/person_keypoints_default.json"])
def test_a_folder_opens_with_the_labels_that_lie_in_it(tmp_path: Path, position: str) -> None:
    folder = tmp_path / "set"
    for name in ("1.png", "2.png"):
        picture(folder, f"images/default/{name}" if "/" in position else name)
    (folder / position).parent.mkdir(exist_ok=True)
    write(folder / position, DOCUMENT)
    with open_any(folder) as store:
        assert (store.frame_count(), store.summary().labelled) == (2, 3)


def test_splits_are_one_set_and_other_files_are_a_choice(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for split in ("train", "valid"):
        for name in ("1.png", "2.png"):
            picture(folder, f"{split}/{name}")
        write(folder / split / "_annotations.coco.json", DOCUMENT)
    with open_any(folder) as store:
        assert (store.frame_count(), store.summary().labelled) == (4, 6)
    (folder / "set.pose").unlink()
    write(folder / "other.json", DOCUMENT)
    store, report = open_with_report(folder)
    with store:
        assert (store.frame_count(), store.summary().labelled) == (4, 0)
    assert any("several label files" in text for text in report.problems)
    assert len(report.offers) == 2


def test_label_files_of_other_programs_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    picture(folder, "1.png")
    (folder / "job.xml").write_text("<annotation><object/></annotation>")
    store, report = open_with_report(folder)
    with store:
        assert store.frame_count() == 1
    assert any("Pascal VOC are not read yet: job.xml" in text for text in report.problems)


def test_predictions_of_a_file_are_predictions_after_an_update(labels: Path) -> None:
    open_any(labels).close()
    document = changed()
    document["annotations"][3]["score"] = 0.5
    write(labels, document)
    with open_any(labels) as store:
        states = [instance.state for _, instance in store.all_instances()]
        assert states.count(State.PREDICTED) == 1
