"""What a person costs in clicks, drags and keys: `python tests/benchmarks/bench_interactions.py [people]`.

Prints Markdown. Real photographs with people's labels (COCO) stand for what the annotator wants. A hand of its own
works in the real window by mouse and key events and counts them; a joint is wrong while it is absent, or farther off
than the distance at which its object keypoint similarity is 0.5. Counted: keys, clicks, drags, of the pose. Not
counted: looking (zoom, also during a drag; next image; hiding other poses), Tab to the person's pose (said apart) and
the run of the model, which is one command for all images.

A person with k wrong joints in the prediction is to cost at most k drags and one key, Enter; a person that was not
found, N and a drag more, k being the wrong joints of the pose that the model then puts into the box. Those that cost
more are counted as `over`.

    from scratch              P, a click for every labelled point, Tab for the others
    from scratch, assist      P, points up to the second shoulder, Enter; then as "from predictions, assist"
    from scratch, box, assist N, a box by a drag, then as "from predictions, assist"
    from predictions          the worst wrong joint is dragged to its label until none is wrong, absent ones from where
                              they are offered (with the right button where they are occluded); Enter; a person that
                              was not found gets a box (N, drag)
    from predictions, assist  the same; what the model proposes after an edit is taken (Enter) where that saves two
                              interactions or more
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEventLoop, QPoint, QSettings, Qt, QTimer
from PySide6.QtTest import QTest

from engine.schema.builtin import find_schema
from poseapp.app.application import make_application
from poseapp.app.settings import Settings
from poseapp.project.model import ABSENT, FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("POSEAPP_TEST_DATA", ROOT.parent / "shared")) / "data" / "coco-mini"
SCHEMA = find_schema("coco")
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NO_KEYS = Qt.KeyboardModifier.NoModifier
FOUND = 0.1
"""Mean object keypoint similarity from which on a prediction is this person's."""
FIRST_POINTS = 4
"""Labelled points that are placed at least before the model is asked for the rest."""
MOST = 60
"""Interactions after which a person counts as not done."""


@dataclass(frozen=True)
class Person:
    """A labelled person: the frame's file, (17, 2) points, (17,) visibility, xyxy box, area in pixels."""

    file: str
    points: npt.NDArray[np.float64]
    seen: npt.NDArray[np.int64]
    box: tuple[float, float, float, float]
    area: float

    def wrong(self, pose: Instance | None) -> npt.NDArray[np.bool_]:
        """(17,) labelled points that are absent or farther off than a similarity of 0.5."""
        labelled = self.seen > 0
        if pose is None:
            return labelled
        square = ((pose.keypoints - self.points) ** 2).sum(1)
        near = square <= 2 * np.log(2) * self.area * (2 * SCHEMA.sigmas) ** 2
        return labelled & ~(near & (pose.visibility != ABSENT))

    def similarity(self, pose: Instance) -> float:
        labelled = self.seen > 0
        square = ((pose.keypoints - self.points) ** 2).sum(1)
        similarity = np.exp(-square / (2 * self.area * (2 * SCHEMA.sigmas) ** 2)) * (pose.visibility != ABSENT)
        return float(similarity[labelled].mean())


def read_people() -> list[Person]:
    data = json.loads((DATA / "person_keypoints.json").read_text("utf-8"))
    files = {image["id"]: image["file_name"] for image in data["images"]}
    people = []
    for row in data["annotations"]:
        points = np.array(row.get("keypoints", ()), dtype=np.float64).reshape(-1, 3)
        if row.get("num_keypoints") and len(points) == SCHEMA.num_keypoints:
            x, y, w, h = row["bbox"]
            seen = points[:, 2].astype(np.int64)
            people.append(Person(files[row["image_id"]], points[:, :2], seen, (x, y, x + w, y + h), row["area"]))
    return people


@dataclass
class Count:
    """Interactions of one person in one way of working."""

    clicks: int = 0
    drags: int = 0
    keys: int = 0
    done: bool = False
    wrong: int | None = None
    """Wrong joints of the prediction."""
    boxed: bool = False
    choosing: int = 0
    """Keys that went to the person's pose."""
    lists: int = 0
    """Clicks into the list of points, because the mouse could not get at one."""

    @property
    def total(self) -> int:
        return self.clicks + self.drags + self.keys

    @property
    def over(self) -> bool:
        """More than k drags and a key."""
        return self.wrong is not None and self.total > self.wrong + 1 + 2 * self.boxed


