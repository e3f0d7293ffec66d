"""TOML files of strangers: bounded before they are parsed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import SchemaError
from engine.utils.toml_file import MAX_KEY_PARTS, parse_toml, read_toml


def test_ordinary_toml_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes('\ufeff[a.b]\r\nc.d = "x.y.z"\r\nlist = [[1], [2]]\r\n'.encode())
    assert read_toml(path, SchemaError) == {"a": {"b": {"c": {"d": "x.y.z"}, "list": [[1], [2]]}}}
    dotted = ".".join(["word"] * 500)
    assert parse_toml(f'text = "{dotted}"\nmore = """\n{dotted}\n"""')["text"] == dotted


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 5000) + " = 1",
        "[" + " . ".join(["a"] * 5000) + "]",
        "[[" + ".".join(['"a b"'] * 5000) + "]]",
        "x = {" + ".".join(["a"] * 5000) + " = 1}",
        "x = " + "[" * 100_000,
        "x = " + "{a=" * 100_000,
        "x = " + "9" * 10_000,
        "x = ",
    ],
)
def test_what_would_take_time_and_memory_without_end_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError, match=r"a\.toml: is not valid TOML") as caught:
        read_toml(path, SchemaError)
    assert len(str(caught.value)) < len(str(path)) + 200
    assert parse_toml(".".join(["a"] * MAX_KEY_PARTS) + "=1")


@pytest.mark.skipif(os.name == "nt", reason="special files of Unix")
def test_pipes_devices_and_huge_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with (tmp_path / "sparse.toml").open("wb") as file:
        file.truncate(8 << 30)
    for name, reason in (("pipe", "named pipe"), ("zero", "device"), ("sparse", "too large")):
        with pytest.raises(SchemaError, match=reason):
            read_toml(tmp_path / f"{name}.toml", SchemaError)
