"""Left and right, read from the names of keypoints.

Datasets write sides in many ways: as a word (``left_ear``, ``LeftEar``, ``leftear``, ``左耳``), as a letter set apart
(``L_Ear``, ``ear.l``, ``earL``, ``L1``), as a letter at the edge of a word (``FL_paw``, ``lwrist``). Each way is a
*tier*; an earlier tier is trusted over a later one, and none counts unless the mirrored name exists too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_WORDS = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("左", "右"))
_MIRRORED = {"l": "r", "r": "l", "L": "R", "R": "L"}
_TIERS = 3


def guess_swaps(names: Sequence[str]) -> dict[str, str]:
    """Left/right partners that follow from the names; both directions of each pair.

    A name with no mirrored counterpart among ``names`` is left out: it lies on the middle line, or its partner is
    missing.
    """
    known = set(names)
    found: dict[str, str] = {}
    for tier in range(_TIERS):
        for name in names:
            if name in found:
                continue
            for _, other in _mirrored(name, tier):
                if other in known and other != name and other not in found:
                    found[name], found[other] = other, name
                    break
    return found


def side_of(name: str, partner: str = "") -> str:
    """What side a name tells of: "left", "right" or "middle".

    With a partner the letter or word in which the two names differ decides. Without one only a word or a letter between
    separators counts, so that the vertebra ``L1`` is not taken for a left side.
    """
    if partner:
        for tier in range(_TIERS):
            for side, other in _mirrored(name, tier):
                if other == partner:
                    return side
    left, right = "左" in name, "右" in name
    for token in re.split(r"[^A-Za-z0-9]+", name):
        word = re.match(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", token)
        first = word.group().lower() if word else ""
        left |= first == "left" or token in ("l", "L")
        right |= first == "right" or token in ("r", "R")
    if left == right:
        return "middle"
    return "left" if left else "right"


def _mirrored(name: str, tier: int) -> Iterator[tuple[str, str]]:
    """The side that a name would have by this tier, and the name of its partner."""
    if tier == 0:
        yield from _by_word(name)
    else:
        for i, char in enumerate(name):
            if char in _MIRRORED and (_stands_alone(name, i) if tier == 1 else _at_an_edge(name, i)):
                yield ("left" if char in "lL" else "right"), name[:i] + _MIRRORED[char] + name[i + 1 :]


def _by_word(name: str) -> Iterator[tuple[str, str]]:
    for pair in _WORDS:
        for side, (this, other) in (("left", pair), ("right", pair[::-1])):
            if this in name:
                yield side, name.replace(this, other)
                if name.count(this) > 1:  # "left_side_left_leg" may pair with "left_side_right_leg"
                    for match in re.finditer(this, name):
                        yield side, name[: match.start()] + other + name[match.end() :]


def _stands_alone(name: str, i: int) -> bool:
    """A letter between separators or digits, or set off by capitals (``earL``, ``LEar``, ``lEar``)."""
    before, after = name[i - 1 : i] if i else "", name[i + 1 : i + 2]
    starts = not before.isalpha() or (before.islower() and name[i].isupper())
    ends = not after.isalpha() or (after.isupper() and name[i + 2 : i + 3].islower())
    return starts and ends


def _at_an_edge(name: str, i: int) -> bool:
    """The first or the last letter of a run of letters (``lwrist``, ``FL_paw``)."""
    return not name[i - 1 : i].isalpha() or not name[i + 1 : i + 2].isalpha() if i else True
