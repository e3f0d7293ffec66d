"""Numbers of a checkpoint are bounded before anything is built; one bad file does not hide the other models."""

from __future__ import annotations

import json
import logging
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import ModelError
from engine.models.catalog import find_model, list_models
from engine.models.checkpoint import load_network, save_checkpoint
from engine.models.checkpoint_limits import check_bounds
from engine.models.metadata import METADATA_KEY, CheckpointInfo, read_info
from engine.networks import build

POINTS = [{"name": f"p{n}"} for n in range(17)]


def description(**changes: Any) -> dict[str, Any]:
    return {
        "task": "pose",
        "architecture": "movenet_heatmap",
        "arguments": {"width": "lightning", "num_keypoints": 17},
        "schema": {"name": "s", "keypoints": POINTS},
        "codec": {"name": "gaussian"},
        "input_size": [192, 192],
        **changes,
    }


def write(path: Path, data: dict[str, Any]) -> Path:
    head = json.dumps({"__metadata__": {METADATA_KEY: json.dumps(data)}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head)
    return path


def test_an_ordinary_description_is_taken(tmp_path: Path) -> None:
    assert read_info(write(tmp_path / "a.safetensors", description())).input_size == (192, 192)


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"num_keypoints": 10**18}},
        {"arguments": {"num_keypoints": 0}},
        {"arguments": {"num_keypoints": 1e300}},
        {"arguments": {"num_classes": 10**9}},
        {"arguments": {"pads": [1e300, 0]}},
        {"arguments": {"a": [[[[[[[1]]]]]]]}},
        {"arguments": {"width": "x" * 10_000}},
        {"codec": {"name": "gaussian", "sigma": 1e300}},
        {"input_size": [16384, 16384]},
        {"input_size": [4096, 4096]},
        {"input_size": [192, 10**30]},
        {"box_padding": 1e300},
        {"box_padding": 10**400},
        {"categories": ["x"] * 10_000_000},
        {"schema": {"name": "s", "keypoints": POINTS * 12_000}},
        {"normalisation": {"mean": [0, 0, 0], "std": [1e-300] * 3}},
        {"normalisation": {"mean": [1e300, 0, 0], "std": [1] * 3}},
        {"conventions": {"channels": [0, 10**18]}},
        {"detector": "d" * 5000},
    ],
)
def test_numbers_without_measure_are_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    data = description(**changes)
    with pytest.raises(ModelError) as caught:
        check_bounds(CheckpointInfo.from_dict(data), where="a.safetensors")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": {"name": "s", "keypoints": POINTS[:16]}}, "16 keypoints, its network gives 17"),
        ({"conventions": {"channels": [10, 27]}}, "17 keypoints, its network gives 7"),
        ({"conventions": {"channels": [0, 3]}}, "17 keypoints, its network gives 3"),
        ({"architecture": "hrnet_pose", "arguments": {"width": 10**6, "num_keypoints": 17}}, "arguments"),
        ({"architecture": "resnet_pose", "arguments": {"depth": -5, "num_keypoints": 17}}, "arguments"),
        ({"architecture": "efficientdet", "arguments": {"num_classes": -1}, "task": "detector"}, "arguments"),
        ({"architecture": "torchvision_detector", "arguments": {"num_classes": 10**6}, "task": "detector"}, "arg"),
    ],
)
def test_a_network_that_does_not_fit_its_description_is_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    data = description(**changes)
    path = write(tmp_path / "a.safetensors", data)
    if "network gives" in message:
        with torch.device("cpu"):
            state = build(data["architecture"], data["arguments"]).state_dict()
        save_checkpoint(path, state, CheckpointInfo.from_dict(data))
    with pytest.raises(ModelError, match=message) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="special files of Unix")
def test_one_bad_file_in_the_models_folder_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path))
    write(tmp_path / "good.safetensors", description())
    write(tmp_path / "long.safetensors", description(detector="d" * 5000))
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    (tmp_path / "deep.safetensors").write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "best.safetensors")
    with caplog.at_level(logging.WARNING):
        own = [entry.id for entry in list_models() if entry.source == "user"]
    assert own == ["good", "long"]
    assert find_model("movenet_lightning").source == "embedded"
    assert "left out of the model list" in caplog.text
