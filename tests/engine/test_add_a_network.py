"""A network and a codec without heatmaps, of another package: trained, used, measured and exported by the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.codecs import base, unregister_codec
from engine.errors import ModelError
from engine.evaluate.__main__ import main as evaluate
from engine.export import main as export
from engine.formats.coco.dataset import CocoDataset
from engine.inference.pose_estimator import PoseEstimator
from engine.inference.refinement import refine_pose
from engine.media.images import read_image
from engine.models.checkpoint import load_network
from engine.models.metadata import read_info
from engine.networks import build, registry, unregister_network
from engine.predict.__main__ import main as predict
from engine.schema.schema import schema_from_dict
from engine.train.__main__ import main as train
from engine.train.initial_weights import initial_pose_network
from tests.engine.train.conftest import SCHEMA, write_bars

PAGE = Path(__file__).parents[2] / "docs/extending/network.md"
CONFIG = """
workers = 0
[pose]
epochs = 4
steps_per_epoch = 10
batch = 9
[pose.augment]
flip = 0.0
rotation = 0.0
scale = [1.0, 1.0]
shift = 0.0
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The file of the page in a package of its own, installed beside the program."""
    folder = tmp_path_factory.mktemp("site")
    code = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (folder / "my_package").mkdir()
    (folder / "my_package" / "coordinates.py").write_text(code, encoding="utf-8")
    (folder / "my_package-1.0.dist-info").mkdir()
    (folder / "my_package-1.0.dist-info" / "METADATA").write_text("Name: my_package\nVersion: 1.0\n")
    entry = PAGE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    lines = entry.replace('"', "").replace("project.entry-points.", "")
    (folder / "my_package-1.0.dist-info" / "entry_points.txt").write_text(lines)
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        registry._discover.cache_clear()
        yield
    torch.set_num_threads(threads)
    unregister_network("coordinate_net")
    unregister_codec("coordinates")
    sys.modules.pop("my_package.coordinates", None)
    sys.modules.pop("my_package", None)
    registry._discover.cache_clear()


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"), 10)


@pytest.fixture(scope="module")
def model(toy: None, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ``engine.train`` makes of it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.toml").write_text(CONFIG)
    out = folder / "out"
    options = ["--model", "coordinates_small", "--weights", "random", "--what", "pose", "--config"]
    assert train(["--train", str(labels), "--out", str(out), *options, str(folder / "config.toml")]) == 0
    return out / "best.safetensors"


def test_a_network_of_coordinates_is_trained_with_its_own_facts(model: Path) -> None:
    info = read_info(model)
    assert (info.architecture, info.input_size) == ("coordinate_net", (64, 64))
    assert info.arguments == {"width": 16, "num_keypoints": 4}
    assert info.codec == {"name": "coordinates", "beta": 0.05}
    log = [json.loads(line) for line in (model.parent / "log.jsonl").read_text().splitlines()]
    losses = [event["train_loss"] for event in log if event["event"] == "epoch"]
    assert losses[-1] < 0.8 * losses[0]
    config = (model.parent / "config.toml").read_text()
    assert "lr = 0.002" in config


def test_it_predicts_and_is_evaluated(model: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "poses.json"
    options = ["--annotations", str(labels), "--boxes", "gt", "--flip-test", "--device", "cpu"]
    assert predict([str(labels.parent), "--model", str(model), "--out", str(out), *options]) == 0
    poses = CocoDataset.read(out).annotations
    assert len(poses) == 10
    for pose in poses:
        points = np.reshape(pose.keypoints, (4, 3))
        assert ((points[:, :2] > -60) & (points[:, :2] < 180)).all()
    figures = tmp_path / "figures.json"
    options = ["--images", str(labels.parent), "--out", str(figures), "--device", "cpu"]
    assert evaluate(["--model", str(model), "--annotations", str(labels), *options]) == 0
    assert json.loads(figures.read_text())["measured"]


def test_its_points_follow_a_correction(model: Path, labels: Path) -> None:
    estimator = PoseEstimator.load(model, "cpu")
    image = read_image(labels.parent / "001.png")
    points = np.array([[30.0, 30.0], [50.0, 50.0], [60.0, 60.0], [90.0, 90.0]])
    fixed = np.array([True, False, False, False])
    estimate = refine_pose(estimator, image, points, fixed, np.ones(4, bool))
    assert estimate.keypoints[0].tolist() == [30.0, 30.0]
    assert np.isfinite(estimate.keypoints).all()


@pytest.mark.skipif(find_spec("onnxscript") is None or find_spec("onnxruntime") is None, reason="no ONNX packages")
def test_it_is_exported_and_runs_elsewhere(model: Path, tmp_path: Path) -> None:
    import onnxruntime

    assert export([str(model), "--out", str(tmp_path / "raw.onnx")]) == 0
    assert export([str(model), "--out", str(tmp_path / "decoded.onnx"), "--decode"]) == 0
    crops = np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32)
    raw, decoded = (onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx")) for name in ("raw", "decoded"))
    (coordinates,) = raw.run(["coordinates"], {"crops": crops})
    keypoints, scores = decoded.run(["keypoints", "scores"], {"crops": crops})
    assert np.allclose(keypoints, coordinates * 64 - 0.5, atol=1e-3)
    assert (scores == 1).all()
    network, _ = load_network(model)
    with torch.inference_mode():
        assert np.allclose(network(torch.from_numpy(crops)).numpy(), coordinates, atol=1e-4)


def test_other_keypoints_get_a_new_head_on_the_trained_rest(model: Path) -> None:
    other = schema_from_dict({"name": "pair", "keypoints": [{"name": "a"}, {"name": "b"}]})
    network, info = initial_pose_network(str(model), "", other)
    trained, _ = load_network(model)
    assert info.arguments == {"width": 16, "num_keypoints": 2}
    assert torch.equal(network.backbone[0][0].weight, trained.backbone[0][0].weight)
    assert network.head.out_features == 4
    same, _ = initial_pose_network(str(model), "", SCHEMA)
    assert torch.equal(same.head.weight, trained.head.weight)


def test_a_network_without_a_known_head_cannot_take_other_keypoints(toy: None) -> None:
    facts = registry.Network(name="headless", make=torch.nn.Identity)
    with pytest.raises(ValueError, match="does not say which parameters are its head"):
        facts.load_trunk(torch.nn.Linear(1, 1), {})


def test_a_package_that_is_not_installed_is_named_as_unknown(toy: None) -> None:
    with pytest.raises(ModelError, match=r"unknown architecture 'nothing_like_it'; this version has .*coordinate_net"):
        build("nothing_like_it", {})
    with pytest.raises(ModelError, match=r"unknown codec 'nothing_like_it'; this version has .*gaussian"):
        base.codec_from_dict({"name": "nothing_like_it"}, (64, 64))
