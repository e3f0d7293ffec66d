"""A file appears whole or not at all, with the permissions it should have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.contract.files import kept_mode, new_file_mode, replacing


@pytest.mark.parametrize("sync", [True, False])
def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with replacing(path, mode=kept_mode(path), sync=sync, suffix=".txt") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_ends_badly_leaves_the_old_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / ("long" * 60)
    path.write_text("old", encoding="utf-8")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text(encoding="utf-8") == "old"
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.skipif(os.name == "nt", reason="permissions of Unix")
def test_permissions_are_those_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for mode, wanted in ((None, 0o600), (0o644, 0o644), (new_file_mode(), new_file_mode())):
        with replacing(path, mode=mode):
            pass
        assert path.stat().st_mode & 0o777 == wanted
    path.chmod(0o640)
    assert kept_mode(path) == 0o640
    assert kept_mode(tmp_path / "none") == new_file_mode()
