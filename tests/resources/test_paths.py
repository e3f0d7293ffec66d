"""Resources are found in a checkout and in a frozen folder alike."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import resources


def test_resource_lies_beside_the_package(resources_dir: Path) -> None:
    assert resources.resource_path("schemas/coco.toml") == resources_dir / "schemas" / "coco.toml"
    assert resources.schema_path("coco").is_file()


def test_frozen_program_reads_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resources" / "schemas").mkdir(parents=True)
    (tmp_path / "resources" / "schemas" / "mine.toml").write_text("")
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert resources.schema_path("mine").is_file()
    assert [p.name for p in resources.schema_files()] == ["mine.toml"]


@pytest.mark.parametrize("name", ["../pyproject.toml", "/etc/passwd", "schemas/../../x"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a resource"):
        resources.resource_path(name)
