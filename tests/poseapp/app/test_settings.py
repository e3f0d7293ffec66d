"""Settings keep what they are given and survive what others write into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings

from poseapp.app.canvas_style import CanvasStyle, ColorMode
from poseapp.app.settings import DEFAULT_MODEL, Settings


@pytest.fixture
def file(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


def test_values_come_back(file: QSettings, tmp_path: Path) -> None:
    settings = Settings(file)
    settings.theme, settings.model, settings.last_folder = "light", "mine", tmp_path
    settings.sync()
    again = Settings(QSettings(file.fileName(), QSettings.Format.IniFormat))
    assert (again.theme, again.model, again.last_folder) == ("light", "mine", tmp_path)


def test_view_switches_come_back(file: QSettings) -> None:
    settings = Settings(file)
    style = replace(CanvasStyle(), show_boxes=True, show_bones=False, color_mode=ColorMode.LIMB, point_size=12.0)
    settings.keep_canvas_style(style)
    settings.sync()
    again = Settings(QSettings(file.fileName(), QSettings.Format.IniFormat))
    assert again.canvas_style() == style


def test_damaged_values_fall_back_to_the_defaults(file: QSettings) -> None:
    file.setValue("theme", "purple")
    file.setValue("last_folder", "/no/such/folder")
    file.setValue("view/point_size", "wide")
    file.setValue("view/color_mode", "mood")
    settings = Settings(file)
    assert settings.theme == "system"
    assert settings.last_folder == Path.home()
    assert settings.canvas_style() == CanvasStyle()
    assert settings.model == DEFAULT_MODEL


def test_an_unknown_theme_is_refused(file: QSettings) -> None:
    with pytest.raises(ValueError, match="purple"):
        Settings(file).theme = "purple"


def test_recent_projects_are_newest_first_and_exist(file: QSettings, tmp_path: Path) -> None:
    settings = Settings(file)
    paths = [tmp_path / f"{n}.pose" for n in range(10)]
    for path in paths:
        path.touch()
        settings.add_recent(path)
    paths[9].unlink()
    settings.add_recent(paths[3])
    assert settings.recent[:3] == [str(paths[3]), str(paths[8]), str(paths[7])]
    assert len(settings.recent) <= 8
