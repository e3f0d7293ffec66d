"""Ctrl+K: type a few letters of any command and press Enter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QAction, QIcon, QKeyEvent, QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.widgets.line_edit import LineEdit

WIDTH, ROWS, ROW_HEIGHT = 560, 10, 34


def rank(words: str, text: str) -> int | None:
    """How well a query matches a text, smaller is better; None if it does not. Letters must appear in order."""
    query, name = words.lower().strip(), text.lower()
    if not query:
        return 0
    if name.startswith(query):
        return 1
    if all(any(part.startswith(word) for part in name.split()) for word in query.split()):
        return 2
    if query in name:
        return 3
    position = -1
    for letter in query.replace(" ", ""):
        position = name.find(letter, position + 1)
        if position < 0:
            return None
    return 4


ACTION_ROLE = Qt.ItemDataRole.UserRole
NAME_ROLE = Qt.ItemDataRole.UserRole + 1
MENU_ROLE = Qt.ItemDataRole.UserRole + 2


@guarded
class CommandDelegate(QStyledItemDelegate):
    """Paints a row: icon, name, menu in gray, shortcut at the right edge."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(100, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        self.initStyleOption(option, index)
        rect, palette = option.rect, option.palette
        action: QAction = index.data(ACTION_ROLE)
        usable = bool(index.flags() & Qt.ItemFlag.ItemIsEnabled)
        option.text = ""
        option.icon = QIcon()
        style = option.widget.style()
        style.drawPrimitive(QStyle.PrimitiveElement.PE_PanelItemViewItem, option, painter, option.widget)
        side = 20
        mode = QIcon.Mode.Normal if usable else QIcon.Mode.Disabled
        icon_rect = QRect(rect.left() + 10, rect.center().y() - side // 2 + 1, side, side)
        action.icon().paint(painter, icon_rect, Qt.AlignmentFlag.AlignCenter, mode)
        group = QPalette.ColorGroup.Active if usable else QPalette.ColorGroup.Disabled
        painter.setPen(palette.color(group, QPalette.ColorRole.Text))
        text = rect.adjusted(42, 0, -12, 0)
        name = str(index.data(NAME_ROLE))
        painter.drawText(text, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), name)
        painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
        after = text.adjusted(option.fontMetrics.horizontalAdvance(name) + 14, 0, 0, 0)
        painter.drawText(after, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), index.data(MENU_ROLE))
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        painter.drawText(text, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), keys)


@guarded
class CommandPalette(QFrame):
    """A search field and a list over the window. Disabled commands are last and gray."""

    def __init__(self, host: QWidget, actions: Callable[[], Sequence[tuple[str, QAction]]]) -> None:
        super().__init__(host)
        self.setObjectName("commandPalette")
        self.setProperty("role", "palette")
        self._host, self._actions = host, actions
        self.line = LineEdit()
        self.line.setPlaceholderText(tr("Find a command"))
        self.line.setAccessibleName(tr("Find a command"))
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Commands"))
        self.list.setItemDelegate(CommandDelegate(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addWidget(self.line)
        column.addWidget(self.list)
        self.line.textChanged.connect(self._fill)
        self.list.itemClicked.connect(self._run)
        self.line.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        self.line.clear()
        self._fill()
        self._place()
        self.show()
        self.raise_()
        self.line.setFocus()

    def texts(self) -> list[str]:
        """The listed texts, for tests."""
        return [str(self.list.item(i).data(NAME_ROLE)) for i in range(self.list.count())]

    def _fill(self) -> None:
        query = self.line.text()
        matches = []
        for order, (menu, action) in enumerate(self._actions()):
            text = action.text().replace("&", "")
            fit = rank(query, text)
            if fit is None and action.property("english"):
                fit = rank(query, str(action.property("english")))
            if fit is None and menu:
                fit = None if rank(query, f"{menu} {text}") is None else 5
            if fit is not None:
                matches.append((not action.isEnabled(), fit, order, menu, text, action))
        self.list.clear()
        for disabled, _, _, menu, text, action in sorted(matches, key=lambda row: row[:3]):
            item = QListWidgetItem()
            item.setData(ACTION_ROLE, action)
            item.setData(NAME_ROLE, text)
            item.setData(MENU_ROLE, menu)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{text}, {menu}")
            if disabled:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self._place()

    def _place(self) -> None:
        width = min(WIDTH, self._host.width() - 40)
        rows = min(max(self.list.count(), 1), ROWS)
        self.setGeometry((self._host.width() - width) // 2, 72, width, 70 + rows * ROW_HEIGHT)

    def _run(self, item: QListWidgetItem | None = None) -> None:
        chosen = item or self.list.currentItem()
        self.close_palette()
        if chosen is not None:
            action: QAction = chosen.data(ACTION_ROLE)
            action.trigger()

    def close_palette(self) -> None:
        self.hide()
        self._host.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut:
            self.hide()
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            key = event.key()
            if key == Qt.Key.Key_Escape:
                self.close_palette()
                return True
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._run()
                return True
            if key in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                step = 1 if key == Qt.Key.Key_Down else -1
                self.list.setCurrentRow(max(0, min(self.list.count() - 1, self.list.currentRow() + step)))
                return True
        return False
