"""Poses that change their schema: nothing is lost that has a place, and undo brings all of it back."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ProjectError, SchemaError
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import Keypoint, Limb, load_schema, schema_from_names
from poseapp.project.model import Category, Instance, State
from poseapp.project.schema.draft import SchemaDraft, schema_toml, write_schema
from poseapp.project.schema.migration import (
    lost_points,
    match_points,
    migrate_category,
    migrated,
    migration,
    settle_all_names,
)
from poseapp.project.store import ProjectStore


def _pose(category: Category, index: int = 1) -> Instance:
    count = category.schema.num_keypoints
    rng = np.random.default_rng(0)
    return Instance(
        index,
        category.id,
        rng.random((count, 2)),
        rng.integers(0, 3, count).astype(np.uint8),
        rng.random(count) < 0.5,
        scores=rng.random(count),
        score=0.4,
        track=3,
        box=np.array([1.0, 2, 3, 4]),
        source="m",
        state=State.PREDICTED,
    )


@pytest.mark.parametrize(
    ("old", "new", "remaining"),
    [
        ("coco", "coco_wholebody", 17),
        ("coco_wholebody", "coco", 17),
        ("coco", "halpe", 17),
        ("coco_wholebody", "halpe", 133),
        ("halpe", "coco_wholebody", 133),
        ("halpe26", "halpe", 26),
        ("mpii", "coco", 12),
        ("crowdpose", "aic", 14),
    ],
)
def test_known_schemas_match(old: str, new: str, remaining: int) -> None:
    a, b = find_schema(old), find_schema(new)
    sources = match_points(a, b)
    assert sum(s is not None for s in sources) == remaining
    assert len(lost_points(a, sources)) == a.num_keypoints - remaining
    for to, at in enumerate(sources):
        if at is not None:
            assert a.sides[at] == b.sides[to]


def test_seventeen_points_go_to_133_and_136_and_back() -> None:
    kinds = [Category(i, n, find_schema(n)) for i, n in enumerate(("coco", "coco_wholebody", "halpe", "coco"), 1)]
    first = pose = _pose(kinds[0])
    for before, after in pairwise(kinds):
        pose = migrated(pose, after, match_points(before.schema, after.schema))
        assert pose.num_keypoints == after.schema.num_keypoints
    assert pose.category == 4
    assert np.array_equal(pose.keypoints, first.keypoints)
    assert np.array_equal(pose.visibility, first.visibility)
    assert np.array_equal(pose.by_human, first.by_human)
    assert (pose.state, pose.score, pose.track, pose.source) == (first.state, first.score, first.track, first.source)


def test_names_that_say_the_same_match() -> None:
    old = schema_from_names("a", ["L_Ear", "R_Ear", "Nose", "top_head", "tail"])
    new = schema_from_names("b", ["nose", "left_ear", "earRight", "head", "belly"])
    assert match_points(old, new) == (2, 0, 1, 3, None)
    assert match_points(old, schema_from_names("c", ["right-ear"])) == (1,)


def test_all_poses_of_a_category_move_in_one_step(store: ProjectStore, frame, category, make) -> None:
    from poseapp.project import edits

    store.apply(edits.add_instance(frame, make(1), make(2, score=0.5)))
    before = store.database.rows("SELECT * FROM instance")
    target = store.add_category("new", schema_from_names("new", ["tail", "nose", "belly"]))
    sources = match_points(category.schema, target.schema)
    assert sources == (3, 0, None)
    steps = store.history_length()[0]
    store.apply(migration(store.all_instances(), category.id, target, sources))
    one, two = store.instances(frame)
    assert (one.category, two.category) == (target.id, target.id)
    assert one.visibility.tolist() == [0, 2, 0]
    assert two.state is State.PREDICTED
    assert store.history_length()[0] == steps + 1
    assert store.undo_text() == "Change 2 poses to new"
    store.undo()
    assert store.database.rows("SELECT * FROM instance") == before


def test_a_mapping_that_does_not_fit_is_refused(category) -> None:
    pose = _pose(category)
    for sources in ((0, 1), (0, 1, 2, 9), (-1, 0, 1, 2)):
        with pytest.raises(ProjectError, match="the mapping has"):
            migrated(pose, category, sources)


@pytest.mark.parametrize("name", builtin_schemas())
def test_every_schema_comes_back_from_its_file(tmp_path, name: str) -> None:
    schema = find_schema(name)
    path = tmp_path / "x.toml"
    write_schema(path, schema)
    assert load_schema(path) == schema
    assert list(tmp_path.iterdir()) == [path]


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=5), unique=True, min_size=1, max_size=6), st.text(max_size=20))
def test_any_names_come_back_from_toml(names: list[str], title: str) -> None:
    import tomllib

    from engine.schema.schema import schema_from_dict

    try:
        draft = SchemaDraft("x", title)
        for name in names:
            draft.change(draft.add(), name=name)
        schema = draft.schema()
        text = schema_toml(schema).encode().decode()
    except (SchemaError, UnicodeError):
        return
    assert schema_from_dict(tomllib.loads(text)) == schema


def test_a_file_that_cannot_be_written_is_told(tmp_path) -> None:
    with pytest.raises(SchemaError, match="cannot be written"):
        write_schema(tmp_path / "none" / "x.toml", find_schema("coco"))


def _draft() -> SchemaDraft:
    names = ["nose", "left_ear", "right_ear", "tail"]
    return SchemaDraft.of(schema_from_names("mouse", names, [(0, 1), (0, 2), (0, 3)]))


def test_a_draft_keeps_partners_and_limbs_in_step() -> None:
    draft = _draft()
    draft.rename(1, "l_ear")
    assert draft.schema().keypoints[2].swap == "l_ear"
    assert draft.limbs[0] == Limb("nose", "l_ear")
    draft.remove(1)
    assert draft.schema().keypoints[1].swap == ""
    assert [(limb.start, limb.end) for limb in draft.limbs] == [("nose", "right_ear"), ("nose", "tail")]
    position = draft.add(0)
    draft.rename(position, "left_ear")
    assert draft.propose_swaps() == 1
    assert draft.schema().flip_indices.tolist() == [0, 2, 1, 3]
    assert draft.move(3, -3) == 0
    assert draft.sources() == (3, 0, None, 2)
    assert draft.move(0, -1) == 0


def test_partners_are_always_mutual() -> None:
    draft = _draft()
    draft.set_swap(1, "tail")
    assert [row.point.swap for row in draft.points] == ["", "tail", "", "left_ear"]
    draft.set_swap(2, "tail")
    assert [row.point.swap for row in draft.points] == ["", "", "tail", "right_ear"]
    draft.set_swap(2, "")
    assert [row.point.swap for row in draft.points] == ["", "", "", ""]
    draft.set_swap(2, "right_ear")
    draft.set_swap(0, "nobody")
    assert all(row.point.swap == "" for row in draft.points)


def test_what_is_wrong_with_a_draft_is_named() -> None:
    draft = _draft()
    draft.change(3, name="nose")
    with pytest.raises(SchemaError, match="duplicate keypoint name 'nose'"):
        draft.schema()
    with pytest.raises(SchemaError, match="no keypoints"):
        SchemaDraft("x").schema()
    assert SchemaDraft.of(find_schema("coco")).schema().keypoints == find_schema("coco").keypoints
    assert isinstance(draft.points[0].point, Keypoint)


CONVERTER = """
import sys
from engine.schema.schema import schema_from_names
from poseapp.project.schema.migration import match_points, migrate_category
from poseapp.project.store import ProjectStore

