"""A schema while it is being edited: may be wrong for a while, and remembers where each point came from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import SchemaError
from engine.schema.schema import DEFAULT_PART, DEFAULT_SIGMA, Keypoint, Limb, Schema, guess_swaps, schema_from_dict
from engine.utils.files import replacing
from poseapp.project.schema.migration import Sources


@dataclass(frozen=True)
class DraftPoint:
    """A keypoint, and its position in the schema that was opened (None for a new one)."""

    point: Keypoint
    origin: int | None = None


@dataclass
class SchemaDraft:
    """Points and limbs to be changed; :meth:`schema` checks them."""

    name: str = "own"
    title: str = ""
    category: str = ""
    points: list[DraftPoint] = field(default_factory=list)
    limbs: list[Limb] = field(default_factory=list)
    source: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, schema: Schema) -> SchemaDraft:
        """Ranges of points and the flip map of published weights are left out: they hold for that schema only."""
        points = [DraftPoint(point, position) for position, point in enumerate(schema.keypoints)]
        return cls(schema.name, schema.title, schema.category, points, list(schema.limbs), schema.source, schema.notes)

    def names(self) -> list[str]:
        return [row.point.name for row in self.points]

    def add(self, position: int | None = None) -> int:
        """A new point behind ``position`` (at the end by default); returns where it stands."""
        at = len(self.points) if position is None else position + 1
        taken = set(self.names())
        name = next(n for n in (f"point_{i}" for i in range(1, len(taken) + 2)) if n not in taken)
        part = self.points[at - 1].point.part if 0 < at <= len(self.points) else DEFAULT_PART
        self.points.insert(at, DraftPoint(Keypoint(name, part=part)))
        return at

    def remove(self, position: int) -> None:
        """Take a point away, with its limbs; its partner is on its own."""
        name = self.points.pop(position).point.name
        self.limbs = [limb for limb in self.limbs if name not in (limb.start, limb.end)]
        self._each(lambda p: replace_point(p, swap="") if p.swap == name else p)

    def move(self, position: int, by: int) -> int:
        """Move a point up or down; returns where it stands."""
        to = max(0, min(len(self.points) - 1, position + by))
        self.points.insert(to, self.points.pop(position))
        return to

    def rename(self, position: int, name: str) -> bool:
        """Partners and limbs follow. False, and nothing changes, for no name and for one that another point has."""
        old = self.points[position].point.name
        if not name or (name != old and name in self.names()):
            return False
        self.change(position, name=name)
        self._each(lambda p: replace_point(p, swap=name) if p.swap == old else p)
        self.limbs = [
            Limb(name if a.start == old else a.start, name if a.end == old else a.end, a.color) for a in self.limbs
        ]
        return True

    def set_swap(self, position: int, partner: str) -> None:
        """Make two points left and right of each other ("" for none); those they belonged to before are set free."""
        name = self.points[position].point.name
        valid_partner = partner if partner in self.names() and partner != name else ""
        self._each(lambda p: replace_point(p, swap="") if p.swap in {name, valid_partner} - {""} else p)
        self.change(position, swap=valid_partner)
        if valid_partner:
            self.change(self.names().index(valid_partner), swap=name)

    def propose_swaps(self) -> int:
        """Pair points that have no partner by their names; returns how many pairs were made."""
        alone = [row.point.name for row in self.points if not row.point.swap]
        pairs = guess_swaps(alone)
        self._each(lambda p: replace_point(p, swap=pairs[p.name]) if not p.swap and p.name in pairs else p)
        return len(pairs) // 2

    def change(self, position: int, **changes: Any) -> None:
        """Other fields of a point: name, part, group, sigma, color, side, swap."""
        row = self.points[position]
        self.points[position] = replace(row, point=replace_point(row.point, **changes))

    def sources(self) -> Sources:
        """Where each point comes from in the schema that was opened."""
        return tuple(row.origin for row in self.points)

    def schema(self) -> Schema:
        """Raises SchemaError that names what is wrong."""
        return schema_from_dict(
            {
                "name": self.name.strip(),
                "title": self.title.strip() or self.name.strip(),
                "category": self.category.strip() or self.name.strip(),
                "source": self.source,
                "notes": list(self.notes),
                "keypoints": [_plain(row.point) for row in self.points],
                "limbs": [{"from": a.start, "to": a.end, "color": a.color} for a in self.limbs],
            }
        )

    def _each(self, change: Any) -> None:
        self.points = [replace(row, point=change(row.point)) for row in self.points]


def replace_point(point: Keypoint, **changes: Any) -> Keypoint:
    return Keypoint(**{**_plain(point), **changes})


def schema_toml(schema: Schema) -> str:
    """A schema as the text of a TOML file, as :func:`engine.schema.schema.load_schema` reads it."""
    lines = [f"{key} = {_toml(getattr(schema, key))}" for key in ("name", "title", "category", "source")]
    if schema.notes:
        lines.append(f"notes = [{', '.join(map(_toml, schema.notes))}]")
    tables: dict[str, list[dict[str, Any]]] = {
        "keypoints": [_plain(point) for point in schema.keypoints],
        "limbs": [{"from": a.start, "to": a.end, "color": a.color} for a in schema.limbs],
        "subsets": [{"name": s.name, "start": s.start, "stop": s.stop} for s in schema.subsets],
        "upstream_flip": [{"name": u.name, "takes": u.takes} for u in schema.upstream_flip],
    }
    defaults = {"sigma": DEFAULT_SIGMA, "part": DEFAULT_PART}
    for name, rows in tables.items():
        if rows:
            lines += ["", f"{name} = ["]
            for row in rows:
                changed = {key: value for key, value in row.items() if value != defaults.get(key, "")}
                lines.append(f"  {{{', '.join(f'{key} = {_toml(value)}' for key, value in changed.items())}}},")
            lines.append("]")
    return "\n".join(lines) + "\n"


def write_schema(path: Path, schema: Schema) -> None:
    """Write a schema file; it appears whole or not at all.

    Raises:
        SchemaError: it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(schema_toml(schema), encoding="utf-8", newline="\n")
    except OSError as error:
        raise SchemaError(f"cannot be written ({error.strerror})", where=path) from None


def _plain(point: Keypoint) -> dict[str, Any]:
    fields = ("name", "swap", "color", "sigma", "part", "group", "side")
    return {name: getattr(point, name) for name in fields}


def _toml(value: str | int | float) -> str:
    """JSON's texts and numbers are TOML's, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
