"""Widgets shared by the dialogs: text with a role, choices of model and device, a list of findings.

The theme styles them by the dynamic property ``role``: "heading", "hint", "value", "error", "warning",
"primary" (button) and "card" (frame).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPalette, QPen, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from engine.models.catalog import ModelEntry
from poseapp.app.i18n import tr

DEVICES = (
    ("auto", "Automatic"),
    ("cpu", "CPU"),
    ("cuda", "GPU (CUDA)"),
    ("mps", "Apple GPU (MPS)"),
)


def set_role(widget: QWidget, role: str) -> None:
    """Set the theme role of a widget, also after it has been shown."""
    if widget.property("role") == role:
        return
    widget.setProperty("role", role)
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)


def label(text: str, role: str = "", *, wrap: bool = False) -> QLabel:
    widget = QLabel(tr(text))
    widget.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        widget.setProperty("role", role)
    if role == "heading":
        font = QFont(widget.font())
        font.setPointSizeF(font.pointSizeF() * 1.35)
        font.setWeight(QFont.Weight.DemiBold)
        widget.setFont(font)
    if wrap:
        widget.setWordWrap(True)
        policy = widget.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        policy.setHeightForWidth(True)
        widget.setSizePolicy(policy)
    return widget


def button(text: str, *, primary: bool = False, tip: str = "") -> QPushButton:
    widget = QPushButton(tr(text))
    widget.setAutoDefault(False)
    widget.setToolTip(tr(tip))
    if primary:
        widget.setProperty("role", "primary")
        widget.setDefault(True)
    return widget


def button_row(cancel: Callable[[], object], primary: QPushButton) -> QHBoxLayout:
    """The last row of a dialog: Cancel, and the button that does it."""
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addStretch(1)
    cancel_button = button("Cancel")
    cancel_button.clicked.connect(lambda: cancel())
    row.addWidget(cancel_button)
    row.addWidget(primary)
    return row


def device_combo() -> QComboBox:
    """A combo box of all devices; the worker reports one that is not available."""
    combo = QComboBox()
    for device, title in DEVICES:
        combo.addItem(tr(title), device)
    return combo


def fill_models(combo: QComboBox, entries: Iterable[ModelEntry], chosen: str | None = None) -> None:
    """List pose models by title; the item's data is the id, its tooltip the description."""
    combo.clear()
    for entry in entries:
        own = "  (yours)" if entry.source == "user" else ""
        combo.addItem(tr(f"{entry.title}{own}"), entry.id)
        combo.setItemData(combo.count() - 1, tr(entry.use or entry.title), Qt.ItemDataRole.ToolTipRole)
    index = combo.findData(chosen)
    if index >= 0:
        combo.setCurrentIndex(index)


class Findings(QFrame):
    """Errors that prevent an action and warnings, one line each; or a line that all is well."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 10, 12, 10)
        self._column.setSpacing(6)
        self._rows: list[QWidget] = []
        self.texts: list[str] = []

    def show_findings(self, errors: Iterable[str], warnings: Iterable[str], well: str) -> None:
        for row in self._rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self._rows = []
        lines = [("error", e) for e in errors] + [("warning", w) for w in warnings]
        self.texts = [text for _, text in lines]
        for kind, text in lines or [("ok", well)]:
            row = self._row(kind, text)
            self._rows.append(row)
            self._column.addWidget(row)

    def _row(self, kind: str, text: str) -> QWidget:
        row = QWidget(self)
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        sign = QLabel(row)
        sign.setPixmap(sign_pixmap(kind, self.palette(), self.devicePixelRatioF()))
        line.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(label(text, wrap=True), 1)
        return row


SIGN_COLORS = {
    # (on light, on dark); told apart by shape too
    "error": ("#c62828", "#ff7b72"),
    "warning": ("#9a6700", "#e3b341"),
    "ok": ("#1a7f37", "#56d364"),
}


def is_dark(palette: QPalette) -> bool:
    """Whether the theme is dark, judged by the text color; the background may be transparent."""
    return palette.color(QPalette.ColorRole.WindowText).lightness() > 128


def sign_color(kind: str, palette: QPalette) -> QColor:
    return QColor(SIGN_COLORS[kind][1 if is_dark(palette) else 0])


def sign_pixmap(kind: str, palette: QPalette, ratio: float = 1.0, side: int = 16) -> QPixmap:
    """The icon of a finding: a cross, a warning triangle or a tick."""
    pixmap = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(
        sign_color(kind, palette), 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
    )
    painter.setPen(pen)
    if kind == "error":
        painter.drawEllipse(2, 2, 12, 12)
        painter.drawLine(6, 6, 10, 10)
        painter.drawLine(10, 6, 6, 10)
    elif kind == "warning":
        painter.drawPolygon([QPointF(8, 2), QPointF(14.5, 13.5), QPointF(1.5, 13.5)])
        painter.drawLine(QPointF(8, 6.5), QPointF(8, 9.5))
        painter.drawPoint(QPointF(8, 11.6))
    else:
        painter.drawPolyline([QPointF(3, 8.5), QPointF(6.5, 12), QPointF(13, 4.5)])
    painter.end()
    return pixmap


def sign_icon(kind: str, palette: QPalette) -> QIcon:
    return QIcon(sign_pixmap(kind, palette, 2.0))