left = int(sys.argv[2])

def count(*_):
    # Dies at the n-th statement of SQL, as a process does that is killed: nothing is cleaned up.
    global left
    left -= 1
    if left < 0:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

with ProjectStore.open(sys.argv[1]) as store:
    store.database._connection.set_trace_callback(count)
    source = store.categories()[0]
    schema = schema_from_names("new", ["tail", "nose", "belly"])
    migrate_category(store, source, source.name, schema, match_points(source.schema, schema))
    print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_conversion_that_is_killed_anywhere_leaves_the_state_before(
    store: ProjectStore, frame, category, make, tmp_path: Path
) -> None:
    from poseapp.project import edits

    store.apply(edits.add_instance(frame, make(1), make(2, score=0.5)))
    store.close()
    root = Path(__file__).resolve().parents[4]
    ends = []
    for statements in range(0, 200, 4):
        copy = tmp_path / f"{statements}.pose"
        shutil.copyfile(store.path, copy)
        done = subprocess.run(
            [sys.executable, "-c", CONVERTER, str(copy), str(statements)], cwd=root, capture_output=True, text=True
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        with ProjectStore.open(copy) as again:
            names = [c.name for c in again.categories()]
            kinds = {i.category for i in again.instances(frame)}
            text = again.undo_text()
        before = names == [category.name] and kinds == {category.id} and text == "Add 2 poses"
        after = (
            len(names) == 2 and names[1] == category.name and kinds == {2} and text == f"Change 2 poses to {names[1]}"
        )
        assert before or after, (statements, names, kinds, text)
        ends.append(after)
        if done.returncode == 0:
            break
    assert not ends[0]
    assert ends[-1]


def test_a_conversion_that_is_refused_leaves_no_category_behind(store: ProjectStore, frame, category, make) -> None:
    from poseapp.project import edits

    store.apply(edits.add_instance(frame, make(1)))
    schema = schema_from_names("new", ["tail", "nose", "belly"])
    with pytest.raises(ProjectError, match="the mapping has"):
        migrate_category(store, category, category.name, schema, (0, 1))
    assert store.categories() == [category]
    assert store.undo_text() == "Add pose"
    target, _ = migrate_category(store, category, category.name, schema, (3, 0, None))
    assert [c.name for c in store.categories()] == [f"{category.name} (4 points)", category.name]
    assert {i.category for i in store.instances(frame)} == {target.id}


def test_names_that_a_kill_left_behind_an_undo_are_settled_at_the_next_start(
    store: ProjectStore, frame, category, make
) -> None:
    from poseapp.project import edits

    store.apply(edits.add_instance(frame, make(1)))
    schema = schema_from_names("new", ["tail", "nose", "belly"])
    target, _ = migrate_category(store, category, category.name, schema, (3, 0, None))
    store.undo()  # and no settle_names, as when it is killed here
    settle_all_names(store)
    names = {c.id: c.name for c in store.categories()}
    assert names == {category.id: category.name, target.id: f"{category.name} (3 points)"}
