"""What shows that the verbs of Edit and Pose, and the nudges, work."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.schema.choice import SchemaChoiceDialog
from poseapp.dialogs.schema.editor import SchemaEditorDialog
from poseapp.dialogs.schema.mapping import ChangePointsDialog
from poseapp.dialogs.settings.dialog import SettingsDialog
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, State
from tests.poseapp.commands.steps.person import SURE, UNSURE, Person, verb
from tests.poseapp.conftest import POSE

HEAD, LEFT_HAND, RIGHT_HAND, FOOT = range(4)


@verb("undo")
def _(me: Person) -> None:
    before = me.pose()
    me.hands.drag(tuple(POSE[HEAD]), (120, 70))  # type: ignore[arg-type]
    assert not me.pose().same_as(before)
    me.do()
    assert me.pose().same_as(before)


@verb("redo")
def _(me: Person) -> None:
    me.hands.drag(tuple(POSE[HEAD]), (120, 70))  # type: ignore[arg-type]
    after = me.pose()
    me.press("undo")
    me.do()
    assert me.pose().same_as(after)


@verb("copy")
def _(me: Person) -> None:
    me.choose(1)
    me.do()
    assert [pose.id for pose in me.window.context.clipboard] == [me.pose(1).id]


@verb("paste")
def _(me: Person) -> None:
    me.choose(0)
    me.press("copy")
    me.go(3)
    me.do()
    assert np.array_equal(me.pose().keypoints, POSE)


@verb("duplicate")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    assert len(me.session.instances) == 3
    assert np.allclose(me.pose(2).keypoints - POSE, me.pose(2).keypoints[0] - POSE[0])
    assert me.session.selected_instances == {me.pose(2).id}


@verb("copy_previous")
def _(me: Person) -> None:
    me.go(1)
    me.do()
    assert [pose.track for pose in me.session.instances] == [1, None]


@verb("delete")
def _(me: Person) -> None:
    before = me.pose()
    me.choose(0, FOOT)
    me.do()
    assert me.pose().visibility.tolist() == [2, 2, 2, ABSENT]
    me.one_step_back(before)
    me.choose(0)
    me.do()
    assert before.id not in [pose.id for pose in me.session.instances]
    me.one_step_back(before)


@verb("select_all")
def _(me: Person) -> None:
    me.do()
    assert len(me.session.selected_instances) == 2


@verb("settings")
def _(me: Person) -> None:
    me.do()
    me.dialog(SettingsDialog)


@verb("tool_edit")
def _(me: Person) -> None:
    me.press("tool_box")
    me.do()
    assert me.window.canvas.tool == "edit"
    assert me.checked()
    me.hands.drag(tuple(POSE[HEAD]), (120, 70))  # type: ignore[arg-type]
    assert np.allclose(me.pose().keypoints[HEAD], (120, 70), atol=1)


@verb("tool_box")
def _(me: Person) -> None:
    me.go(3)
    me.do()
    assert me.checked()
    me.hands.drag((50, 40), (200, 200))
    me.bot.waitUntil(lambda: bool(me.session.instances), timeout=5000)
    assert me.pose().keypoints.min() >= 39
    assert me.window.canvas.tool == "edit"


@verb("tool_place")
def _(me: Person) -> None:
    me.go(3)
    me.do()
    assert me.checked()
    me.hands.click(100, 50)
    me.hands.click(140, 90, Qt.MouseButton.RightButton)
    me.hands.key(Qt.Key.Key_Tab)
    me.hands.click(100, 170)
    assert me.pose().visibility.tolist() == [VISIBLE, OCCLUDED, ABSENT, VISIBLE]
    assert np.allclose(me.pose().keypoints[1], (140, 90), atol=1)


@verb("place_missing")
def _(me: Person) -> None:
    me.choose(1)
    me.do()
    me.hands.click(240, 180)
    assert me.pose(1).visibility.tolist() == [2, 1, 2, 2]
    assert np.allclose(me.pose(1).keypoints[FOOT], (240, 180), atol=1)


@verb("choose_kind")
def _(me: Person) -> None:
    me.do()
    me.dialog(SchemaChoiceDialog)


@verb("edit_points")
def _(me: Person) -> None:
    me.do()
    me.dialog(SchemaEditorDialog)


@verb("change_points")
def _(me: Person) -> None:
    me.do()
    me.dialog(ChangePointsDialog)


@verb("accept")
def _(me: Person) -> None:
    me.go(UNSURE)
    before = me.pose(1)
    me.choose(1)
    me.do()
    assert [pose.state for pose in me.session.instances] == [State.PREDICTED, State.LABELLED]
    me.one_step_back(before, 1)


@verb("accept_all")
def _(me: Person) -> None:
    me.go(UNSURE)
    me.do()
    assert {pose.state for pose in me.session.instances} == {State.LABELLED}
    assert me.steps() == me.base + 1


@verb("accept_everywhere")
def _(me: Person) -> None:
    me.do()
    assert me.store.summary().predicted == 0
    assert me.steps() == me.base + 1


@verb("reject")
def _(me: Person) -> None:
    me.go(UNSURE)
    me.choose(0)
    gone = me.pose()
    me.do()
    assert [pose.id for pose in me.session.instances] != []
    assert gone.id not in [pose.id for pose in me.session.instances]
    me.one_step_back(gone)


@verb("visible")
def _(me: Person) -> None:
    me.hover(1, LEFT_HAND)
    me.do()
    assert me.pose(1).visibility[LEFT_HAND] == VISIBLE


@verb("occluded")
def _(me: Person) -> None:
    me.hover(0, FOOT)
    me.do()
    assert me.pose().visibility.tolist() == [2, 2, 2, OCCLUDED]


@verb("absent")
def _(me: Person) -> None:
    me.choose(0, LEFT_HAND, FOOT)
    me.do()
    assert me.pose().visibility.tolist() == [2, ABSENT, 2, ABSENT]
    assert me.steps() == me.base + 1


@verb("swap")
def _(me: Person) -> None:
    before = me.pose()
    me.choose(0)
    me.do()
    assert np.array_equal(me.pose().keypoints, POSE[[0, 2, 1, 3]])
    me.one_step_back(before)


@verb("mirror")
def _(me: Person) -> None:
    me.choose(1, HEAD)
    me.press("nudge_right_far")
    before = me.pose(1).keypoints.copy()
    me.choose(1)
    me.do()
    box = me.pose(1).box
    assert box is not None
    after = me.pose(1).keypoints
    assert np.allclose(after[HEAD, 0], box[0] + box[2] - before[HEAD, 0])
    assert np.allclose(after[LEFT_HAND], (box[0] + box[2] - before[RIGHT_HAND, 0], before[RIGHT_HAND, 1]))


@verb("change_category")
def _(me: Person) -> None:
    me.choose(0)
    me.do()
    dialog = me.dialog(AskDialog)
    assert isinstance(dialog, AskDialog)
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    pose = me.at_frame(0)[0]
    assert pose.num_keypoints == 2
    assert np.array_equal(pose.keypoints[0], POSE[HEAD])


@verb("merge_poses")
def _(me: Person) -> None:
    before = me.pose()
    me.choose(0, HEAD)
    me.press("delete")
    me.press("select_all")
    me.do()
    (merged,) = me.session.instances
    assert merged.id == before.id
    assert np.array_equal(merged.keypoints[HEAD], POSE[HEAD] + (140, 10))


@verb("split_pose")
def _(me: Person) -> None:
    me.choose(0, LEFT_HAND, RIGHT_HAND)
    me.do()
    assert len(me.session.instances) == 3
    assert me.pose(0).visibility.tolist() == [2, 0, 0, 2]
    assert me.pose(2).visibility.tolist() == [0, 2, 2, 0]


@verb("delete_below")
def _(me: Person) -> None:
    me.do()
    dialog = me.dialog(AskDialog)
    assert isinstance(dialog, AskDialog)
    assert dialog.number is not None
    dialog.number.setValue(40)
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    assert [pose.score for pose in me.at_frame(UNSURE)] == [0.5]
    assert len(me.at_frame(SURE)) == 1


@verb("nothing_here")
def _(me: Person) -> None:
    me.go(3)
    me.do()
    info = me.session.frame_info()
    assert info is not None
    assert info.state.negative
    assert me.checked()


def _nudges(name: str, dx: int, dy: int) -> None:
    @verb(name)
    def _(me: Person) -> None:
        me.choose(0, FOOT)
        me.do()
        assert np.allclose(me.pose().keypoints - POSE, [(0, 0), (0, 0), (0, 0), (dx, dy)])
        me.do()
        assert me.steps() == me.base + 1, "nudges of one selection are one step"
        me.press("undo")
        me.choose(0)
        me.do()
        assert np.allclose(me.pose().keypoints - POSE, (dx, dy)), "without points, the pose"


for _size, _far in ((1, ""), (10, "_far")):
    _nudges(f"nudge_left{_far}", -_size, 0)
    _nudges(f"nudge_right{_far}", _size, 0)
    _nudges(f"nudge_up{_far}", 0, -_size)
    _nudges(f"nudge_down{_far}", 0, _size)
