"""Other ways to run a network give the network's numbers, and the choice between them is guarded and remembered."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ModelError
from engine.inference import backends
from engine.inference.backends import Runner, make_runner
from engine.inference.backends import autotune as choosing
from engine.inference.backends.autotune import calibration_crops, choose, key_of, measure, similarity
from engine.inference.backends.pytorch import folded
from engine.inference.pose_estimator import PoseEstimator
from engine.models.catalog import find_model
from engine.models.checkpoint import load_network
from engine.models.mmpose_weights import published_info
from engine.networks import build


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSEAPP_CACHE", str(tmp_path / "cache"))
    for name, few in (("CROPS", 5), ("REPEATS", 1), ("BATCHES", (1, 2))):
        monkeypatch.setattr(choosing, name, few)
    return tmp_path / "cache"


def test_folding_leaves_the_numbers_and_the_network() -> None:
    network = build("resnet_pose", {"depth": 50, "num_keypoints": 4}).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    crops = torch.randn(2, 3, 64, 64)
    fast = folded(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
    with torch.inference_mode():
        expected, result = network(crops), fast(crops)
    assert torch.allclose(expected, result, atol=1e-5 * float(expected.abs().max()) + 1e-7)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_half_precision_leaves_the_network_as_it_is() -> None:
    network, info = load_network("movenet_lightning")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    make_runner("torch-bf16", network, info, Path())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runner_gives_the_networks_numbers_for_any_batch(name: str, cache: Path) -> None:
    if find_spec(name) is None or find_spec("onnxscript") is None:
        pytest.skip(f"{name} is not installed")
    network, info = load_network("movenet_lightning")
    runner = make_runner(name, network, info, cache / "network.onnx")
    crops = calibration_crops(info)
    for count in (1, 5):
        with torch.inference_mode():
            expected, result = network(crops[:count]), runner(crops[:count])
        assert list(result) == list(expected)
        for key in expected:
            # Logits of up to about 20, summed in another order.
            assert float((expected[key] - result[key]).abs().max()) < 2e-3


@pytest.mark.slow
def test_a_garment_network_keeps_all_its_channels_in_a_runner(cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    info = published_info(find_model("deepfashion2_vest_res50_256x192"))
    network = build(info.architecture, info.arguments).eval()
    runner = make_runner("onnxruntime", network, info, cache / "network.onnx")
    crops = torch.randn(1, 3, 256, 192)
    with torch.inference_mode():
        result = runner(crops)
        assert isinstance(result, torch.Tensor)
        assert torch.allclose(result, network(crops), atol=1e-4)


@pytest.mark.slow
def test_every_candidate_is_measured_and_the_choice_is_one_that_keeps_the_poses(cache: Path) -> None:
    network, info = load_network("movenet_lightning")
    rows = measure(network, info, cache / "network.onnx")
    assert set(rows) == set(backends.RUNNERS)
    assert rows["torch"]["same"]
    assert rows["torch"]["oks"] == 1.0
    for row in rows.values():
        assert "error" in row or row["seconds"] > 0


def test_a_faster_candidate_that_moves_keypoints_is_not_taken_and_the_choice_is_remembered(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, info = load_network("movenet_lightning")

    def wrong(crops: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = network(crops)
        return {name: value.flip(-1) for name, value in outputs.items()}

    def right(crops: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(network(crops))

    calls = []

    def make(name: str, *_: object) -> Runner:
        calls.append(name)
        return Runner(name, {"torch": right, "fast-and-wrong": wrong, "fast": right}[name])

    speed = {"torch": 3.0, "fast-and-wrong": 1.0, "fast": 2.0}
    monkeypatch.setattr(choosing, "RUNNERS", dict.fromkeys(speed))
    monkeypatch.setattr(choosing, "make_runner", make)
    monkeypatch.setattr(choosing, "_seconds", lambda runner, _crops: speed[runner.name])
    assert choose(network, info, "key") == "fast"
    assert len(calls) == 3
    assert choose(network, info, "key") == "fast"
    assert len(calls) == 3
    record = next(cache.glob("key.*.json"))
    assert json.loads(record.read_text())["measured"]["fast-and-wrong"]["same"] is False
    record.write_text("{")
    assert choose(network, info, "key") == "fast"
    assert len(calls) == 6


def test_the_key_follows_the_weights() -> None:
    network, info = load_network("movenet_lightning")
    first = key_of(network, info)
    assert key_of(network, info) == first
    with torch.inference_mode():
        next(iter(network.state_dict().values())).add_(1e-3)
    assert key_of(network, info) != first


def test_similarity_falls_with_the_distance() -> None:
    info = load_network("movenet_lightning")[1]
    points, scores = torch.rand(2, 17, 2) * 100, torch.ones(2, 17)
    similarities = [similarity((points, scores), (points + shift, scores), info)[0] for shift in (0.0, 1.0, 4.0)]
    assert similarities[0] == 1.0
    assert similarities[0] > similarities[1] > similarities[2]


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ModelError, match="no backend 'tpu'"):
        PoseEstimator.load("movenet_lightning", "cpu", backend="tpu")


@pytest.mark.slow
def test_predictions_are_the_same_with_onnxruntime(cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    image = np.random.default_rng(0).integers(0, 255, (120, 100, 3), np.uint8)
    expected, result = (
        PoseEstimator.load("movenet_lightning", "cpu", backend=name).predict([image], [[[5, 5, 90, 110]]])[0][0]
        for name in ("torch", "onnxruntime")
    )
    assert np.abs(expected.keypoints - result.keypoints).max() < 0.01
