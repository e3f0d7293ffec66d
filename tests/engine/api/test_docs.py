"""docs/api.md, docs/extending/check.md and the notebook are true: what they show is run."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.labels import Category, Frame, Instance, Labels
from engine.labels.checks import run_checks, unregister_check
from engine.media.images import read_image
from engine.schema.builtin import find_schema
from engine.train import resolve
from tests.engine.api.conftest import ROOT, coco_labels
from tests.engine.formats.sleap.slp_files import SEEN, write_slp

NOTEBOOK = ROOT / "docs" / "notebooks" / "first-steps.ipynb"


def python_of(path: Path) -> str:
    """The first block of Python of a page."""
    block = re.search(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1]


@pytest.mark.slow
def test_the_first_example_of_the_api_runs_as_it_is_written(
    folder: Path, short_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the files that it names; only how long training takes by default is shortened."""
    for name, value in {"POSE_STEPS": 2, "STEPS_PER_EPOCH": 1, "POSE_PASSES": 1}.items():
        monkeypatch.setattr(resolve, name, value)
    shutil.copy(short_film, "film.mp4")
    write_slp(Path("labels.slp"), [(0, 0, [(0, -1, -1, 0.0, SEEN)])], [{"backend": {"filename": "film.mp4"}}])
    for name in ("photos", "val2017"):
        Path(name).mkdir()
        for image in ("photo.jpg", "portrait.jpg"):
            shutil.copy(image, name)
    Path("val.json").write_text(json.dumps(coco_labels()))
    names: dict[str, Any] = {}
    exec(compile(python_of(ROOT / "docs" / "api.md"), "api.md", "exec"), names)  # noqa: S102 (our own page)
    assert len(names["poses"]) == 1
    assert names["frame"].index == 3
    assert read_image("out.png").shape == (600, 512, 3)
    assert json.loads(Path("coco.json").read_text())["annotations"][0]["keypoints"]
    assert names["result"].best == folder / "runs/mouse/best.safetensors"
    assert names["result"].metrics
    assert Path("m.onnx").stat().st_size > 1_000_000


def test_the_table_of_the_api_has_every_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in engine.__all__:
        assert f"`{name}" in page or f"{name}`" in page or f"engine.{name}" in page, name


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells one after the other, as a notebook would; the last line of a cell is what it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    shown: list[Any] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []  # no pictures in the repository
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {index}", "exec"), names)  # noqa: S102 (our own notebook)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), f"cell {index}", "eval"), names))  # noqa: S307
    assert isinstance(shown[0], engine.Poses)
    assert shown[-1][:2] == ["movenet_thunder", "movenet_lightning"]
    assert names["tracks"] == {1: list(range(12))}
    assert names["result"].outcome == "finished"
    assert 0 <= names["evaluation"].metrics["PCK@0.2"] <= 1
    names["frame"] = None
    assert "[" in capsys.readouterr().out


@pytest.fixture
def check_of_the_page() -> Iterator[dict[str, Any]]:
    names: dict[str, Any] = {}
    exec(compile(python_of(ROOT / "docs" / "extending" / "check.md"), "check.md", "exec"), names)  # noqa: S102
    yield names
    unregister_check("few_keypoints")


def test_the_check_of_the_page_works(check_of_the_page: dict[str, Any]) -> None:
    points = np.full((17, 2), 50.0)
    instances = [Instance(0, 0, points, np.array([2] * count + [0] * (17 - count), np.uint8)) for count in (0, 2, 3)]
    labels = Labels([Frame("photo.jpg")], instances, [Category("person", find_schema("coco"))])
    results = list(run_checks(labels, [check_of_the_page["FewKeypoints"]]))
    assert [(finding.where, finding.message) for finding in results] == [
        ("photo.jpg, instance 2", "has 2 labelled keypoints")
    ]
    page = (ROOT / "docs" / "extending" / "check.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 60  # a page
