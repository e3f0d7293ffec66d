"""Lanes that were read before an edit are not shown after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from poseapp.jobs.frames.timeline_previews import TimelinePreviews
from poseapp.panels.timeline.data import MediaData
from poseapp.panels.timeline.lanes import Sight
from poseapp.project import edits
from poseapp.project.store import ProjectStore


def test_an_answer_from_before_an_edit_is_read_again(tmp_path: Path, qtbot: QtBot) -> None:
    previews = TimelinePreviews()
    data = MediaData(previews)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        media = store.add_media("images", tmp_path)
        keys = store.add_frames(media.id, [(f"{n}.png", 64, 48) for n in range(3)])
        kind = store.add_category("person", find_schema("coco"))
        answers: list[object] = []
        previews.answered.disconnect(data._on_answer)
        previews.answered.connect(lambda what, answer: answers.append((what, answer)))
        data.show(store, media.id, None)
        qtbot.waitUntil(lambda: bool(answers))
        pose = edits.make_instance(store.new_ids(1)[0], kind, np.ones((17, 2)), track=4)
        store.apply(edits.add_instance(keys[1], pose))
        data.frames_changed([keys[1]])
        assert list(data.lanes.tracks) == [4]
        what, answer = answers.pop()  # type: ignore[misc]
        data._on_answer(what, answer)
        assert list(data.lanes.tracks) == [4]
        qtbot.waitUntil(lambda: bool(answers))
        data._on_answer(*answers.pop())  # type: ignore[misc]
        assert list(data.lanes.tracks) == [4]
        previews.shutdown()


def test_while_playing_the_part_in_sight_turns_like_a_page() -> None:
    sight = Sight(1000, 100.0, 100.0)
    assert sight.showing(150, page=True) is sight
    turned = sight.showing(200, page=True)
    assert turned.start == 195.0  # the frame near the left, all that follows in sight
    assert turned.count == 100.0
    assert sight.showing(200).start == pytest.approx(111.0)  # by hand: as little as it takes
    assert sight.showing(40, page=True).start == 35.0
    assert Sight(1000, 900.0, 100.0).showing(999, page=True).start == 900.0
