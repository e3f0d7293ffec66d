"""Left and right, read from the names of keypoints.

Datasets write sides in many ways: as a word (``left_ear``, ``LeftEar``, ``leftear``, ``oreille_gauche``, ``左耳``), as
a letter set apart (``L_Ear``, ``ear.l``, ``earL``, ``L1``), as an abbreviation (``FLpaw``, ``paw1LH``, ``ojo_izq``), as
a letter at the edge of a word (``lwrist``). Each way is a *tier*; an earlier tier is trusted over a later one, and none
counts unless the mirrored name exists too and the rest of both names is equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

# Side words that are recognised anywhere in a name, also run together with other words.
_LONG_WORDS = (
    ("left", "right"),
    ("gauche", "droite"),
    ("gauche", "droit"),
    ("linkes", "rechtes"),
    ("linker", "rechter"),
    ("linken", "rechten"),
    ("linke", "rechte"),
    ("links", "rechts"),
    ("sinistra", "destra"),
    ("sinistro", "destro"),
    ("sinistra", "dextra"),
    ("sinister", "dexter"),
    ("sinistrum", "dextrum"),
    ("izquierda", "derecha"),
    ("izquierdo", "derecho"),
    ("esquerda", "direita"),
    ("esquerdo", "direito"),
    ("venstre", "højre"),
    ("venstre", "høyre"),
    ("vänster", "höger"),
    ("vanster", "hoger"),
    ("lewy", "prawy"),
    ("lewa", "prawa"),
    ("lewe", "prawe"),
    ("левый", "правый"),
    ("левая", "правая"),
    ("левое", "правое"),
    ("hidari", "migi"),
    ("左", "右"),
    ("왼", "오른"),
)
# Side words that must stand apart: between separators or digits, or set off by capitals.
_SHORT_WORDS = (
    ("near", "off"),  # of horses and cattle: the near side is the left one
    ("sx", "dx"),
    ("sin", "dex"),
    ("sin", "dx"),
    ("izq", "der"),
    ("izq", "dcha"),
    ("izqda", "dcha"),
    ("esq", "dir"),
    ("gch", "drt"),
    ("lft", "rgt"),
    ("lft", "rt"),
    ("lt", "rt"),
    ("li", "re"),
    ("sol", "sag"),
    ("sol", "sağ"),
    ("zuo", "you"),
    ("좌", "우"),
)
_RUN_TOGETHER = (("near", "off"),)  # short words that also count as the beginning of a longer one (``Nearknee``)
_MIRRORED = {"l": "r", "r": "l", "L": "R", "R": "L"}
_FRENCH = {"g": ("left", "d"), "d": ("right", "g"), "G": ("left", "D"), "D": ("right", "G")}
_END_LETTERS = frozenset("fhbrmFHBRM")  # front, hind, back, rear, middle beside a side letter: FL, RH, ml
_REST_LETTERS = 3
"""Letters that must be left of a word when its side letter is taken away: ``lwrist`` is a side, ``lip`` is not."""
_ABBREVIATED = frozenset(pair for side in "lr" for end in "fhbm" for pair in (side + end, end + side)) | {"rl", "rr"}
_VOWELS = frozenset("aeiouyAEIOUY")
_TIERS = 6
_NUMBERED = re.compile(r"(?:k|kp|kpt|keypoint|key_point|point|pt|p|joint|node|landmark|lm|part|bodypart)?[ _.-]*\d+")


class SidedPoint(Protocol):
    """What :func:`why_not_mirrored` needs to know of a keypoint."""

    @property
    def name(self) -> str: ...
    @property
    def swap(self) -> str: ...
    @property
    def side(self) -> str: ...


def guess_swaps(names: Sequence[str]) -> dict[str, str]:
    """Left/right partners that follow from the names; both directions of each pair.

    A name with no mirrored counterpart among ``names`` is left out: it lies on the middle line, or its partner is
    missing.
    """
    known = set(names)
    swaps: dict[str, str] = {}
    for tier in range(_TIERS):
        for name in names:
            if name in swaps:
                continue
            for _, other in _mirrored(name, tier):
                if other in known and other != name and other not in swaps:
                    if tier == _FRENCH_TIER and _is_enumeration(name, other, known):
                        continue
                    swaps[name], swaps[other] = other, name
                    break
    _pair_numbered([name for name in names if name not in swaps], swaps)
    return swaps


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
        for side, other in _mirrored_without_numbers(name):
            if other == _without_numbers(partner):
                return side
    left, right = "左" in name, "右" in name
    for token in re.split(r"[\W_]+", name):
        word = re.match(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", token)
        first = word.group().lower() if word else ""
        left |= first in _LEFT_WORDS or token in ("l", "L")
        right |= first in _RIGHT_WORDS or token in ("r", "R")
    if left == right:
        return "middle"
    return "left" if left else "right"


def why_not_mirrored(points: Sequence[SidedPoint]) -> str:
    """Why pictures with these keypoints must not be mirrored, "" where they may.

    A mirrored picture shows a left ear as a right ear. That is only right where each point's partner is known: by
    ``swap``, or because the point lies on the middle line. A point without a partner counts as such when its ``side``
    says "middle", or when other points have partners and its name does not speak of a side.
    """
    alone = [point for point in points if not point.swap and point.side != "middle"]
    if not alone:
        return ""
    if len(points) == len(alone):
        return "no left/right pairs are known"
    paired_numbers = any(point.swap and _NUMBERED.fullmatch(point.name.lower()) for point in points)
    has_far = any("far" in _tokens(point.name.lower()) for point in points)
    sided = [
        point.name
        for point in alone
        if point.side in ("left", "right")
        or _speaks_of_a_side(point.name, has_far)
        or (not paired_numbers and _NUMBERED.fullmatch(point.name.lower()))
    ]
    if not sided:
        return ""
    listed = ", ".join(sided[:3]) + (f" and {len(sided) - 3} more" if len(sided) > 3 else "")
    return f"no left/right partner is known for {listed}"


def _speaks_of_a_side(name: str, has_far: bool) -> bool:
    if side_of(name) != "middle":
        return True
    tokens = _tokens(name)
    lower = {token.lower() for token in tokens}
    short = {word for pair in _SHORT_WORDS for word in pair if len(word) > 2} - {
        "off",
        "near",
        "sin",
        "der",
        "dir",
        "you",
    }
    if lower & short or (not has_far and lower & {"near"}):
        return True
    if any(token.lower() in _ABBREVIATED for token in tokens):
        return True
    return any(token in ("L", "R") for token in tokens[1:] if not name[-1:].isdigit())


# --- ways of writing a side


_FRENCH_TIER = 3


def _mirrored(name: str, tier: int) -> Iterator[tuple[str, str]]:
    """The side that a name would have by this tier, and the name of its partner."""
    if tier == 0:
        yield from _by_word(name)
    elif tier == 1:
        for i, char in enumerate(name):
            if char in _MIRRORED and _stands_alone(name, i):
                yield _letter_side(char), _with_letter(name, i)
    elif tier == 2:
        yield from _by_short_word(name)
        yield from _by_abbreviation(name)
    elif tier == _FRENCH_TIER:
        yield from _by_french_letter(name)
    elif tier == 4:
        yield from _by_inner_capital(name)
    else:
        for i, char in enumerate(name):
            if char in _MIRRORED and _at_an_edge(name, i) and _leaves_a_word(name, i):
                yield _letter_side(char), _with_letter(name, i)


def _by_word(name: str) -> Iterator[tuple[str, str]]:
    for left, right in _CASED_WORDS:
        for side, this, other in (("left", left, right), ("right", right, left)):
            if this in name:
                yield side, name.replace(this, other)
                if name.count(this) > 1:  # "left_side_left_leg" may pair with "left_side_right_leg"
                    for match in re.finditer(this, name):
                        yield side, name[: match.start()] + other + name[match.end() :]


def _by_short_word(name: str) -> Iterator[tuple[str, str]]:
    for start, end in _spans(name):
        token = name[start:end]
        for left, right in _CASED_SHORT:
            for side, this, other in (("left", left, right), ("right", right, left)):
                if token == this:
                    yield side, name[:start] + other + name[end:]
    for pair in _RUN_TOGETHER:
        for left, right in _cased(pair):
            for side, this, other in (("left", left, right), ("right", right, left)):
                if name.startswith(this) and len(name) >= len(this) + _REST_LETTERS:
                    yield side, other + name[len(this) :]


def _by_abbreviation(name: str) -> Iterator[tuple[str, str]]:
    """``FLpaw``, ``paw1LH``, ``rl_foot``: two letters, one of which says front or hind."""
    for start, end in _spans(name):
        if end - start == 2 and name[start:end].isalpha():
            for i in (start, start + 1):
                rest = name[start + 1 if i == start else start]
                if name[i] in _MIRRORED and rest in _END_LETTERS:
                    yield _letter_side(name[i]), _with_letter(name, i)


def _by_french_letter(name: str) -> Iterator[tuple[str, str]]:
    for start, end in _spans(name):
        token = name[start:end]
        if token in _FRENCH and sum(char.isalpha() for char in name) > 2:
            side, other = _FRENCH[token]
            yield side, name[:start] + other + name[end:]


def _by_inner_capital(name: str) -> Iterator[tuple[str, str]]:
    """``wingLtip``: a capital before a word in small letters."""
    for match in re.finditer(r"(?<=[a-z0-9])[LR](?=[a-z]{3})", name):
        i = match.start()
        if _leaves_a_word(name, i):
            yield _letter_side(name[i]), _with_letter(name, i)


def _stands_alone(name: str, i: int) -> bool:
    """A letter between separators or digits, or set off by capitals (``earL``, ``LEar``, ``lEar``)."""
    before, after = name[i - 1 : i] if i else "", name[i + 1 : i + 2]
    starts = not before.isalpha() or (before.islower() and name[i].isupper())
    ends = not after.isalpha() or (after.isupper() and name[i + 2 : i + 3].islower())
    return starts and ends


def _at_an_edge(name: str, i: int) -> bool:
    """The first or the last letter of a run of letters (``lwrist``, ``LFP``)."""
    return not name[i - 1 : i].isalpha() or not name[i + 1 : i + 2].isalpha() if i else True


def _leaves_a_word(name: str, i: int) -> bool:
    """Whether what is left of the run of letters without letter ``i`` can be a name: ``wrist`` of ``lwrist``, ``FP`` of
    ``LFP``, but not ``ip`` of ``lip``."""
    start, end = i, i + 1
    while start > 0 and name[start - 1].isalpha():
        start -= 1
    while end < len(name) and name[end].isalpha():
        end += 1
    run, rest = name[start:end], name[start:i] + name[i + 1 : end]
    if {run.lower(), _with_letter(name, i)[start:end].lower()} & {"left", "right"}:
        return False  # "light" is no left "ight"
    if len(rest) >= _REST_LETTERS or len(rest) == 1:
        return True
    return run.isupper() and not set(rest) & _VOWELS


def _is_enumeration(name: str, other: str, known: set[str]) -> bool:
    """Whether the letters g and d of two names count up, as in ``p_a``, ``p_b``, ..., ``p_g``."""
    i = next(position for position, (a, b) in enumerate(zip(name, other, strict=True)) if a != b)
    letters = "abcefhijkn" if name[i].islower() else "ABCEFHIJKN"
    return any(name[:i] + letter + name[i + 1 :] in known for letter in letters)


def _pair_numbered(alone: Sequence[str], swaps: dict[str, str]) -> None:
    """Pair names whose numbers differ beside the side (``paw1LH`` and ``paw4RH``), where there is no other choice."""
    by_text: dict[str, list[str]] = {}
    for name in alone:
        by_text.setdefault(_without_numbers(name), []).append(name)
    for name in alone:
        if name in swaps or len(by_text[_without_numbers(name)]) > 1 or not any(char.isdigit() for char in name):
            continue
        for _, other in _mirrored_without_numbers(name):
            candidates = by_text.get(other, [])
            if len(candidates) == 1 and candidates[0] not in swaps and candidates[0] != name:
                swaps[name], swaps[candidates[0]] = candidates[0], name
                break


def _mirrored_without_numbers(name: str) -> Iterator[tuple[str, str]]:
    if sum(char.isalpha() for char in name) > 2:  # not L1 and R2
        for tier in (0, 1, 2):
            for side, other in _mirrored(name, tier):
                yield side, _without_numbers(other)


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _letter_side(char: str) -> str:
    return "left" if char in "lL" else "right"


def _with_letter(name: str, i: int) -> str:
    return name[:i] + _MIRRORED[name[i]] + name[i + 1 :]


def _spans(name: str) -> Iterator[tuple[int, int]]:
    """Start and end of the tokens of a name: by separators, by digits, and by changes of case both ways (``FLpaw`` is
    FL and paw; ``OjoIzq`` is Ojo and Izq)."""
    seen = set()
    for pattern in (r"[^\W\d_A-Z]+|[A-Z]+", r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])"):
        for match in re.finditer(pattern, name):
            if match.span() not in seen:
                seen.add(match.span())
                yield match.span()


def _tokens(name: str) -> list[str]:
    return [name[start:end] for start, end in _spans(name)]


def _cased(pair: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """A pair of words in small letters, with a capital, and in capitals."""
    left, right = pair
    yield left, right
    if left.upper() != left:
        yield left.capitalize(), right.capitalize()
        yield left.upper(), right.upper()


def _all_cased(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(cased for pair in pairs for cased in _cased(pair))


_CASED_WORDS = _all_cased(_LONG_WORDS)
_CASED_SHORT = _all_cased(_SHORT_WORDS)
_LEFT_WORDS = frozenset(left for left, _ in _LONG_WORDS)
_RIGHT_WORDS = frozenset(right for _, right in _LONG_WORDS)
