"""Reading, checking and writing keypoint schemas; partners and sides from names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SchemaError
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import Schema, guess_swaps, load_schema, schema_from_dict, schema_from_names
from engine.schema.sides import side_of

_words = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
_colors = st.one_of(st.just(""), st.integers(0, 0xFFFFFF).map(lambda v: f"#{v:06x}"))


@st.composite
def plain_schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Plain data of a valid schema: some of the points paired, some joined."""
    names = draw(st.lists(_words, min_size=1, max_size=12, unique=True))
    order = draw(st.permutations(names))
    pairs = draw(st.integers(0, len(names) // 2))
    partner: dict[str, str] = {}
    for a, b in zip(order[: 2 * pairs : 2], order[1 : 2 * pairs : 2], strict=True):
        partner[a], partner[b] = b, a
    points = [
        {
            "name": name,
            "swap": partner.get(name, ""),
            "color": draw(_colors),
            "sigma": draw(st.floats(1e-4, 1.0)),
            "part": draw(st.sampled_from(["body", "face", "left_hand"])),
            "group": draw(st.sampled_from(["", "upper", "lower"])),
        }
        for name in names
    ]
    ends = st.tuples(st.integers(0, len(names) - 1), st.integers(0, len(names) - 1)).filter(lambda p: p[0] < p[1])
    joined = draw(st.lists(ends, max_size=8, unique=True)) if len(names) > 1 else []
    limbs = [{"from": names[a], "to": names[b], "color": draw(_colors)} for a, b in joined]
    return {"name": draw(_words), "title": draw(_words), "category": "thing", "keypoints": points, "limbs": limbs}


@settings(max_examples=60, deadline=None)
@given(plain_schemas())
def test_plain_data_comes_back_equal(data: dict[str, Any]) -> None:
    schema = schema_from_dict(data)
    assert schema_from_dict(schema.to_dict()) == schema
    assert [p["name"] for p in schema.to_dict()["keypoints"]] == [p["name"] for p in data["keypoints"]]
    flip = schema.flip_indices
    np.testing.assert_array_equal(flip[flip], np.arange(schema.num_keypoints))
    np.testing.assert_array_equal(schema.upstream_flip_indices, flip)
    assert schema.limb_indices.shape == (len(data["limbs"]), 2)
    assert sorted(i for points in schema.parts.values() for i in points) == list(range(schema.num_keypoints))


@settings(max_examples=100, deadline=None)
@given(st.lists(_words, max_size=12, unique=True))
def test_guessed_partners_are_mutual_and_never_the_point_itself(names: list[str]) -> None:
    result = guess_swaps(names)
    assert set(result) <= set(names)
    assert all(result[other] == name and other != name for name, other in result.items())


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], {("left_eye", "right_eye")}),
        (["Right Ankle", "Left Ankle", "Head top"], {("Left Ankle", "Right Ankle")}),
        (["RightPaw", "LeftPaw", "Tail"], {("LeftPaw", "RightPaw")}),
        (["snout", "leftear", "rightear", "tailbase"], {("leftear", "rightear")}),
        (["earL", "earR"], {("earL", "earR")}),
        (["LEar", "REar", "Nose"], {("LEar", "REar")}),
        (["ear.l", "ear.r", "l", "r"], {("ear.l", "ear.r"), ("l", "r")}),
        (["L1", "L2", "R1", "R2", "T1"], {("L1", "R1"), ("L2", "R2")}),
        (["L_F_Paw", "R_F_Paw", "L_B_Paw", "R_B_Paw"], {("L_F_Paw", "R_F_Paw"), ("L_B_Paw", "R_B_Paw")}),
        (["FL_paw", "FR_paw", "RL_paw", "RR_paw"], {("FL_paw", "FR_paw"), ("RL_paw", "RR_paw")}),
        (["lwrist", "rwrist", "wrist"], {("lwrist", "rwrist")}),
        (["front_left_paw", "front_right_paw", "hind_left_paw"], {("front_left_paw", "front_right_paw")}),
        (["LEFT EYE", "RIGHT EYE"], {("LEFT EYE", "RIGHT EYE")}),
        (["左耳", "右耳", "鼻"], {("左耳", "右耳")}),
        (["耳_左", "耳_右"], {("耳_左", "耳_右")}),
        (["lEar", "rEar", "earTip"], {("lEar", "rEar")}),
        (["left-ear", "right-ear"], {("left-ear", "right-ear")}),
        (["ear_l", "ear_r", "tail_r"], {("ear_l", "ear_r")}),
        (["paw1LH", "paw4RH", "paw2LF", "paw3RF"], {("paw1LH", "paw4RH"), ("paw2LF", "paw3RF")}),
        (
            ["paw1LH_top", "paw4RH_top", "paw1LH_bot", "paw4RH_bot", "nose_top"],
            {("paw1LH_top", "paw4RH_top"), ("paw1LH_bot", "paw4RH_bot")},
        ),
        (["FLpaw", "FRpaw", "HLpaw", "HRpaw"], {("FLpaw", "FRpaw"), ("HLpaw", "HRpaw")}),
        (["HL", "HR", "fl", "fr"], {("HL", "HR"), ("fl", "fr")}),
        (["Near", "Off"], {("Near", "Off")}),
        (["Nearknee", "Offknee", "near_fore", "off_fore"], {("Nearknee", "Offknee"), ("near_fore", "off_fore")}),
        (["wingLtip", "wingRtip"], {("wingLtip", "wingRtip")}),
        (
            ["oreille_gauche", "oreille_droite", "oeil_gauche", "oeil_droit"],
            {("oreille_gauche", "oreille_droite"), ("oeil_gauche", "oeil_droit")},
        ),
        (["oreille_g", "oreille_d", "oeilG", "oeilD"], {("oreille_g", "oreille_d"), ("oeilG", "oeilD")}),
        (
            ["linkesOhr", "rechtesOhr", "ohr_links", "ohr_rechts"],
            {("linkesOhr", "rechtesOhr"), ("ohr_links", "ohr_rechts")},
        ),
        (["orecchio_sinistro", "orecchio_destro"], {("orecchio_sinistro", "orecchio_destro")}),
        (["OrecchioSx", "OrecchioDx"], {("OrecchioSx", "OrecchioDx")}),
        (
            ["oreja_izquierda", "oreja_derecha", "ojo_izq", "ojo_der"],
            {("oreja_izquierda", "oreja_derecha"), ("ojo_izq", "ojo_der")},
        ),
        (["orelha_esquerda", "orelha_direita"], {("orelha_esquerda", "orelha_direita")}),
        (["linkeroor", "rechteroor"], {("linkeroor", "rechteroor")}),
        (["auris sinistra", "auris dextra"], {("auris sinistra", "auris dextra")}),
        (["hidari_mimi", "migi_mimi"], {("hidari_mimi", "migi_mimi")}),
        (["leg1", "reg1", "lip", "rip", "light", "right"], set()),
        (["bodyLow", "bodyRow"], set()),
        (["p_a", "p_b", "p_d", "p_g"], set()),
        (["a", "b", "c", "d", "e", "f", "g"], set()),
        (["L1", "R2"], set()),
        (["paw1LH", "paw2LH", "paw3RH"], set()),
        (["off", "offset", "nearest"], set()),
        (["L1", "L2", "L3"], set()),
        (["tail", "rail", "upright", "nose"], set()),
        (["Left_Eye", "right_Eye"], set()),
    ],
)
def test_partners_follow_from_the_usual_ways_of_naming(names: list[str], pairs: set[tuple[str, str]]) -> None:
    result = guess_swaps(names)
    assert result == dict(pairs) | {b: a for a, b in pairs}
    for left, right in pairs:
        assert (side_of(left, right), side_of(right, left)) == ("left", "right")


