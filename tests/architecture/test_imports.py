"""The house rules, shown by running the programs rather than by reading them."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROOT_MODULES = ("torch", "torchvision")


def loaded_after(statement: str, *names: str) -> list[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "module",
    [
        "engine",
        "engine.schema.schema",
        "engine.formats.coco.dataset",
        "engine.media.images",
        "engine.zoo",
        "engine.train.config",
    ],
)
def test_contract_side_of_the_engine_loads_neither_torch_nor_qt(module: str) -> None:
    assert loaded_after(f"import {module}", *ROOT_MODULES, "PySide6") == []


def test_importing_the_main_window_loads_no_torch() -> None:
    assert loaded_after("import poseapp.app.application, poseapp.window.main_window", *ROOT_MODULES) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "engine.inference.pose_estimator",
        "engine.inference.detector",
        "engine.inference.pose_model",
        "engine.train.trainer",
    ],
)
def test_torch_side_of_the_engine_loads_no_qt(module: str) -> None:
    assert loaded_after(f"import {module}", "PySide6", "pyqtgraph", "poseapp") == []


def test_project_model_and_tools_load_no_qt() -> None:
    project = "import poseapp.project.store, poseapp.project.edits.basic"
    tools = "import poseapp.canvas.tools, poseapp.canvas.hit_test, poseapp.jobs.base"
    assert loaded_after(f"{project}\n{tools}", "PySide6", "pyqtgraph") == []
