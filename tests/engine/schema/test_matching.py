"""Built-in schemas are found by their points, however a data set spells them."""

from __future__ import annotations

import pytest

from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.matching import builtins_with_count, canonical_name, fits, schema_with_names, sigmas_are_guessed
from engine.schema.schema import schema_from_names

AP10K = [
    "left_eye", "right_eye", "nose", "neck", "root_of_tail", "left_shoulder", "left_elbow", "left_front_paw",
    "right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip",
    "right_knee", "right_back_paw",
]  # fmt: skip
CROWDPOSE = [
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
]  # fmt: skip
AIC = [
    "Right Shoulder", "Right Elbow", "Right Wrist", "Left Shoulder", "Left Elbow", "Left Wrist", "Right Hip",
    "Right Knee", "Right Ankle", "Left Hip", "Left Knee", "Left Ankle", "Head top", "Neck",
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("L_F_Paw", "left_front_paw"),
        ("R_B_Paw", "right back paw"),
        ("LeftEar", "left_ear"),
        ("leftear", "left_ear"),
        ("Eye_Left", "left_eye"),
        ("earL", "left-ear"),
        ("Root of tail", "root_of_tail"),
        ("kpt-12", "kpt_12"),
    ],
)
def test_spellings_of_one_point_are_the_same(one: str, other: str) -> None:
    assert canonical_name(one) == canonical_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("left_ear", "right_ear"), ("left", "right"), ("L1", "R1"), ("kpt-1", "kpt-11"), ("L_F_Paw", "L_B_Paw")],
)
def test_two_points_stay_two(one: str, other: str) -> None:
    assert canonical_name(one) != canonical_name(other)


@pytest.mark.parametrize("name", builtin_schemas())
def test_no_built_in_schema_has_two_points_of_one_spelling(name: str) -> None:
    names = find_schema(name).names
    assert len(set(map(canonical_name, names))) == len(names)


@pytest.mark.parametrize(("names", "schema"), [(AP10K, "ap10k"), (CROWDPOSE, "crowdpose"), (AIC, "aic")])
def test_the_official_names_of_a_data_set_give_its_sigmas(names: list[str], schema: str) -> None:
    result, expected = schema_with_names(names), find_schema(schema)
    assert result is not None
    assert result.name == schema
    assert result.names == tuple(names)
    assert result.sigmas.tolist() == expected.sigmas.tolist()
    assert result.flip_indices.tolist() == expected.flip_indices.tolist()
    assert result.limb_indices.tolist() == expected.limb_indices.tolist()
    assert fits(expected, names)
    assert not fits(expected, names[::-1])
    assert not fits(expected, names[:-1])


def test_the_same_points_in_another_order_keep_their_own_sigmas() -> None:
    coco = find_schema("coco")
    names = [name.replace("_", " ").title() for name in reversed(coco.names)]
    result = schema_with_names(names)
    assert result is not None
    assert result.name == "coco_reordered"
    assert result.names == tuple(names)
    assert result.sigmas.tolist() == coco.sigmas.tolist()[::-1]
    assert result.keypoints[0].swap == "Left Ankle"


def test_points_that_two_schemas_weigh_differently_are_not_decided_by_their_names() -> None:
    """CrowdPose and AI Challenger have the same 14 points, each in its order."""
    assert schema_with_names(CROWDPOSE[::-1]) is None


def test_other_points_in_the_same_number_are_no_match() -> None:
    assert schema_with_names([*CROWDPOSE[:-1], "tail"]) is None
    assert not fits(find_schema("crowdpose"), AIC)


def test_one_schema_stands_for_those_that_differ_in_name_only() -> None:
    assert [schema.name for schema in builtins_with_count(68)] == ["300w"]
    assert [schema.name for schema in builtins_with_count(98)] == ["wflw"]
    assert {schema.name for schema in builtins_with_count(14)} == {"aic", "crowdpose"}
    assert builtins_with_count(7) == []


def test_sigmas_that_nobody_measured_are_guessed() -> None:
    assert sigmas_are_guessed(schema_from_names("mouse", ["nose", "tail"]))
    assert sigmas_are_guessed(find_schema("wflw"))
    assert not sigmas_are_guessed(find_schema("coco"))