class Hand:
    """Mouse and keys on the window's canvas, in image pixels; what it does is counted in ``count``."""

    def __init__(self, window: MainWindow) -> None:
        self.window, self.count = window, Count()

    def at(self, position: npt.NDArray[np.float64]) -> QPoint:
        return self.window.canvas.to_view(float(position[0]), float(position[1])).toPoint()

    def click(self, position: npt.NDArray[np.float64], button: Qt.MouseButton = LEFT) -> None:
        view = self.window.canvas.viewport()
        QTest.mouseMove(view, self.at(position))
        QTest.mouseClick(view, button, NO_KEYS, self.at(position))
        self.count.clicks += 1

    def drag(
        self,
        start: npt.NDArray[np.float64],
        end: npt.NDArray[np.float64],
        button: Qt.MouseButton = LEFT,
        look: Callable[[], None] | None = None,
    ) -> None:
        """``look`` may zoom between press and release."""
        view = self.window.canvas.viewport()
        a = self.at(start)
        QTest.mouseMove(view, a + QPoint(1, 1))
        QTest.mouseMove(view, a)
        QTest.mousePress(view, button, NO_KEYS, a)
        QTest.mouseMove(view, a + QPoint(4, 4))
        if look is not None:
            look()
        b = self.at(end)
        for share in (0.3, 0.6, 1.0):
            QTest.mouseMove(view, a + (b - a) * share)
        QTest.mouseRelease(view, button, NO_KEYS, b)
        self.count.drags += 1

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NO_KEYS) -> None:
        QTest.keyClick(self.window.canvas, key, modifier)
        self.count.keys += 1


