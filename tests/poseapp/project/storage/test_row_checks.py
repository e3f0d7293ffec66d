"""Values that this program cannot have written are found when a project is opened, and named."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import PoseError, ProjectError
from engine.utils.limits import MAX_KEYPOINTS
from poseapp.project import edits
from poseapp.project.formats.coco.archive import CocoArchive
from poseapp.project.model import FrameKey, FrameState
from poseapp.project.storage import database
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

NAN = struct.pack("<d", float("nan"))
POINTS = [{"name": f"p{n}"} for n in range(MAX_KEYPOINTS + 1)]


def _run(path: Path, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            sql, values = (statement, ()) if isinstance(statement, str) else statement
            connection.execute(sql, values)


@pytest.fixture
def path(store: ProjectStore) -> Path:
    """A project with a labelled instance in its first frame, closed."""
    frames = store.frame_keys()
    category = store.categories()[0]
    count = category.schema.num_keypoints
    new = edits.make_instance(store.new_ids(1)[0], category, [[5.0, 5.0]] * count, box=[0, 0, 9, 9])
    store.apply(edits.add_instance(frames[0], new))
    store.close()
    return store.path


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE frame SET state = 'x'", "frame '1:0'"),
        ("UPDATE frame SET state = -1", "frame"),
        ("UPDATE frame SET width = 1e12", "frame"),
        ("UPDATE frame SET name = x'00'", "frame"),
        (("UPDATE frame SET name = ?", ("a" * 5000,)), "frame"),
        (("UPDATE frame SET name = ?", ("a\0b",)), "frame"),
        ("UPDATE frame SET low = 9e999", "frame"),
        ("UPDATE frame SET media = 77", "frame '77:0'"),
        ("INSERT INTO frame (media, idx, name) VALUES (1, 9223372036854775807, 'x')", "frame"),
        ("INSERT INTO frame (media, idx, name) VALUES (1, -1, 'x')", "frame"),
        ("UPDATE media SET kind = 'disk'", "media"),
        ("UPDATE media SET path = 7.5e3 || x'ff'", "media"),
        ("UPDATE media SET id = 1 << 40", "media"),
        ("UPDATE category SET name = x'ff'", "category"),
        ("UPDATE category SET schema = x'7b'", "points of category"),
        (("UPDATE category SET schema = ?", (b"[" * 100_000,)), "category"),
        (("UPDATE category SET schema = ?", (json.dumps({"name": "a", "keypoints": POINTS}),)), "at most"),
        (
            ("UPDATE category SET schema = ?", (json.dumps({"name": "a", "keypoints": POINTS[:3]}).encode(),)),
            "instance",
        ),
        ("UPDATE instance SET keypoints = x'0011'", "instance"),
        ("UPDATE instance SET keypoints = 'text'", "instance"),
        (("UPDATE instance SET keypoints = ? || substr(keypoints, 9)", (NAN,)), "instance"),
        ("UPDATE instance SET keypoints = CAST(x'000000000000f07f' || substr(keypoints, 9) AS BLOB)", "instance"),
        ("UPDATE instance SET visibility = CAST(x'09' || substr(visibility, 2) AS BLOB)", "instance"),
        ("UPDATE instance SET by_human = CAST(x'02' || substr(by_human, 2) AS BLOB)", "instance"),
        ("UPDATE instance SET box = x'00'", "instance"),
        ("UPDATE instance SET scores = x'00'", "instance"),
        ("UPDATE instance SET state = 2", "instance"),
        ("UPDATE instance SET score = 'good'", "instance"),
        ("UPDATE instance SET score = 9e999", "instance"),
        ("UPDATE instance SET track = -5", "instance"),
        ("UPDATE instance SET source = x'00'", "instance"),
        ("UPDATE instance SET category = 99", "instance"),
        ("UPDATE instance SET idx = 12345", "instance"),
        ("UPDATE meta SET value = -3 WHERE key = 'position'", "position"),
        ("UPDATE step SET time = 1e300", "step"),
        ("UPDATE step SET text = x'ff'", "step"),
        ("UPDATE step_instance SET after = 'x'", "step instance"),
    ],
)
def test_a_value_that_cannot_be_right_is_named(path: Path, statement: Any, named: str) -> None:
    _run(path, statement)
    for read_only in (False, True):
        with pytest.raises(ProjectError, match=r"cannot be|does not have|at most|its number|not UTF-8") as caught:
            ProjectStore.open(path, read_only=read_only)
        assert named in str(caught.value)
        assert len(str(caught.value)) < 1000
        assert str(path) in str(caught.value)


def test_bits_of_a_frame_that_are_not_known_are_left_out(path: Path) -> None:
    _run(path, "UPDATE frame SET state = 99")
    with ProjectStore.open(path) as store:
        assert store.frame(FrameKey(1, 0)).state == FrameState(reviewed=True, flagged=True)
        assert store.frames()[0].state.flagged


def test_ids_in_use_are_not_given_again(path: Path) -> None:
    _run(path, "UPDATE meta SET value = 1 WHERE key = 'next_instance'", "UPDATE instance SET id = 500")
    with ProjectStore.open(path) as store:
        assert list(store.new_ids(1)) == [501]


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xff" * 50,
        msgspec.msgpack.encode({10: 1}),
        msgspec.msgpack.encode({99: 1}),
        msgspec.msgpack.encode(dict.fromkeys(range(1, 15), "x")),
        b"\x91" * 100_000,
    ],
)
def test_a_damaged_step_cannot_be_undone_and_changes_nothing(path: Path, blob: bytes) -> None:
    for column in ("before", "after"):
        _run(path, (f"UPDATE step_instance SET {column} = ?", (blob,)))
    with ProjectStore.open(path) as store:
        remaining = store.instances(FrameKey(1, 0))
        with pytest.raises(ProjectError):
            store.undo()
        assert [i.id for i in store.instances(FrameKey(1, 0))] == [i.id for i in remaining]


def test_a_step_that_brings_back_what_is_there_is_refused(path: Path) -> None:
    with ProjectStore.open(path) as store:
        store.undo()
    full = "INSERT INTO instance SELECT 1, 1, 0, 1, 1, NULL, NULL, NULL, 'human', 0, x'', x'', x'', NULL, NULL"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(full)
        index = connection.execute("SELECT instance FROM step_instance").fetchone()[0]
        connection.execute("UPDATE instance SET id = ?", (index,))
        count = len(json.loads(connection.execute("SELECT schema FROM category").fetchone()[0])["keypoints"])
        connection.execute(
            "UPDATE instance SET keypoints = zeroblob(?), visibility = zeroblob(?), by_human = zeroblob(?)",
            (16 * count, count, count),
        )
    with ProjectStore.open(path) as store, pytest.raises(ProjectError, match="does not fit"):
        store.redo()


def test_a_row_read_from_a_large_file_is_checked_by_itself(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        good = connection.execute(instance_rows.SELECT).fetchone()
    assert instance_rows.from_row(good).id == good[0]
    for position, value in ((10, b"\0" * 15), (10, b"\0" * 16), (10, "x"), (11, 5), (14, b"\0" * 8), (4, 9), (13, b"")):
        bad = (*good[:position], value, *good[position + 1 :])
        with pytest.raises(ProjectError, match=f"instance {good[0]}"):
            instance_rows.from_row(bad)


@pytest.mark.parametrize(
    "block",
    [
        b"no zlib",
        zlib.compress(b"\0" * (1 << 29), 1),
        zlib.compress((10**9).to_bytes(4, "little")),
        zlib.compress((1).to_bytes(4, "little") + (10**9).to_bytes(4, "little") + b"{}"),
        zlib.compress(b"")[:-3],
    ],
)
def test_damaged_records_of_an_imported_file_are_told_and_not_unpacked_without_end(path: Path, block: bytes) -> None:
    _run(
        path,
        "INSERT INTO coco_file VALUES (1, 'a', '[]', x'80', '{}')",
        ("INSERT INTO coco_block VALUES (1, 1, 'annotations', ?, ?)", (b"\0" * 8, block)),
        "UPDATE coco_file SET keys = CAST(keys AS BLOB), tracks = CAST(tracks AS BLOB)",
    )
    with ProjectStore.open(path) as store:
        archive = CocoArchive(store.database)
        assert len(archive.files()) == 1
        with pytest.raises(ProjectError, match="damaged"):
            list(archive.blocks(1, "annotations"))


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_in_a_project_are_an_error_or_a_project(path: Path, seed: int) -> None:
    """Whatever is wrong with the file: every frame of it can be read, or the error is ours."""
    choice = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(choice.choice((1, 10, 200))):
        data[choice.randrange(100, len(data))] = choice.randrange(256)
    path.write_bytes(data)
    try:
        with ProjectStore.open(path) as store:
            for key in store.frame_keys():
                store.instances(key)
                store.frame(key)
            store.history()
            while store.undo() is not None:
                pass
    except PoseError:
        pass


def test_readers_beside_the_writer_do_not_check_every_row_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Path] = []
    monkeypatch.setattr(database, "check_rows", lambda path, *_, **__: checked.append(path))
    os.utime(path, (1, 1))  # another program has written it since it was closed
    with ProjectStore.open(path), ProjectStore.open(path, read_only=True) as first:
        assert first.summary().labelled == 1
        ProjectStore.open(path, read_only=True).close()
        assert len(checked) == 1
    ProjectStore.open(path).close()  # nothing has changed since
    assert len(checked) == 1
    os.utime(path, (2, 2))
    ProjectStore.open(path).close()
    assert len(checked) == 2


def test_a_project_that_was_changed_after_it_was_closed_is_checked_again(path: Path) -> None:
    ProjectStore.open(path).close()
    _run(path, "UPDATE frame SET state = 'x'")
    for read_only in (False, True):
        with pytest.raises(ProjectError, match="cannot be right"):
            ProjectStore.open(path, read_only=read_only)
