"""A label format defined in one place opens in the window, is exported from it, and converts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.convert import convert
from engine.formats.registry import register_format, unregister_format
from poseapp.__main__ import main
from poseapp.app.label_formats import known_formats, open_filter
from poseapp.dialogs.export_labels import ExportLabelsDialog
from poseapp.window.main_window import MainWindow
from tests.engine.formats.test_registry import ToyFormat
from tests.poseapp.window.test_project_opener import drop


@pytest.fixture
def toy_file(tmp_path: Path) -> Iterator[Path]:
    """Two noses on two images."""
    for name in ("a.png", "b.png"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((30, 40, 3), np.uint8))
    path = tmp_path / "noses.toy"
    path.write_text("TOY\na.png,3.5,4\nb.png,5,6\n")
    register_format(ToyFormat())
    yield path
    unregister_format("toy")


def wait_for_labels(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=10_000)


def noses(window: MainWindow) -> list[list[float]]:
    store = window.session.store
    assert store is not None
    return [instance.keypoints[0].tolist() for _, instance in store.all_instances()]


def test_it_is_among_the_file_types_and_opens(
    window: MainWindow, toy_file: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def choose(*arguments: str) -> tuple[str, str]:
        asked.append(arguments[-1])
        return str(toy_file), ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    window.run("open_labels")
    wait_for_labels(window, qtbot)
    assert "Toy noses (*.toy)" in asked[0].split(";;")
    assert noses(window) == [[3.5, 4], [5, 6]]
    assert [category.name for category in window.session.store.categories()] == ["mouse"]


def test_it_can_be_dropped_and_opening_it_again_adds_nothing(window: MainWindow, toy_file: Path, qtbot: QtBot) -> None:
    assert drop(toy_file, window)
    wait_for_labels(window, qtbot)
    assert noses(window) == [[3.5, 4], [5, 6]]
    window.open_paths([toy_file])
    qtbot.waitUntil(lambda: any("is unchanged" in text for text in window.toasts.messages()), timeout=10_000)
    wait_for_labels(window, qtbot)
    assert noses(window) == [[3.5, 4], [5, 6]]


def test_it_is_exported(window: MainWindow, toy_file: Path, qtbot: QtBot) -> None:
    window.open_paths([toy_file])
    wait_for_labels(window, qtbot)
    window.run("export_labels")
    dialog = window.findChild(ExportLabelsDialog)
    assert dialog is not None
    dialog.format.setCurrentIndex(dialog.format.findData("toy"))
    dialog.path.setText(str(toy_file.with_name("out")))
    qtbot.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    out = toy_file.with_name("out.toy")
    qtbot.waitUntil(lambda: any("2 poses written to out.toy" in t for t in window.toasts.messages()), timeout=10_000)
    assert out.read_text() == "TOY\na.png,3.5,4.0\nb.png,5.0,6.0\n"


def test_it_converts(toy_file: Path) -> None:
    out = toy_file.with_name("noses.json")
    convert(toy_file, out)
    assert [image["file_name"] for image in json.loads(out.read_text())["images"]] == ["a.png", "b.png"]


def test_help_and_lists_name_it(toy_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "Toy noses (.toy)" in " ".join(capsys.readouterr().out.split())
    assert "Toy noses (.toy)" in known_formats()
    unregister_format("toy")
    assert "Toy" not in known_formats()
    assert ".toy" not in open_filter()
