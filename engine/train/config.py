"""What a training run is told, and the TOML file that records it. Loads no torch.

0 (or "" for text) means "choose for me"; what was chosen is written to ``OUT/config.toml``, so that a run can be
repeated from that file alone (``--config OUT/config.toml``).
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.contract.errors import TrainingError
from engine.train.files import write_atomically

What = Literal["pose", "detector", "both"]
CONFIG_FILE = "config.toml"

POSE_STEPS = 400  # enough for a pretrained network on a handful of frames
POSE_PASSES = 8  # and for many frames, this often through all of them
DETECTOR_STEPS = 120
DETECTOR_PASSES = 4
STEPS_PER_EPOCH = 20  # fewer would spend more time on validation than on training


class AugmentConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Random changes of a training crop. Ranges are of uniform draws.

    Attributes:
        flip: probability of a horizontal mirror (left and right points are swapped).
        rotation: largest angle in degrees, either way; -1 = 40 for people and clothes, 180 for all else.
        scale: smallest and largest factor of the crop's side.
        shift: largest shift, as a share of the crop's side.
        brightness: largest change, as a share of the full range.
        contrast: largest change of the factor from 1.
        colour: largest change of a channel's factor from 1.
    """

    flip: float = 0.5
    rotation: float = -1.0
    scale: tuple[float, float] = (0.75, 1.3)
    shift: float = 0.06
    brightness: float = 0.15
    contrast: float = 0.3
    colour: float = 0.1


class OptimiserConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """AdamW with a linear warm-up and a cosine down to ``final_lr`` times the rate.

    Attributes:
        lr: peak learning rate; 0 = by architecture.
        weight_decay: of weights, not of biases and norms.
        warmup_steps: cut to a tenth of the steps in short runs.
        grad_norm: gradients are scaled down to this norm.
    """

    lr: float = 0.0
    weight_decay: float = 0.01
    warmup_steps: int = 40
    grad_norm: float = 1.0
    final_lr: float = 0.01


class PhaseConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One of the two networks' training.

    Attributes:
        epochs: 0 = from the number of instances, such that ten frames and a thousand both end well.
        steps_per_epoch: 0 = once through the data, or 20 steps where that is more.
        batch: instances (pose) or images (detector) a step.
        patience: epochs without improvement after which the run ends; 0 = never.
        foreground_weight: extra weight of heatmap cells under a point (pose only).
    """

    epochs: int = 0
    steps_per_epoch: int = 0
    batch: int = 16
    patience: int = 20
    foreground_weight: float = 10.0
    optimiser: OptimiserConfig = msgspec.field(default_factory=OptimiserConfig)
    augment: AugmentConfig = msgspec.field(default_factory=AugmentConfig)


def _pose() -> PhaseConfig:
    return PhaseConfig()


def _detector() -> PhaseConfig:
    return PhaseConfig(batch=8, augment=AugmentConfig(scale=(0.6, 1.5), shift=0.25))


class TrainConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A whole run.

    Attributes:
        train, images: COCO file and the folder its file names are relative to ("" = the file's folder).
        val, val_images: the same for validation; without, ``val_fraction`` of the images is set aside.
        model: id of the model table or file to start the pose network from.
        weights: weights for an architecture given by id; "random" = none.
        detector: id or file to start the detector from.
        schema: name or TOML file; "" = the category of the COCO file.
        what: "" = pose, and the detector too unless ``detector`` already knows the category.
        out: folder for the results.
        device: auto, cpu, cuda or mps.
        seed: of the split, the order and every random change.
        threads: CPU threads of the networks; 0 = as many as cores.
        workers: threads that prepare batches ahead; -1 = none on the CPU, 4 beside a GPU.
        cache_mb: decoded images kept in memory.
        box_margin: added around the points where an annotation has no box, pixels.
    """

    train: str = ""
    images: str = ""
    val: str = ""
    val_images: str = ""
    model: str = "movenet_lightning"
    weights: str = ""
    detector: str = "efficientdet_lite0"
    schema: str = ""
    what: What | Literal[""] = ""
    out: str = ""
    device: str = "auto"
    seed: int = 0
    threads: int = 0
    workers: int = -1
    cache_mb: int = 1024
    val_fraction: float = 0.1
    box_margin: float = 20.0
    pose: PhaseConfig = msgspec.field(default_factory=_pose)
    detect: PhaseConfig = msgspec.field(default_factory=_detector)


def read_config(path: Path | str) -> TrainConfig:
    """Read a configuration file; entries left out keep their defaults.

    Raises:
        TrainingError: missing, not TOML, an unknown entry or one out of range.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise TrainingError(f"cannot be read ({error.strerror})", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"is not valid TOML: {error}", where=path) from None
    # Merged over the defaults: the two phases differ in theirs, which a bare conversion would not know.
    return config_from_dict(_merged(msgspec.to_builtins(TrainConfig()), data), where=path)


def config_from_dict(data: dict[str, Any], *, where: object = None) -> TrainConfig:
    """Check plain data; TrainingError names the entry that is wrong."""
    try:
        config = msgspec.convert(data, TrainConfig, strict=True)
    except msgspec.ValidationError as error:
        raise TrainingError(f"not a training configuration: {error}", where=where) from None
    check(config, where=where)
    return config


def check(config: TrainConfig, *, where: object = None) -> None:
    """Refuse numbers that no run can use (TrainingError)."""
    for name, phase in (("pose", config.pose), ("detect", config.detect)):
        rules = {
            "epochs": phase.epochs >= 0,
            "steps_per_epoch": phase.steps_per_epoch >= 0,
            "batch": phase.batch >= 1,
            "patience": phase.patience >= 0,
            "optimiser.lr": 0 <= phase.optimiser.lr < 10,
            "optimiser.grad_norm": phase.optimiser.grad_norm > 0,
            "augment.flip": 0 <= phase.augment.flip <= 1,
            "augment.rotation": -1 <= phase.augment.rotation <= 180,
            "augment.scale": 0 < phase.augment.scale[0] <= phase.augment.scale[1],
        }
        for entry, fine in rules.items():
            if not fine:
                raise TrainingError(f"{name}.{entry} is out of range", where=where)
    if not 0 <= config.val_fraction < 0.9:
        raise TrainingError("val_fraction must be at least 0 and below 0.9", where=where)
    if config.seed < 0:
        raise TrainingError("seed must not be negative", where=where)


def write_config(config: TrainConfig, path: Path) -> None:
    """Write all entries as TOML, atomically."""
    lines = ["# Everything this run was told or chose; run it again with --config THIS_FILE.", ""]
    write_atomically(path, "\n".join(lines + _toml(msgspec.to_builtins(config))).encode("utf-8"))


def _toml(data: dict[str, Any], prefix: str = "") -> list[str]:
    lines = [f"{key} = {_value(value)}" for key, value in data.items() if not isinstance(value, dict)]
    lines.append("")
    for key, value in data.items():
        if isinstance(value, dict):
            lines += [f"[{prefix}{key}]", *_toml(value, f"{prefix}{key}.")]
    return lines


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # a JSON string is a TOML basic string once DEL is escaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)
    return str(value)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        known = out.get(key)
        out[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return out
