"""The monitor's two curves, in the colors of the theme. Importing this loads pyqtgraph."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.dialogs.common import is_dark
from poseapp.dialogs.figures import card_words
from poseapp.dialogs.training.series import Phase

TRAIN_COLORS = ("#1f6feb", "#6cb6ff")
VAL_COLORS = ("#b35900", "#ffb454")


class CountAxis(pg.AxisItem):
    """An axis of whole numbers: there is no epoch one and a half."""

    def tickValues(self, least: float, most: float, size: float) -> list[tuple[float, list[float]]]:
        levels = super().tickValues(least, most, size)
        return [(max(gap, 1.0), [v for v in values if float(v).is_integer()]) for gap, values in levels]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        return [f"{value:.0f}" for value in values]


@guarded
class CurvePlot(QWidget):
    """A titled plot of up to two curves with a key beside its title.

    Args:
        title: what is drawn.
        bottom: name of the x axis.
        curves: key texts; the first is a line, the second a line with dots.
        colors: of the curves, each in a light and in a dark theme.
    """

    def __init__(
        self,
        title: str,
        bottom: str,
        curves: tuple[str, ...],
        parent: QWidget | None = None,
        *,
        colors: tuple[tuple[str, str], ...] = (TRAIN_COLORS, VAL_COLORS),
    ) -> None:
        super().__init__(parent)
        self._colors = colors
        self._curves: list[pg.PlotDataItem] = []
        self._keys: list[QLabel] = []
        self.title = QLabel(tr(title), self)
        self.plot = pg.PlotWidget(self, axisItems={"bottom": CountAxis("bottom")})
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setFrameShape(pg.PlotWidget.Shape.NoFrame)
        self.plot.setMinimumSize(240, 160)
        self.plot.getPlotItem().setContentsMargins(0, 6, 10, 0)
        self._bottom = bottom
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self.title)
        row.addStretch(1)
        for text in curves:
            key = QLabel(tr(text), self)
            row.addWidget(key)
            self._keys.append(key)
            self._curves.append(self.plot.plot([], [], antialias=True))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.plot, 1)
        self._restyle()

    def set_curve(self, curve: int, x: np.ndarray, y: np.ndarray) -> None:
        """Replace a curve's data; its key is hidden while it has none."""
        self._curves[curve].setData(x, y)
        self._keys[curve].setVisible(len(x) > 0 and len(self._keys) > 1)

    def set_title(self, title: str) -> None:
        self.title.setText(tr(title))

    def points(self, curve: int) -> int:
        """How many points a curve has."""
        x, _ = self._curves[curve].getData()
        return 0 if x is None else len(x)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_bottom"):
            self._restyle()

    def _restyle(self) -> None:
        palette = self.palette()
        dark = is_dark(palette)
        text = palette.color(QPalette.ColorRole.WindowText)
        faint = QColor(text)
        faint.setAlpha(150)
        self.plot.setBackground(None)
        for name in ("left", "bottom"):
            axis = self.plot.getAxis(name)
            axis.setPen(pg.mkPen(faint, width=1))
            axis.setTextPen(faint)
            axis.setStyle(tickLength=-4, tickFont=self.font(), maxTickLevel=0)
        self.plot.setLabel(
            "bottom", tr(self._bottom), color=faint.name(), **{"font-size": f"{self.font().pointSizeF():.0f}pt"}
        )
        self.plot.showGrid(x=False, y=True, alpha=0.18)
        for index, (curve, key) in enumerate(zip(self._curves, self._keys, strict=True)):
            color = QColor(self._colors[index][1 if dark else 0])
            curve.setPen(pg.mkPen(color, width=2))
            if index == 1 or len(self._curves) == 1:
                curve.setSymbol("o")
                curve.setSymbolSize(6)
                curve.setSymbolBrush(color)
                curve.setSymbolPen(None)
            key.setStyleSheet(f"color: {color.name()};")


class TrainingPlots(QWidget):
    """Loss on the left, the most telling figure on the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss = CurvePlot("Loss", "step", ("training", "validation"), self)
        self.figure = CurvePlot("Typical error (px)", "epoch", ("figure",), self, colors=(VAL_COLORS,))
        self.note = QLabel(self)
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.note.setWordWrap(True)
        self.note.setProperty("role", "hint")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(20)
        row.addWidget(self.loss, 3)
        row.addWidget(self.figure, 2)
        row.addWidget(self.note, 2)
        self.show_phase(None)

    def show_phase(self, phase: Phase | None) -> None:
        """Draw what is known of a phase."""
        if phase is not None:
            self.loss.set_curve(0, *phase.loss_curve())
            self.loss.set_curve(1, *phase.val_curve())
        name = None if phase is None else phase.main_figure
        self.figure.setVisible(name is not None)
        self.note.setVisible(name is None)
        if name is not None and phase is not None:
            title, value = card_words(name, 1.0)
            self.figure.set_title(f"{title} (px)" if value.endswith("px") else title)
            self.figure.set_curve(0, *phase.figure_curve(name))
        else:
            self.note.setText(tr("The error is plotted here after the first epoch."))
