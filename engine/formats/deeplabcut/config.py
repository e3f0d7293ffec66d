"""The few entries of a DeepLabCut ``config.yaml`` that a reader needs; unreadable ones count as missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.utils.files import read_text


@dataclass(frozen=True)
class DlcConfig:
    """Attributes:
    scorer: who labelled. skeleton: pairs of keypoint names.
    identity: whether an individual is the same animal in every image.
    """

    scorer: str = ""
    skeleton: tuple[tuple[str, str], ...] = ()
    identity: bool = False


def read_config(path: Path) -> DlcConfig:
    """Read a configuration; a missing or unreadable file gives an empty one."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError):
        return DlcConfig()
    values = {key: value for key, value in map(_key_and_value, lines) if key}
    return DlcConfig(
        scorer=values.get("scorer", ""),
        skeleton=_skeleton(lines),
        identity=values.get("identity", "").lower() == "true",
    )


def _key_and_value(line: str) -> tuple[str, str]:
    match = re.match(r"(\w+):\s*(.*?)\s*(?:#.*)?$", line)
    return (match.group(1), _unquoted(match.group(2))) if match else ("", "")


def _skeleton(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """The list of lists under ``skeleton:``, in YAML's block or flow style."""
    start = next((n for n, line in enumerate(lines) if line.startswith("skeleton:")), None)
    if start is None:
        return ()
    same_line = lines[start][len("skeleton:") :]
    names: list[str] = []
    for line in lines[start + 1 :]:
        if not re.match(r"\s|-", line):
            break
        if bracket := re.match(r"\s*-\s*\[(.*)\]", line):
            names += _items(bracket.group(1))
        elif item := re.match(r"[\s-]*-\s+(.+?)\s*$", line):
            names.append(_unquoted(item.group(1)))
    for bracket in re.finditer(r"\[([^\[\]]+)\]", same_line):
        names += _items(bracket.group(1))
    return tuple(zip(names[::2], names[1::2]))


def _items(text: str) -> list[str]:
    return [_unquoted(part) for part in text.split(",") if part.strip()]


def _unquoted(text: str) -> str:
    return text.strip().strip("'\"")
