"""Which keys do which verb: the table's own, presets of other programs, changes of a person; as a file to share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtGui import QKeySequence

from engine.errors import PoseError
from engine.utils.files import read_text, replacing
from engine.utils.toml_file import parse_toml

Keymap = Mapping[str, tuple[str, ...]]
"""Action id to keys, portable text of QKeySequence; every action of the window is there."""


class ListedAction(Protocol):
    """What a list of shortcuts shows of an action."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def menu(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]:
        """Default shortcuts."""


PRESETS: dict[str, dict[str, tuple[str, ...]]] = {
    "poseapp": {},
    # After the tables of keys in the documentation of each program; what it has no verb for keeps ours.
    "SLEAP": {
        "nudge_right": ("Right",),
        "nudge_left": ("Left",),
        "tool_box": ("Ctrl+I",),
        "fit": ("Ctrl+=", "F"),
        "zoom_in": ("Ctrl++",),
        "delete": ("Delete", "Ctrl+Backspace"),
        "next_pose": ("`", "Tab"),
        "nothing_here": ("N",),
        "next_unlabelled": ("U",),
        "fine_tune": ("Ctrl+L",),
        "lock_points": ("Ctrl+Alt+L",),
        "hide_others": ("H",),
        "show_labels": ("Ctrl+Tab", "L"),
        "show_bones": ("Ctrl+Shift+Tab", "B"),
    },
    "CVAT": {
        "next_frame": ("F",),
        "previous_frame": ("D",),
        "next_ten": ("V", "Ctrl+Right"),
        "previous_ten": ("C", "Ctrl+Left"),
        "tool_box": ("N",),
        "tool_edit": ("Esc",),
        "occluded": ("Q", "/"),
        "absent": ("O",),
        "fit": ("Ctrl+0",),
        "next_keyframe": ("R", "Alt+Down"),
        "previous_keyframe": ("E", "Alt+Up"),
        "propagate_pose": ("Ctrl+B",),
        "hide_poses": ("H",),
        "hide_others": ("T",),
        "show_labels": ("L",),
    },
    "labelme": {
        "next_frame": ("D", "Ctrl+Shift+D"),
        "previous_frame": ("A", "Ctrl+Shift+A"),
        "tool_box": ("Ctrl+R", "R"),
        "tool_place": ("Ctrl+N", "P"),
        "tool_edit": ("Ctrl+J",),
        "run_frame": ("I",),
        "run_range": ("Ctrl+B",),
        "fit": ("Ctrl+F", "F"),
        "flag": (),
        "hide_others": ("T", "H"),
        "copy_previous": ("Ctrl+P",),
        "open_folder": ("Ctrl+U",),
        "open_images": ("Ctrl+O",),
    },
}


class KeymapError(PoseError):
    """A file of keys that cannot be used."""


def normal(key: str) -> str:
    """A key as Qt writes it; "" for what is no key."""
    text = QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)
    return "" if not text or any(not part.strip() for part in text.split(", ")) else text


def default_keys(actions: Iterable[ListedAction]) -> dict[str, tuple[str, ...]]:
    """The keymap before a person changes anything."""
    return {action.id: action.keys for action in actions}


def with_changes(changes: Mapping[str, tuple[str, ...]], defaults: Keymap) -> dict[str, tuple[str, ...]]:
    """The default keys with these in their place; the action that had one of the new keys loses it."""
    taken = {normal(key) for keys in changes.values() for key in keys}
    keymap = {name: tuple(k for k in keys if normal(k) not in taken) for name, keys in defaults.items()}
    keymap.update({name: tuple(keys) for name, keys in changes.items() if name in defaults})
    return keymap


def preset(name: str, defaults: Keymap) -> dict[str, tuple[str, ...]]:
    """The keymap of another program. Raises KeyError when there is none of this name."""
    return with_changes(PRESETS[name], defaults)


def changes_of(keymap: Keymap, defaults: Keymap) -> dict[str, tuple[str, ...]]:
    """What differs from the default keys."""
    return {name: tuple(keys) for name, keys in keymap.items() if name in defaults and tuple(keys) != defaults[name]}


def conflicts(keymap: Keymap) -> dict[str, list[str]]:
    """Keys that several verbs have, with the verbs."""
    owners: dict[str, list[str]] = {}
    for name, keys in keymap.items():
        for key in dict.fromkeys(normal(key) for key in keys):
            owners.setdefault(key, []).append(name)
    return {key: names for key, names in owners.items() if key and len(names) > 1}


def keymap_from_plain(data: Any, defaults: Keymap, where: object = None) -> dict[str, tuple[str, ...]]:
    """A keymap of plain data ``{verb: [key, ...]}``; verbs that are left out keep the table's keys.

    Raises:
        KeymapError: no such data, a text that is no key, or a key given to two verbs. Unknown verbs are passed over:
            the file may come from another version.
    """
    if not isinstance(data, dict):
        raise KeymapError("holds no table of keys", where=where)
    changes: dict[str, tuple[str, ...]] = {}
    for name, keys in data.items():
        listed = [keys] if isinstance(keys, str) else keys
        if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
            raise KeymapError(f"the keys of {name!r} are not a list of texts", where=where)
        wrong = next((key for key in listed if not normal(key)), None)
        if wrong is not None:
            raise KeymapError(f"{wrong!r} of {name!r} is no key", where=where)
        if name in defaults:
            changes[name] = tuple(normal(key) for key in listed)
    double = conflicts(changes)
    if double:
        key, names = next(iter(double.items()))
        raise KeymapError(f"the key {key} stands for {' and '.join(names)}", where=where)
    return with_changes(changes, defaults)


def read_keymap(path: Path, defaults: Keymap) -> dict[str, tuple[str, ...]]:
    """Read a file of keys, TOML or JSON with a table ``keys``.

    Raises:
        KeymapError: it cannot be read, or what stands in it makes no sense.
    """
    try:
        text = read_text(path)
        data = json.loads(text) if path.suffix.lower() == ".json" else parse_toml(text)
    except OSError as error:
        raise KeymapError(f"cannot be read ({error.strerror})", where=path) from None
    except (ValueError, RecursionError) as error:
        raise KeymapError(f"is no TOML or JSON file ({error})", where=path) from None
    return keymap_from_plain(data.get("keys", data) if isinstance(data, dict) else data, defaults, where=path)


def write_keymap(path: Path, keymap: Keymap) -> None:
    """Write all keys, TOML or by its name JSON; the file appears whole or not at all.

    Raises:
        KeymapError: it cannot be written.
    """
    plain = {name: list(keys) for name, keys in keymap.items()}
    if path.suffix.lower() == ".json":
        text = json.dumps({"keys": plain}, indent=2, ensure_ascii=False) + "\n"
    else:
        lines = [f"{name} = {json.dumps(keys, ensure_ascii=False)}" for name, keys in plain.items()]
        text = "# Keys of poseapp: verb = [key, ...]\n[keys]\n" + "\n".join(lines) + "\n"
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise KeymapError(f"cannot be written ({error.strerror})", where=path) from None
