"""JSON, YAML and XML of label files are read with bounds, and errors name the file."""

import json
from pathlib import Path

import pytest

from engine.errors import LabelError
from engine.formats import text_files
from engine.formats.text_files import head_of, iterate_xml, parse_json, read_json, read_yaml


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_with_a_byte_order_mark_and_nan_is_read(tmp_path: Path) -> None:
    data = read_json(write(tmp_path, "a.json", b'\xef\xbb\xbf{"x": [NaN, 1, "\\ud800"]}'))
    assert data["x"][1:] == [1, "?"]
    assert data["x"][0] != data["x"][0]


@pytest.mark.parametrize("content", [b"{", b"[" * 200_000, b'{"a": "\xff"}', b"", b"nope"])
def test_damaged_json_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "a.json", content)
    with pytest.raises(LabelError, match=r"a\.json"):
        read_json(path)


def test_yaml_gives_plain_data(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "d.yaml", "kpt_shape: [4, 3]\nnames: {0: mouse}\n")) == {
        "kpt_shape": [4, 3],
        "names": {0: "mouse"},
    }


@pytest.mark.parametrize(
    "content",
    ["a: [1", "!!python/object/apply:os.system ['true']", b"\xff\xfe\xff", "[" * 5000 + "]" * 5000, "a: 2020-99-99"],
)
def test_damaged_or_unsafe_yaml_is_an_error_that_names_the_file(tmp_path: Path, content: str | bytes) -> None:
    path = write(tmp_path, "d.yaml", content)
    with pytest.raises(LabelError, match=r"d\.yaml"):
        read_yaml(path)


def test_xml_elements_come_one_by_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.xml", "<annotations><image name='a'><points/></image><image name='b'/></annotations>")
    assert [(e.get("name"), len(e)) for e in iterate_xml(path, frozenset({"image"}), limit=1 << 20)] == [
        ("a", 1),
        ("b", 0),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "<a>",
        "",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<?xml version="1.0" encoding="nonsense"?><a/>',
        "<a>" * 5000 + "</a>" * 5000,
    ],
)
def test_damaged_or_unsafe_xml_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, "a.xml", content)
    with pytest.raises(LabelError, match=r"a\.xml"):
        list(iterate_xml(path, frozenset({"image"}), limit=1 << 20))


def test_the_head_of_what_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert head_of(tmp_path) == head_of(tmp_path / "missing") == b""
    assert head_of(write(tmp_path, "a", "abc"), 2) == b"ab"


def test_halves_of_surrogate_pairs_become_question_marks() -> None:
    assert parse_json(rb'{"a": ["\ud83d", NaN, "\ud83d\ude00"]}', "x")["a"][0] == "?"


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("window", [40, 90, 5000])
def test_a_long_list_is_read_in_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, window: int
) -> None:
    monkeypatch.setattr(text_files, "_STREAMED_FROM", 0)
    monkeypatch.setattr(text_files, "_WINDOW", window)
    entries = [
        {"id": n, "parts": [{"x": [n, {"deep": {}}]}, {"text": "ä},{]\\" * (n % 4)}][: n % 3], "more": {}}
        for n in range(60)
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(entries, indent=indent, ensure_ascii=False), encoding="utf-8")
    assert list(text_files.iterate_json_list(path)) == entries


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ("[]", []),
        ("[ ]", []),
        ('[1, "b", {}]', [1, "b", {}]),
        ('[{"a": 1}, {"a": Infinity}, {"a": 2}]', [{"a": 1}, {"a": float("inf")}, {"a": 2}]),
    ],
)
@pytest.mark.parametrize("streamed_from", [0, 1000])
def test_other_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: object, streamed_from: int
) -> None:
    monkeypatch.setattr(text_files, "_STREAMED_FROM", streamed_from)
    monkeypatch.setattr(text_files, "_WINDOW", 12)
    path = tmp_path / "list.json"
    path.write_text(text)
    assert list(text_files.iterate_json_list(path)) == expected


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2}', '[{"a": 1}, {"a" 2}, {"a": 3}]', "[{}]]", '[{"a": 1}] x', "["])
@pytest.mark.parametrize("streamed_from", [0, 1000])
def test_a_damaged_list_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, streamed_from: int
) -> None:
    monkeypatch.setattr(text_files, "_STREAMED_FROM", streamed_from)
    monkeypatch.setattr(text_files, "_WINDOW", 12)
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(LabelError, match="JSON"):
        list(text_files.iterate_json_list(path))
