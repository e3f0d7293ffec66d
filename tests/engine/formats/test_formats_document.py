"""docs/formats.md says what the registries say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from engine.convert import main
from engine.formats.registry import formats
from engine.utils.command_line import run

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "write_formats.py"))
    hint = "run: python tools/write_formats.py"
    assert (ROOT / "docs" / "formats.md").read_text(encoding="utf-8") == script["document"](), hint


def test_the_command_lists_every_format_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["--list", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert all(f"| `{format.name}` | {format.title} |" in printed for format in formats())
