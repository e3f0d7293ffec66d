"""A window with one more tool, used by mouse and keys; run by ``test_added_tool`` in its own process.

Args: file of the tool, project. Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from PySide6.QtCore import QEventLoop, QPoint, Qt
from PySide6.QtTest import QTest

from poseapp.canvas import tools

LEFT, NO_KEYS = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def main(source: Path, project: Path) -> None:
    tools.TOOLS = (*tools.TOOLS, runpy.run_path(str(source))["OccludeTool"])  # as step 2 of the page says

    from poseapp.app.application import make_application
    from poseapp.window.main_window import MainWindow

    application = make_application()
    window = MainWindow()
    window.resize(1200, 800)
    window.show()
    window.open_paths([project])
    while window.canvas.image_size is None or window.runner.active():  # the test that started this has a limit
        application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
    canvas, store = window.canvas, window.session.store
    canvas.setFocus()
    action = window.actions_by_id["tool_occlude"]
    menu = next(m.menu() for m in window.menuBar().actions() if m.text() == "Pose")
    assert menu is not None
    results: dict[str, object] = {
        "menu": action in menu.actions(),
        "text": action.text(),
        "tool_bar": action in window.tools.actions(),
        "key": action.shortcut().toString(),
        "status_tip": action.statusTip(),
        "has_icon": not action.icon().isNull(),
        "in_palette": any(result is action for _, result in window._palette_actions()),
        "mouse_help": ["Mark points as occluded", "Drag over them"]
        in [list(line) for line in window.keys_sheet._rows("Mouse")],
        "before": canvas.tool,
    }
    QTest.keyClick(canvas, Qt.Key.Key_Y)
    window.refresh_actions_now()
    results |= {"tool": canvas.tool, "checked": action.isChecked(), "cursor": canvas.viewport().cursor().shape().name}
    view = canvas.viewport()

    def at(x: float, y: float) -> QPoint:
        return canvas.to_view(x, y).toPoint()

    QTest.mouseMove(view, at(100, 40))
    QTest.mousePress(view, LEFT, NO_KEYS, at(100, 40))
    for position in ((100, 60), (125, 75), (150, 90), (170, 100)):
        QTest.mouseMove(view, at(*position))
    QTest.mouseRelease(view, LEFT, NO_KEYS, at(170, 100))
    assert store is not None
    assert window.session.frame is not None
    results["visibility"] = store.instances(window.session.frame)[0].visibility.tolist()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    results["after_escape"] = canvas.tool
    window.close()
    application.processEvents()
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
