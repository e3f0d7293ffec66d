"""MoveNet against stored outputs of the published graphs, and the trunk that fine-tunes start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.checkpoint import load_checkpoint, load_network
from engine.networks.movenet import MoveNet, MoveNetHeatmap

TOLERANCE = 2e-3
OUTPUTS = {"heatmap": "heatmap_logits", "offset": "offset", "regress": "regress", "center": "center_logits"}


@pytest.mark.parametrize("model", ["movenet_thunder", "movenet_lightning"])
def test_outputs_equal_those_of_the_published_graph(model: str, shared: Path) -> None:
    reference = np.load(shared / "models" / f"{model}.reference.npz")
    network, info = load_network(model)
    mean, std = info.normalization["mean"][0], info.normalization["std"][0]
    crops = torch.from_numpy(reference["crop_rgb_uint8"]).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        outputs = network((crops - mean) / std)
    assert set(outputs) == set(OUTPUTS)
    for ours, theirs in OUTPUTS.items():
        np.testing.assert_allclose(outputs[ours].numpy(), reference[theirs], atol=TOLERANCE, rtol=0, err_msg=ours)


@pytest.mark.parametrize(("width", "size"), [("thunder", 256), ("lightning", 192)])
def test_heads_have_the_shapes_of_the_docstring(width: str, size: int) -> None:
    network = MoveNet(width, num_keypoints=5).eval()
    with torch.inference_mode():
        outputs = network(torch.zeros(2, 3, size, size))
    cells = size // 4
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "heatmap": (2, 5, cells, cells),
        "offset": (2, 10, cells, cells),
        "regress": (2, 10, cells, cells),
        "center": (2, 1, cells, cells),
    }


def test_parameter_names_are_those_that_checkpoints_hold(resources_dir: Path) -> None:
    _, state = load_checkpoint(resources_dir / "models" / "movenet_lightning.safetensors")
    names = set(MoveNet("lightning").state_dict())
    assert names == set(state)
    assert {
        "backbone.stem.weight",
        "backbone.block0.depthwise.bias",
        "backbone.block16.project.weight",
        "backbone.top.weight",
        "neck.lateral32.weight",
        "neck.smooth4.pointwise.bias",
        "heads.center.hidden.depthwise.weight",
        "heads.heatmap.output.bias",
    } <= names


def test_input_sizes_that_are_no_multiple_of_32_are_taken() -> None:
    with torch.inference_mode():
        assert MoveNetHeatmap("lightning", 3).eval()(torch.zeros(1, 3, 200, 136)).shape == (1, 3, 50, 34)


def test_a_heatmap_network_gives_the_heatmaps_of_its_trunk(resources_dir: Path) -> None:
    _, state = load_checkpoint(resources_dir / "models" / "movenet_lightning.safetensors")
    network = MoveNetHeatmap("lightning", 17).eval()
    network.load_trunk_from(state)
    for name, tensor in network.state_dict().items():
        if not name.startswith("heads.heatmap.output."):
            assert torch.equal(tensor, state[name]), name
    network.heads["heatmap"].output.load_state_dict(
        {part: state[f"heads.heatmap.output.{part}"] for part in ("weight", "bias")}
    )
    whole = MoveNet("lightning").eval()
    whole.load_state_dict(state)
    x = torch.randn(1, 3, 192, 192, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(network(x), whole(x)["heatmap"])


def test_a_trunk_of_the_other_width_is_refused_and_changes_nothing(resources_dir: Path) -> None:
    _, state = load_checkpoint(resources_dir / "models" / "movenet_lightning.safetensors")
    network = MoveNetHeatmap("thunder", 4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    message = r"'backbone\.stem\.weight' has shape \(32, 3, 3, 3\), expected \(56, 3, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        network.load_trunk_from(state)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_every_parameter_of_a_heatmap_network_gets_a_gradient() -> None:
    network = MoveNetHeatmap("lightning", 2)
    network(torch.randn(1, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_channels_last_gives_the_same_heatmaps() -> None:
    torch.manual_seed(0)
    network = MoveNetHeatmap("lightning", 4).eval()
    x = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        plain = network(x)
        last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("arguments", [{"width": "storm"}, {"num_keypoints": 0}])
def test_impossible_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MoveNet(**arguments)  # type: ignore[arg-type]
