"""Write the icon family resources/icons/*.svg and the rendered program icon poseapp.png.

    python tools/make_icons.py [--sheet SHEET.png]

Icons share one grid (24 x 24), one stroke (1.75, round) and one color (``currentColor``, replaced by the theme). They are
drawn in the table below; ``poseapp.svg`` is drawn by hand and only rendered here. ``--sheet`` writes a contact sheet.
"""
# ruff: noqa: E501 - one icon a line

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ICONS = Path(__file__).resolve().parent.parent / "resources" / "icons"
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none" '
    'stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">'
)


def path(*data: str) -> str:
    return "".join(f'<path d="{d}"/>' for d in data)


def circle(x: float, y: float, r: float, extra: str = "") -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="{r:g}"{" " + extra if extra else ""}/>'


def rect(x: float, y: float, w: float, h: float, r: float = 2.0, extra: str = "") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{r:g}"{" " + extra if extra else ""}/>'


def dot(x: float, y: float, r: float = 1.1) -> str:
    return circle(x, y, r, 'fill="currentColor" stroke="none"')


FULL = 'fill="currentColor"'
LENS = circle(10.5, 10.5, 6.75) + path("M15.4 15.4 20.5 20.5")
RING = circle(12, 12, 8.5)
TRAY = path("M4.5 14.5v3A2.5 2.5 0 0 0 7 20h10a2.5 2.5 0 0 0 2.5-2.5v-3")
CORNERS = path(
    "M4 8.5V6a2 2 0 0 1 2-2h2.5M15.5 4H18a2 2 0 0 1 2 2v2.5M20 15.5V18a2 2 0 0 1-2 2h-2.5M8.5 20H6a2 2 0 0 1-2-2v-2.5"
)
FILE = path("M13.5 3.5H7a2 2 0 0 0-2 2v13a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V9Z", "M13.5 3.5V9H19")
EYE = path("M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z")
SHEETS = rect(8.5, 8.5, 11.5, 11.5) + path("M15.5 5.5A1.5 1.5 0 0 0 14 4H6a2 2 0 0 0-2 2v8a1.5 1.5 0 0 0 1.5 1.5")
BOLT = "M13 3 5.5 13.5h5.75L10.5 21 18.5 10.2h-6Z"
FIGURE = dot(12, 8, 1.5) + path("M8.8 11.3h6.4M12 11.3v3.2M12 14.5l-1.9 3M12 14.5l1.9 3")

