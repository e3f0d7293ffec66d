"""The steps of the tour, in order. Each acts by mouse and keys and checks what came of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from engine.contract.coco import CocoDataset
from engine.zoo import list_models
from poseapp.application import make_application
from poseapp.dialogs.export_coco import ExportCocoDialog
from poseapp.dialogs.fine_tune import FineTuneDialog
from poseapp.dialogs.run_model import RunModelDialog
from poseapp.main_window import MainWindow
from poseapp.project.model import OCCLUDED, VISIBLE, Instance, State
from poseapp.tour import STEP_SECONDS, TRAINING_SECONDS, Summary, breathe, check, wait_until

NO_MODIFIER = Qt.KeyboardModifier.NoModifier
MODEL_NAME = "tour-person"
TRAINING_STEPS = 120


class Journey:
    """The window under way."""

    def __init__(self, folder: Path, home: Path, summary: Summary, size: tuple[int, int]) -> None:
        self.folder, self.home, self.summary = folder, home, summary
        self.application: QApplication = make_application()
        self.window = MainWindow()
        self.window.resize(*size)
        self.window.set_theme("dark")
        self.window.show()
        self.window.resize(*size)
        self.said: list[str] = []
        tell = self.window.tell

        def heard(text: str, kind: str = "info") -> None:
            self.said.append(f"{kind}: {text}")
            tell(text, kind)

        self.window.tell = heard  # type: ignore[method-assign]
        breathe(150)

    def close(self) -> None:
        self.window.close()
        breathe(50)

    # --- acting

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NO_MODIFIER, widget: QWidget | None = None) -> None:
        if QApplication.activeWindow() is not self.window:  # a dialog has closed, and no desktop gave the focus back
            self.window.activateWindow()
            breathe(60)
        QTest.keyClick(widget or self.window.canvas, key, modifier)
        breathe(60)

    def at(self, x: float, y: float) -> QPoint:
        """Place in the canvas of image pixels."""
        return self.window.canvas.to_view(x, y).toPoint()

    def drag(self, start: QPoint, end: QPoint) -> None:
        view = self.window.canvas.viewport()
        QTest.mouseMove(view, start)
        QTest.mousePress(view, Qt.MouseButton.LeftButton, NO_MODIFIER, start)
        for share in np.linspace(0.2, 1.0, 6):
            QTest.mouseMove(view, start + (end - start) * float(share))
            breathe(15)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, NO_MODIFIER, end)
        breathe(80)

    def click(self, place: QPoint, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
        view = self.window.canvas.viewport()
        QTest.mouseMove(view, place)
        breathe(30)
        QTest.mouseClick(view, button, NO_MODIFIER, place)
        breathe(60)

    def press(self, widget: QWidget) -> None:
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        breathe(80)

    def dialog(self, kind: type[QDialog]) -> Any:
        found = wait_until(lambda: self.window.findChildren(kind), f"the dialog {kind.__name__}", 20)
        breathe(150)
        return found[-1]

    def picture(self, name: str, widget: QWidget | None = None) -> None:
        breathe(120)
        number = len(self.summary.steps) + 1
        shot = (widget or self.window).grab()
        path = self.folder / f"{number:02d}-{name}.png"
        check(not shot.isNull() and shot.save(str(path)), f"{path.name} could not be written")

    @contextmanager
    def step(self, title: str, name: str, widget: Callable[[], QWidget] | None = None) -> Iterator[list[str]]:
        start, checked = time.monotonic(), []
        yield checked
        self.picture(name, None if widget is None else widget())
        self.summary.steps.append(
            {
                "number": len(self.summary.steps) + 1,
                "step": title,
                "checked": "; ".join(checked),
                "seconds": time.monotonic() - start,
            }
        )

    # --- looking

    @property
    def instances(self) -> tuple[Instance, ...]:
        return self.window.session.instances

    def stored(self, instance: int) -> Instance:
        store = self.window.session.store
        assert store is not None
        return store.instance(instance)

    def idle(self) -> bool:
        return not self.window.runner.active()

    # --- the journey

    def go(self) -> None:
        self.empty_window()
        self.open_sample()
        self.run_model()
        self.drag_joint()
        self.visibility_and_history()
        self.pose_in_box()
        self.accept_all()
        self.export()
        self.fine_tune()
        self.use_trained()
        self.command_palette()
        self.light_theme()

    def empty_window(self) -> None:
        with self.step("The first start", "first-start") as checked:
            check(self.window.middle.currentWidget() is self.window.empty, "the first page is not shown")
            checked.append("first page with four ways to begin")

    def open_sample(self) -> None:
        with self.step("Open the sample", "sample") as checked:
            self.press(self.window.empty.buttons["open_sample"])
            wait_until(lambda: len(self.window.session.frames) == 3, "the three sample photographs")
            wait_until(lambda: self.window.canvas.image_size is not None and self.idle(), "the first photograph")
            breathe(500)
            checked.append("3 photographs listed, the first one shown")

    def run_model(self) -> None:
        with self.step("Run the model on all images", "predictions") as checked:
            self.key(Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
            dialog: RunModelDialog = self.dialog(RunModelDialog)
            dialog.which.setCurrentIndex(dialog.which.findData("all"))
            self.picture("run-model", dialog)
            self.press(dialog.run_button)
            store = self.window.session.store
            assert store is not None
            wait_until(lambda: self.idle() and store.summary().predicted >= 3, "poses from the model", STEP_SECONDS * 2)
            check(store.summary().predicted_frames == 3, "the model did not find somebody on every photograph")
            check(all(i.state is State.PREDICTED for i in self.instances), "predictions are not marked as such")
            checked.append(f"{store.summary().predicted} poses on 3 photographs, marked as predictions")

    def drag_joint(self) -> None:
        with self.step("Drag a joint", "drag") as checked:
            canvas, session = self.window.canvas, self.window.session
            canvas.setFocus()
            pose = max(self.instances, key=lambda i: i.score or 0.0)
            index = self._free_point(pose)
            x, y = pose.keypoints[index]
            start, end = self.at(x, y), self.at(x + 14, y - 10)
            wanted = canvas.to_image(end.toPointF())
            grabbed = canvas.to_image(start.toPointF())
            self.drag(start, end)
            moved = self.stored(pose.id)
            expected = np.array([x + wanted.x() - grabbed.x(), y + wanted.y() - grabbed.y()])
            check(np.abs(moved.keypoints[index] - expected).max() < 2.0, "the joint is not where it was dropped")
            check(moved.state is State.LABELLED and bool(moved.by_human[index]), "the pose is not a person's now")
            others = np.arange(moved.num_keypoints) != index
            check(np.array_equal(moved.keypoints[others], pose.keypoints[others]), "other points moved too")
            session.select(instances=[pose.id])
            self._dragged = (pose.id, index, pose, moved)
            name = session.schema_of(pose).names[index]
            checked.append(f"{name} moved to where it was dropped, no other point, saved")

    def _free_point(self, pose: Instance) -> int:
        """A visible point with no other one near it."""
        canvas = self.window.canvas
        best, best_room = -1, -1.0
        everything = np.concatenate([i.keypoints[i.visibility > 0] for i in self.instances])
        width, height = canvas.image_size or (1, 1)
        for index in np.flatnonzero(pose.visibility):
            x, y = pose.keypoints[index]
            if not (30 < x < width - 30 and 30 < y < height - 30):
                continue
            room = float(np.sort(np.hypot(*(everything - pose.keypoints[index]).T))[1])
            if room > best_room:
                best, best_room = int(index), room
        check(best >= 0, "no point to drag")
        return best

    def visibility_and_history(self) -> None:
        with self.step("Visibility, undo, redo", "undo") as checked:
            number, index, before, moved = self._dragged
            x, y = self.stored(number).keypoints[index]
            self.click(self.at(x, y), Qt.MouseButton.RightButton)
            check(self.stored(number).visibility[index] == OCCLUDED, "right click did not make the point occluded")
            control = Qt.KeyboardModifier.ControlModifier
            self.key(Qt.Key.Key_Z, control)
            check(self.stored(number).visibility[index] == VISIBLE, "undo did not bring the visibility back")
            self.key(Qt.Key.Key_Z, control)
            check(self.stored(number).same_as(before), "undo did not bring the joint back")
            self.key(Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier)
            check(self.stored(number).same_as(moved), "redo did not move the joint again")
            self.key(Qt.Key.Key_Y, control)
            check(self.stored(number).visibility[index] == OCCLUDED, "redo did not hide the point again")
            self.window.session.select(instances=[number], points=[(number, index)])
            self.window.docks[1].raise_()
            checked.append("occluded by right click; undo twice and redo twice gave exactly the states before")

    def pose_in_box(self) -> None:
        with self.step("Draw a box, the model fills it", "box") as checked:
            canvas, session = self.window.canvas, self.window.session
            session.select(instances=[i.id for i in self.instances])
            canvas.setFocus()
            self.key(Qt.Key.Key_Delete)
            check(not self.instances, "delete did not take the poses away")
            width, height = canvas.image_size or (1, 1)
            self.key(Qt.Key.Key_N)
            check(canvas.tool == "box", "N did not take the box tool")
            self.drag(self.at(width * 0.08, height * 0.04), self.at(width * 0.9, height * 0.97))
            wait_until(lambda: self.instances and self.idle(), "the pose in the box")
            (pose,) = self.instances
            check(pose.source == self.window.settings.model, "the pose in the box is not the model's")
            x1, y1, x2, y2 = pose.box if pose.box is not None else (0, 0, 0, 0)
            seen = pose.keypoints[np.asarray(pose.scores) > 0.3]
            room = 0.125 * max(x2 - x1, y2 - y1)  # what the crop shows around the box
            inside = ((seen >= (x1 - room, y1 - room)) & (seen <= (x2 + room, y2 + room))).all(axis=1)
            check(len(seen) >= 5 and inside.mean() > 0.9, "the points are not in the box")
            checked.append(f"{len(seen)} certain points inside the drawn box")

    def accept_all(self) -> None:
        with self.step("Accept the predictions", "accepted") as checked:
            store = self.window.session.store
            assert store is not None
            for _ in range(len(self.window.session.frames)):
                if self.window.session.predicted():
                    self.key(Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
                self.key(Qt.Key.Key_D)
            check(store.summary().predicted == 0, "predictions are left")
            check(store.summary().labelled_frames == 3, "not every photograph is labelled")
            self.key(Qt.Key.Key_Home)
            self.window.docks[0].raise_()
            breathe(200)
            checked.append(f"{store.summary().labelled} labelled poses, no prediction left")

    def export(self) -> None:
        target = self.folder / "labels.json"
        target.unlink(missing_ok=True)
        with self.step("Export COCO", "exported") as checked:
            store = self.window.session.store
            assert store is not None
            self.key(Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
            dialog: ExportCocoDialog = self.dialog(ExportCocoDialog)
            dialog.path.setText(str(target))
            self.picture("export", dialog)
            self.press(dialog.export_button)
            wait_until(lambda: target.exists() and self.idle(), "the COCO file")
            data = CocoDataset.read(target)
            check(len(data.images) == 3, "the file does not hold the three images")
            check(len(data.annotations) == store.summary().labelled, "the file does not hold every label")
            plain = json.loads(target.read_text(encoding="utf-8"))
            mine = sorted(np.round(i.keypoints[i.visibility > 0].sum(), 3) for _, i in store.all_instances())
            theirs = sorted(
                np.round(
                    sum(
                        v
                        for n in range(0, len(a["keypoints"]), 3)
                        if a["keypoints"][n + 2]
                        for v in a["keypoints"][n : n + 2]
                    ),
                    3,
                )
                for a in plain["annotations"]
            )
            check(np.allclose(mine, theirs, atol=0.01), "coordinates in the file differ from the project's")
            checked.append(f"{len(data.annotations)} poses read back from labels.json with equal coordinates")

    def fine_tune(self) -> None:
        with self.step("Fine-tune on the labels", "trained") as checked:
            from poseapp.commands import models as commands

            self.key(Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
            dialog: FineTuneDialog = self.dialog(FineTuneDialog)
            wait_until(lambda: dialog.plan() is not None, "the count of labels")
            dialog.name.setText(MODEL_NAME)
            dialog._advanced.update(steps_per_epoch=TRAINING_STEPS // 4, batch=4)
            dialog.epochs.setValue(4)
            breathe(100)
            check(dialog.start_button.isEnabled(), f"training cannot start: {dialog.findings.texts}")
            self.picture("fine-tune", dialog)
            self.press(dialog.start_button)
            run = wait_until(lambda: self.window.runs and self.window.runs[-1], "the training run")
            monitor = self.window.monitors[-1]
            wait_until(
                lambda: any(e.get("event") == "step" for e in run.events) or run.is_over,
                "training steps",
                TRAINING_SECONDS,
            )
            breathe(600)
            self.picture("training", monitor)
            wait_until(lambda: run.is_over, "the end of training", TRAINING_SECONDS)
            check(run.model is not None, f"training gave no model: {run.message}")
            breathe(300)
            self.picture("training-done", monitor)
            ids = [entry.id for entry in list_models("pose")]
            check(run.model in ids, "the trained model is not in the list")
            assert run.files is not None
            found = next(entry for entry in list_models("pose") if entry.id == run.model)
            assert found.file is not None
            shutil.copyfile(found.file, self.folder / "trained.safetensors")
            losses = [e["loss"] for e in run.events if e.get("event") == "step"]
            check(bool(losses) and bool(np.isfinite(losses).all()), "the loss is not a number")
            monitor.close()
            commands.use_model(self.window.context, run.model)
            checked.append(f"{len(losses)} steps of `python -m engine.train`, {run.model} is in the model list")

    def use_trained(self) -> None:
        with self.step("Run the trained model", "trained-model") as checked:
            store = self.window.session.store
            assert store is not None
            self.window.canvas.setFocus()
            self.key(Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
            from poseapp.dialogs.models import ModelsDialog

            dialog: ModelsDialog = self.dialog(ModelsDialog)
            check(self.window.settings.model in dialog.ids(), "the trained model is not in the dialog")
            self.picture("models", dialog)
            dialog.close()
            breathe(80)
            self.window.session.select(instances=[i.id for i in self.instances])
            self.window.canvas.setFocus()
            self.key(Qt.Key.Key_Delete)
            self.key(Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
            wait_until(lambda: self.idle(), "the run of the trained model")
            found = [i for i in self.instances if i.source == self.window.settings.model]
            check(found, f"the trained model gave no pose: {self.said[-2:]}")
            checked.append(f"{len(found)} predictions by {self.window.settings.model}")

    def command_palette(self) -> None:
        with self.step("Find a command", "palette") as checked:
            self.key(Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
            box = self.window.palette_box
            check(box.isVisible(), "Ctrl+K did not open the palette")
            QTest.keyClicks(box.line, "swap")
            check(box.texts()[:1] == ["Swap left and right"], f"the palette shows {box.texts()[:3]}")
            checked.append("'swap' finds Swap left and right")
        self.window.palette_box.close_palette()

    def light_theme(self) -> None:
        with self.step("Light theme", "light") as checked:
            self.window.run("theme_light")
            self.window.canvas.fit()
            breathe(200)
            check(not self.window.dark, "the theme is still dark")
            checked.append("light colours")
