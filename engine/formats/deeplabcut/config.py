"""The few lines of a DeepLabCut ``config.yaml`` that an import needs; what cannot be read is as if not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.utils.files import read_text


@dataclass(frozen=True)
class DlcConfig:
    """Attributes: scorer; skeleton: pairs of point names; identity: individuals are the same ones in every image."""

    scorer: str = ""
    skeleton: tuple[tuple[str, str], ...] = ()
    identity: bool = False


def read_config(path: Path) -> DlcConfig:
    """Read a config; a missing or unreadable one is empty."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError):
        return DlcConfig()
    values = {key: value for key, value in map(_entry, lines) if key}
    return DlcConfig(
        scorer=values.get("scorer", ""),
        skeleton=_pairs(lines),
        identity=values.get("identity", "").lower() == "true",
    )


def _entry(line: str) -> tuple[str, str]:
    found = re.match(r"(\w+):\s*(.*?)\s*(?:#.*)?$", line)
    return (found.group(1), _bare(found.group(2))) if found else ("", "")


def _pairs(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """The list of lists under ``skeleton:``, in either of YAML's ways of writing it."""
    start = next((n for n, line in enumerate(lines) if line.startswith("skeleton:")), None)
    if start is None:
        return ()
    inside = lines[start][len("skeleton:") :]
    flat: list[str] = []
    for line in lines[start + 1 :]:
        if not re.match(r"\s|-", line):
            break
        if bracket := re.match(r"\s*-\s*\[(.*)\]", line):
            flat += _items(bracket.group(1))
        elif item := re.match(r"[\s-]*-\s+(.+?)\s*$", line):
            flat.append(_bare(item.group(1)))
    for bracket in re.finditer(r"\[([^\[\]]+)\]", inside):
        flat += _items(bracket.group(1))
    return tuple(zip(flat[::2], flat[1::2]))


def _items(text: str) -> list[str]:
    return [_bare(part) for part in text.split(",") if part.strip()]


def _bare(text: str) -> str:
    return text.strip().strip("'\"")
