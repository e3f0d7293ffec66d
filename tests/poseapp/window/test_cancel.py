"""Long work in the window shows progress, and the button beside it stops it; then everything is as it was before."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.utils.context import Context
from poseapp.commands import export, file
from poseapp.dialogs.export_coco import ExportWish
from poseapp.jobs.exporting import export_job
from poseapp.jobs.opening import SaveCopyJob, SnapshotJob
from poseapp.project.exports.registry import ExportOptions, exports_of
from poseapp.project.storage.snapshots import list_snapshots
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow

VERSION_3 = Path(__file__).parents[2] / "compatibility" / "version_3" / "labels.pose"


class Held:
    """Work that stops at a step, as if it took long, until it is cancelled."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reached = threading.Event()
        self.released = threading.Event()


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[int, int, str], bool]], Held]]:
    """Holds the jobs of the window at the first step for which a condition on done, total and text is met."""
    held = Held()
    real = Context.progress

    def begin(condition: Callable[[int, int, str], bool]) -> Held:
        def progress(self: Context, done: int, total: int = 0, text: str = "") -> None:
            real(self, done, total, text)
            if self._is_cancelled is not None and condition(done, total, text):
                held.reached.set()
                for _ in range(6000):
                    if self.is_cancelled or held.released.wait(0.005):
                        break
                self.check_cancelled()

        monkeypatch.setattr(Context, "progress", progress)
        return held

    yield begin
    held.released.set()


def press_cancel(window: MainWindow, held: Held, qtbot: QtBot, text: str) -> None:
    qtbot.waitUntil(held.reached.is_set, timeout=20_000)
    qtbot.waitUntil(window.tray.isVisible, timeout=5000)
    qtbot.waitUntil(lambda: text in window.tray.text.text(), timeout=5000)
    QTest.mouseClick(window.tray.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=20_000)


def content(path: Path) -> tuple[object, ...]:
    with ProjectStore.open(path, read_only=True) as store:
        poses = [(key, pose.id, pose.keypoints.tobytes()) for key, pose in store.all_instances()]
        return store.frames(), store.categories(), store.history(), poses


def labels(folder: Path, name: str = "more.json") -> Path:
    records = [
        {"id": n, "image_id": 1, "category_id": 1, "keypoints": [n, 2, 2], "num_keypoints": 1, "bbox": [1, 2, 3, 4],
         "area": 12, "iscrowd": 0}
        for n in range(1, 5000)
    ]  # fmt: skip
    path = folder / name
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png", "width": 320, "height": 240}],
                "categories": [{"id": 1, "name": "dot", "keypoints": ["dot"]}],
                "annotations": records,
            }
        )
    )
    return path


def test_opening_a_project(window: MainWindow, project: Path, hold: Callable[..., Held], qtbot: QtBot) -> None:
    before = project.read_bytes()
    held = hold(lambda _done, _total, text: text.startswith("Checking"))
    window.open_paths([project])
    press_cancel(window, held, qtbot, "Checking small.pose")
    assert window.session.path is None
    assert project.read_bytes() == before
    held.released.set()
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.path == project and not window.runner.active(), timeout=10_000)


def test_bringing_a_project_up_to_date(
    window: MainWindow, tmp_path: Path, hold: Callable[..., Held], qtbot: QtBot
) -> None:
    path = Path(shutil.copyfile(VERSION_3, tmp_path / "old.pose"))
    before = path.read_bytes()
    held = hold(lambda done, _total, text: done > 0 and "up to date" in text)
    window.open_paths([path])
    press_cancel(window, held, qtbot, "up to date")
    assert window.session.path is None
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if ".pose" in p.name] == [path.name]


def test_importing_into_a_new_project(
    window: MainWindow, project: Path, hold: Callable[..., Held], qtbot: QtBot
) -> None:
    path = labels(project.parent)
    present = sorted(project.parent.iterdir())
    held = hold(lambda done, total, _text: 0 < done < total)
    window.open_paths([path])
    press_cancel(window, held, qtbot, "Reading more.json")
    assert window.session.path is None
    assert sorted(project.parent.iterdir()) == present


def test_importing_into_the_open_project(opened: MainWindow, hold: Callable[..., Held], qtbot: QtBot) -> None:
    path = opened.session.path
    assert path is not None
    before = content(path)
    opened.session.go_to(opened.session.frames[1])
    held = hold(lambda done, total, _text: 0 < done < total)
    opened.open_paths([path, labels(path.parent)])
    press_cancel(opened, held, qtbot, "Reading more.json")
    qtbot.waitUntil(lambda: opened.session.path == path and not opened.runner.active(), timeout=10_000)
    assert content(path) == before
    assert opened.session.store is not None
    assert opened.session.store.tracks() == []


def test_exporting_coco(opened: MainWindow, hold: Callable[..., Held], qtbot: QtBot) -> None:
    assert opened.session.path is not None
    target = opened.session.path.with_name("out.json")
    target.write_text("as it was")
    present = sorted(target.parent.iterdir())
    held = hold(lambda _done, total, _text: total > 0)
    file.write_coco(opened.context, ExportWish(target, True, False, True))
    press_cancel(opened, held, qtbot, "Exporting out.json")
    assert target.read_text() == "as it was"
    assert sorted(target.parent.iterdir()) == present


def test_exporting_a_table(opened: MainWindow, hold: Callable[..., Held], qtbot: QtBot) -> None:
    assert opened.session.path is not None
    target = opened.session.path.with_name("out.csv")
    present = sorted(target.parent.iterdir())
    held = hold(lambda _done, total, _text: total > 0)
    (table,) = [choice for choice in exports_of("export_tracks") if choice.name == "csv"]
    export.start_export(opened.context, export_job(opened.session.path, target, table, ExportOptions()), "poses")
    press_cancel(opened, held, qtbot, "Exporting out.csv")
    assert sorted(target.parent.iterdir()) == present


def test_saving_a_copy(opened: MainWindow, hold: Callable[..., Held], qtbot: QtBot) -> None:
    assert opened.session.path is not None
    target = opened.session.path.with_name("copy.pose")
    present = sorted(target.parent.iterdir())
    held = hold(lambda _done, total, _text: total > 0)
    opened.runner.submit(SaveCopyJob(opened.session.path, target))
    press_cancel(opened, held, qtbot, "Saving a copy")
    assert sorted(target.parent.iterdir()) == present


def test_taking_a_snapshot(opened: MainWindow, hold: Callable[..., Held], qtbot: QtBot) -> None:
    assert opened.session.path is not None
    held = hold(lambda _done, total, _text: total > 0)
    opened.runner.submit(SnapshotJob(opened.session.path, "now"))
    press_cancel(opened, held, qtbot, "Snapshot now")
    assert list_snapshots(opened.session.path) == []
