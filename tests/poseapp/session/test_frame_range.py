"""The marked range: one mark never lies on the wrong side of the other."""

from __future__ import annotations

from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_keys import FrameKeys
from poseapp.session.frame_range import FrameRange


def key(index: int, media: int = 1) -> FrameKey:
    return FrameKey(media, index)


def test_a_first_mark_behind_the_last_takes_the_last_away() -> None:
    marks = FrameRange()
    marks.set_first(key(2))
    marks.set_last(key(5))
    assert (marks.first, marks.last) == (key(2), key(5))
    marks.set_first(key(8))
    assert (marks.first, marks.last) == (key(8), None)


def test_a_last_mark_before_the_first_takes_the_first_away() -> None:
    marks = FrameRange()
    marks.set_first(key(4))
    marks.set_last(key(1))
    assert (marks.first, marks.last) == (None, key(1))
    assert marks.places(FrameKeys.of([key(n) for n in range(6)])) == (0, 1)


def test_both_marks_may_be_on_one_frame() -> None:
    marks = FrameRange()
    marks.set_first(key(4))
    marks.set_last(key(4))
    assert (marks.first, marks.last) == (key(4), key(4))
    marks.set_first(key(4))
    assert marks.last == key(4)


def test_a_mark_in_another_media_takes_the_other_away() -> None:
    marks = FrameRange()
    marks.set_first(key(1))
    marks.set_last(key(5, 2))
    assert (marks.first, marks.last) == (None, key(5, 2))
    marks.set_first(key(9))
    assert (marks.first, marks.last) == (key(9), None)


def test_changes_are_told_once() -> None:
    marks, messages = FrameRange(), []
    marks.changed.connect(lambda: messages.append(marks.media))
    marks.set_first(key(1))
    marks.set_first(key(1))
    marks.clear()
    marks.clear()
    assert messages == [1, None]
