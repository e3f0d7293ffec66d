"""Ids that are text on one side and numbers on the other: "1" and 1."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

Id = int | str


class IdMatcher:
    """Finds the id that another record means.

    An id that exists as it is stands for itself. Else the number of a text, or the text of a number, is taken, where
    exactly one id fits.

    Attributes:
        matched: how many ids were found in the other way of writing.
    """

    def __init__(self, ids: Iterable[Id]) -> None:
        self._ids: Collection[Id] = ids if isinstance(ids, set | frozenset | Mapping) else set(ids)
        self._by_text: dict[str, set[Id]] | None = None
        self.matched = 0

    def knows(self, identity: Id) -> bool:
        """Whether an id stands for one of these."""
        return self.match(identity) in self._ids

    def match(self, identity: Id) -> Id:
        """The id that is meant; the given one where none, or more than one, fits."""
        if identity in self._ids:
            return identity
        if self._by_text is None:  # few files need it, and it is large
            self._by_text = {}
            for known in self._ids:
                self._by_text.setdefault(_normalized(known), set()).add(known)
        candidates = self._by_text.get(_normalized(identity), set())
        if len(candidates) != 1:
            return identity
        self.matched += 1
        return next(iter(candidates))


def _normalized(identity: Id) -> str:
    """The same for 1, "1", " 1", "001" and "1.0"."""
    if isinstance(identity, int):
        return str(identity)
    text = identity.strip()
    whole, _, fraction = text.partition(".")
    if not fraction.strip("0") and whole.lstrip("-").isascii() and whole.lstrip("-").isdecimal() and len(whole) < 20:
        return str(int(whole))
    return text
