"""Which split of a data set an image belongs to, as its folders say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_SPLIT = re.compile(r"(train|val|test)(?:id|idation|ing)?(?:[-_]?20\d{2})?", re.IGNORECASE)  # valid, train2017


def split_of(name: str) -> tuple[str, str]:
    """The split that the folders of an image name say, "train" without one, and the name below it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    index = _split_folder(parts)
    if index is not None:
        match = _SPLIT.fullmatch(parts[index])
        assert match is not None
        beside = {index - 1, index + 1}
        rest = [p for n, p in enumerate(parts) if n != index and not (n in beside and p.lower() == "images")]
        return match[1].lower(), "/".join(rest)
    if len(parts) > 1 and parts[0].lower() == "images":
        parts = parts[1:]
    return "train", "/".join(parts) or name


def names_split(name: str) -> bool:
    """Whether the folders of an image name say its split."""
    return _split_folder(PurePosixPath(name).parts) is not None


def _split_folder(parts: Sequence[str]) -> int | None:
    """The position of the folder that names the split: the first of a name, or one beside ``images``."""
    for index, part in enumerate(parts[:-1]):
        beside = {index - 1, index + 1} & set(range(len(parts) - 1))
        if _SPLIT.fullmatch(part) and (index == 0 or any(parts[n].lower() in ("images", "labels") for n in beside)):
            return index
    return None
