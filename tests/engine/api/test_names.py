"""The public API: its names, what importing it loads, and that its examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.api import runs

ROOT = Path(__file__).resolve().parents[3]
NAMES = [
    "Model", "ModelEntry", "Pose", "PoseError", "Poses", "VideoFrame", "check_labels", "evaluate", "export",
    "list_models", "load_model", "read_labels", "train", "write_labels",
]  # fmt: skip
HEAVY = ("torch", "numpy", "cv2", "msgspec", "av", "h5py", "tqdm", "platformdirs", "PySide6", "PIL")


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.strip()


def test_the_names_are_these() -> None:
    assert engine.__all__ == NAMES
    assert all(hasattr(engine, name) for name in NAMES)
    assert set(NAMES) <= set(dir(engine))
    with pytest.raises(AttributeError, match="no attribute 'load_modl'"):
        _ = engine.load_modl  # type: ignore[attr-defined]


def test_type_checkers_see_every_name() -> None:
    tree = ast.parse(Path(engine.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    seen = {alias.asname: (node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom)
            for alias in node.names}  # fmt: skip
    assert sorted(seen) == sorted(NAMES)
    for name, (module, original) in seen.items():
        assert module is not None
        assert name == original
        defined = getattr(importlib.import_module(module), name)
        assert callable(getattr(engine, name))
        # A function that is also a module is forwarded to by the module.
        assert inspect.ismodule(getattr(engine, name)) or getattr(engine, name) is defined
    assert (ROOT / "engine" / "py.typed").is_file()


def test_importing_the_engine_loads_nothing_else() -> None:
    loaded = _run("import sys; before = set(sys.modules); import engine; print(*sorted(set(sys.modules) - before))")
    ours = [name for name in loaded.split() if name.startswith(("engine", "resources"))]
    assert ours == ["engine"]
    assert not {name.split(".")[0] for name in loaded.split()} & set(HEAVY)


def test_listing_models_loads_neither_torch_nor_numpy() -> None:
    assert (
        _run("import sys, engine; engine.list_models(); print(sorted({'torch', 'numpy'} & set(sys.modules)))") == "[]"
    )


@pytest.mark.parametrize(
    "first",
    [
        "import engine",
        "import engine.train.config",
        "from engine.train import config",
        "import engine.train, engine.export, engine.evaluate",
        "from engine import train, export",
        "import importlib, engine; engine.train; importlib.reload(engine)",
    ],
)
def test_modules_that_are_functions_can_be_called_whatever_is_imported_first(first: str) -> None:
    code = (
        f"{first}\nimport engine, engine.errors, types\n"
        "assert isinstance(engine.train, types.ModuleType)\n"
        "from engine.train.config import TrainConfig\n"
        "try: engine.train('nothing.json', out='out', epochs=-1)\n"
        "except engine.PoseError as error: print(error)\n"
        "try: engine.export('movenet_lightning', 'model.txt')\n"
        "except engine.PoseError as error: print(error)\n"
    )
    first_line, second_line = _run(code).splitlines()
    assert "epochs" in first_line
    assert second_line == "model.txt: the name of the file must end in .onnx"


DOCUMENTED = {name: getattr(runs, name, None) or getattr(engine, name) for name in engine.__all__}
EXAMPLES = [
    test
    for name, documented in DOCUMENTED.items()
    if documented.__module__.startswith("engine.api")
    for test in doctest.DocTestFinder().find(documented, name, globs={})
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_of_a_docstring_runs(example: doctest.DocTest, folder: Path) -> None:
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    runner.run(example, out=output.append)
    assert runner.tries
    assert runner.failures == 0, "".join(output)


def test_every_function_has_an_example() -> None:
    with_example = {example.name.split(".")[0] for example in EXAMPLES}
    functions = {name for name, documented in DOCUMENTED.items() if inspect.isfunction(documented)}
    assert functions - {"list_models"} | {"Model", "Poses"} == with_example
