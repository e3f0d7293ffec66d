"""The version stands in one place, and the packages say that they are typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine
import poseapp

ROOT = Path(__file__).resolve().parents[2]


def test_no_other_file_of_the_program_holds_the_version() -> None:
    files = [ROOT / "pyproject.toml", ROOT / "poseapp.spec", ROOT / "CITATION.cff"]
    files += [file for package in ("engine", "poseapp") for file in (ROOT / package).rglob("*.py")]
    holding = [file.relative_to(ROOT) for file in files if f'"{engine.__version__}"' in file.read_text("utf-8")]
    assert holding == [Path("engine/__init__.py")]
    assert poseapp.__version__ == engine.__version__


def test_an_installation_gets_that_version_and_the_marks_of_typed_packages() -> None:
    pytest.importorskip("setuptools")
    code = """if True:
        from setuptools.config.pyprojecttoml import read_configuration
        tool = read_configuration("pyproject.toml", expand=True)
        print(tool["project"]["version"], tool["tool"]["setuptools"]["package-data"])
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version, _, data = done.stdout.strip().partition(" ")
    assert version == engine.__version__
    for package in ("engine", "poseapp"):
        assert f"'{package}': ['py.typed']" in data
        assert (ROOT / package / "py.typed").is_file()


def test_a_checkout_tells_its_own_version_whatever_is_installed(tmp_path: Path) -> None:
    (tmp_path / "poseapp-9.9.dist-info").mkdir()
    (tmp_path / "poseapp-9.9.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: poseapp\nVersion: 9.9\n")
    done = subprocess.run(
        [sys.executable, "-m", "poseapp", "--version"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"poseapp {engine.__version__}"
