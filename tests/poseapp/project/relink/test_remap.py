"""Labels follow the frames of a video into another file, and come back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ProjectError
from engine.schema.schema import schema_from_names
from poseapp.project.edits.basic import add_instance, make_instance, set_frame_state
from poseapp.project.model import FrameKey, FrameState
from poseapp.project.relink.fingerprints import fingerprints, keep_fingerprint
from poseapp.project.relink.remap import NewFile, plan_remap, relink_video, remap_video
from poseapp.project.storage.snapshots import restore_snapshot, take_snapshot
from poseapp.project.store import ProjectStore

SIZE = (64, 48)


def project(path: Path, frames: int, labelled: dict[int, int], flagged: set[int]) -> tuple[ProjectStore, int]:
    """A project of a video; point 0 of each pose says which frame it was labelled on."""
    store = ProjectStore.create(path)
    media = store.add_media("video", path.parent / "old.mp4").id
    keys = store.add_frames(media, [(f"{n:06d}", *SIZE) for n in range(frames)])
    keep_fingerprint(store, media, "old")
    category = store.add_category("mouse", schema_from_names("mouse", ("nose", "tail"), category="mouse"))
    for index, count in labelled.items():
        for n in range(count):
            (value,) = store.new_ids(1)
            pose = make_instance(value, category, [[index, n], [3, 4]], box=[0, 0, 9, 9], track=n + 1)
            store.apply(add_instance(keys[index], pose))
    for index in flagged:
        store.apply(set_frame_state(keys[index], FrameState(), flagged=True))
    return store, media


def content(store: ProjectStore) -> dict[str, list[tuple[Any, ...]]]:
    """All that a person has put in, without times and history."""
    tables = {
        "media": "*", "category": "*", "fingerprint": "*", "instance": "*", "frame_category": "*",
        "frame": "media, idx, name, width, height, state, labelled, predicted, low, occluded, absent, tracked",
    }  # fmt: skip
    return {t: store.database.rows(f"SELECT {c} FROM {t} ORDER BY 1, 2") for t, c in tables.items()}


def new_file(folder: Path, count: int, size: tuple[int, int] = SIZE) -> NewFile:
    return NewFile(folder / "new.mp4", "new", count, size)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_mapping_moves_everything_and_undo_brings_it_back(data: st.DataObject) -> None:
    old, new = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    labelled = data.draw(st.dictionaries(st.integers(0, old - 1), st.integers(1, 2), max_size=6))
    flagged = data.draw(st.sets(st.integers(0, old - 1), max_size=4))
    mapping = data.draw(st.lists(st.integers(-1, new - 1), min_size=old, max_size=old))
    size = data.draw(st.sampled_from([SIZE, (128, 96)]))
    with tempfile.TemporaryDirectory() as folder:
        store, media = project(Path(folder) / "film.pose", old, labelled, flagged)
        with store:
            before = content(store)
            plan = plan_remap(store, media, mapping)
            assert content(store) == before
            used = set(labelled) | flagged
            assert sorted((*plan.kept, *plan.moved, *plan.lost, *plan.collided)) == sorted(used)
            change = remap_video(store, media, new_file(Path(folder), new, size), mapping)
            assert change.media == {media}
            assert change.structure
            assert len(store.frames(media)) == new
            assert store.media()[0].path.endswith("new.mp4")
            assert fingerprints(store) == {media: "new"}
            for index in used:
                target = int(plan.mapping[index])
                if target >= 0:
                    key = FrameKey(media, target)
                    result = store.instances(key)
                    assert len(result) == labelled.get(index, 0)
                    scale = size[0] / SIZE[0]
                    assert all(np.isclose(i.keypoints[0, 0], (index + 0.5) * scale - 0.5) for i in result)
                    assert store.frame(key).state.flagged == (index in flagged)
                    assert store.frame_counts(key).labelled == len(result)
            gone = sum(labelled.get(i, 0) for i in (*plan.lost, *plan.collided))
            assert plan.poses_gone == gone
            assert store.summary().labelled == sum(labelled.values()) - gone
            after = content(store)
            assert store.undo() is not None
            assert content(store) == before
            assert store.redo() is not None
            assert content(store) == after


def test_another_file_as_it_is_moves_nothing(tmp_path: Path) -> None:
    store, media = project(tmp_path / "film.pose", 10, {2: 1, 7: 1}, set())
    with store:
        before = content(store)
        relink_video(store, media, new_file(tmp_path, 5))
        assert len(store.frames(media)) == 8
        assert content(store)["instance"] == before["instance"]
        relink_video(store, media, new_file(tmp_path, 30))
        assert [f.key.index for f in store.frames(media)] == list(range(30))
        store.jump_to(store.history_length()[1] - 2)
        assert content(store) == before
        assert store.media()[0].path.endswith("old.mp4")


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store, media = project(tmp_path / "film.pose", 4, {1: 1}, {3})
    with store:
        before = content(store)
        for mapping, why in (([0, 1], "2 frames"), ([0, 1, 2, 9], "beyond")):
            with pytest.raises(ProjectError, match=why):
                remap_video(store, media, new_file(tmp_path, 5), mapping)
        pictures = store.add_media("images", tmp_path).id
        with pytest.raises(ProjectError, match="not a video"):
            relink_video(store, pictures, new_file(tmp_path, 5))
        assert content(store)["instance"] == before["instance"]


def test_steps_before_and_after_are_undone_in_their_frames(tmp_path: Path) -> None:
    store, media = project(tmp_path / "film.pose", 6, {5: 1}, set())
    with store:
        remap_video(store, media, new_file(tmp_path, 3), [-1, -1, -1, 0, 1, 2])
        (pose,) = store.instances(FrameKey(media, 2))
        store.apply(set_frame_state(FrameKey(media, 2), FrameState(), reviewed=True))
        after = content(store)
        store.jump_to(0)
        assert store.summary().labelled == 0
        assert store.frame_count() == 6
        store.jump_to(store.history_length()[0])
        assert content(store) == after
        assert store.instances(FrameKey(media, 2))[0].same_as(pose)


def test_a_snapshot_of_other_frame_numbers_is_not_restored(tmp_path: Path) -> None:
    store, media = project(tmp_path / "film.pose", 4, {1: 1}, set())
    with store:
        snapshot = take_snapshot(store.path, "before")
        remap_video(store, media, new_file(tmp_path, 4), [-1, 0, 1, 2])
        with pytest.raises(ProjectError, match="another file of a video"):
            restore_snapshot(store, snapshot)
        store.undo()
        restore_snapshot(store, snapshot)


def test_the_old_file_is_found_from_a_snapshot_too(tmp_path: Path) -> None:
    store, media = project(tmp_path / "film.pose", 4, {1: 1}, set())
    with store:
        relink_video(store, media, new_file(tmp_path, 4))
        snapshot = take_snapshot(store.path, "after")
    with ProjectStore.open(snapshot.path) as copy:
        assert Path(copy.media()[0].path) == tmp_path / "new.mp4"
        copy.undo()
        assert Path(copy.media()[0].path) == tmp_path / "old.mp4"


def test_a_project_of_an_older_version_can_be_remapped(tmp_path: Path) -> None:
    store, media = project(tmp_path / "film.pose", 4, {1: 1}, {1})
    with store:
        for name in ("instance_leave", "instance_move"):
            store.database.run(f"DROP TRIGGER {name}")
        for name in ("step_media", "frame_picture"):
            store.database.run(f"DROP TABLE {name}")
        store.database.run("PRAGMA user_version = 2")
        path = store.path
    with ProjectStore.open(path) as store:
        remap_video(store, media, new_file(tmp_path, 4), [-1, 0, 1, 2])
        assert store.frame_counts(FrameKey(media, 0)).labelled == 1
        assert store.frame_counts(FrameKey(media, 1)).labelled == 0
