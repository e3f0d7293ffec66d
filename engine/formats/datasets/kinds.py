"""The kinds of data sets that can be read, and how a COCO-style file shows which one it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoCategory
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import Schema

WeightRule = Literal["capped", "positive"]


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes:
        name: what ``--kind`` takes. title: one line for people. schema: name of its built-in keypoint schema.
        weights: how visibilities weigh in training: "capped" min(1, v), "positive" 1 where v > 0.
        parts: lists of an annotation that together hold the points, with the number of points in each; the first is
            ``keypoints``. Empty where ``keypoints`` holds them all.
        by_count: whether the number of points alone tells the kind where a file names no points.
    """

    name: str
    title: str
    schema: str
    weights: WeightRule = "capped"
    parts: tuple[tuple[str, int], ...] = ()
    by_count: bool = False

    def load_schema(self) -> Schema:
        return find_schema(self.schema)


WHOLE_BODY_PARTS = (
    ("keypoints", 17),
    ("foot_kpts", 6),
    ("face_kpts", 68),
    ("lefthand_kpts", 21),
    ("righthand_kpts", 21),
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("coco", "COCO keypoints, 17 points", "coco", by_count=True),
        Kind(
            "coco_wholebody",
            "COCO-WholeBody, 133 points in five lists",
            "coco_wholebody",
            weights="positive",
            parts=WHOLE_BODY_PARTS,
            by_count=True,
        ),
        Kind("halpe", "Halpe full body, 136 points", "halpe", by_count=True),
        Kind("aic", "AI Challenger, 14 points (its own list, or COCO-style)", "aic"),
        Kind("deepfashion_upper", "DeepFashion landmarks, upper body, 6 points", "deepfashion_upper"),
        Kind("deepfashion_lower", "DeepFashion landmarks, lower body, 4 points", "deepfashion_lower"),
        Kind("deepfashion_full", "DeepFashion landmarks, full body, 8 points", "deepfashion_full"),
        Kind(
            "deepfashion2",
            "DeepFashion2, 294 points of 13 garments (folder or COCO-style)",
            "deepfashion2",
            by_count=True,
        ),
    )
}


def find_kind(name: str) -> Kind:
    """A kind by its name, "-" for "_" allowed.

    Raises:
        CocoError: there is none of that name.
    """
    kind = KINDS.get(name.strip().lower().replace("-", "_"))
    if kind is None:
        raise CocoError(f"no kind of data set is called {name!r}; known are {', '.join(KINDS)}")
    return kind


class _Peek(msgspec.Struct):
    """What of an annotation tells its kind."""

    keypoints: list[msgspec.Raw] | None = None
    foot_kpts: msgspec.Raw = msgspec.Raw(b"")
    face_kpts: msgspec.Raw = msgspec.Raw(b"")
    category_id: int | str = 1


_peek = msgspec.json.Decoder(_Peek).decode
_MANY = 200  # annotations looked at; files of one kind are alike


def kind_of_coco(annotations: Sequence[msgspec.Raw], categories: Sequence[CocoCategory], where: object) -> Kind:
    """The kind of a COCO-style file, by the keys and point names found.

    Raises:
        CocoError: none fits, or several do.
    """
    names = {category.id: category.keypoints for category in categories if category.keypoints}
    sizes: dict[int | str, Counter[int]] = {}
    for raw in annotations[:_MANY]:
        try:
            record = _peek(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if len(record.foot_kpts) and len(record.face_kpts):
            return KINDS["coco_wholebody"]
        if record.keypoints:
            sizes.setdefault(record.category_id, Counter())[len(record.keypoints) // 3] += 1
    # What most annotations of a category have; one of another number is a fault of its own.
    sizes_found = {(counts.most_common(1)[0][0], category) for category, counts in sizes.items()}
    if not sizes_found:
        count = {len(points) for points in names.values()}
        if len(count) != 1:
            raise CocoError(
                "has no annotation with keypoints that would tell its kind; say which with --kind", where=where
            )
        sizes_found = {(count.pop(), next(iter(names)))}
    kinds = {_kind_of_points(count, names.get(category, []), where).name for count, category in sizes_found}
    if len(kinds) > 1:
        raise CocoError(
            f"holds annotations of several kinds ({', '.join(sorted(kinds))}); say which with --kind", where=where
        )
    return KINDS[kinds.pop()]


def _kind_of_points(count: int, names: Sequence[str], where: object) -> Kind:
    sized = [kind for kind in KINDS.values() if kind.load_schema().num_keypoints == count]
    if not sized:
        listed = ", ".join(f"{kind.name} {kind.load_schema().num_keypoints}" for kind in KINDS.values())
        raise CocoError(f"has {count} points an instance, which no known kind has ({listed})", where=where)
    has_names = len(names) == count and not all(name.strip().isdigit() for name in names)
    if has_names:
        fitting = [kind for kind in sized if _normalized(names) == _normalized(kind.load_schema().names)]
        if len(fitting) == 1:
            return fitting[0]
        other = next((n for n in builtin_schemas() if _normalized(find_schema(n).names) == _normalized(names)), "")
        hint = f"they are those of schema {other!r}" if other else f"it begins with {', '.join(names[:3])}"
        raise CocoError(
            f"has {count} points an instance, but not the points of {sized[0].name} ({hint}); it can be used as a "
            f"plain COCO file, or say --kind {sized[0].name} if they are the same points",
            where=where,
        )
    fitting = [kind for kind in sized if kind.by_count]
    if len(fitting) != 1:
        options = " or ".join(f"--kind {kind.name}" for kind in sized)
        raise CocoError(f"has {count} points an instance but does not name them; say {options}", where=where)
    return fitting[0]


def _normalized(names: Sequence[str]) -> list[str]:
    return [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
