"""The checks that exist. Each module of the package ``builtin`` registers its own; other packages may add theirs."""

from __future__ import annotations

import importlib
import pkgutil
import re
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from engine.errors import LabelError
from engine.labels.checks.base import Check

ENTRY_POINTS = "poseapp.checks"
"""Entry-point group of other packages: each entry is a module that calls :func:`register_check`."""

_ID = re.compile(r"[a-z][a-z0-9_]*")
C = TypeVar("C", bound=type[Check])
_checks: dict[str, type[Check]] = {}


def register_check(check: C) -> C:
    """Class decorator: make a check known by its id; another of the same id is replaced."""
    if not _ID.fullmatch(check.id):
        raise LabelError(f"a check cannot have the id {check.id!r}: use lower-case letters, digits and _")
    _checks[check.id] = check
    return check


def unregister_check(id: str) -> None:
    """Forget a check; nothing happens if there is none of this id."""
    _checks.pop(id, None)


def checks() -> list[type[Check]]:
    """All checks, by title."""
    _import_all()
    return sorted(_checks.values(), key=lambda check: check.title)


def find_check(id: str) -> type[Check]:
    """The check with this id ("-" is allowed for "_").

    Raises:
        LabelError: there is none; a similar id is suggested.
    """
    _import_all()
    name = id.strip().replace("-", "_")
    if name not in _checks:
        similar = get_close_matches(name, _checks, n=1)
        hint = f"did you mean {similar[0]!r}?" if similar else f"there are {', '.join(sorted(_checks))}"
        raise LabelError(f"there is no check {id!r}; {hint}")
    return _checks[name]


@cache
def _import_all() -> None:
    package = importlib.import_module("engine.labels.checks.builtin")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()
