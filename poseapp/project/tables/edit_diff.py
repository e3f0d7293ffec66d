"""Whether an edit fits what the project holds, and what it would change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from engine.errors import ProjectError
from poseapp.project.model import Category, FrameEdit, FrameKey
from poseapp.project.storage.database import Database
from poseapp.project.tables import instance_rows
from poseapp.project.tables.frames import FrameTable
from poseapp.project.tables.history import FrameDelta, InstanceDelta
from poseapp.project.tables.instances import rows_of_frame

_BLOCK = 500
_FRAMES = 100
_KEPT = "nothing was changed"


def blocks(frames: Sequence[FrameEdit]) -> Iterator[list[FrameEdit]]:
    """Frames in lots, so that a huge edit is never in memory as rows all at once."""
    source = iter(frames)
    while block := list(islice(source, _FRAMES)):
        yield block


def compare_instances(
    database: Database, frames: FrameTable, categories: Mapping[int, Category], edits: Sequence[FrameEdit]
) -> list[InstanceDelta]:
    """What edits of frames change; instances that stay the same are left out.

    Raises:
        ProjectError: ``before`` is not what is stored, ``after`` does not fit its category, or a frame does not exist.
    """
    check_once(i.id for f in edits for i in f.before)
    check_once(i.id for f in edits for i in f.after)
    before: dict[int, instance_rows.Row] = {}
    after: dict[int, instance_rows.Row] = {}
    for f in edits:
        frames.get(f.frame)
        before.update((i.id, instance_rows.to_row(i, f.frame)) for i in f.before)
        for instance in f.after:
            instance_rows.check(instance, categories)
            after[instance.id] = instance_rows.to_row(instance, f.frame)
    stored = _stored(database, list({**before, **after}), edits)
    for identity in {**before, **after}:
        if stored.get(identity) != before.get(identity):
            raise ProjectError(f"instance {identity} has been changed meanwhile; {_KEPT}", where=database.path)
    return list(_differences(before, after))


def compare_states(frames: FrameTable, edits: Iterable[FrameEdit]) -> list[FrameDelta]:
    """Frame states that edits change.

    Raises:
        ProjectError: the state before is not what is stored, or a frame stands twice.
    """
    deltas: list[FrameDelta] = []
    for f in edits:
        if f.state is None or f.state[0] == f.state[1]:
            continue
        if frames.state(f.frame) != f.state[0]:
            raise ProjectError(f"frame {f.frame.index} has been changed meanwhile; {_KEPT}")
        deltas.append(FrameDelta(f.frame, instance_rows.state_bits(f.state[0]), instance_rows.state_bits(f.state[1])))
    if len({s.frame for s in deltas}) != len(deltas):
        raise ProjectError(f"the edit sets the state of a frame twice; {_KEPT}")
    return deltas


def check_once(ids: Iterable[int]) -> None:
    """Raises ProjectError when an id stands twice."""
    listed = list(ids)
    if len(set(listed)) != len(listed):
        raise ProjectError(f"the edit touches an instance twice; {_KEPT}")


def _stored(database: Database, ids: Sequence[int], edits: Sequence[FrameEdit]) -> dict[int, instance_rows.Row]:
    """The rows of these ids. An edit of one frame finds them among the frame's, which have just been read."""
    rows: dict[int, instance_rows.Row] = {}
    if len(edits) == 1:
        rows = {row[0]: row for row in rows_of_frame(database, edits[0].frame)}
        ids = [identity for identity in ids if identity not in rows]
    for start in range(0, len(ids), _BLOCK):
        part = ids[start : start + _BLOCK]
        marks = ", ".join("?" * len(part))
        rows.update((row[0], row) for row in database.rows(f"{instance_rows.SELECT} WHERE id IN ({marks})", part))
    return rows


def _differences(
    before: Mapping[int, instance_rows.Row], after: Mapping[int, instance_rows.Row]
) -> Iterator[InstanceDelta]:
    for identity, old in before.items():
        frame = FrameKey(old[1], old[2])
        new = after.get(identity)
        if new is None:
            yield InstanceDelta(identity, frame, instance_rows.full(old), None)
        elif new[1:3] != old[1:3]:
            raise ProjectError(f"instance {identity} cannot go to another frame; give it a new id there; {_KEPT}")
        elif new != old:
            yield InstanceDelta(identity, frame, *instance_rows.changed(old, new))
    for identity, new in after.items():
        if identity not in before:
            yield InstanceDelta(identity, FrameKey(new[1], new[2]), None, instance_rows.full(new))
