"""The steps of the tour, in order. Each acts by mouse and keys and checks what came of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from engine.formats.coco.dataset import CocoDataset
from engine.models.catalog import list_models
from engine.models.metadata import read_info
from poseapp.app.application import make_application
from poseapp.dialogs.export_coco import ExportCocoDialog
from poseapp.dialogs.models import ModelsDialog
from poseapp.dialogs.run_model import ALL, RunModelDialog
from poseapp.dialogs.training.fine_tune import FineTuneDialog
from poseapp.jobs.training.run import RunState
from poseapp.project.model import OCCLUDED, VISIBLE, Instance, State
from poseapp.tour.base import STEP_SECONDS, TRAINING_SECONDS, Summary, breathe, check, training_steps, wait_until
from poseapp.tour.driver import Hands
from poseapp.tour.video_steps import label_video
from poseapp.window.main_window import MainWindow

MODEL_NAME = "tour-person"
EPOCHS = 4
BATCH = 8
CERTAIN = 0.3
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Journey(Hands):
    """The window under way, from the first start to a model of one's own."""

    def __init__(self, folder: Path, home: Path, summary: Summary, defects: list[str]) -> None:
        self.home = home
        make_application()
        window = MainWindow()
        super().__init__(window, folder, summary, defects)
        window.set_theme("dark")
        window.show()
        window.resize(*summary.size)
        breathe(200)

    def close(self) -> None:
        self.window.close()
        breathe(50)

    def go(self) -> None:
        """All steps.

        Raises:
            TourError: naming the first step that failed.
        """
        self.first_start()
        self.open_sample()
        self.run_model()
        self.drag_keypoint()
        self.visibility_and_history()
        self.pose_in_box()
        self.accept_all()
        self.export()
        label_video(self, self.home)
        self.fine_tune()
        self.model_list()
        self.run_trained()
        self.light_theme()

    def first_start(self) -> None:
        with self.step("First start", "first-start") as checked:
            check(self.window.middle.currentWidget() is self.window.empty, "the first page is not shown")
            check(self.window.size().toTuple() == self.summary.size, "the window has not the wanted size")
            checked.append(f"the first page offers {len(self.window.empty.buttons)} ways to begin")

    def open_sample(self) -> None:
        with self.step("Open the sample", "sample") as checked:
            self.press(self.window.empty.buttons["open_sample"])
            wait_until(lambda: len(self.window.session.frames) == 3, "the three sample photographs")
            wait_until(lambda: self.window.canvas.image_size is not None and self.idle(), "the first photograph")
            check(self.home in self.store.path.parents, "the sample was not copied to a folder of its own")
            breathe(500)
            checked.append("3 photographs listed, the first one shown")

    def run_model(self) -> None:
        with self.step("Run the model on all images", "predictions") as checked:
            self.key(Qt.Key.Key_R, CONTROL | SHIFT)
            dialog: RunModelDialog = self.dialog(RunModelDialog)
            dialog.which.setCurrentIndex(dialog.which.findData(ALL))
            self.picture("run-model", dialog)
            self.press(dialog.run_button)
            wait_until(lambda: self.idle() and self.store.summary().predicted >= 3, "poses", STEP_SECONDS * 2)
            summary = self.store.summary()
            check(summary.predicted_frames == 3, "the model did not find somebody on every photograph")
            check(all(i.state is State.PREDICTED for i in self.instances), "predictions are not marked as such")
            checked.append(f"{summary.predicted} poses on 3 photographs, marked as predictions")

    def drag_keypoint(self) -> None:
        with self.step("Drag a joint", "drag") as checked:
            canvas, session = self.window.canvas, self.window.session
            self.quiet()
            pose = max(self.instances, key=lambda i: i.score or 0.0)
            index = self._free_point(pose)
            x, y = pose.keypoints[index]
            start, end = self.at(x, y), self.at(x + 14, y - 10)
            shift = canvas.to_image(end.toPointF()) - canvas.to_image(start.toPointF())
            self.drag(start, end)
            moved = self.store.instance(pose.id)
            error = float(np.abs(moved.keypoints[index] - (x + shift.x(), y + shift.y())).max())
            check(error < 2.0, f"the joint lies {error:.1f} px from where it was dropped")
            check(moved.state is State.LABELLED and bool(moved.by_human[index]), "the pose is not a person's now")
            others = np.arange(moved.num_keypoints) != index
            check(np.array_equal(moved.keypoints[others], pose.keypoints[others]), "other points moved too")
            session.select(instances=[pose.id])
            self._dragged = (pose, moved, index)
            name = session.schema_of(pose).names[index]
            checked.append(f"{name} lies where it was dropped ({error:.2f} px), no other point moved, saved")

    def _free_point(self, pose: Instance) -> int:
        """A visible point well inside the picture, the one with most room around it."""
        everything = np.concatenate([i.keypoints[i.visibility > 0] for i in self.instances])
        width, height = self.window.canvas.image_size or (1, 1)
        rooms: dict[int, float] = {}
        for index in np.flatnonzero(pose.visibility):
            x, y = pose.keypoints[index]
            if 30 < x < width - 30 and 30 < y < height - 30:
                rooms[int(index)] = float(np.sort(np.hypot(*(everything - pose.keypoints[index]).T))[1])
        check(rooms, "no point to drag")
        return max(rooms, key=lambda index: rooms[index])

    def visibility_and_history(self) -> None:
        with self.step("Visibility, undo, redo", "undo-redo") as checked:
            before, moved, index = self._dragged
            instance_id = before.id

            def now() -> Instance:
                instance: Instance = self.store.instance(instance_id)
                return instance

            self.click(self.at(*now().keypoints[index]), Qt.MouseButton.RightButton)
            check(now().visibility[index] == OCCLUDED, "a right click did not make the point occluded")
            self.key(Qt.Key.Key_Z, CONTROL)
            check(now().visibility[index] == VISIBLE, "undo did not bring the visibility back")
            self.key(Qt.Key.Key_Z, CONTROL)
            check(now().same_as(before), "undo did not bring the joint back")
            self.key(Qt.Key.Key_Z, CONTROL | SHIFT)
            check(now().same_as(moved), "redo did not move the joint again")
            self.key(Qt.Key.Key_Y, CONTROL)
            check(now().visibility[index] == OCCLUDED, "redo did not hide the point again")
            self.window.session.select(instances=[instance_id], points=[(instance_id, index)])
            self.window.docks[1].raise_()
            checked.append("occluded by right click; undo twice and redo twice gave exactly the states before")

    def pose_in_box(self) -> None:
        with self.step("Draw a box, the model fills it", "box") as checked:
            canvas = self.window.canvas
            self.key(Qt.Key.Key_A, CONTROL)
            self.key(Qt.Key.Key_Delete)
            check(not self.instances, "Delete did not take the poses away")
            width, height = canvas.image_size or (1, 1)
            self.key(Qt.Key.Key_N)
            check(canvas.tool == "box", "N did not take the box tool")
            self.drag(self.at(width * 0.08, height * 0.04), self.at(width * 0.9, height * 0.97))
            wait_until(lambda: self.instances and self.idle(), "the pose in the box")
            (pose,) = self.instances
            check(pose.source == self.window.context.model, "the pose in the box is not the model's")
            check(pose.box is not None and pose.scores is not None, "the pose has no box")
            x1, y1, x2, y2 = pose.box  # type: ignore[misc]
            seen = pose.keypoints[np.asarray(pose.scores) > CERTAIN]
            room = 0.125 * max(x2 - x1, y2 - y1)  # what the crop shows around the box
            inside = ((seen >= (x1 - room, y1 - room)) & (seen <= (x2 + room, y2 + room))).all(axis=1)
            check(len(seen) >= 5 and inside.mean() > 0.9, "the points are not in the box")
            checked.append(f"{len(seen)} certain points inside the drawn box")

    def accept_all(self) -> None:
        with self.step("Accept the predictions", "accepted") as checked:
            for _ in range(len(self.window.session.frames)):
                if self.window.session.predicted():
                    self.key(Qt.Key.Key_Return, SHIFT)
                self.key(Qt.Key.Key_D)
            summary = self.store.summary()
            check(summary.predicted == 0, "predictions are left")
            check(summary.labelled_frames == 3, "not every photograph is labelled")
            self.key(Qt.Key.Key_Home)
            self.window.docks[0].raise_()
            breathe(200)
            checked.append(f"{summary.labelled} labelled poses, no prediction left")

    def export(self) -> None:
        target = self.folder / "labels.json"
        with self.step("Export COCO", "exported") as checked:
            self.key(Qt.Key.Key_E, CONTROL)
            dialog: ExportCocoDialog = self.dialog(ExportCocoDialog)
            self.write(dialog.path, str(target))
            self.picture("export", dialog)
            self.press(dialog.export_button)
            wait_until(lambda: target.exists() and self.idle(), "the COCO file")
            data = CocoDataset.read(target)
            check(len(data.images) == 3, "the file does not hold the three images")
            labels = [instance for _, instance in self.store.all_instances(State.LABELLED)]
            check(len(data.annotations) == len(labels) > 0, "the file does not hold every label")
            worst = _worst_difference(data, labels)
            check(worst < 0.01, f"coordinates in the file differ from the project's by {worst:.3f} px")
            checked.append(f"{len(labels)} poses read back, coordinates equal within {worst:.1g} px")

    def fine_tune(self) -> None:
        with self.step("Fine-tune on the labels") as checked:
            self.quiet()
            self.key(Qt.Key.Key_T, CONTROL | SHIFT)
            dialog: FineTuneDialog = self.dialog(FineTuneDialog)
            wait_until(lambda: dialog.plan() is not None, "the count of labels")
            self.write(dialog.name, MODEL_NAME)
            dialog.advanced.update(steps_per_epoch=max(1, training_steps() // EPOCHS), batch=BATCH)
            dialog.epochs.setValue(EPOCHS)
            check(dialog.start_button.isEnabled(), f"training cannot start: {dialog.findings.texts}")
            self.picture("fine-tune", dialog)
            self.press(dialog.start_button)
            run = wait_until(lambda: self.window.runs and self.window.runs[-1], "the training run")
            monitor: Any = self.window.monitors[-1]
            self._watch(run, monitor)
            losses = [e["loss"] for e in run.events if e.get("event") == "step"]
            check(losses and np.isfinite(losses).all(), "the loss is not a number")
            checked.append(
                f"{len(losses)} steps of `{' '.join(run.command[1:3])}`, loss {losses[0]:.3g} to {losses[-1]:.3g}"
            )
            self._keep_trained(run.model)
            self.press(monitor.use_button)
            check(self.window.context.model == run.model, "the trained model is not the one in use")
            checked.append(f"{run.model} is in use")

    def _watch(self, run: Any, monitor: Any) -> None:
        """The live plot half way, and the end of the run."""
        half = training_steps() // 2
        wait_until(
            lambda: sum(e.get("event") == "step" for e in run.events) >= half or run.is_over,
            "training steps",
            TRAINING_SECONDS,
        )
        breathe(600)
        check(monitor.isVisible() and monitor.plots.loss.points(0) > 1, "the monitor draws no loss")
        self.picture("training", monitor)
        wait_until(lambda: run.is_over, "the end of training", TRAINING_SECONDS)
        check(run.state is RunState.DONE, f"training gave no model: {run.message}")
        breathe(300)
        check(monitor.plots.loss.points(0) > half // 2, "the curve misses steps")
        self.picture("training-done", monitor)

    def _keep_trained(self, model: str) -> None:
        """Leave the checkpoint beside the pictures, after a look at what it says of itself."""
        entry = next((entry for entry in list_models("pose") if entry.id == model), None)
        check(entry is not None and entry.file is not None, "the trained model is not in the list")
        assert entry is not None
        assert entry.file is not None
        info = read_info(entry.file)
        names = [point["name"] for point in (info.schema or {})["keypoints"]]
        check(tuple(names) == self.store.categories()[0].schema.names, "the checkpoint has other keypoints")
        shutil.copyfile(entry.file, self.folder / "trained.safetensors")

    def model_list(self) -> None:
        with self.step("The model list") as checked:
            self.key(Qt.Key.Key_M, CONTROL)
            dialog: ModelsDialog = self.dialog(ModelsDialog)
            entry = dialog.entry()
            check(entry is not None and entry.id == MODEL_NAME, "the trained model is not selected in the list")
            checked.append(f"{len(dialog.ids())} models listed, {MODEL_NAME} in use")
            self.picture("models", dialog)
            self.press(dialog.close_button)

    def run_trained(self) -> None:
        with self.step("Run the trained model", "trained-model") as checked:
            self.quiet()
            self.key(Qt.Key.Key_A, CONTROL)
            self.key(Qt.Key.Key_Delete)
            check(not self.instances, "Delete did not take the poses away")
            self.key(Qt.Key.Key_R, CONTROL)
            wait_until(self.idle, "the run of the trained model")
            predictions = [i for i in self.instances if i.source == MODEL_NAME and i.state is State.PREDICTED]
            check(predictions, "the trained model found nobody")
            checked.append(
                f"{len(predictions)} predicted by {MODEL_NAME}, score {max(i.score or 0 for i in predictions):.2f}"
            )

    def light_theme(self) -> None:
        with self.step("Command palette and light theme", "light") as checked:
            self.quiet()
            self.key(Qt.Key.Key_K, CONTROL)
            box = self.window.palette_box
            check(box.isVisible(), "Ctrl+K did not open the palette")
            QTest.keyClicks(box.line, "theme")
            breathe(50)
            self.picture("palette")
            self.write(box.line, "light theme")
            check(box.texts()[:1] == ["Light theme"], f"the palette shows {box.texts()[:3]}")
            self.key(Qt.Key.Key_Return, widget=box.line)
            check(not box.isVisible() and not self.window.dark, "Enter did not change the theme")
            breathe(200)
            checked.append("found by typing, done by Enter")


def _worst_difference(data: CocoDataset, labels: list[Instance]) -> float:
    """Largest difference in px between the points of the file and of the project, poses matched by their sums."""

    def ordered(rows: list[Any]) -> Any:
        return np.array(sorted((row.tolist() for row in rows), key=lambda row: (round(sum(row), 2), row)))

    theirs = [np.reshape(a.keypoints, (-1, 3)) for a in data.annotations if a.keypoints]
    mine = [np.column_stack([i.keypoints, i.visibility]) for i in labels]
    for points in [*theirs, *mine]:
        points[points[:, 2] == 0] = 0.0
    return float(np.abs(ordered([p.ravel() for p in theirs]) - ordered([p.ravel() for p in mine])).max())
