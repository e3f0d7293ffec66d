"""Every built-in schema, one by one, against itself, the known counts and the facts it was made from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import DEFAULT_SIGMA, Schema
from resources import schema_files, schema_path

# fmt: off
COUNTS = {  # keypoints, limbs
    "300w": (68, 0), "aflw": (19, 0), "aic": (14, 14), "animalpose": (20, 20), "ap10k": (17, 17), "coco": (17, 19),
    "coco_wholebody": (133, 65), "coco_wholebody_face": (68, 0), "coco_wholebody_hand": (21, 20), "cofw": (29, 0),
    "crowdpose": (14, 15), "deepfashion2": (294, 304), "deepfashion_full": (8, 0), "deepfashion_lower": (4, 0),
    "deepfashion_upper": (6, 0), "freihand2d": (21, 20), "halpe": (136, 67), "halpe26": (26, 27), "humanart": (17, 19),
    "jhmdb": (15, 14), "mpii": (16, 15), "ochuman": (17, 19), "onehand10k": (21, 20), "posetrack18": (17, 16),
    "wflw": (98, 0),
}
# fmt: on
CORRECTED_SWAPS = {"deepfashion2": {"vest_kpt13"}}
CORRECTED_GROUPS = {"ap10k": {"R_F_Paw"}}
CORRECTED_COLORS = {"ap10k", "coco_wholebody", "crowdpose", "halpe", "halpe26", "jhmdb"}
_HAND = "coco_wholebody_hand"
BORROWED_SIGMAS = {"300w": "coco_wholebody_face", "freihand2d": _HAND, "onehand10k": _HAND}

every_schema = pytest.mark.parametrize("name", sorted(COUNTS))


def test_all_schemas_are_there_and_no_other() -> None:
    assert builtin_schemas() == tuple(sorted(COUNTS))
    assert [p.name for p in schema_files()] == [f"{name}.toml" for name in sorted(COUNTS)]


@every_schema
def test_schema_is_whole(name: str) -> None:
    schema = find_schema(name)
    assert (schema.num_keypoints, len(schema.limbs)) == COUNTS[name]
    assert schema.name == name == schema_path(name).stem
    assert schema.title
    assert len(schema.title) <= 45
    assert schema.category
    assert re.search(r"\(\d{4}\), https?://", schema.source)
    assert all(point.color for point in schema.keypoints)
    assert all(limb.color for limb in schema.limbs)
    assert (schema.sigmas > 0).all()
    assert (schema.sigmas < 0.2).all()


@every_schema
def test_partners_are_mutual_and_on_opposite_sides(name: str) -> None:
    schema = find_schema(name)
    flip = schema.flip_indices
    np.testing.assert_array_equal(flip[flip], np.arange(schema.num_keypoints))
    opposite = {"left": "right", "right": "left", "middle": "middle"}
    for i, point in enumerate(schema.keypoints):
        assert schema.sides[flip[i]] == opposite[schema.sides[i]], point.name
        assert (flip[i] == i) == (schema.sides[i] == "middle"), point.name
        partner = schema.keypoints[flip[i]]
        assert point.group == partner.group, point.name
        mirrored = point.part.replace("left", "?").replace("right", "?")
        assert mirrored == partner.part.replace("left", "?").replace("right", "?"), point.name


@every_schema
def test_limbs_are_mirrored(name: str) -> None:
    schema = find_schema(name)
    limbs = {frozenset(limb) for limb in schema.limb_indices.tolist()}
    assert {frozenset(schema.flip_indices[list(limb)].tolist()) for limb in limbs} == limbs


@every_schema
def test_one_point_stands_on_one_line(name: str) -> None:
    text = schema_path(name).read_text(encoding="utf-8")
    assert text.count('\n  {name = "') >= find_schema(name).num_keypoints
    assert "\t" not in text
    assert "\r" not in text
    assert text.endswith("]\n")


def test_parts_of_whole_body_schemas() -> None:
    whole = {"body": 17, "foot": 6, "face": 68, "left_hand": 21, "right_hand": 21}
    assert _part_sizes(find_schema("coco_wholebody")) == whole
    assert _part_sizes(find_schema("halpe")) == whole | {"body": 20}
    hand = find_schema("coco_wholebody").parts["left_hand"]
    assert (hand[0], hand[-1]) == (91, 111)


def _part_sizes(schema: Schema) -> dict[str, int]:
    return {part: len(points) for part, points in schema.parts.items()}


def test_garments_share_one_schema_without_overlap() -> None:
    schema = find_schema("deepfashion2")
    assert len(schema.subsets) == 13
    assert [s.start for s in schema.subsets] == [0, *(s.stop for s in schema.subsets[:-1])]
    assert schema.subsets[-1].stop == 294
    for subset in schema.subsets:
        inside = set(range(subset.start, subset.stop))
        assert set(schema.parts[subset.name]) == inside
        assert set(schema.flip_indices[list(inside)].tolist()) == inside


def test_vest_of_deepfashion2_is_corrected_and_the_old_map_kept() -> None:
    schema = find_schema("deepfashion2")
    nine, thirteen = schema.index["vest_kpt9"], schema.index["vest_kpt13"]
    assert (nine, thirteen) == (136, 140)
    assert schema.flip_indices[[nine, thirteen]].tolist() == [thirteen, nine]
    assert schema.upstream_flip_indices[[nine, thirteen]].tolist() == [thirteen, thirteen]


@every_schema
def test_facts_equal_their_source_except_where_corrected(name: str, shared: Path) -> None:
    schema = find_schema(name)
    facts: dict[str, Any] = json.loads((shared / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    assert schema.num_keypoints == facts["num_keypoints"]
    assert schema.names == tuple(p["name"] for p in facts["keypoints"])
    assert schema.upstream_flip_indices.tolist() == facts["flip_indices"]
    assert [(limb.start, limb.end) for limb in schema.limbs] == [(a, b) for a, b, _ in facts["skeleton"]]
    assert [limb.color for limb in schema.limbs] == [_hex(color) for _, _, color in facts["skeleton"]]
    pairs = list(zip(schema.keypoints, facts["keypoints"], strict=True))
    wrong = [p.name for p, f in pairs if p.swap != f["swap"]]
    assert set(wrong) == CORRECTED_SWAPS.get(name, set())
    wrong = [p.name for p, f in pairs if p.group != f["type"]]
    assert set(wrong) == CORRECTED_GROUPS.get(name, set())
    recolored = [p.name for p, f in pairs if p.color != _hex(f["color"])]
    assert bool(recolored) == (name in CORRECTED_COLORS), recolored
    if wrong or recolored:
        assert any("corrected" in note or "now" in note for note in schema.notes)


@every_schema
def test_sigmas_are_those_of_the_source(name: str, shared: Path) -> None:
    facts = json.loads((shared / "schemas" / f"{BORROWED_SIGMAS.get(name, name)}.json").read_text(encoding="utf-8"))
    expected = facts["sigmas"] or [DEFAULT_SIGMA] * facts["num_keypoints"]
    np.testing.assert_allclose(find_schema(name).sigmas, expected, rtol=0, atol=0)
    if name in BORROWED_SIGMAS or not facts["sigmas"]:
        assert any("sigmas" in note for note in find_schema(name).notes)


def test_recolored_points_have_the_color_of_their_side() -> None:
    for name in CORRECTED_COLORS:
        schema = find_schema(name)
        for point, side in zip(schema.keypoints, schema.sides, strict=True):
            if any(word in point.name for word in ("toe", "heel", "ankle", "wrist", "Knee", "Paw", "hip", "Hip")):
                expected = {"left": "#00ff00", "right": "#ff8000", "middle": "#3399ff"}[side]
                assert point.color == expected, (name, point.name)


def _hex(rgb: list[int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in rgb)
