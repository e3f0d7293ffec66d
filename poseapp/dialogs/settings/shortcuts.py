"""Settings > Shortcuts: a table of all commands, a field to record a shortcut, presets, import and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QKeySequenceEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from poseapp.app.i18n import tr
from poseapp.app.shortcuts import (
    PRESETS,
    Keymap,
    KeymapError,
    ListedAction,
    conflicts,
    default_keys,
    normal,
    preset,
    read_keymap,
    write_keymap,
)
from poseapp.dialogs.common import button, label, set_role
from poseapp.widgets.line_edit import LineEdit

OWN = "Own"
FILES = "Keymaps (*.toml *.json)"
_ROW_ID = Qt.ItemDataRole.UserRole + 1


class KeySettings(QWidget):
    """Edits the current keymap.

    Signals:
        keymap_changed(dict): command id to shortcuts, free of conflicts.
    """

    keymap_changed = Signal(object)

    def __init__(self, keymap: Keymap, actions: Sequence[ListedAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._actions = actions
        self._defaults = default_keys(actions)
        self.keymap: dict[str, tuple[str, ...]] = {**self._defaults, **keymap}
        self._wanted = ""
        self.presets = QComboBox()
        self.presets.setAccessibleName(tr("Preset"))
        self.presets.addItems([*PRESETS, tr(OWN)])
        self.search = LineEdit()
        self.search.setPlaceholderText(tr("Find a command or shortcut"))
        self.search.setAccessibleName(tr("Find a command or shortcut"))
        self.search.setClearButtonEnabled(True)
        self.table = _table()
        self.press = QKeySequenceEdit()
        self.press.setMaximumSequenceLength(1)
        self.press.setAccessibleName(tr("Press a shortcut"))
        self.add_button = button("Add shortcut")
        self.take_button = button("Reassign")
        self.clear_button = button("Remove shortcut")
        self.reset_button = button("Reset")
        self.note = label("", "hint", wrap=True)
        self.import_button = button("Import...")
        self.export_button = button("Export...")
        self._lay_out()
        self._connect()
        self._fill()
        self._show()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setSpacing(10)
        top = QHBoxLayout()
        top.addWidget(label("Keymap"))
        top.addWidget(self.presets)
        top.addWidget(self.search, 1)
        column.addLayout(top)
        column.addWidget(self.table, 1)
        row = QHBoxLayout()
        for widget in (self.press, self.add_button, self.take_button, self.clear_button, self.reset_button):
            row.addWidget(widget, 1 if widget is self.press else 0)
        column.addLayout(row)
        column.addWidget(self.note)
        files = QHBoxLayout()
        files.addWidget(self.import_button)
        files.addWidget(self.export_button)
        files.addStretch(1)
        column.addLayout(files)
        self.take_button.hide()

    def _connect(self) -> None:
        self.presets.activated.connect(self._use_preset)
        self.search.textChanged.connect(self._filter)
        self.table.itemSelectionChanged.connect(self._on_row)
        self.press.keySequenceChanged.connect(self._on_key)
        self.add_button.clicked.connect(lambda: self._assign(take=False))
        self.take_button.clicked.connect(lambda: self._assign(take=True))
        self.clear_button.clicked.connect(lambda: self._set(self.chosen(), ()))
        self.reset_button.clicked.connect(self._reset)
        self.import_button.clicked.connect(self._choose_import)
        self.export_button.clicked.connect(self._choose_export)

    # --- table

    def chosen(self) -> str:
        """Id of the selected command, or ""."""
        items = self.table.selectedItems()
        return "" if not items else str(items[0].data(_ROW_ID))

    def choose(self, verb: str) -> None:
        """Select a command."""
        self.table.selectRow(next(i for i, row in enumerate(self._actions) if row.id == verb))

    def _fill(self) -> None:
        self.table.setRowCount(len(self._actions))
        for position, row in enumerate(self._actions):
            for column, text in enumerate((row.name, row.menu, "")):
                item = QTableWidgetItem(tr(text))
                item.setData(_ROW_ID, row.id)
                self.table.setItem(position, column, item)
        self.table.selectRow(0)

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.table.item(row, column)
        assert item is not None
        return item

    def _show(self) -> None:
        for position, row in enumerate(self._actions):
            self._cell(position, 2).setText(shown(self.keymap[row.id]))
        same = next((name for name in PRESETS if preset(name, self._defaults) == self.keymap), tr(OWN))
        self.presets.setCurrentText(same)

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for row in range(self.table.rowCount()):
            line = " ".join(self._cell(row, c).text() for c in range(3)).lower()
            self.table.setRowHidden(row, not all(word in line for word in words))

    # --- changes

    def _on_row(self) -> None:
        self.press.clear()
        self._tell("")

    def _on_key(self, sequence: QKeySequence) -> None:
        self._wanted = normal(sequence.toString(QKeySequence.SequenceFormat.PortableText))
        owner = self._owner(self._wanted)
        self.take_button.setVisible(bool(owner))
        self.add_button.setEnabled(bool(self._wanted) and not owner)
        if owner:
            self._tell(
                f"{shown((self._wanted,))} stands for {next(row.name for row in self._actions if row.id == owner)}.",
                "warning",
            )
        else:
            self._tell("")

    def _owner(self, key: str) -> str:
        """The other command that uses a shortcut."""
        owners = conflicts({**self.keymap, self.chosen(): (key,)}).get(key, []) if key else []
        return next((name for name in owners if name != self.chosen()), "")

    def _assign(self, take: bool) -> None:
        verb, key = self.chosen(), self._wanted
        if not verb or not key:
            return
        owner = self._owner(key)
        if owner and not take:
            return
        if owner:
            self.keymap[owner] = tuple(k for k in self.keymap[owner] if normal(k) != key)
        if key not in map(normal, self.keymap[verb]):
            self._set(verb, (*self.keymap[verb], key))
        self.press.clear()

    def _set(self, verb: str, keys: tuple[str, ...]) -> None:
        if verb:
            self.keymap[verb] = keys
            self._changed()

    def _reset(self) -> None:
        """Restore the default shortcuts of a command that no other command uses."""
        verb = self.chosen()
        if verb:
            others = {normal(k) for name, keys in self.keymap.items() if name != verb for k in keys}
            self._set(verb, tuple(k for k in self._defaults[verb] if normal(k) not in others))

    def _use_preset(self) -> None:
        name = self.presets.currentText()
        if name in PRESETS:
            self.keymap = preset(name, self._defaults)
            self._changed()

    def _changed(self) -> None:
        self.take_button.hide()
        self._show()
        self.keymap_changed.emit(dict(self.keymap))

    # --- files

    def _choose_import(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Import keymap"), "", tr(FILES))
        if chosen:
            self.import_file(Path(chosen))

    def _choose_export(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Export keymap"), "poseapp-keys.toml", tr(FILES))
        if chosen:
            self.export_file(Path(chosen))

    def import_file(self, path: Path) -> None:
        """Import a keymap file; an error is shown and changes nothing."""
        try:
            self.keymap = read_keymap(path, self._defaults)
        except KeymapError as error:
            self._tell(str(error), "error")
            return
        self._changed()
        self._tell(f"Keys of {path.name} imported.")

    def export_file(self, path: Path) -> None:
        try:
            write_keymap(path, self.keymap)
        except KeymapError as error:
            self._tell(str(error), "error")
            return
        self._tell(f"Keys written to {path.name}.")

    def _tell(self, text: str, role: str = "hint") -> None:
        self.note.setText(tr(text))
        set_role(self.note, role)


def shown(keys: tuple[str, ...]) -> str:
    """Shortcuts in the notation of this system."""
    return ", ".join(QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in keys)


def _table() -> QTableWidget:
    table = QTableWidget(0, 3)
    table.setAccessibleName(tr("Commands and shortcuts"))
    table.setHorizontalHeaderLabels([tr(head) for head in ["Command", "Menu", "Shortcuts"]])
    table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
    table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.verticalHeader().hide()
    header = table.horizontalHeader()
    header.setSectionResizeMode(0, header.ResizeMode.Stretch)
    header.resizeSection(2, 180)
    header.setHighlightSections(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return table