@pytest.mark.parametrize(
    ("name", "side"),
    [("left_eye", "left"), ("L_Eye", "left"), ("RightPaw", "right"), ("ear.r", "right"), ("eye left", "left")]
    + [("左耳", "left"), ("右", "right"), ("左右", "middle")]
    + [(name, "middle") for name in ("upright", "L1", "rail", "nose", "bright", "left_to_right")],
)
def test_side_of_a_name_without_a_partner(name: str, side: str) -> None:
    assert side_of(name) == side


def test_a_stated_side_gives_the_partner_the_other() -> None:
    points = [{"name": "k0", "swap": "k1", "side": "right"}, {"name": "k1", "swap": "k0"}]
    points.append({"name": "left_k", "side": "middle"})
    assert schema_from_dict({"name": "s", "keypoints": points}).sides == ("right", "left", "middle")


def test_upstream_flip_replaces_single_rows() -> None:
    schema = schema_from_dict(
        {
            "name": "s",
            "keypoints": [{"name": "a", "swap": "b"}, {"name": "b", "swap": "a"}],
            "upstream_flip": [{"name": "b", "takes": "b"}],
        }
    )
    assert schema.flip_indices.tolist() == [1, 0]
    assert schema.upstream_flip_indices.tolist() == [1, 1]