TABLE = {
    # files
    "open-folder": path("M3.5 18V6.5a2 2 0 0 1 2-2h3.3l2.2 2.5h6a2 2 0 0 1 2 2v1.5", "M3.5 18.2 6 11.8a2 2 0 0 1 1.9-1.3h12.2a1 1 0 0 1 .95 1.35L19 18.2A2 2 0 0 1 17.1 19.5H4.6a1.1 1.1 0 0 1-1.1-1.3Z"),
    "open-image": rect(3.5, 4.5, 17, 15, 2.5) + circle(8.6, 9.4, 1.6) + path("M4 17.2l4.6-4.1 3.4 3 3.6-3.7 4.6 4.6"),
    "open-video": rect(3.5, 5, 17, 14, 2.5) + path("M10.2 9.2v5.6l4.6-2.8Z"),
    "open-project": FILE + dot(12, 11.6, 1.3) + path("M9.4 14h5.2M12 14v1.6M12 15.6l-1.5 2M12 15.6l1.5 2"),
    "save": path("M6 4h10.2L20 7.8V18a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2Z", "M8 4v4.2h6.5V4", "M7.5 20v-6h9v6"),
    "export": TRAY + path("M12 15.5V4M7.75 8 12 3.75 16.25 8"),
    "import": TRAY + path("M12 3.75V15M7.75 11 12 15.25 16.25 11"),
    # editing
    "undo": path("M8.5 5 4.5 9l4 4", "M4.5 9h9.75a5.25 5.25 0 0 1 0 10.5H10"),
    "redo": path("M15.5 5l4 4-4 4", "M19.5 9H9.75a5.25 5.25 0 0 0 0 10.5H14"),
    "select": path("M5 4.5l4.6 14.2 2.8-6.3 6.3-2.8Z", "M13.2 13.2l5.8 5.8"),
    "box": CORNERS + path("M12 8.5v7M8.5 12h7"),
    "place": circle(12, 12, 4) + dot(12, 12) + path("M12 2.75V6M12 18v3.25M2.75 12H6M18 12h3.25"),
    "delete": path("M4.5 6.75h15", "M9 6.5V5a1.5 1.5 0 0 1 1.5-1.5h3A1.5 1.5 0 0 1 15 5v1.5", "M6.25 7l.8 11.6a2 2 0 0 0 2 1.9h5.9a2 2 0 0 0 2-1.9L17.75 7", "M10 11v5.5M14 11v5.5"),
    "add": path("M12 5v14M5 12h14"),
    "remove": path("M5 12h14"),
    "swap": path("M7.5 4 4 7.5 7.5 11", "M4 7.5h15", "M16.5 13l3.5 3.5-3.5 3.5", "M20 16.5H5"),
    "mirror": path("M9 7.25v9.5H3.25Z", "M15 7.25v9.5h5.75Z", "M12 3.5v2.2M12 9.2v2M12 14.6v2M12 19v1.5"),
    "copy": SHEETS,
    "duplicate": SHEETS + path("M14.25 11.75v5M11.75 14.25h5"),
    "paste": path("M8.5 5.5H7a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-11a2 2 0 0 0-2-2h-1.5") + rect(8.75, 3.5, 6.5, 4, 1.25) + path("M9 12h6M9 16h4"),
    # view
    "zoom-in": LENS + path("M10.5 7.75v5.5M7.75 10.5h5.5"),
    "zoom-out": LENS + path("M7.75 10.5h5.5"),
    "zoom-instance": LENS + dot(10.5, 7.9, 1.2) + path("M8.4 10.2h4.2M10.5 10.2v1.9M10.5 12.1l-1.1 1.6M10.5 12.1l1.1 1.6"),
    "search": LENS,
    "fit": CORNERS + rect(8, 9, 8, 6, 1),
    "actual-size": path("M4.5 8.75 7.5 6.5v11", "M15.5 8.75l3-2.25v11") + dot(12, 9.75, 1.2) + dot(12, 14.75, 1.2),
    "show": EYE + circle(12, 12, 2.75),
    "hide": path("M4 4l16 16", "M9.6 5.8A9.6 9.6 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a16 16 0 0 1-2.7 3.4M6.2 7.2A15.6 15.6 0 0 0 2.5 12S6 18.5 12 18.5a9.4 9.4 0 0 0 4.6-1.2", "M10.1 10.1a2.75 2.75 0 0 0 3.8 3.8"),
    "hide-others": circle(9, 8, 3.25) + path("M3.25 19.5a5.75 5.75 0 0 1 11.5 0") + '<g stroke-dasharray="1.5 2.9">' + path("M14.9 4.9a3.25 3.25 0 0 1 0 6.2", "M17.2 14.3a5.75 5.75 0 0 1 3.55 5.2") + "</g>",
    "labels": path("M4 6a2 2 0 0 1 2-2h5.4a2 2 0 0 1 1.4.6l6.6 6.6a2 2 0 0 1 0 2.8l-5.4 5.4a2 2 0 0 1-2.8 0L4.6 12.8a2 2 0 0 1-.6-1.4Z") + dot(8.4, 8.4, 1.3),
    "limbs": circle(5.75, 18.25, 2) + circle(9.5, 8.75, 2) + circle(18.25, 5.75, 2) + path("M6.5 16.3l2.3-5.6M11.4 8.1l4.9-1.7"),
    "boxes": rect(4, 3.75, 16, 16.5, 2.5) + FIGURE,
    # models and jobs
    "run": path(BOLT),
    "run-all": path("M9.75 3.5 3.5 12.6h4.6L7.2 20.5l6.3-9.6H9Z", "M16.5 7H21M16.5 12H21M14 17h7"),
    "stop": rect(5.75, 5.75, 12.5, 12.5, 2.5),
    "accept": RING + path("M8.2 12.3l2.6 2.6 5-5.6"),
    "accept-all": path("M2.75 12.75 6.75 16.75 14.75 7.5", "M11.5 15.5l1.4 1.25L21.25 7.5"),
    "reject": RING + path("M9.2 9.2l5.6 5.6M14.8 9.2l-5.6 5.6"),
    "train": path("M4 4v13.5A2.5 2.5 0 0 0 6.5 20H20", "M8 5.5c.7 6.7 3.6 9.7 11.5 10.3"),
    "model": circle(5.5, 6.5, 2) + circle(5.5, 17.5, 2) + circle(12, 12, 2) + circle(18.5, 6.5, 2) + circle(18.5, 17.5, 2) + path("M7 7.8l3.5 2.9M7 16.2l3.5-2.9M13.5 10.7 17 7.8M13.5 13.3l3.5 2.9"),
    "evaluate": path("M4 20h16", "M6.75 16v-4.5M12 16V4.5M17.25 16V8.5"),
    "device": rect(6.5, 6.5, 11, 11, 2) + rect(10, 10, 4, 4, 0.75) + path("M9.5 3.5v3M14.5 3.5v3M9.5 17.5v3M14.5 17.5v3M3.5 9.5h3M3.5 14.5h3M17.5 9.5h3M17.5 14.5h3"),
    # visibility of a keypoint, as the canvas draws it
    "visible": circle(12, 12, 5.5, FULL),
    "occluded": circle(12, 12, 5.5) + dot(12, 12, 1.75),
    "absent": circle(12, 12, 5.5, 'stroke-dasharray="1.2 3.12"'),
    # going about
    "next": path("M4.5 12h15", "M13 5.5l6.5 6.5-6.5 6.5"),
    "previous": path("M19.5 12h-15", "M11 5.5 4.5 12l6.5 6.5"),
    "first": path("M6 5.5v13", "M18 5.75 10.5 12l7.5 6.25Z"),
    "last": path("M18 5.5v13", "M6 5.75 13.5 12 6 18.25Z"),
    "play": path("M7.5 5v14l11-7Z"),
    "pause": rect(6.5, 5, 3.75, 14, 1) + rect(13.75, 5, 3.75, 14, 1),
    "chevron-right": path("M9.5 6l6 6-6 6"),
    "chevron-left": path("M14.5 6l-6 6 6 6"),
    "chevron-down": path("M6 9.5l6 6 6-6"),
    "chevron-up": path("M6 14.5l6-6 6 6"),
    # program
    "settings": path("M4 7.5h7.5M16.5 7.5H20M4 16.5h3.5M12.5 16.5H20") + circle(14, 7.5, 2.4) + circle(10, 16.5, 2.4),
    "theme-dark": path("M20 14.3A8.25 8.25 0 1 1 9.7 4a6.6 6.6 0 0 0 10.3 10.3Z"),
    "theme-light": circle(12, 12, 3.9) + path("M12 2.75v1.75M12 19.5v1.75M2.75 12H4.5M19.5 12h1.75M5.46 5.46 6.7 6.7M17.3 17.3l1.24 1.24M18.54 5.46 17.3 6.7M6.7 17.3l-1.24 1.24"),
    "palette": rect(3.5, 4.5, 17, 15, 2.5) + path("M7.5 9.25 10.5 12l-3 2.75M12.5 15h4"),
    "history": path("M4.6 13.2a7.75 7.75 0 1 0 1.9-6.3L4.25 9.2", "M4.25 4.75V9.2H8.7", "M12 8v4.4l3 1.8"),
    "flag": path("M5.5 21V4.25", "M5.5 4.75h12.75l-2.5 4.1 2.5 4.15H5.5"),
    "filter": path("M4 5h16l-6.25 7.25V19l-3.5-2v-4.75Z"),
    "person": circle(12, 7.75, 3.75) + path("M4.75 20.25a7.25 7.25 0 0 1 14.5 0"),
    "skeleton": circle(12, 4.75, 2) + path("M12 7v6.75M12 8.75 6.5 10.5l-1 4M12 8.75l5.5 1.75 1-4M12 13.75 8.75 17l.5 4M12 13.75 15.25 17l-.5 4"),
    "warning": path("M10.55 4.6 3.1 17.4a1.75 1.75 0 0 0 1.5 2.6h14.8a1.75 1.75 0 0 0 1.5-2.6L13.45 4.6a1.68 1.68 0 0 0-2.9 0Z", "M12 9.5v4.25") + dot(12, 16.75),
    "error": path("M8.4 3.5h7.2l4.9 4.9v7.2l-4.9 4.9H8.4l-4.9-4.9V8.4Z", "M12 7.75v5.25") + dot(12, 16.25),
    "info": RING + path("M12 11.25v5") + dot(12, 7.9),
    "help": RING + path("M9.4 9.4a2.65 2.65 0 1 1 4 2.3c-.9.55-1.4 1-1.4 2") + dot(12, 16.6),
    "check": path("M4.75 12.75 9.5 17.5 19.25 6.75"),
    "close": path("M6 6l12 12M18 6 6 18"),
    "more": dot(5.5, 12, 1.5) + dot(12, 12, 1.5) + dot(18.5, 12, 1.5),
}  # fmt: skip


