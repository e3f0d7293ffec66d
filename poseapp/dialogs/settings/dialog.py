"""Edit > Settings: shortcuts, appearance, storage. Changes apply immediately and are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from poseapp.app.i18n import LANGUAGES, tr
from poseapp.app.shortcuts import Keymap, ListedAction
from poseapp.dialogs.common import button, label
from poseapp.dialogs.settings.shortcuts import KeySettings
from poseapp.dialogs.settings.storage import DataSettings
from poseapp.widgets.spin_box import DoubleSpinBox

NEXT_START = "The new language takes effect after a restart"
THEMES = {"system": "System", "dark": "Dark", "light": "Light"}
MODES = {
    "side": "Left and right",
    "limb": "Limb (colors of the skeleton)",
    "part": "Part",
    "instance": "Pose",
    "score": "Model score",
    "source": "Source",
}
COLOR_NAMES = {
    "left": "Left",
    "right": "Right",
    "middle": "Middle",
    "human": "Made by a person",
    "model": "Made by a model",
}


@dataclass(frozen=True)
class Look:
    """How poses are drawn: fields of the canvas style; ``colors`` are the user's own, 0xRRGGBB."""

    point_size: float
    line_width: float
    font_size: float
    color_mode: str
    show_labels: bool
    show_bones: bool
    show_boxes: bool
    colors: tuple[tuple[str, int], ...] = ()


class SettingsDialog(QDialog):
    """Non-modal.

    Signals:
        keymap_changed(dict): command id to shortcuts.
        theme_changed(str): "system", "dark" or "light".
        look_changed(Look): sizes, names, colors.
        language_changed(str): "system" or a key of LANGUAGES.

    Args:
        palette: colors (0xRRGGBB) that hold where a person has chosen none.
        data: the page of places.
    """

    keymap_changed = Signal(object)
    theme_changed = Signal(str)
    look_changed = Signal(object)
    language_changed = Signal(str)

    def __init__(
        self,
        keymap: Keymap,
        actions: Sequence[ListedAction],
        theme: str,
        look: Look,
        palette: Mapping[str, int],
        data: DataSettings,
        parent: QWidget | None = None,
        language: str = "system",
    ) -> None:
        super().__init__(parent)
        self.setObjectName("settingsDialog")
        self.setWindowTitle(tr("Settings"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(720, 640)
        self._style, self._palette = look, dict(palette)
        self.keys = KeySettings(keymap, actions)
        self.keys.keymap_changed.connect(self.keymap_changed)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.keys, tr("Shortcuts"))
        self.tabs.addTab(self._look(theme, language), tr("Appearance"))
        self.data = data
        self.tabs.addTab(data, tr("Data"))
        close = button("Close", primary=True)
        close.clicked.connect(self.close)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.addWidget(self.tabs, 1)
        bottom = QHBoxLayout()
        self.note = label("Changes apply immediately.", "hint")
        self.language.currentIndexChanged.connect(lambda: self.note.setText(tr(NEXT_START)))
        bottom.addWidget(self.note)
        bottom.addStretch(1)
        bottom.addWidget(close)
        column.addLayout(bottom)

    # --- look

    def _look(self, theme: str, language: str) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        form.setVerticalSpacing(10)
        form.setHorizontalSpacing(16)
        self.theme = QComboBox()
        for value, text in THEMES.items():
            self.theme.addItem(tr(text), value)
        self.theme.setCurrentIndex(self.theme.findData(theme))
        self.theme.currentIndexChanged.connect(lambda: self.theme_changed.emit(self.theme.currentData()))
        form.addRow(tr("Theme"), self.theme)
        self.language = QComboBox()
        self.language.addItem(tr("System"), "system")
        for value, text in LANGUAGES.items():
            self.language.addItem(text, value)
        self.language.setCurrentIndex(max(self.language.findData(language), 0))
        self.language.currentIndexChanged.connect(lambda: self.language_changed.emit(self.language.currentData()))
        form.addRow(tr("Language"), self.language)
        self.point_size = self._size(form, "Keypoint size", "point_size", 3.0, 30.0)
        self.line_width = self._size(form, "Limb width", "line_width", 0.5, 12.0)
        self.font_size = self._size(form, "Name size", "font_size", 6.0, 24.0)
        self.mode = QComboBox()
        for mode, text in MODES.items():
            self.mode.addItem(tr(text), mode)
        self.mode.setCurrentIndex(self.mode.findData(self._style.color_mode))
        self.mode.currentIndexChanged.connect(lambda: self._set(color_mode=self.mode.currentData()))
        form.addRow(tr("Color by"), self.mode)
        for name, text in (("show_labels", "Keypoint names"), ("show_bones", "Limbs"), ("show_boxes", "Boxes")):
            box = QCheckBox(tr(text))
            box.setChecked(bool(getattr(self._style, name)))
            box.toggled.connect(lambda on, field=name: self._set(**{field: on}))
            form.addRow("", box)
        self.colors: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(8)
        for index, name in enumerate(COLOR_NAMES):
            chip = button(COLOR_NAMES[name], tip="Choose a color")
            chip.clicked.connect(lambda _checked=False, which=name: self._choose_color(which))
            self.colors[name] = chip
            grid.addWidget(chip, index // 3, index % 3)
        reset = button("Reset colors")
        reset.clicked.connect(lambda: self._set(colors=()))
        grid.addWidget(reset, len(COLOR_NAMES) // 3, len(COLOR_NAMES) % 3)
        form.addRow(tr("Colors"), grid)
        self._paint_chips()
        return page

    def _size(self, form: QFormLayout, text: str, field: str, low: float, high: float) -> QDoubleSpinBox:
        box = DoubleSpinBox()
        box.setRange(low, high)
        box.setSingleStep(0.5)
        box.setDecimals(1)
        box.setSuffix(tr(" px" if field != "font_size" else " pt"))
        box.setValue(getattr(self._style, field))
        box.setAccessibleName(tr(text))
        box.valueChanged.connect(lambda value: self._set(**{field: value}))
        form.addRow(tr(text), box)
        return box

    def _choose_color(self, name: str) -> None:
        chosen = QColorDialog.getColor(QColor.fromRgb(self._color(name)), self, tr(COLOR_NAMES[name]))
        if chosen.isValid():
            self.set_color(name, chosen.rgb() & 0xFFFFFF)

    def set_color(self, name: str, color: int) -> None:
        """Give left, right, middle, human or model a color (0xRRGGBB)."""
        self._set(colors=tuple(sorted({**dict(self._style.colors), name: color}.items())))

    def _set(self, **changes: object) -> None:
        self._style = replace(self._style, **changes)  # type: ignore[arg-type]
        self._paint_chips()
        self.look_changed.emit(self._style)

    def _color(self, name: str) -> int:
        return dict(self._style.colors).get(name, self._palette[name])

    def _paint_chips(self) -> None:
        for name, chip in self.colors.items():
            color = QColor.fromRgb(self._color(name))
            chip.setStyleSheet(f"QPushButton {{ background: {color.name()}; color: {words_on(color)}; }}")


def words_on(ground: QColor) -> str:
    """White or near black, whichever is more readable on a color (relative luminance, WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in ground.getRgbF()[:3]]  # type: ignore[index]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if luminance < 0.179 else "#101418"
