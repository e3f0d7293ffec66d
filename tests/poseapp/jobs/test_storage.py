"""Folders with links and other things in them, moved: nothing is read from elsewhere, nothing is lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.utils.context import Context
from poseapp.jobs.storage import ClearJob, Copied, CopyFolderJob

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links")


def test_links_stay_links_and_lead_where_they_led(tmp_path: Path) -> None:
    source, target, apart = tmp_path / "models", tmp_path / "new", tmp_path / "apart"
    (source / "deep").mkdir(parents=True)
    apart.mkdir()
    (source / "a.bin").write_text("a")
    (apart / "b.bin").write_text("b")
    (source / "deep" / "inside").symlink_to("../a.bin")
    (source / "outside").symlink_to(apart / "b.bin")
    (source / "relative").symlink_to("../apart/b.bin")
    (source / "folder").symlink_to(apart)
    (source / "dead").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    copied = [step.result for step in CopyFolderJob(source, target, "models").run(Context()) if step.result]
    assert isinstance(copied[0], Copied)
    list(ClearJob((source,), "", copied[0].files).run(Context()))
    assert (target / "deep" / "inside").read_text() == "a"
    assert (target / "outside").read_text() == (target / "relative").read_text() == "b"
    assert (target / "folder" / "b.bin").read_text() == "b"
    assert os.readlink(target / "dead") == "nowhere"
    assert [path.name for path in source.iterdir()] == ["pipe"]
    assert (apart / "b.bin").read_text() == "b"
