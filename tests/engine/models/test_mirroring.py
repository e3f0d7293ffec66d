"""Pictures are mirrored only where a mirrored left point is known to be a right one."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.catalog import find_model, list_models
from engine.models.metadata import CheckpointInfo
from engine.models.mirroring import MIRRORED, flip_test_problem, flip_test_problem_of, mirror_problem
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.schema import schema_from_dict, schema_from_names

CODEC = {"name": "gaussian"}


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["snout", "leftear", "rightear", "tailbase"], ""),
        (["nose", "eyeL", "eyeR", "L1", "L2"], ""),  # vertebrae are no sides
        (["snout", "back", "tail"], "no left/right pairs are known"),
        (["k0", "k1"], "no left/right pairs are known"),
        (["nose", "left_eye", "right_eye", "left_paw"], "no left/right partner is known for left_paw"),
        (["nose", "ear_l", "ear_r", "pawFL", "pawHR"], "no left/right partner is known for pawFL, pawHR"),
        (["nose", "left_eye", "right_eye", "point_7"], "no left/right partner is known for point_7"),
    ],
)
def test_sides_must_be_known(names: list[str], problem: str) -> None:
    assert mirror_problem(schema_from_names("s", names)) == problem


def test_a_skeleton_that_states_its_middle_line_may_be_mirrored() -> None:
    points = [{"name": name, "side": "middle"} for name in ("snout", "back", "tail")]
    assert mirror_problem(schema_from_dict({"name": "s", "keypoints": points})) == ""


@pytest.mark.parametrize("name", builtin_schemas())
def test_built_in_skeletons_may_be_mirrored_also_where_a_project_holds_a_copy_without_sides(name: str) -> None:
    schema = find_schema(name)
    assert mirror_problem(schema) == ""
    bare = [{"name": p.name, "swap": p.swap} for p in schema.keypoints]
    assert mirror_problem(schema_from_dict({"name": "copy", "keypoints": bare})) == ""


def test_a_model_trained_without_mirrored_copies_gets_no_flip_test() -> None:
    schema = find_schema("coco").to_dict()
    info = CheckpointInfo("pose", "movenet_heatmap", schema=schema, codec=CODEC)
    assert flip_test_problem(info) == ""
    assert flip_test_problem(info.replace(provenance={MIRRORED: True})) == ""
    assert "without mirrored images" in flip_test_problem(info.replace(provenance={MIRRORED: False}))


def test_models_of_the_list_keep_their_flip_test() -> None:
    assert {entry.id: flip_test_problem_of(entry) for entry in list_models("pose")} == {
        entry.id: "" for entry in list_models("pose")
    }


@pytest.mark.slow
def test_a_flip_test_that_would_do_harm_is_left_out() -> None:
    from engine.inference.pose_estimator import PoseEstimator

    network = PoseEstimator.load("movenet_lightning", "cpu")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    boxes = [np.array([[0, 0, 64, 64]])]
    plain = network.predict([image], boxes)[0][0].keypoints
    assert not np.array_equal(network.predict([image], boxes, flip_test=True)[0][0].keypoints, plain)
    untrained = network.info.replace(provenance={MIRRORED: False})
    harmed = PoseEstimator(network._network, untrained)
    np.testing.assert_array_equal(harmed.predict([image], boxes, flip_test=True)[0][0].keypoints, plain)
    assert find_model("movenet_lightning").file is not None
