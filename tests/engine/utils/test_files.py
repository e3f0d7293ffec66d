"""A file appears whole or not at all, with the permissions it should have."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from engine.errors import PoseError
from engine.utils.files import (
    FileError,
    check_regular,
    kept_mode,
    new_file_mode,
    open_regular,
    read_bytes,
    read_text,
    replacing,
)


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
    for mode, expected in ((None, 0o600), (0o644, 0o644), (new_file_mode(), new_file_mode())):
        with replacing(path, mode=mode):
            pass
        assert path.stat().st_mode & 0o777 == expected
    path.chmod(0o640)
    assert kept_mode(path) == 0o640
    assert kept_mode(tmp_path / "none") == new_file_mode()


SPECIAL = pytest.mark.skipif(os.name == "nt", reason="special files of Unix")


def _special(folder: Path) -> dict[str, Path]:
    """A path of each kind that must not be read, also through links."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "socket"))
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "to_pipe").symlink_to("pipe")
    return {
        "pipe": folder / "pipe",
        "a folder": folder / "folder",
        "socket": folder / "socket",
        "device": folder / "zero",
        "named pipe": folder / "to_pipe",
    }


@SPECIAL
def test_only_regular_files_are_opened_and_nothing_waits(tmp_path: Path) -> None:
    for kind, path in _special(tmp_path).items():
        for read in (open_regular, check_regular, lambda p: read_bytes(p, 10)):
            with pytest.raises(FileError, match=kind) as caught:
                read(path)  # type: ignore[operator]
            assert str(path) in str(caught.value)
            assert isinstance(caught.value, PoseError)
            assert isinstance(caught.value, OSError)
            assert caught.value.strerror
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    assert read_bytes(tmp_path / "link", 3) == b"abc"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(30 << 30)
    for read in (lambda: read_bytes(path, 1 << 20), lambda: open_regular(path, 1 << 20)):
        with pytest.raises(FileError, match=r"too large: 32,212 MB, at most 1 MB"):
            read()
    with open_regular(path) as file:
        assert file.read(2) == b"\0\0"


def test_text_is_read_without_byte_order_mark_and_with_line_feeds(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa\r\nb\rc\n".encode())
    assert read_text(path) == "a\nb\nc\n"


@SPECIAL
def test_a_link_stays_a_link_when_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.json"
    target.write_text("old", encoding="utf-8")
    link = tmp_path / "link.json"
    link.symlink_to("real/a.json")
    with replacing(link) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    new = tmp_path / "dangling"
    new.symlink_to("real/b.json")
    with replacing(new) as temporary:
        temporary.write_text("b", encoding="utf-8")
    assert (tmp_path / "real" / "b.json").read_text(encoding="utf-8") == "b"


@SPECIAL
def test_no_device_pipe_socket_or_folder_is_replaced_by_a_file(tmp_path: Path) -> None:
    for kind, path in _special(tmp_path).items():
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(FileError, match=kind), replacing(path):
            raise AssertionError("nothing is written")
        assert sorted(os.listdir(tmp_path)) == before
