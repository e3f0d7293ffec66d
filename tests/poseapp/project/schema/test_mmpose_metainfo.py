"""Schemas of MMPose configurations are read without running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SchemaError
from poseapp.project.schema.mmpose_metainfo import read_metainfo

GOOD = """
dataset_info = dict(
    dataset_name='mouse',
    paper_info=dict(author='A', year='2020'),
    keypoint_info={
        0: dict(name='nose', id=0, color=[51, 153, 255], type='upper', swap=''),
        1: dict(name='left_ear', id=1, color=[0, 255, 0], type='', swap='right_ear'),
        2: dict(name='right_ear', id=2, color=[255, 128, 0], type='lower', swap='left_ear'),
    },
    skeleton_info={0: dict(link=('nose', 'left_ear'), id=0, color=[1, 2, 3])},
    joint_weights=[1.0] * 3,
    sigmas=[0.026, 0.1, 0.1],
)
"""


def test_a_configuration_becomes_a_schema(tmp_path: Path) -> None:
    path = tmp_path / "mouse.py"
    path.write_text(GOOD)
    schema = read_metainfo(path)
    assert schema.names == ("nose", "left_ear", "right_ear")
    assert schema.flip_indices.tolist() == [0, 2, 1]
    assert schema.sigmas.tolist() == [0.026, 0.1, 0.1]
    assert [p.group for p in schema.keypoints] == ["upper", "", "lower"]
    assert (schema.keypoints[0].color, schema.limbs[0].color) == ("#3399ff", "#010203")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 3", "not set dataset_info"),
        ("dataset_info = dict(", "not a Python"),
        ("dataset_info = dict(keypoint_info=open('x'))", "not executed"),
        ("dataset_info = dict()", "not as MMPose"),
        ("dataset_info = 3", "not as MMPose"),
        ("dataset_info = dict(keypoint_info={0: dict(name='a', swap='b')})", "does not exist"),
        ("dataset_info = dict(keypoint_info={0: dict(name='a', color=[1])})", "not as MMPose"),
        ("dataset_info = dict(keypoint_info={[]: 1})", "no keypoints"),
        ("dataset_info = {'keypoint_info': {0: {'name': 'a', 'swap': 'a'}}}", "itself"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.py"
    path.write_text(text)
    with pytest.raises(SchemaError, match=words):
        read_metainfo(path)
    with pytest.raises(SchemaError, match="cannot be read"):
        read_metainfo(tmp_path / "none.py")
