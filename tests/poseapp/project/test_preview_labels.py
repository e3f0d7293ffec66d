"""What an import would do is said before it is done, and then just that is done, as one step."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.utils.context import Context
from poseapp.project.edits.basic import delete_instances, move_keypoints
from poseapp.project.model import FrameKey
from poseapp.project.opening import open_any, open_with_report, preview_labels
from poseapp.project.store import ProjectStore

SHAPE = '<points label="{label}" points="{x},3.0"/>'


def write(path: Path, images: dict[str, list[float]], label: str = "eye") -> Path:
    """A label file of CVAT: the x coordinates of the points of each image."""
    body = "".join(
        f'<image id="{n}" name="{name}">{"".join(SHAPE.format(label=label, x=x) for x in xs)}</image>'
        for n, (name, xs) in enumerate(images.items())
    )
    path.write_text(f"<annotations><version>1.1</version><meta/>{body}</annotations>")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((30, 40, 3), np.uint8))
    return write(tmp_path / "job.xml", {"a.png": [1, 2], "b.png": [3]})


def counts(store: ProjectStore, path: Path) -> dict[str, int]:
    (offer,) = preview_labels(store, path, Context()).offers
    return dict(offer.counts)


def test_equal_poses_alone_are_no_news(tmp_path: Path, labels: Path) -> None:
    with open_any(labels) as store:
        for x, has_news in ((2, False), (9, True)):
            copy = write(tmp_path / "copy.xml", {"a.png": [1, x], "b.png": [3]})
            (offer,) = preview_labels(store, copy, Context()).offers
            assert offer.has_news is has_news


def xs(store: ProjectStore) -> list[float]:
    return sorted(instance.keypoints[0, 0] for _, instance in store.all_instances())


def test_counts_are_those_of_the_import_and_nothing_is_changed(tmp_path: Path, labels: Path) -> None:
    with open_any(labels) as store:
        home = store.path
        more = write(tmp_path / "more.xml", {"a.png": [9], "c.png": [5, 6]})
        before = (store.frame_count(), xs(store))
        assert counts(store, more) == {
            "New images": 1,
            "New poses": 3,
            "New poses in frames that have poses already": 1,
        }
        assert (store.frame_count(), xs(store)) == before
    store, _ = open_with_report([home, more])
    with store:
        assert xs(store) == [1, 2, 3, 5, 6, 9]
        store.undo()
        assert xs(store) == [1, 2, 3]


def test_the_same_file_brings_nothing(labels: Path) -> None:
    with open_any(labels) as store:
        report = preview_labels(store, labels, Context())
        assert report.offers == []
        assert any("unchanged" in note for note in report.notes)


def test_a_copy_of_the_file_is_equal(tmp_path: Path, labels: Path) -> None:
    with open_any(labels) as store:
        copy = write(tmp_path / "copy.xml", {"a.png": [1, 2], "b.png": [3]})
        assert counts(store, copy) == {"Equal poses": 3}


def test_a_new_category_is_named(tmp_path: Path, labels: Path) -> None:
    with open_any(labels) as store:
        assert counts(store, write(tmp_path / "ears.xml", {"c.png": [7]}, "ear"))["New category: ear"] == 1


@pytest.mark.parametrize("takes", [False, True])
def test_a_conflict_stays_or_becomes_as_in_the_file(labels: Path, takes: bool) -> None:
    with open_any(labels) as store:
        home = store.path
        key = FrameKey(next(iter(store.media())).id, 0)
        first = min(store.instances(key), key=lambda instance: instance.keypoints[0, 0])
        store.apply(move_keypoints(key, first, {0: (11.0, 3.0)}))
        write(labels, {"a.png": [1.5, 2.5], "b.png": [3]})
        (offer,) = preview_labels(store, labels, Context()).offers
        expected = {
            "Poses that only the file has changed": 1,
            "Poses that differ in the file and in the project": 1,
            "Equal poses": 1,
        }
        assert dict(offer.counts) == expected
        assert "a.png" in offer.conflicts[0]
    store, _ = open_with_report([home, labels], take_conflicts=takes)
    with store:
        assert xs(store) == ([1.5, 2.5, 3] if takes else [2.5, 3, 11])
        store.undo()
        assert xs(store) == [2, 3, 11]


def test_a_deleted_pose_that_the_file_changed_comes_back_if_the_file_is_taken(labels: Path) -> None:
    with open_any(labels) as store:
        home = store.path
        key = FrameKey(next(iter(store.media())).id, 1)
        store.apply(delete_instances(key, store.instances(key)))
        write(labels, {"a.png": [1, 2], "b.png": [4]})
    store, _ = open_with_report([home, labels], take_conflicts=True)
    with store:
        assert xs(store) == [1, 2, 4]


def skeleton(name: str, nose: tuple[float, float], tail: tuple[float, float], order: str = "nt") -> str:
    parts = {
        "n": f'<points label="nose" points="{nose[0]},{nose[1]}"/>',
        "t": f'<points label="tail" points="{tail[0]},{tail[1]}"/>',
    }
    body = "".join(parts[letter] for letter in order)
    return f'<image id="0" name="{name}"><skeleton label="mouse">{body}</skeleton></image>'


def write_skeletons(path: Path, *images: str) -> Path:
    path.write_text(f"<annotations><version>1.1</version><meta/>{''.join(images)}</annotations>")
    return path


@pytest.mark.parametrize("takes", [False, True])
def test_another_label_of_the_same_animal_is_a_conflict(tmp_path: Path, labels: Path, takes: bool) -> None:
    """Another person's file: no common ids, the points a few pixels apart."""
    mine = write_skeletons(tmp_path / "mine.xml", skeleton("a.png", (5, 5), (35, 25)))
    theirs = write_skeletons(tmp_path / "theirs.xml", skeleton("a.png", (5, 5), (33, 25)))
    with open_any(mine) as store:
        home = store.path
        (offer,) = preview_labels(store, theirs, Context()).offers
        assert dict(offer.counts) == {"Poses that differ in the file and in the project": 1}
        assert "a.png" in offer.conflicts[0]
    store, _ = open_with_report([home, theirs], take_conflicts=takes)
    with store:
        ((_, instance),) = store.all_instances()
        assert instance.keypoints[1, 0] == (33 if takes else 35)


def test_another_animal_of_the_frame_is_new(tmp_path: Path, labels: Path) -> None:
    mine = write_skeletons(tmp_path / "mine.xml", skeleton("a.png", (1, 1), (9, 9)))
    theirs = write_skeletons(tmp_path / "theirs.xml", skeleton("a.png", (21, 11), (29, 19)))
    with open_any(mine) as store:
        assert counts(store, theirs)["New poses"] == 1


def test_a_file_with_its_keypoints_in_another_order_holds_equal_poses(tmp_path: Path, labels: Path) -> None:
    mine = write_skeletons(tmp_path / "mine.xml", skeleton("a.png", (5, 5), (35, 25)))
    theirs = write_skeletons(tmp_path / "theirs.xml", skeleton("a.png", (5, 5), (35, 25), order="tn"))
    with open_any(mine) as store:
        assert counts(store, theirs) == {"Equal poses": 1}