def _pair(**changes: Any) -> dict[str, Any]:
    base = {"name": "s", "keypoints": [{"name": "a", "swap": "b"}, {"name": "b", "swap": "a"}]}
    return base | changes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_pair(name=""), "has no name"),
        (_pair(keypoints=[]), "has no keypoints"),
        ({"name": "s"}, "keypoints"),
        (_pair(keypoints=[{"name": ""}]), "keypoint 0 has an empty name"),
        (_pair(keypoints=[{"name": "a"}, {"name": "a"}]), "duplicate keypoint name 'a'"),
        (_pair(keypoints=[{"name": "a", "swap": "z"}]), "'a' swaps with 'z', which does not exist"),
        (_pair(keypoints=[{"name": "a", "swap": "a"}]), "'a' swaps with itself"),
        (_pair(keypoints=[{"name": "a", "swap": "b"}, {"name": "b"}]), "'b' swaps with none"),
        (_pair(keypoints=[{"name": "a", "sigma": 0}]), "sigma must be a number above 0, not 0"),
        (_pair(keypoints=[{"name": "a", "sigma": float("nan")}]), "sigma must be"),
        (_pair(keypoints=[{"name": "a", "sigma": "big"}]), "$.keypoints[0].sigma"),
        (_pair(keypoints=[{"name": "a", "colour": "#000000"}]), "colour"),
        (_pair(keypoints=[{"name": "a", "color": "red"}]), "'red' is not #rrggbb"),
        (_pair(keypoints=[{"name": "a", "group": "middle"}]), "group must be"),
        (_pair(keypoints=[{"name": "a", "side": "port"}]), "side must be"),
        (_pair(keypoints=[{"name": "a", "part": ""}]), "part is empty"),
        (
            _pair(keypoints=[{"name": "a", "swap": "b", "side": "left"}, {"name": "b", "swap": "a", "side": "left"}]),
            "both are 'left'",
        ),
        (_pair(limbs=[{"from": "a", "to": "z"}]), "limb 'a' - 'z': no keypoint 'z'"),
        (_pair(limbs=[{"from": "a", "to": "a"}]), "joins 'a' to itself"),
        (_pair(limbs=[{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]), "limb 'b' - 'a' is a duplicate"),
        (_pair(limbs=[{"from": "a", "to": "b", "color": "#12"}]), "'#12' is not #rrggbb"),
        (_pair(subsets=[{"name": "half", "start": 1, "stop": 3}]), "'half': 1..3 is not a range"),
        (_pair(upstream_flip=[{"name": "a", "takes": "z"}]), "upstream_flip: no keypoint 'z'"),
    ],
)
def test_a_contradiction_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_from_dict(data, where="mine.toml")
    assert str(caught.value).startswith("mine.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_category_of_a_coco_file_becomes_a_schema() -> None:
    schema = schema_from_names("mouse", ["nose", "leftear", "rightear"], [(0, 1), (1, 0), (2, 2), (0, 2)])
    assert schema.category == "mouse"
    assert schema.flip_indices.tolist() == [0, 2, 1]
    assert schema.limb_indices.tolist() == [[0, 1], [0, 2]]
    assert schema.sides == ("middle", "left", "right")


@pytest.mark.parametrize("limb", [(0, 2), (-1, 0)])
def test_limb_outside_the_list_of_a_category_is_named(limb: tuple[int, int]) -> None:
    with pytest.raises(SchemaError, match=r"category 'fly': limb .* leads outside the 2 keypoints"):
        schema_from_names("fly", ["head", "tail"], [limb])


def test_schema_file_of_the_user_is_read_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "mine"\nkeypoints = [{name = "left"}, {name = "t\xc3\xa4il"}]\n')
    schema = find_schema(path)
    assert schema.names == ("left", "täil")
    path.write_text('name = "mine"\nkeypoints = [{name = "other"}]\n')
    assert find_schema(str(path)).names == ("other",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"name = ", "is not valid TOML"),
        (b"name = '\xff'", "is not UTF-8 text"),
        (b"keypoints = 3", "not a keypoint schema"),
    ],
)
def test_faulty_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SchemaError) as caught:
        load_schema(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_unknown_name_lists_what_exists() -> None:
    with pytest.raises(SchemaError) as caught:
        find_schema("cocoo")
    assert "'cocoo'" in str(caught.value)
    assert all(name in str(caught.value) for name in builtin_schemas())


def test_built_in_schema_is_read_once() -> None:
    assert find_schema("coco") is find_schema("coco")
    assert isinstance(find_schema("coco"), Schema)


def test_the_category_of_a_range_is_found_by_its_names():
    from engine.schema.builtin import find_schema, schema_of_subset
    from engine.schema.matching import schema_with_names
    from engine.schema.schema import schema_from_dict

    whole = find_schema("deepfashion2")
    assert len(whole.subsets) == 13
    for subset in whole.subsets:
        own = schema_of_subset(whole, subset)
        schema_from_dict(own.to_dict())
        assert own.num_keypoints == subset.stop - subset.start
        assert (own.flip_indices + subset.start).tolist() == whole.flip_indices[subset.start : subset.stop].tolist()
        assert schema_with_names(own.names) == own
    assert schema_with_names(find_schema("coco").names) is find_schema("coco")
    assert schema_with_names(["tip", "tail"]) is None


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "[" * 2_000 + "]" * 2_000, "x = " + "{a=" * 5_000])
def test_deep_nesting_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(SchemaError):
        load_schema(tmp_path / "a.toml")
