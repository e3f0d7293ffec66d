"""ResNet with deconvolutions: names, shapes and heatmaps of the published framework."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from engine.models.checkpoint import network_from, read_weights
from engine.models.metadata import CheckpointInfo
from engine.networks import build
from engine.networks.resnet import PoseResNet

IMAGENET_MEAN = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
IMAGENET_STD = torch.tensor([58.395, 57.12, 57.375])[:, None, None]


def _meta(depth: int, num_keypoints: int) -> PoseResNet:
    with torch.device("meta"):
        return PoseResNet(depth, num_keypoints)


@pytest.mark.parametrize(
    ("name", "depth", "num_keypoints"),
    [("resnet50_k17", 50, 17), ("resnet50_k294", 50, 294), ("resnet101_k17", 101, 17), ("resnet152_k17", 152, 17)],
)
def test_names_shapes_and_order_are_those_of_published_checkpoints(
    name: str, depth: int, num_keypoints: int, shared: Path
) -> None:
    listing = json.loads((shared / "parity" / f"{name}.json").read_text())
    expected = [(key, tuple(shape)) for key, shape, *_ in listing["keys"]]
    network = _meta(depth, num_keypoints)
    assert [(key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()] == expected
    assert sum(p.numel() for p in network.parameters()) == listing["n_params"]


def _recipe(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("weight_recipe", folder / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("run", "num_keypoints"), [("res50_coco_256x192", 17), ("res50_df_upper_256x192", 6)])
def test_heatmaps_equal_those_of_the_published_framework(run: str, num_keypoints: int, shared: Path) -> None:
    parity = shared / "parity"
    cases = json.loads((parity / f"{run}.json").read_text())["cases"]
    expected = np.load(parity / f"{run}.npz")
    info = CheckpointInfo(
        task="pose",
        architecture="resnet_pose",
        arguments={"depth": 50, "num_keypoints": num_keypoints},
        schema={"name": "any", "keypoints": [{"name": "point"}]},
        codec={"name": "msra"},
    )
    network = network_from(info, _recipe(parity).fill(_meta(50, num_keypoints)))
    crops = [cv2.imread(str(parity / case["crop_png"]))[..., ::-1].copy() for case in cases]
    x = torch.stack([(torch.from_numpy(c).permute(2, 0, 1).float() - IMAGENET_MEAN) / IMAGENET_STD for c in crops])
    with torch.inference_mode():
        heatmaps = network(x).numpy()
    for case, heatmap in zip(cases, heatmaps, strict=True):
        np.testing.assert_allclose(heatmap[:4], expected[f"{case['id']}_hm4"], atol=1e-4, rtol=0)


def test_a_classifier_file_gives_the_backbone_and_leaves_the_head(tmp_path: Path) -> None:
    source = PoseResNet(50, 3)
    classifier = {
        name.removeprefix("backbone."): t for name, t in source.state_dict().items() if name.startswith("backbone.")
    }
    torch.save({**classifier, "fc.weight": torch.zeros(5, 2048), "fc.bias": torch.zeros(5)}, tmp_path / "imagenet.pth")
    network = PoseResNet(50, 3)
    head = network.head.final_layer.weight.detach().clone()
    network.load_trunk_from(read_weights(tmp_path / "imagenet.pth"))
    assert torch.equal(network.backbone.layer4[2].conv3.weight, source.backbone.layer4[2].conv3.weight)
    assert torch.equal(network.head.final_layer.weight, head)


def test_a_backbone_of_another_depth_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'backbone\.layer3\.6\.conv1\.weight' is missing"):
        PoseResNet(101, 2).load_trunk_from(PoseResNet(50, 2).state_dict())


def test_output_is_a_quarter_of_the_input_and_channels_last_agrees() -> None:
    torch.manual_seed(0)
    network = build("resnet_pose", {"depth": 50, "num_keypoints": 4}).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        plain = network(x)
        last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    assert plain.shape == (1, 4, 16, 24)
    torch.testing.assert_close(plain, last, atol=1e-4, rtol=1e-3)