def write_icons() -> None:
    ICONS.mkdir(parents=True, exist_ok=True)
    for name, body in TABLE.items():
        (ICONS / f"{name}.svg").write_text(f"{HEAD}{body}</svg>\n", encoding="utf-8", newline="\n")


def render_program_icon(size: int = 256) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(str(ICONS / "poseapp.svg")).render(painter)
    painter.end()
    image.save(str(ICONS / "poseapp.png"))


def render_sheet(path: Path) -> None:
    """Every icon at 48 and at 20 pixels on dark and on light ground, with its name, and the program icon."""
    from PySide6.QtCore import QByteArray, QRectF, Qt
    from PySide6.QtGui import QColor, QFont, QFontDatabase, QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    QFontDatabase.addApplicationFont(str(ICONS.parent / "fonts" / "Inter-Regular.otf"))
    names = sorted(TABLE)
    columns, cell, row = 10, 128, 96
    rows = -(-len(names) // columns)
    image = QImage(columns * cell, rows * row + 280, QImage.Format.Format_RGB32)
    image.fill(QColor("#1e2127"))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(QFont("Inter", 8))
    for i, name in enumerate(names):
        x, y = i % columns * cell, i // columns * row
        svg = (ICONS / f"{name}.svg").read_text(encoding="utf-8")
        painter.fillRect(QRectF(x + 72, y + 14, 48, 48), QColor("#f4f5f7"))
        for color, box in (("#e6e9ef", QRectF(x + 14, y + 14, 48, 48)), ("#22262e", QRectF(x + 86, y + 28, 20, 20))):
            QSvgRenderer(QByteArray(svg.replace("currentColor", color).encode())).render(painter, box)
        painter.setPen(QColor("#9aa3b2"))
        painter.drawText(QRectF(x, y + 66, cell, 20), Qt.AlignmentFlag.AlignCenter, name)
    renderer = QSvgRenderer(str(ICONS / "poseapp.svg"))
    for x, size in ((12, 256), (290, 128), (440, 64), (520, 32), (570, 16)):
        renderer.render(painter, QRectF(x, rows * row + 12, size, size))
    painter.end()
    image.save(str(path))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write the icons.")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet to this PNG")
    options = parser.parse_args(arguments)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QGuiApplication

    application = QGuiApplication([])
    write_icons()
    render_program_icon()
    if options.sheet:
        render_sheet(options.sheet)
    application.quit()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
