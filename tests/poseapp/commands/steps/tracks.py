"""What shows that the verbs of Track work."""

from __future__ import annotations

from typing import cast

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from poseapp.dialogs.prompt import AskDialog
from poseapp.project.model import State
from tests.poseapp.commands.steps.person import FLAGGED, FRAMES, KEYFRAME, LABELLED, OTHER_TRACK, SURE, Person, verb
from tests.poseapp.conftest import POSE


def agree(me: Person, choice: object = None, *, all_of_them: bool = False, index: int | None = None) -> None:
    """Answer the question that the verb asks."""
    dialog = cast(AskDialog, me.dialog(AskDialog))
    if choice is not None:
        assert dialog.choice is not None
        dialog.choice.setCurrentIndex(dialog.choice.findData(choice))
    if all_of_them and dialog.switch is not None:
        dialog.switch.setChecked(False)
    if index is not None:
        assert dialog.number is not None
        dialog.number.setValue(index)
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    me.idle()
    me.back_to_the_window()


def tracks(me: Person, position: int) -> list[int | None]:
    return [pose.track for pose in me.at_frame(position)]


@verb("track_poses")
def _(me: Person) -> None:
    assert tracks(me, SURE) == [None]
    me.do()
    me.idle()
    assert None not in tracks(me, SURE)
    assert me.steps() == me.base + 1


@verb("assign_track")
def _(me: Person) -> None:
    me.choose(1)
    me.do()
    agree(me, -1)
    assert me.pose(1).track not in (None, 1, 2)


@verb("swap_tracks")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    agree(me, 2)
    assert tracks(me, KEYFRAME) == [2]
    assert tracks(me, OTHER_TRACK) == [1]


@verb("swap_along")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    agree(me, "rest", all_of_them=True)
    for place, shift in ((LABELLED, 0), (KEYFRAME, 40)):
        assert np.array_equal(me.at_frame(place)[0].keypoints, POSE[[0, 2, 1, 3]] + (shift, 0))


@verb("join_tracks")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    agree(me, 2)
    assert tracks(me, OTHER_TRACK) == tracks(me, KEYFRAME) == [1]


@verb("split_track")
def _(me: Person) -> None:
    me.go(KEYFRAME)
    me.choose(0)
    me.do()
    assert me.pose().track not in (None, 1)
    assert tracks(me, LABELLED)[0] == 1


@verb("delete_track")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    agree(me, "all", all_of_them=True)
    assert me.at_frame(KEYFRAME) == ()
    assert 1 not in tracks(me, LABELLED)


@verb("keyframe")
def _(me: Person) -> None:
    me.go(SURE)
    me.choose(0)
    me.press("assign_track")
    agree(me, -1)
    me.do()
    assert me.pose().state is State.LABELLED


@verb("interpolate_track", "interpolate_smooth")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    me.idle()
    (middle,) = me.at_frame((LABELLED + KEYFRAME) // 2)
    assert np.allclose(middle.keypoints, POSE + np.array([20, 0]))
    assert len(me.at_frame(KEYFRAME - 1)) == 1


@verb("propagate_pose")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    me.bot.waitUntil(lambda: bool(me.at_frame(1)), timeout=20000)
    me.idle()
    assert np.abs(me.at_frame(1)[0].keypoints - POSE).max() < 3


@verb("choose_frames")
def _(me: Person) -> None:
    me.do()
    agree(me, "uniform", index=4)
    flagged = [n for n in range(FRAMES) if me.store.frame(me.session.frames[n]).state.flagged]
    assert len(set(flagged) - set(FLAGGED)) >= 3
