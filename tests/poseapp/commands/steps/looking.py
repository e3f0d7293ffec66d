"""What shows that the verbs of View, Go and Help work."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from poseapp.app import theme
from poseapp.app.canvas_style import ColorMode
from poseapp.app.reports import Report
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.report import ReportDialog
from poseapp.project.import_reports import ImportReports
from tests.poseapp.commands.steps.person import (
    CROWD,
    FLAGGED,
    FRAMES,
    KEYFRAME,
    LABELLED,
    OTHER_TRACK,
    SURE,
    UNSURE,
    Person,
    verb,
)
from tests.poseapp.conftest import POSE

FOOT = 3


@verb("zoom_in")
def _(me: Person) -> None:
    before = me.window.canvas.scale_factor
    me.do()
    assert me.window.canvas.scale_factor > before


@verb("zoom_out")
def _(me: Person) -> None:
    me.press("zoom_in")
    before = me.window.canvas.scale_factor
    me.do()
    assert me.window.canvas.scale_factor < before


@verb("fit")
def _(me: Person) -> None:
    before = me.window.canvas.scale_factor
    me.press("zoom_in")
    me.do()
    assert me.window.canvas.scale_factor == before


@verb("actual_size")
def _(me: Person) -> None:
    me.do()
    assert me.window.canvas.scale_factor * me.window.canvas.devicePixelRatioF() == 1.0


@verb("zoom_pose")
def _(me: Person) -> None:
    before = me.window.canvas.scale_factor
    me.choose(1)
    me.do()
    canvas = me.window.canvas
    assert canvas.scale_factor > before
    middle = canvas.to_image(canvas.viewport().rect().center().toPointF())
    assert abs(middle.x() - 240) < 20


def _switches(name: str) -> None:
    """A switch of the view: the picture changes, the tick stands, and again gives the same picture."""

    @verb(name)
    def _(me: Person) -> None:
        if name == "show_missing":
            me.go(SURE)
        me.choose(0)
        if name == "show_labels":
            me.hover(0, FOOT)
        if name == "show_minimap":
            for _round in range(8):
                me.press("zoom_in")
            assert me.window.minimap.isVisible()
        before, was = me.picture(), me.checked()
        me.do()
        assert me.checked() is not was
        assert getattr(me.style, name) is not was
        assert getattr(me.window.settings.canvas_style(), name, None) is not was or name == "hide_others"
        if name == "show_minimap":
            assert not me.window.minimap.isVisible()
        else:
            assert me.picture() != before
        me.do()
        assert me.checked() is was
        assert me.picture() == before or name == "show_minimap"


for _name in ("hide_others", "show_labels", "show_bones", "show_boxes", "show_missing", "show_minimap"):
    _switches(_name)


@verb("hide_poses")
def _(me: Person) -> None:
    me.choose(0)
    hidden = me.pose()
    before = me.picture()
    me.do()
    assert me.session.hidden == {hidden.id}
    assert me.picture() != before
    me.hands.click(*POSE[0])
    assert me.session.selected_instances == frozenset()


@verb("lock_poses")
def _(me: Person) -> None:
    me.choose(0)
    before = me.pose()
    me.do()
    me.hands.drag(tuple(POSE[0]), (130, 80))  # type: ignore[arg-type]
    assert me.pose().same_as(before)
    assert me.session.locked == {before.id}


@verb("hide_points")
def _(me: Person) -> None:
    me.choose(0, FOOT)
    me.do()
    before = me.pose()
    assert me.session.hidden_points == {(before.id, FOOT)}
    me.hands.drag(tuple(POSE[FOOT]), (130, 200))  # type: ignore[arg-type]
    assert me.pose().same_as(before)


@verb("lock_points")
def _(me: Person) -> None:
    me.choose(0, FOOT)
    me.do()
    before = me.pose()
    me.hands.drag(tuple(POSE[FOOT]), (130, 200))  # type: ignore[arg-type]
    assert me.pose().same_as(before)
    me.hands.drag(tuple(POSE[0]), (130, 80))  # type: ignore[arg-type]
    assert not me.pose().same_as(before)


@verb("show_all_poses")
def _(me: Person) -> None:
    first = me.pose().id
    me.choose(0, FOOT)
    me.press("lock_points")
    me.choose(0)
    me.press("lock_poses")
    me.choose(1)
    me.press("hide_poses")
    me.press("next_part")
    me.do()
    assert not me.session.hidden | me.session.locked
    assert not me.session.locked_points
    assert me.style.parts is None
    me.hands.click(*POSE[FOOT])
    assert me.session.selected_points == {(first, FOOT)}


@verb("next_part")
def _(me: Person) -> None:
    seen = []
    for _round in range(3):
        me.do()
        seen.append(me.style.parts)
    assert seen == [{"upper"}, {"lower"}, None]


def _colors(mode: ColorMode) -> None:
    @verb(f"color_{mode.value}")
    def _(me: Person) -> None:
        if mode is ColorMode.SIDE:
            me.press("color_limb")
        before = me.picture()
        me.do()
        assert me.style.color_mode is mode
        assert me.checked()
        assert me.picture() != before


for _mode in ColorMode:
    _colors(_mode)


@verb("theme_system")
def _(me: Person) -> None:
    me.press("theme_dark")
    me.do()
    assert me.window.settings.theme == "system"
    assert me.window.dark is theme.is_dark("system")
    assert me.checked()


@verb("theme_dark", "theme_light")
def _(me: Person) -> None:
    dark = me.verb == "theme_dark"
    me.press("theme_light" if dark else "theme_dark")
    assert me.window.dark is not dark
    me.do()
    assert me.window.dark is dark
    assert me.style.dark is dark
    assert me.checked()
    me.press("theme_system")


def _goes(name: str, start: int, *ends: int, selected: bool = False) -> None:
    """From a frame to others, one at each press."""

    @verb(name)
    def _(me: Person) -> None:
        me.go(start)
        if selected:
            me.choose(0)
        seen = []
        for _round in ends:
            me.do()
            seen.append(me.place)
        assert seen == list(ends)


_goes("next_frame", 3, 4, 5)
_goes("previous_frame", 3, 2, 1)
_goes("next_ten", 3, 13, 23)
_goes("previous_ten", 13, 3, 0)
_goes("first_frame", 13, 0)
_goes("last_frame", 3, FRAMES - 1)
_goes("next_labelled", 1, KEYFRAME, OTHER_TRACK)
_goes("previous_labelled", OTHER_TRACK, KEYFRAME, LABELLED)
_goes("next_predicted", 1, SURE, UNSURE)
_goes("previous_predicted", 20, UNSURE, SURE)
_goes("next_flagged", 1, *FLAGGED)
_goes("previous_flagged", 20, *reversed(FLAGGED))
_goes("next_keyframe", LABELLED, KEYFRAME, OTHER_TRACK)
_goes("previous_keyframe", 20, OTHER_TRACK, KEYFRAME)
_goes("next_unlabelled", KEYFRAME, KEYFRAME + 1, OTHER_TRACK + 1)
_goes("previous_unlabelled", KEYFRAME, KEYFRAME - 1)
_goes("between_keyframes", LABELLED, (LABELLED + KEYFRAME) // 2)
_goes("track_start", KEYFRAME, LABELLED, selected=True)
_goes("track_end", LABELLED, KEYFRAME, selected=True)
_goes("next_review", 1, UNSURE, SURE)
_goes("previous_review", SURE, UNSURE)


@verb("go_to_frame")
def _(me: Person) -> None:
    me.do()
    dialog = cast(AskDialog, me.dialog(AskDialog))
    assert dialog.number is not None
    dialog.number.setValue(8)
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    assert me.place == 7


@verb("play")
def _(me: Person) -> None:
    me.do()
    assert me.window.playback.playing
    assert me.checked()
    me.do()
    assert not me.window.playback.playing


@verb("mark_in", "mark_out")
def _(me: Person) -> None:
    me.go(6)
    me.do()
    marks, here = me.session.frame_range, me.session.frame
    assert (marks.first, marks.last) == ((here, None) if me.verb == "mark_in" else (None, here))


@verb("clear_range")
def _(me: Person) -> None:
    me.press("mark_in")
    me.do()
    assert me.session.frame_range.media is None


@verb("next_pose")
def _(me: Person) -> None:
    first, second = me.pose(0).id, me.pose(1).id
    for wanted in (first, second, first):
        me.do()
        assert me.session.selected_instances == {wanted}


@verb("previous_pose")
def _(me: Person) -> None:
    first, second = me.pose(0).id, me.pose(1).id
    for wanted in (second, first, second):
        me.do()
        assert me.session.selected_instances == {wanted}


@verb("next_point", "previous_point")
def _(me: Person) -> None:
    number = me.pose().id
    me.choose(0, 1)
    me.do()
    assert me.session.selected_points == {(number, 2 if me.verb == "next_point" else 0)}


@verb(*(f"select_{number}" for number in range(1, 10)))
def _(me: Person) -> None:
    me.go(CROWD)
    me.do()
    assert me.session.selected_instances == {me.pose(int(me.verb[-1]) - 1).id}


@verb("flag", "reviewed")
def _(me: Person) -> None:
    name = {"flag": "flagged"}.get(me.verb, me.verb)
    for wanted in (True, False):
        me.do()
        info = me.session.frame_info()
        assert info is not None
        assert getattr(info.state, name) is wanted
        assert me.checked() is wanted


@verb("palette")
def _(me: Person) -> None:
    me.do()
    assert me.window.palette_box.isVisible()
    QTest.keyClick(me.window.palette_box.line, Qt.Key.Key_Escape)
    assert not me.window.palette_box.isVisible()


@verb("keys")
def _(me: Person) -> None:
    me.do()
    assert me.window.keys_sheet.isVisible()
    me.window.keys_sheet.close()


@verb("about")
def _(me: Person) -> None:
    me.do()
    assert "poseapp" in me.window.toasts.messages()[-1]


@verb("check_labels")
def _(me: Person) -> None:
    me.do()
    me.idle()
    dialog = cast(ReportDialog, me.dialog(ReportDialog))
    assert dialog.report.title == "Check of verbs"
    assert "Keypoint outside the image" in [remark.kind for remark in dialog.model.remarks]


@verb("import_report")
def _(me: Person) -> None:
    store = me.window.session.store
    assert store is not None
    ImportReports(store).add("Import of labels.json", "labels is open.", ["one is left out"])
    me.do()
    dialog = cast(ReportDialog, me.dialog(ReportDialog))
    assert dialog.report.remarks == ("one is left out",)


@verb("report")
def _(me: Person) -> None:
    me.window.report(Report("Import of labels.json", "labels is open.", ("one is left out", "two is left out")))
    me.do()
    dialog = cast(ReportDialog, me.dialog(ReportDialog))
    assert dialog.report.remarks == ("one is left out", "two is left out")
