"""Categories whose keypoints are numbered and not named."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import Category
from engine.labels.reader import LabelReader
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.matching import is_numbered, is_numbered_name
from engine.schema.schema import Schema
from engine.utils.context import INFO

SAME_LIMBS = 0.8
"""Share of the limbs of both that two schemas have in common, to be taken for the same."""

_PEOPLE = frozenset({"person", "people", "human", "pedestrian", "body", "pose", "man", "woman", "player", "rider"})
_FACES = frozenset({"face", "head", "faces"})
_HANDS = frozenset({"hand", "hands", "left_hand", "right_hand", "palm"})


@register_check
class NamesByPosition(Check):
    id = "names_by_position"
    title = "Keypoints without names"
    help = (
        "The keypoints are numbered. With names, left and right partners and limbs, mirroring in training, checks and "
        "other programs work. A skeleton is proposed if one with as many keypoints and the same limbs is known; look "
        "at a few poses before you take it."
    )
    severity = INFO
    at_import = True
    fix_title = "Take the names of the known skeleton"

    def check_labels(self, labels: LabelReader) -> Iterator[Finding]:
        for category in labels.categories:
            schema = category.schema
            if schema is None or not is_numbered(schema):
                continue
            proposed = known_schemas(category)
            where = f"category {category.name}"
            if len(proposed) == 1:
                known = proposed[0]
                message = f"its {schema.num_keypoints} keypoints are numbered; {known.title or known.name} has as many"
                yield self.finding_of_labels(message, where)
            else:
                names = ", ".join(known.name for known in proposed)
                more = f"; several skeletons have as many: {names}" if names else ""
                message = f"its {schema.num_keypoints} keypoints are numbered{more}"
                yield self.finding_of_labels(message, where, fixable=False)

    def fix_category(self, position: int, category: Category) -> Category:
        if category.schema is None or not is_numbered(category.schema):
            return category
        proposed = known_schemas(category)
        return category.replace(schema=proposed[0]) if len(proposed) == 1 else category


def known_schemas(category: Category) -> list[Schema]:
    """The known skeletons that may be meant by numbered keypoints: as many keypoints, for such objects, and the same
    limbs if the category has any."""
    schema = category.schema
    if schema is None:
        return []
    kind = _kind_of(category.name)
    matches: list[Schema] = []
    for known in map(find_schema, builtin_schemas()):
        if known.num_keypoints != schema.num_keypoints or is_numbered_name(known.names[0]):
            continue
        if kind and known.category != kind:
            continue
        if len(schema.limb_indices) and not _has_same_limbs(schema, known):
            continue
        if all(known.names != other.names for other in matches):
            matches.append(known)
    if not kind and not len(schema.limb_indices):  # nothing but the number speaks for it
        matches = [known for known in matches if known.num_keypoints > 50] or matches
    return matches


def _kind_of(name: str) -> str:
    word = name.strip().lower()
    for kind, words in (("person", _PEOPLE), ("face", _FACES), ("hand", _HANDS)):
        if word in words:
            return kind
    return ""


def _has_same_limbs(schema: Schema, known: Schema) -> bool:
    own, other = ({frozenset((int(a), int(b))) for a, b in each.limb_indices} for each in (schema, known))
    return len(own & other) >= SAME_LIMBS * len(own | other)
