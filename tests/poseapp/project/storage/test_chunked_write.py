"""Large changes in pieces: the same as at once, whole or not at all, and nothing is mixed into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ProjectError
from engine.schema.builtin import find_schema
from poseapp.project import edits
from poseapp.project.model import Edit, FrameEdit, FrameKey, Instance
from poseapp.project.relink.remap import NewFile, remap_video
from poseapp.project.storage.chunked_write import ChunkedWrite
from poseapp.project.storage.snapshots import restore_snapshot, take_snapshot
from poseapp.project.store import ProjectStore

FRAMES = 700


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    with ProjectStore.create(tmp_path / "p.pose") as created:
        media = created.add_media("images", tmp_path)
        category = created.add_category("person", find_schema("coco"))
        keys = created.add_frames(media.id, [(f"{n}.png", 64, 48) for n in range(FRAMES)])
        poses = [edits.make_instance(i, category, np.full((17, 2), float(i % 40))) for i in created.new_ids(FRAMES)]
        created.apply(edits.combined("all", [edits.add_instance(k, p) for k, p in zip(keys, poses)]))
        yield created


def everything(store: ProjectStore) -> list[tuple[FrameKey, int]]:
    return [(key, pose.id) for key, pose in store.all_instances()]


def removal(store: ProjectStore) -> Edit:
    by_frame: dict[FrameKey, list[Instance]] = {}
    for key, pose in store.all_instances():
        by_frame.setdefault(key, []).append(pose)
    return Edit("Remove all", tuple(FrameEdit(key, tuple(poses)) for key, poses in by_frame.items()))


def in_pieces(work: ChunkedWrite) -> int:
    pieces = 1
    while not work.advance(0.0):
        pieces += 1
    return pieces


def test_an_edit_in_pieces_is_one_step_and_undone_in_pieces(store: ProjectStore) -> None:
    before = everything(store)
    work = store.apply_in_chunks(removal(store))
    assert in_pieces(work) > 3
    assert work.change is not None
    assert len(work.change.frames) == FRAMES
    assert everything(store) == []
    assert store.history_length() == (2, 2)
    work = store.jump_in_chunks(1)
    assert in_pieces(work) > 2
    assert everything(store) == before
    assert store.history_length() == (2, 1)
    assert store.redo() is not None
    assert everything(store) == []


def test_whoever_writes_meanwhile_finishes_it_first(store: ProjectStore) -> None:
    work = store.apply_in_chunks(removal(store))
    work.advance(0.0)
    assert not work.done
    store.add_media("images", store.path.parent / "other")
    assert work.done
    assert everything(store) == []
    assert store.undo_text() == "Remove all"


def test_closing_finishes_it(store: ProjectStore) -> None:
    path = store.path
    work = store.jump_in_chunks(0)
    work.advance(0.0)
    store.close()
    assert work.done
    with ProjectStore.open(path) as again:
        assert everything(again) == []
        assert again.history_length() == (1, 0)


def test_what_cannot_be_done_changes_nothing(store: ProjectStore) -> None:
    before = everything(store)
    edit = removal(store)
    last = edit.frames[-1]
    pose = last.before[0]
    bad = FrameEdit(last.frame, (replace(pose, keypoints=pose.keypoints + 5.0),))
    work = store.apply_in_chunks(Edit("Remove all", (*edit.frames[:-1], bad)))
    with pytest.raises(ProjectError):
        work.finish()
    assert work.done
    assert work.change is None
    assert everything(store) == before
    assert store.history_length() == (1, 1)
    store.add_media("images", store.path.parent / "other")  # and writing goes on


def test_only_the_file_of_before_is_left_when_the_program_is_killed(store: ProjectStore, tmp_path: Path) -> None:
    work = store.jump_in_chunks(0)
    work.advance(0.0)
    with ProjectStore.open(store.path, read_only=True) as reader:  # as another program sees it
        assert len(everything(reader)) == FRAMES
    work.finish()
    with ProjectStore.open(store.path, read_only=True) as reader:
        assert everything(reader) == []


def test_a_snapshot_is_compared_with_what_is_there_when_an_undo_has_ended(store: ProjectStore) -> None:
    before = everything(store)
    snapshot = take_snapshot(store.path, "all")
    work = store.jump_in_chunks(0)
    work.advance(0.0)
    restore_snapshot(store, snapshot)
    assert work.done
    assert everything(store) == before
    store.undo()
    assert everything(store) == []


def test_a_video_is_re_mapped_as_it_is_when_a_redo_has_ended(tmp_path: Path) -> None:
    with ProjectStore.create(tmp_path / "v.pose") as store:
        media = store.add_media("video", tmp_path / "a.mp4")
        category = store.add_category("person", find_schema("coco"))
        keys = store.add_frames(media.id, [(f"{n:06d}", 64, 48) for n in range(FRAMES)])
        poses = [edits.make_instance(i, category, np.full((17, 2), 3.0)) for i in store.new_ids(FRAMES)]
        store.apply(edits.combined("all", [edits.add_instance(k, p) for k, p in zip(keys, poses)]))
        before = everything(store)
        store.undo()
        store.jump_in_chunks(1).advance(0.0)
        new = NewFile(tmp_path / "b.mp4", "", FRAMES, (64, 48))
        remap_video(store, media.id, new, np.arange(FRAMES)[::-1])
        turned = [(FrameKey(key.media, FRAMES - 1 - key.index), i) for key, i in before]
        assert everything(store) == sorted(turned)
        assert store.frame_counts(keys[0]).labelled == 1
        store.undo()
        assert everything(store) == before