def wait_until(present: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Run the event loop until something is so; False when it is not so in time."""
    loop, clock, end = QEventLoop(), QTimer(), QTimer(singleShot=True)
    clock.timeout.connect(lambda: loop.quit() if present() else None)
    end.timeout.connect(loop.quit)
    clock.start(5)
    end.start(round(1000 * seconds))
    if not present():
        loop.exec()
    clock.stop()
    end.stop()
    return present()


class Worker:
    """The annotator."""

    def __init__(self, window: MainWindow) -> None:
        self.window, self.session, self.hand = window, window.session, Hand(window)
        store = window.session.store
        assert store is not None
        self.frames = {store.frame(key).name: key for key in store.frame_keys()}  # type: ignore[union-attr]

    def look_at(self, person: Person) -> FrameKey:
        """The person's picture, with the person and some ground around it in view. Not counted."""
        key = self.frames[person.file]
        self.session.go_to(key)
        canvas = self.window.canvas
        wait_until(lambda: canvas._host.frame == key and canvas._rgb is not None)
        x1, y1, x2, y2 = person.box
        known = person.points[person.seen > 0]
        low, high = np.minimum(known.min(0), (x1, y1)), np.maximum(known.max(0), (x2, y2))
        self.frame_box(low, high)
        return key

    def frame_box(self, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> None:
        self.window.canvas.zoom_to((float(low[0]), float(low[1]), float(high[0]), float(high[1])))

    def pose(self, index: int) -> Instance | None:
        return next((i for i in self.session.instances if i.id == index), None)

    def from_scratch(self, person: Person) -> Count:
        """P, then every point in the schema's order."""
        self.look_at(person)
        self.session.select()
        hand = self.hand
        hand.count = count = Count()
        before = {i.id for i in self.session.instances}
        hand.key(Qt.Key.Key_P)
        last = int(np.flatnonzero(person.seen).max())
        self._place(person, range(last + 1))
        if last + 1 < SCHEMA.num_keypoints:
            hand.key(Qt.Key.Key_Return)
        new = [i for i in self.session.instances if i.id not in before]
        count.done = len(new) == 1 and not person.wrong(new[0]).any()
        if new:
            self.window.run("undo")
        self.window.run("tool_edit")
        return count

    def from_prediction(self, person: Person, *, assist: bool) -> Count:
        """The pose that the model has found is put right; everything is taken back at the end."""
        self.look_at(person)
        store = self.session.store
        assert store is not None
        steps = sum(step.done for step in store.history())
        self.hand.count = count = Count()
        index = self._begin(person)
        result = None if index is None else self.pose(index)
        if index is not None and result is not None:
            count.wrong = int(person.wrong(result).sum())
            self._correct(person, index, assist=assist)
            pose = self.pose(index)
            count.done = pose is not None and not person.wrong(pose).any() and pose.state is State.LABELLED
        while sum(step.done for step in store.history()) > steps:
            self.session.undo()
        return count

    def from_few_points(self, person: Person) -> Count:
        """Some points in order, then what the model proposes for the rest, put right."""
        self.look_at(person)
        store = self.session.store
        assert store is not None
        steps = sum(step.done for step in store.history())
        self.session.select()
        hand = self.hand
        hand.count = count = Count()
        before = {i.id for i in self.session.instances}
        hand.key(Qt.Key.Key_P)
        labelled = np.flatnonzero(person.seen)
        last = int(labelled[min(FIRST_POINTS, len(labelled)) - 1])
        shoulders = [i for i in (5, 6) if person.seen[i]]
        last = max([last, *shoulders]) if len(labelled) > FIRST_POINTS else int(labelled[-1])
        self._place(person, range(last + 1))
        if last + 1 < SCHEMA.num_keypoints:
            hand.key(Qt.Key.Key_Return)
        self.window.run("tool_edit")
        new = [i.id for i in self.session.instances if i.id not in before]
        if new:
            self._consider(person, new[0])
            self._correct(person, new[0], assist=True, few=True)
            pose = self.pose(new[0])
            count.done = pose is not None and not person.wrong(pose).any()
        while sum(step.done for step in store.history()) > steps:
            self.session.undo()
        return count

    def _place(self, person: Person, indices: Iterable[int]) -> None:
        for index in indices:
            if person.seen[index]:
                self.hand.click(person.points[index], RIGHT if person.seen[index] == 1 else LEFT)
            else:
                self.hand.key(Qt.Key.Key_Tab)

    def _begin(self, person: Person) -> int | None:
        """The pose to correct: the one found, else one in a box drawn around the person."""
        result = max(self.session.instances, key=person.similarity, default=None)
        if result is not None and person.similarity(result) >= FOUND:
            self.session.select()
            while result.id not in self.session.selected_instances:
                QTest.keyClick(self.window.canvas, Qt.Key.Key_Tab)
                self.hand.count.choosing += 1
            return result.id
        self.hand.count.boxed = True
        before = {i.id for i in self.session.instances}
        self.hand.key(Qt.Key.Key_N)
        self.hand.drag(np.array(person.box[:2]), np.array(person.box[2:]))
        wait_until(lambda: {i.id for i in self.session.instances} > before)
        new = [i.id for i in self.session.instances if i.id not in before]
        return new[0] if new else None

    def _correct(self, person: Person, index: int, *, assist: bool, few: bool = False) -> None:
        hand, took = self.hand, False
        while hand.count.total < MOST:
            pose = self.pose(index)
            if pose is None:
                return
            wrong = person.wrong(pose)
            if not wrong.any():
                # One key ends the work: the Enter that has taken what was proposed, else Enter, or Esc where something
                # that is not wanted is on show.
                if not few and not took:
                    hand.key(Qt.Key.Key_Return if self.session.proposal is None else Qt.Key.Key_Escape)
                return
            self._put_right(person, pose, wrong)
            took = assist and self._consider(person, index)

    def _put_right(self, person: Person, pose: Instance, wrong: npt.NDArray[np.bool_]) -> None:
        """The worst joint to its label; an absent one from where it is offered, if it is."""
        canvas = self.window.canvas
        start = pose.keypoints.copy()
        offered = np.zeros(len(start), dtype=np.bool_)
        for k in np.flatnonzero(pose.visibility == ABSENT).tolist():
            position = canvas.missing_place(pose.id, k)
            if position is not None:
                start[k], offered[k] = position, True
        within_reach = wrong & ((pose.visibility != ABSENT) | offered)
        if not within_reach.any():
            self._bring_back(pose, int(np.flatnonzero(wrong)[0]))
            return
        distance = np.linalg.norm(start - person.points, axis=1) + 1e6 * ~offered
        joint = int(np.argmax(np.where(within_reach, distance, -1.0)))
        end = person.points[joint]
        low = np.minimum(np.minimum(start[joint], end), person.box[:2])
        high = np.maximum(np.maximum(start[joint], end), person.box[2:])
        self.frame_box(low, high)
        look = None
        if self._under(pose, start[joint]) != joint:
            look = self._closer(pose, joint, start[joint], low, high)
        right = bool(offered[joint]) and person.seen[joint] == 1
        if self._under(pose, start[joint]) != joint:
            self.frame_box(low, high)
            self._by_name(pose.id, joint, end)
            return
        self.hand.drag(start[joint], end, RIGHT if right else LEFT, look)

    def _under(self, pose: Instance, position: npt.NDArray[np.float64]) -> int | None:
        """The joint of the pose that the window names when the pointer is at a place."""
        canvas = self.window.canvas
        view, at = canvas.viewport(), self.hand.at(position)
        QTest.mouseMove(view, at + QPoint(60, 60))
        QTest.mouseMove(view, at)
        hovered = self.window.context.hovered
        return next((k for index, k in hovered if index == pose.id), None)

    def _closer(
        self,
        pose: Instance,
        joint: int,
        position: npt.NDArray[np.float64],
        low: npt.NDArray[np.float64],
        high: npt.NDArray[np.float64],
    ) -> Callable[[], None]:
        """Zoom in until the joint is the one under the pointer; what is returned zooms back."""
        reach = float((high - low).max())
        while reach > 4.0 and self._under(pose, position) != joint:
            reach /= 2
            self.frame_box(position - reach / 2, position + reach / 2)
        return lambda: self.frame_box(low, high)

    def _by_name(self, index: int, joint: int, end: npt.NDArray[np.float64]) -> None:
        """Choose a point in the list of points (one click) and drag it."""
        self.hand.count.clicks += 1
        self.hand.count.lists += 1
        pose = self.pose(index)
        if pose is not None:
            self.session.select([index], [(index, joint)])
            self.hand.drag(pose.keypoints[joint], end)

    def _bring_back(self, pose: Instance, joint: int) -> None:
        """A point that the model has left out: its sign in the list of points (one click); then it can be dragged."""
        self.hand.count.clicks += 1
        self.hand.count.lists += 1
        self.window.instances.visibility_requested.emit({(pose.id, joint)}, 2)

    def _consider(self, person: Person, index: int) -> bool:
        """Wait for what the model says, and take it where that saves work; whether it was taken."""
        runner = self.window.runner
        pause = self.window.controller.refinement._pause
        wait_until(lambda: not pause.isActive() and not runner.active(), 20)
        proposal, pose = self.session.proposal, self.pose(index)
        if proposal is None or pose is None:
            return False
        after = proposal.frames[0].after[0]
        added = (after.visibility != ABSENT) & (pose.visibility == ABSENT) & (person.seen == 0)
        left = person.wrong(after).sum()
        # The key that takes it ends the work too, where nothing is wrong then.
        if person.wrong(pose).sum() - left - added.sum() + (left == 0) < 2:
            return False
        self.hand.key(Qt.Key.Key_Return)
        return True


def main() -> None:
    people = read_people()[: int(sys.argv[1]) if len(sys.argv) > 1 else None]
    application = make_application()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, name)
        for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            os.environ[variable] = name
        with ProjectStore.create(folder / "people.pose") as store:
            media = store.add_media("images", DATA / "images")
            store.add_frames(media.id, [(file, 0, 0) for file in sorted({p.file for p in people})])
            store.add_category("person", SCHEMA)
        window = MainWindow(Settings())
        window.resize(1600, 1000)
        window.show()
        window.session.set_store(ProjectStore.open(folder / "people.pose"))
        application.processEvents()
        worker = Worker(window)
        scratch = [worker.from_scratch(person) for person in people]
        if not window.settings.assist:
            window.run("assist")
        boxed = [worker.from_prediction(person, assist=True) for person in people]  # nobody is found yet
        predict(window)
        window.run("hide_others")
        plain, helped = [], []
        for rows, assist in ((plain, False), (helped, True)):
            if window.settings.assist is not assist:
                window.run("assist")
            rows += [worker.from_prediction(person, assist=assist) for person in people]
        few = [worker.from_few_points(person) for person in people]
        window.close()
    methods = {"from scratch": scratch, "from scratch, assist": few, "from scratch, box, assist": boxed}
    report(len(people), {**methods, "from predictions": plain, "from predictions, assist": helped})


def predict(window: MainWindow) -> None:
    """The model on all pictures, one command."""
    from poseapp.commands.model import run_on

    run_on(window.context, list(window.session.frames), window.context.choice, 0.2)
    wait_until(lambda: not window.runner.active(), 600)


def report(people: int, methods: dict[str, list[Count]]) -> None:
    print(f"{people} labelled people, {methods['from scratch'] and SCHEMA.num_keypoints} points each\n")
    print("| way | median | mean | 90 % | most | keys | clicks | drags | right at the end | over |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, counts in methods.items():
        totals = sorted(count.total for count in counts)
        parts = " | ".join(f"{sum(getattr(c, k) for c in counts)}" for k in ("keys", "clicks", "drags"))
        over = sum(c.over for c in counts) if any(c.wrong is not None for c in counts) else "-"
        print(
            f"| {name} | {statistics.median(totals):g} | {statistics.mean(totals):.2f} | "
            f"{totals[int(0.9 * len(totals)) - 1]} | {totals[-1]} | {parts} | {sum(c.done for c in counts)} | {over} |"
        )
    plain = methods["from predictions"]
    wrong = [c.wrong for c in plain if c.wrong is not None]
    print(
        f"\nFrom predictions: {statistics.median(wrong):g} joints wrong (median; mean {statistics.mean(wrong):.2f}, "
        f"{sum(wrong)} in all); {sum(c.boxed for c in plain)} people had to be boxed; {sum(c.lists for c in plain)} "
        f"clicks into the list; Tab to the pose {sum(c.choosing for c in plain)} times."
    )
    for index, count in enumerate(plain):
        if count.over or not count.done:
            print(f"person {index}: {count}")


if __name__ == "__main__":
    main()
