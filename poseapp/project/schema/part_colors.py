"""Colors that a person has given to parts of the points (face, left hand), kept with the project. No Qt.

By the part's name: what is called the same has one color in all kinds of a project.
"""

from __future__ import annotations

from engine.errors import ProjectError
from poseapp.project.store import ProjectStore

_PREFIX = "part_color/"

PartColors = tuple[tuple[str, int], ...]
"""Name of a part and packed color 0xRRGGBB, by name."""


def part_colors(store: ProjectStore) -> PartColors:
    """The colors that differ from the palette's."""
    sql = "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ? ORDER BY key"
    rows = store.database.rows(sql, (len(_PREFIX), _PREFIX))
    return tuple((str(k)[len(_PREFIX) :], v) for k, v in rows if isinstance(v, int) and 0 <= v < 1 << 24)


def set_part_color(store: ProjectStore, part: str, color: int | None) -> None:
    """Give a part a color, or with None the palette's again.

    Raises:
        ProjectError: no part is named, the number is no color, or the project is open for reading only.
    """
    if not part or (color is not None and not 0 <= color < 1 << 24):
        raise ProjectError("a part has a name, a colour is a number from 0x000000 to 0xFFFFFF")
    with store.database.write():
        if color is None:
            store.database.delete_meta(_PREFIX + part)
        else:
            store.database.set_meta(_PREFIX + part, color)
