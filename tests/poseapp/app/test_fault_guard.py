"""No exception leaves a method that Qt calls; every class that overrides one is guarded."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QGraphicsItem, QListView, QWidget
from pytestqt.qtbot import QtBot

import poseapp
from engine.errors import ProjectError
from poseapp.app.fault_guard import NEUTRAL, Faults, guarded, is_qt_method

ROOT = Path(poseapp.__file__).parent


@guarded
class Broken(QAbstractListModel):
    """A list each of whose rows raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.asked = 0

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 3

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        self.asked += 1
        raise self.error


def test_a_model_whose_rows_raise_is_shown_empty_and_told_once(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    model = Broken(ProjectError("is damaged", where="instance 7"))
    faults, messages = Faults(), []
    faults.told.connect(messages.append)
    view = QListView()
    qtbot.addWidget(view)
    view.setModel(model)
    view.show()
    qtbot.waitUntil(lambda: model.asked > 10 and bool(messages))
    view.grab()
    assert messages == ["instance 7: is damaged"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    faults.forget()
    view.grab()
    qtbot.waitUntil(lambda: len(messages) == 2)
    view.setModel(None)


def test_a_defect_of_the_program_is_still_seen(qtbot: QtBot) -> None:
    model = Broken(ZeroDivisionError("a defect"))
    with qtbot.captureExceptions() as exceptions:
        assert model.data(model.index(0, 0)) is None
    assert [kind for kind, *_ in exceptions] == [ZeroDivisionError]


@pytest.mark.slow
def test_every_class_that_overrides_a_method_of_qt_is_guarded() -> None:
    open_classes = []
    for module in pkgutil.walk_packages([str(ROOT)], "poseapp."):
        if module.name == "poseapp.__main__":
            continue
        loaded = importlib.import_module(module.name)
        file = Path(loaded.__file__ or "")
        if not file.is_file() or "PySide6" not in file.read_text(encoding="utf-8"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            cls = getattr(loaded, node.name, None) if isinstance(node, ast.ClassDef) else None
            if not isinstance(cls, type) or not _is_of_qt(cls) or cls.__module__ != module.name:
                continue
            open_classes += [
                f"{module.name}.{cls.__name__}.{name}"
                for name, method in vars(cls).items()
                if is_qt_method(name) and callable(method) and not getattr(method, "is_guarded", False)
            ]
    assert open_classes == []


def _is_of_qt(cls: type) -> bool:
    return any(base.__module__.startswith("PySide6") for base in cls.__mro__) or issubclass(
        cls, QGraphicsItem | QWidget
    )


def test_neutral_answers_are_made_anew() -> None:
    assert NEUTRAL["rowCount"]() == 0
    assert not NEUTRAL["index"]().isValid()
    assert is_qt_method("mousePressEvent")
    assert not is_qt_method("_on_event")
