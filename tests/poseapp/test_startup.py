"""The window opens without the engine's heavy side."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

START = """
import json, sys
from poseapp.app.application import make_application
application = make_application()
from poseapp.window.main_window import MainWindow
window = MainWindow()
window.show()
application.processEvents()
window.grab()
import psutil
heavy = [name for name in ("torch", "torchvision", "pyqtgraph", "pycocotools", "av", "h5py") if name in sys.modules]
print(json.dumps({"heavy": heavy, "megabytes": psutil.Process().memory_info().rss / 1e6}))
window.close()
"""


@pytest.mark.slow
def test_an_open_window_has_loaded_no_torch_and_is_small() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["heavy"] == []
    assert result["megabytes"] < 250


@pytest.mark.slow
def test_worker_threads_leave_the_interpreter_to_the_window_soon() -> None:
    code = (
        "import sys; from poseapp.app.application import answer_quickly; "
        "answer_quickly(); print(sys.getswitchinterval())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.001
