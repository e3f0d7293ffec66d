"""Poses as they were before the first step of the history: what imports brought in, whatever has become of it."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from engine.errors import ProjectError
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows
from poseapp.project.tables.instance_rows import COLUMNS, Values

_decode = msgspec.msgpack.Decoder(Values).decode


def original_rows(store: ProjectStore) -> dict[FrameKey, list[tuple[int, instance_rows.Row]]]:
    """Instances that no step has made, as they were before they were changed or deleted; by the frame of then.

    Only those that a step has touched: the others are in the table as they were.

    Raises:
        ProjectError: the history is damaged.
    """
    database = store.database
    states: dict[int, Values] = {}
    added: set[int] = set()
    position = database.meta("position")
    sql = "SELECT instance, before FROM step_instance WHERE step <= ? ORDER BY step DESC"
    for block in database.stream(sql, (position,)):
        for instance, before in block:
            if before is None:
                added.add(instance)
                states.pop(instance, None)
                continue
            try:
                values = _decode(before)
            except (msgspec.MsgspecError, TypeError):
                raise ProjectError("the history is damaged", where=store.path) from None
            added.discard(instance)
            states.setdefault(instance, {}).update(values)
    originals: defaultdict[FrameKey, list[tuple[int, instance_rows.Row]]] = defaultdict(list)
    for instance, values in states.items():
        row = database.row(f"{instance_rows.SELECT} WHERE id = ?", (instance,))
        now = {} if row is None else instance_rows.full(row)
        whole = {**now, **values}
        if all(column in whole for column in range(1, len(COLUMNS))):
            original = (instance, *(whole[column] for column in range(1, len(COLUMNS))))
            originals[FrameKey(original[1], original[2])].append((instance, original))
    return dict(originals)
