"""Keys: presets without conflicts, files that come back, nonsense that is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseapp.app.shortcuts import (
    PRESETS,
    KeymapError,
    changes_of,
    conflicts,
    keymap_from_plain,
    preset,
    read_keymap,
    with_changes,
    write_keymap,
)
from poseapp.window.actions import ACTIONS, DEFAULT_KEYS


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_verbs_that_exist_and_no_key_twice(name: str) -> None:
    known = {row.id for row in ACTIONS}
    assert set(PRESETS[name]) <= known
    assert conflicts(preset(name, DEFAULT_KEYS)) == {}
    assert set(preset(name, DEFAULT_KEYS)) == known
    assert with_changes(changes_of(preset(name, DEFAULT_KEYS), DEFAULT_KEYS), DEFAULT_KEYS) == preset(
        name, DEFAULT_KEYS
    )


@pytest.mark.parametrize("file", ["keys.toml", "keys.json"])
@pytest.mark.parametrize("name", PRESETS)
def test_keys_come_back_from_a_file(tmp_path: Path, file: str, name: str) -> None:
    path = tmp_path / file
    write_keymap(path, preset(name, DEFAULT_KEYS))
    result = read_keymap(path, DEFAULT_KEYS)
    assert conflicts(result) == {}
    plain = {n: list(keys) for n, keys in preset(name, DEFAULT_KEYS).items()}
    expected = keymap_from_plain(plain, DEFAULT_KEYS)
    assert {k: v for k, v in result.items() if v} == {k: v for k, v in expected.items() if v}
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_taken_by_a_change_is_gone_from_its_verb() -> None:
    changed = with_changes({"flag": ("Ctrl+Z",)}, DEFAULT_KEYS)
    assert changed["flag"] == ("Ctrl+Z",)
    assert changed["undo"] == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keys = 3", "no table"),
        ("[keys]\nflag = 3", "not a list"),
        ('[keys]\nflag = ["Blah+"]', "is no key"),
        ('[keys]\nflag = ["J"]\nreviewed = ["j"]', "stands for"),
        ("[keys", "no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeymapError, match=words):
        read_keymap(path, DEFAULT_KEYS)
    with pytest.raises(KeymapError, match="cannot be read"):
        read_keymap(tmp_path / "none.toml", DEFAULT_KEYS)
    with pytest.raises(KeymapError, match="cannot be written"):
        write_keymap(tmp_path / "none" / "keys.toml", DEFAULT_KEYS)


def test_verbs_of_another_version_are_passed_over() -> None:
    assert keymap_from_plain({"fly": ["J"]}, DEFAULT_KEYS) == DEFAULT_KEYS


keys = st.sampled_from(["J", "Ctrl+J", "D", "A", "Ctrl+Z", "F5", "Shift+F5", "/", "Esc"])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([row.id for row in ACTIONS]), st.lists(keys, max_size=2), max_size=6))
def test_any_table_of_keys_is_refused_or_free_of_conflicts(data: dict[str, list[str]]) -> None:
    try:
        result = keymap_from_plain(data, DEFAULT_KEYS)
    except KeymapError:
        return
    assert conflicts(result) == {}
