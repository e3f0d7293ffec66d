"""Where the videos of a SLEAP file are now: its paths are those of the computer on which it was written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path


def find_videos(
    names: Iterable[str], file: Path, given: Mapping[str, Path] | None = None
) -> tuple[dict[str, Path], list[str]]:
    """Find videos by their names in a label file.

    In this order: where a person says; the path as it is written; the same path, or its last parts, below the folder
    of the label file, the two folders above it, and ``videos`` in them. The more folders of the path agree, the better.
    A file that several names could mean by its bare name alone is taken for none of them.

    Args:
        names: with ``/`` or ``\\\\``. given: where videos are, by name.

    Returns:
        the file of each name that was found, and the names that are ambiguous.
    """
    wanted = list(dict.fromkeys(name for name in names if name))
    found: dict[str, Path] = {}
    matches: dict[str, tuple[Path, int]] = {}
    for name in wanted:
        if given and name in given:
            found[name] = Path(given[name])
            continue
        match = _match(name, file)
        if match is not None:
            matches[name] = match
    claims: dict[str, list[str]] = {}
    for name, (path, _) in matches.items():
        claims.setdefault(os.path.realpath(path), []).append(name)
    taken = {os.path.realpath(path) for path in found.values()}
    bases = Counter(_parts(name)[-1] for name in {_plain(name): name for name in wanted}.values() if _parts(name))
    ambiguous: list[str] = []
    for place, claimants in claims.items():
        most = max(matches[name][1] for name in claimants)
        best = [name for name in claimants if matches[name][1] == most]
        if most == 1 and any(len(_parts(name)) > 1 and bases[_parts(name)[-1]] > 1 for name in best):
            best = []
        if place not in taken and len({_plain(name) for name in best}) == 1:
            found.update((name, matches[name][0]) for name in best)
        ambiguous += [name for name in claimants if name not in found]
    return found, ambiguous


def _match(name: str, file: Path) -> tuple[Path, int] | None:
    """A file, and how many parts of the name agree with its path."""
    plain = _plain(name)
    parts = _parts(name)
    if not parts:
        return None
    if os.path.isabs(plain) and Path(plain).is_file():
        return Path(plain), len(parts) + 1
    here = file.absolute().parent
    homes = [here, *list(here.parents)[:2]]
    for start in range(len(parts)):
        tail = parts[start:]
        for home in homes:
            for place in (home.joinpath(*tail), home.joinpath("videos", *tail)):
                if place.is_file():
                    return place, _agreeing(place, parts)
    return None


def _agreeing(place: Path, parts: list[str]) -> int:
    """How many of the last parts of a path are those of a name."""
    count = 0
    for mine, other in zip(reversed(place.parts), reversed(parts)):
        if mine != other:
            break
        count += 1
    return count


def _parts(name: str) -> list[str]:
    return [part for part in _plain(name).split("/") if part not in ("", ".", "..")]


def _plain(name: str) -> str:
    return name.replace("\\", "/")
