"""Which built-in schema a list of keypoint names means, however the names are spelled.

The makers of data sets, their papers and the tools that convert them write the same points in different ways:
``L_F_Paw`` and ``left_front_paw``, ``top_head`` and ``head``, ``Right Shoulder`` and ``right_shoulder``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import msgspec

from engine.schema.builtin import builtin_schemas, find_schema, schema_of_subset
from engine.schema.schema import DEFAULT_SIGMA, Limb, Schema

_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_WORDS = {"f": "front", "b": "back"}  # L_F_Paw
# The same point by another name, per schema; spelled as canonical_name() gives it.
_ALIASES: dict[str, dict[str, str]] = {
    "crowdpose": {"head": "tophead", "headtop": "tophead"},
    "aic": {"head": "headtop", "tophead": "headtop"},
    "mpii": {"neck": "upperneck", "head": "headtop", "tophead": "headtop"},
    "animalpose": {"ear": "earbase", "tail": "tailbase"},
    "ap10k": {"tailroot": "rootoftail", "tailbase": "rootoftail"},
}
# Of schemas with the same names and sigmas the one that is named.
_FIRST_CHOICE = ("coco", "halpe26", "coco_wholebody", "halpe", "aic", "coco_wholebody_hand", "300w")
_NUMBERED = re.compile(r"(point|kpt?|keypoint|landmark|joint|part|node|kps|pt)?s?[-_ .]?\d+", re.IGNORECASE)


@cache
def canonical_name(name: str) -> str:
    """A keypoint's name without letter case and separators, its side as a word in front: "L_F_Paw" and
    "left front paw" give "left frontpaw"."""
    tokens = [token.lower() for token in _TOKENS.findall(name)]
    sides = [_SIDES[token] for token in tokens if token in _SIDES]
    rest = [token for token in tokens if token not in _SIDES]
    if not rest or len(sides) > 1:
        return "".join(tokens)
    if not sides:  # "leftear"
        side = next((side for side in ("left", "right") if rest[0].startswith(side) and rest[0] != side), "")
        if side:
            sides, rest = [side], [rest[0].removeprefix(side), *rest[1:]]
    if len(rest) > 1:
        rest = [_WORDS.get(token, token) for token in rest]
    return " ".join([*sides, "".join(rest)])


def fits(schema: Schema, names: Sequence[str]) -> bool:
    """Whether a category that names its points so has the points of the schema, in its order."""
    if schema.names == tuple(names):
        return True
    return len(names) == schema.num_keypoints and _canonical(schema, names) == _canonical(schema, schema.names)


def schema_with_names(names: Sequence[str]) -> Schema | None:
    """The built-in schema with these keypoints, however spelled; its points in this order and called so. None where no
    schema has them.

    A schema with the same points in another order gives sigmas, partners and limbs too, unless two of them would give
    different sigmas. Its name ends in ``_reordered`` then, because positions mean other points. A range of points that
    belongs to one category of a schema is a schema of its own.
    """
    sized = [schema for schema in map(find_schema, _preferred()) if schema.num_keypoints == len(names)]
    exact = next((schema for schema in sized if schema.names == tuple(names)), None)
    if exact is not None:
        return exact
    spelled = next((schema for schema in sized if fits(schema, names)), None)
    if spelled is not None:
        return _renamed(spelled, dict(zip(spelled.names, names, strict=True)), names)
    shuffled = [s for s in sized if sorted(_canonical(s, names)) == sorted(_canonical(s, s.names))]
    matches = [_shuffled(schema, names) for schema in shuffled]
    if matches and all((matches[0].sigmas == other.sigmas).all() for other in matches):
        return matches[0]
    return _range_with_names(tuple(names))


def _shuffled(schema: Schema, names: Sequence[str]) -> Schema:
    called = dict(zip(_canonical(schema, names), names, strict=True))
    old = {name: called[key] for name, key in zip(schema.names, _canonical(schema, schema.names), strict=True)}
    return msgspec.structs.replace(_renamed(schema, old, names), name=f"{schema.name}_reordered", subsets=())


def _range_with_names(names: tuple[str, ...]) -> Schema | None:
    for schema in map(find_schema, builtin_schemas()):
        for subset in schema.subsets:
            if schema.names[subset.start : subset.stop] == names:
                return schema_of_subset(schema, subset)
    return None


def builtins_with_count(count: int) -> list[Schema]:
    """The built-in schemas with so many points, for files that do not name theirs. Of schemas that have the same sigmas
    too (the faces of 300W and of COCO-WholeBody) one stands for all."""
    matches: list[Schema] = []
    for schema in map(find_schema, _preferred()):
        if schema.num_keypoints == count and not any((schema.sigmas == other.sigmas).all() for other in matches):
            matches.append(schema)
    return matches


def sigmas_are_guessed(schema: Schema) -> bool:
    """Whether nobody has measured how exactly people mark these points: every OKS sigma is the default."""
    return bool((schema.sigmas == DEFAULT_SIGMA).all())


def _preferred() -> list[str]:
    return [*_FIRST_CHOICE, *(name for name in builtin_schemas() if name not in _FIRST_CHOICE)]


def _canonical(schema: Schema, names: Sequence[str]) -> list[str]:
    aliases = _ALIASES.get(schema.name, {})
    matches = []
    for name in map(canonical_name, names):
        side, space, rest = name.rpartition(" ")
        matches.append(side + space + aliases.get(rest, rest))
    return matches


def _renamed(schema: Schema, called: dict[str, str], names: Sequence[str]) -> Schema:
    """The schema with its points called otherwise (old name -> new name) and in the order of ``names``."""
    points = {
        called[p.name]: msgspec.structs.replace(p, name=called[p.name], swap=called.get(p.swap, ""))
        for p in schema.keypoints
    }
    return msgspec.structs.replace(
        schema,
        keypoints=tuple(points[name] for name in names),
        limbs=tuple(Limb(called[limb.start], called[limb.end], limb.color) for limb in schema.limbs),
        upstream_flip=(),
    )


def is_numbered(schema: Schema) -> bool:
    """Whether every keypoint is called by a number, and no built-in schema calls its keypoints so."""
    return all(map(is_numbered_name, schema.names)) and schema.names not in _builtin_names()


def is_numbered_name(name: str) -> bool:
    """Whether a keypoint is called by a number: "7", "kpt_7", "point 7"."""
    return _NUMBERED.fullmatch(name) is not None


@cache
def _builtin_names() -> frozenset[tuple[str, ...]]:
    return frozenset(find_schema(name).names for name in builtin_schemas())
