"""The plain name of a kind is that of the points that its poses have, wherever one goes in the history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.schema.migration import migrate_category, put_aside, settle_names
from poseapp.project.storage.snapshots import list_snapshots, take_snapshot
from poseapp.project.store import ProjectStore
from poseapp.session.session import Session


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    """A cat and a dog that both have other points since."""
    with ProjectStore.create(tmp_path / "p.pose") as created:
        media = created.add_media("images", tmp_path)
        keys = created.add_frames(media.id, [(f"{n}.png", 64, 48) for n in range(2)])
        cat = created.add_category("cat", schema_from_names("cat", ["a", "b"]))
        dog = created.add_category("dog", schema_from_names("dog", ["x", "y", "z"]))
        for key, kind in zip(keys, (cat, dog)):
            points = np.ones((kind.schema.num_keypoints, 2))
            created.apply(edits.add_instance(key, edits.make_instance(created.new_ids(1)[0], kind, points)))
        take_snapshot(created.path, "before")
        migrate_category(created, cat, "cat", schema_from_names("cat", ["a", "b", "c"]), (0, 1, None))
        migrate_category(created, dog, "dog", schema_from_names("dog", ["x", "y"]), (0, 1))
        yield created


def used(store: ProjectStore) -> set[str]:
    names = {category.id: category.name for category in store.categories()}
    return {names[pose.category] for _, pose in store.all_instances()}


def test_a_jump_over_several_migrations_gives_every_kind_its_name(store: ProjectStore) -> None:
    assert used(store) == {"cat", "dog"}
    for step in (2, 4, 3, 2, 4):
        settle_names(store, store.jump_to(step))
        assert used(store) == {"cat", "dog"}
        assert len(put_aside(store)) == 2


def test_a_snapshot_of_before_brings_the_names_too(store: ProjectStore, qapp: object) -> None:
    session = Session()
    session.set_store(store)
    assert session.restore(list_snapshots(store.path)[0])
    assert used(store) == {"cat", "dog"}
    assert {schema.num_keypoints for schema in (session.schema_of(pose) for pose in session.instances)} == {2}
    session.undo()
    assert used(store) == {"cat", "dog"}
    session.close()
