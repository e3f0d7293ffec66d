"""The part of the tour in which a video is labelled: two poses, and those between by interpolation."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from engine.errors import PoseError
from engine.media.images import read_image
from engine.media.video.reader import VideoReader
from engine.media.video.writer import Image, write_mp4
from poseapp.dialogs.prompt import AskDialog
from poseapp.project.model import State
from poseapp.project.queries.tracks import INTERPOLATED
from poseapp.tour.base import TourError, breathe, check, wait_until
from poseapp.tour.driver import Hands
from resources import resource_path

FRAMES, FIRST, LAST, STEP = 90, 10, 70, 2
"""Frames of the film, those that are labelled, and by how many pixels the picture goes to the right in each."""
SIZE = (640, 480)
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def clip_of(photograph: Image) -> list[Image]:
    """A photograph that moves to the right before a dark wall, RGB uint8 (480, 640, 3) each."""
    photograph = photograph[: SIZE[1]]
    pictures = []
    for frame in range(FRAMES):
        picture = np.full((SIZE[1], SIZE[0], 3), 24, np.uint8)
        left = STEP * frame - 40
        a, b = max(left, 0), min(left + photograph.shape[1], SIZE[0])
        picture[: len(photograph), a:b] = photograph[:, a - left : b - left]
        pictures.append(picture)
    return pictures


def make_clip(path: Path) -> Path:
    """The film of the sample photograph as an mp4 of 30 frames a second."""
    times = [Fraction(frame, 30) for frame in range(FRAMES)]
    for _ in write_mp4(path, clip_of(read_image(resource_path("sample/astronaut.jpg"))), times, SIZE):
        pass
    return path


def label_video(hands: Hands, home: Path) -> None:
    """Open a film, have two frames labelled, fill those between, look at the frame in the middle.

    Raises:
        TourError: naming the step.
    """
    window = hands.window
    with hands.step("Label a video", "video") as checked:
        hands.quiet()
        before = window.session.path
        try:
            path = make_clip(home / "film.mp4")
        except PoseError as error:
            raise TourError(str(error)) from None
        window.open_paths([path])
        wait_until(lambda: len(window.session.frames) == FRAMES and hands.idle(), "the film")
        for frame in (FIRST, LAST):
            _go_to(hands, frame)
            _label(hands, new_track=frame == FIRST)
        hands.key(Qt.Key.Key_I, SHIFT)
        wait_until(lambda: hands.idle() and _poses(hands) == LAST - FIRST + 1, "the frames between")
        middle = (FIRST + LAST) // 2
        _go_to(hands, middle)
        (pose,) = hands.instances
        check(pose.source == INTERPOLATED, "the pose in the middle is not interpolated")
        ends = [hands.store.instances(window.session.frames[frame])[0] for frame in (FIRST, LAST)]
        seen = (ends[0].visibility > 0) & (ends[1].visibility > 0)
        check(seen.sum() >= 5, "the model found hardly a point")
        between = np.mean([end.keypoints[seen] for end in ends], axis=0)
        off = float(np.abs(pose.keypoints[seen] - between).max())
        check(off < 0.01, f"the pose in the middle lies {off:.2f} px beside the line between its keyframes")
        with VideoReader(path) as reader:
            expected = reader.read(middle)
        key = window.session.frames[middle]
        wait_until(lambda: window.loader.cached(key, path) is not None, "the frame in the middle")
        shown = np.asarray(window.loader.cached(key, path))
        check(np.array_equal(shown, expected), "the window shows another frame than the one that is named")
        window.session.select(instances=[pose.id])
        window.docks[1].raise_()
        window.toasts.clear()
        checked.append(
            f"2 frames labelled, {LAST - FIRST - 1} filled, frame {middle} is frame {middle} to the last pixel"
        )
    if before is not None:
        window.open_paths([before])
        wait_until(lambda: window.session.path == before and hands.idle(), "the photographs again")


def _poses(hands: Hands) -> int:
    return sum(1 for _ in hands.store.all_instances())


def _go_to(hands: Hands, frame: int) -> None:
    hands.key(Qt.Key.Key_G, CONTROL)
    dialog: AskDialog = hands.dialog(AskDialog)
    assert dialog.number is not None
    dialog.number.setFocus()
    dialog.number.selectAll()
    QTest.keyClicks(dialog.number, str(frame))
    hands.press(dialog.do)
    session = hands.window.session
    wait_until(lambda: session.frame is not None and session.frame.index == frame, f"frame {frame}")
    wait_until(lambda: hands.window.canvas.image_size == SIZE, "its picture")
    breathe(150)


def _label(hands: Hands, *, new_track: bool) -> None:
    """The model's pose of the frame, accepted, as somebody who is known."""
    hands.key(Qt.Key.Key_R, CONTROL)
    wait_until(lambda: hands.instances and hands.idle(), "a pose on the frame")
    best = max(hands.instances, key=lambda i: i.score or 0.0)
    others = [i.id for i in hands.instances if i.id != best.id]
    if others:
        hands.window.session.select(instances=others)
        hands.key(Qt.Key.Key_Delete)
    hands.key(Qt.Key.Key_Tab)
    hands.key(Qt.Key.Key_Return)
    check(hands.instances[0].state is State.LABELLED, "Enter did not accept the pose")
    hands.key(Qt.Key.Key_T)
    dialog: AskDialog = hands.dialog(AskDialog)
    assert dialog.choice is not None
    dialog.choice.setCurrentIndex(0 if new_track else 1)
    hands.press(dialog.do)
    wait_until(lambda: hands.instances[0].track is not None, "a track")
