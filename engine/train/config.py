"""The settings of a training run, and the TOML file that holds them. Loads no torch.

0 (or "" for text) means "choose for me". :func:`engine.train.resolve.resolve` chooses, and the result is written to
``OUT/config.toml``, so that a run can be repeated from that file alone (``--config OUT/config.toml``).
Configurations are frozen; ``msgspec.structs.replace`` makes a changed copy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.errors import TrainingError
from engine.utils.atomic_write import OUT_FILES, write_atomically
from engine.utils.outputs import check_outputs
from engine.utils.toml_file import MAX_KEY_PARTS, parse_toml, read_toml

What = Literal["pose", "detector", "both"]
CONFIG_FILE = "config.toml"

POSE_STEPS = 400  # enough for a pretrained network on a handful of frames
POSE_PASSES = 8  # through all frames, where there are many
DETECTOR_STEPS = 120
DETECTOR_PASSES = 4
AUTO_BATCH = -1
# More than any machine has or any run needs; larger numbers are typing errors that would end in a crash.
MAX_THREADS = 1024
MAX_CACHE_MB = 1 << 24
MAX_BATCH = 1 << 20
MAX_COUNT = 10**9
SELECTABLE = ("", "AP", "PCK@0.2", "AUC", "EPE")
DETECTOR_SELECTABLE = ("", "AP")
STEPS_PER_EPOCH = 20  # fewer would spend more time on validation than on training
RENAMED_KEYS = {"optimiser": "optimizer", "colour": "color"}
"""Keys of version 0.1, which configuration files and ``--set`` may still use."""


class AugmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Random changes of a training crop, drawn uniformly from these ranges.

    Attributes:
        flip: probability of a horizontal mirror (left and right points are swapped); -1 = 0.5 if the left/right
            partner of each point is known, else 0.
        rotation: largest angle in degrees, either way; -1 = from how much the labelled poses are rotated against each
            other.
        scale: smallest and largest factor of the crop's side.
        shift: largest shift, as a share of the crop's side.
        brightness: largest change, as a share of the full range.
        contrast: largest change of the factor from 1.
        color: largest change of a channel's factor from 1.
    """

    flip: float = -1.0
    rotation: float = -1.0
    scale: tuple[float, float] = (0.75, 1.3)
    shift: float = 0.06
    brightness: float = 0.15
    contrast: float = 0.3
    color: float = 0.1


class TopDownConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Random changes of a crop as in the training of the published top-down models.

    See ``engine.train.data.topdown_augmentation``.

    Attributes:
        enabled: use these instead of ``AugmentConfig``, on crops as the published models see them.
        flip: probability of a mirror of the whole image; -1 = as in ``AugmentConfig``.
        half_body: probability that an instance with ``half_body_points`` labelled points or more is cut to its upper or
            lower half; 0 = never.
        half_body_upper: probability of the upper half if both have enough points.
        half_body_least: labelled points that the upper and the lower half must have.
        half_body_padding: factor by which the extent of the chosen points is enlarged.
        shift, shift_chance: largest shift as a share of the padded box, and its probability.
        scale, scale_chance: largest change of the factor from 1, and its probability.
        rotation, rotation_chance: largest angle in degrees, and its probability. Shift, scale and angle are standard
            normal draws cut off at 1, times the largest.
    """

    enabled: bool = False
    flip: float = -1.0
    half_body: float = 0.0
    half_body_points: int = 9
    half_body_upper: float = 0.7
    half_body_least: tuple[int, int] = (2, 3)
    half_body_padding: float = 1.5
    shift: float = 0.16
    shift_chance: float = 0.3
    scale: float = 0.5
    scale_chance: float = 1.0
    rotation: float = 80.0
    rotation_chance: float = 0.6


class OptimizerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The optimizer, and the learning rate as a function of the step.

    Attributes:
        kind: "adamw", or "adam" (with weight decay as part of the gradient).
        lr: peak learning rate; 0 = by architecture.
        weight_decay: of weights, not of biases and norms.
        schedule: "cosine" down to ``final_lr`` times the rate, or "steps": times ``gamma`` at each of ``milestones``.
        warmup_steps: the rate rises linearly from ``warmup_factor`` times ``lr``; with "cosine" at most a tenth of all
            steps.
        milestones: epochs.
        grad_norm: gradients are scaled down to this norm; 0 = never.
        scale_base: instances per step that ``lr`` is meant for; ``lr`` is scaled in proportion to the actual number;
            0 = not scaled.
    """

    kind: Literal["adamw", "adam"] = "adamw"
    lr: float = 0.0
    weight_decay: float = 0.01
    schedule: Literal["cosine", "steps"] = "cosine"
    warmup_steps: int = 40
    warmup_factor: float = 0.0
    grad_norm: float = 1.0
    final_lr: float = 0.01
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    scale_base: int = 0


class TaskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Training of one of the two networks.

    Attributes:
        epochs: 0 = from the number of instances, so that ten frames and a thousand both give a good model.
        steps_per_epoch: 0 = once through the data, but at least 20 steps.
        batch: instances (pose) or images (detector) that go through the network at once, in each process; -1 = as
            many as fit into memory.
        accumulate: batches per step in each process; 0 = as ``total_batch`` requires, else 1.
        total_batch: instances or images per step of all processes together; 0 = batch * accumulate * processes.
        patience: validations without improvement after which the run ends; 0 = never.
        validate_every: epochs between validations; the last epoch is always validated.
        select: figure that decides which epoch is best ("AP", "PCK@0.2", "AUC", "EPE"); "" = the mean distance. For the
            detector "AP"; "" = AP and the overlap of the best boxes.
        foreground_weight: extra weight of heatmap cells under a point (pose only; not with ``topdown``).
        visibility_weight: of the loss of a visibility head.
        precision: of the forward pass: "auto" = fp16 on CUDA, else float32.
        channels_last: memory layout; usually the faster one.
        compile: use torch.compile; takes a minute or more at the start.
        ema: decay per step of a moving average of the weights (such as 0.9998), which validation and checkpoints use;
            0 = the weights themselves.
        freeze_norms: batch normalization uses and keeps its initial statistics.
        flip_test: also validate with mirrored crops (only with ``topdown``).
    """

    epochs: int = 0
    steps_per_epoch: int = 0
    batch: int = 16
    accumulate: int = 0
    total_batch: int = 0
    patience: int = 20
    validate_every: int = 1
    select: str = ""
    foreground_weight: float = 10.0
    visibility_weight: float = 1e-3
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    ema: float = 0.0
    freeze_norms: bool = False
    flip_test: bool = True
    optimizer: OptimizerConfig = msgspec.field(default_factory=OptimizerConfig)
    augment: AugmentConfig = msgspec.field(default_factory=AugmentConfig)
    topdown: TopDownConfig = msgspec.field(default_factory=TopDownConfig)

    @property
    def mirrors(self) -> bool:
        """Whether training crops are mirrored; only known in a resolved configuration."""
        return (self.topdown.flip if self.topdown.enabled else self.augment.flip) > 0

    @property
    def step_size(self) -> int:
        """Instances or images per step of all processes."""
        return self.total_batch or max(1, self.batch)


def _detector_defaults() -> TaskConfig:
    return TaskConfig(batch=8, augment=AugmentConfig(scale=(0.6, 1.5), shift=0.25))


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole run.

    Attributes:
        recipe: id of the published model whose recipe this is, "" for none.
        train, images: label file, and the folder its file names are relative to ("" = the file's folder).
        extra, extra_images: a second data set to train on; AI Challenger beside COCO.
        val, val_images: label file and images to validate on; without one, ``val_fraction`` of the images is set aside.
        val_boxes: COCO results list with detected boxes to validate in; "" = the labelled boxes (recipes only).
        model: id or file of the pose network to start from.
        weights: weights for an architecture given by id; "random" = none.
        detector: id or file of the detector to start from.
        schema: name or TOML file; "" = from the category of the label file.
        what: "" = pose, and the detector too unless ``detector`` already finds the category.
        out: folder for the results.
        device: auto, cpu, cuda or mps.
        seed: of the validation split, the order of samples and every random change.
        threads: CPU threads of the networks; 0 = as many as cores.
        workers: threads that prepare batches; -1 = none on the CPU, up to 8 beside a GPU.
        deterministic: use only algorithms that give the same digits each time; makes a difference on GPUs only.
        tensorboard: also write curves for TensorBoard to OUT/tensorboard.
        silence: seconds without a heartbeat after which a process of a distributed run counts as gone.
        cache_mb: decoded images kept in memory; -1 = up to half of the free memory.
        val_fraction: share of the images set aside for validation.
        box_margin: pixels added around the points of an annotation without a box.
    """

    recipe: str = ""
    train: str = ""
    images: str = ""
    extra: str = ""
    extra_images: str = ""
    val: str = ""
    val_images: str = ""
    val_boxes: str = ""
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
    deterministic: bool = False
    tensorboard: bool = False
    silence: float = 60.0
    cache_mb: int = 1024
    val_fraction: float = 0.1
    box_margin: float = 20.0
    pose: TaskConfig = msgspec.field(default_factory=TaskConfig)
    detect: TaskConfig = msgspec.field(default_factory=_detector_defaults)


def read_config(path: Path | str, base: TrainConfig | None = None) -> TrainConfig:
    """Read a configuration file; entries it leaves out are as in ``base``, else their defaults.

    Raises:
        TrainingError: missing, not TOML, an unknown entry or one out of range.
    """
    path = Path(path)
    data = _with_current_keys(read_toml(path, TrainingError))
    # Merged over the defaults, in which the two tasks differ; a plain conversion would use those of the class.
    return config_from_dict(merged(msgspec.to_builtins(base or TrainConfig()), data), where=path)


def with_settings(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """A copy with single entries changed, each given as ``pose.optimizer.lr=1e-3``; the value as TOML, or text.

    Raises:
        TrainingError: no such entry, or a value of the wrong kind.
    """
    data = msgspec.to_builtins(config)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise TrainingError(f"--set takes NAME=VALUE, not {setting!r}")
        try:
            value = parse_toml(f"value = {text}")["value"]
        except ValueError:
            value = text
        parts = name.strip().split(".")
        if len(parts) > MAX_KEY_PARTS:
            raise TrainingError(f"--set has no entry {name[:60]!r}")
        for part in reversed(parts):
            value = {RENAMED_KEYS.get(part, part): value}
        data = merged(data, value)
    return config_from_dict(data, where="--set" if settings else None)


def _with_current_keys(data: dict[str, Any]) -> dict[str, Any]:
    """The same settings with the keys of :data:`RENAMED_KEYS` under their new names."""
    return {
        RENAMED_KEYS.get(key, key): _with_current_keys(value) if isinstance(value, dict) else value
        for key, value in data.items()
    }


def config_from_dict(data: dict[str, Any], *, where: object = None) -> TrainConfig:
    """Turn plain data into a configuration; TrainingError names the entry that is wrong."""
    try:
        config = msgspec.convert(data, TrainConfig, strict=True)
    except msgspec.ValidationError as error:
        raise TrainingError(f"not a training configuration: {error}", where=where) from None
    check(config, where=where)
    return config


def check(config: TrainConfig, *, where: object = None) -> None:
    """Raise TrainingError for numbers that no run can use."""
    for name, task in (("pose", config.pose), ("detect", config.detect)):
        selectable = SELECTABLE if name == "pose" else DETECTOR_SELECTABLE
        if task.select not in selectable:
            choices = ", ".join(f'"{choice}"' for choice in selectable)
            raise TrainingError(f"{name}.select must be one of {choices}", where=where)
        rules = {
            "epochs": 0 <= task.epochs <= MAX_COUNT,
            "steps_per_epoch": 0 <= task.steps_per_epoch <= MAX_COUNT,
            "batch": 1 <= task.batch <= MAX_BATCH or task.batch == AUTO_BATCH,
            "accumulate": 0 <= task.accumulate <= MAX_BATCH,
            "total_batch": 0 <= task.total_batch <= MAX_BATCH,
            "validate_every": 1 <= task.validate_every <= MAX_COUNT,
            "ema": 0 <= task.ema < 1,
            "patience": task.patience >= 0,
            "optimizer.lr": 0 <= task.optimizer.lr < 10,
            "optimizer.grad_norm": task.optimizer.grad_norm >= 0,
            "optimizer.warmup_steps": task.optimizer.warmup_steps >= 0,
            "optimizer.scale_base": task.optimizer.scale_base >= 0,
            "augment.flip": task.augment.flip == -1 or 0 <= task.augment.flip <= 1,
            "topdown.flip": task.topdown.flip == -1 or 0 <= task.topdown.flip <= 1,
            "augment.rotation": -1 <= task.augment.rotation <= 180,
            "augment.scale": 0 < task.augment.scale[0] <= task.augment.scale[1],
            "topdown.scale": 0 <= task.topdown.scale < 1,
            "topdown.half_body_padding": task.topdown.half_body_padding > 0,
        }
        for entry, is_valid in rules.items():
            if not is_valid:
                raise TrainingError(f"{name}.{entry} is out of range", where=where)
    if not 0 <= config.val_fraction < 0.9:
        raise TrainingError("val_fraction must be at least 0 and below 0.9", where=where)
    if not config.silence > 0:
        raise TrainingError("silence must be above 0", where=where)
    if not 0 <= config.seed < 1 << 63:  # the generators of torch take 64 bits
        raise TrainingError("seed must be a whole number from 0 to 2^63 - 1", where=where)
    for name, value, low, high in (
        ("threads", config.threads, 0, MAX_THREADS),
        ("workers", config.workers, -1, MAX_THREADS),
        ("cache_mb", config.cache_mb, -1, MAX_CACHE_MB),
    ):
        if not low <= value <= high:
            raise TrainingError(f"{name} must be a whole number from {low} to {high}", where=where)


def check_out(config: TrainConfig, config_file: Path | str | None = None) -> None:
    """Raise an error if a file that a new run reads is one that it would remove or replace in its folder.

    Args:
        config_file: the file that the configuration was read from.
    """
    names = ("train", "extra", "val", "val_boxes", "model", "weights", "detector", "schema")
    inputs = [(f"--{name.replace('_', '-')}", getattr(config, name)) for name in names]
    if Path(config.out).exists() and not Path(config.out).is_dir():
        raise TrainingError("is not a folder; give another --out", where=config.out)
    for name in OUT_FILES:
        # OUT/config.toml may be read as --config: training writes the same settings into it.
        config_input = [] if name == CONFIG_FILE else [("--config", config_file)]
        check_outputs({"--out": Path(config.out) / name}, [*inputs, *config_input])


def write_config(config: TrainConfig, path: Path) -> None:
    """Write all entries as TOML, atomically."""
    write_atomically(path, config_text(config).encode("utf-8"))


def config_text(config: TrainConfig) -> str:
    """All entries as TOML."""
    lines = ["# All settings of this run; repeat it with --config THIS_FILE.", ""]
    return "\n".join(lines + _toml_lines(msgspec.to_builtins(config)))


def _toml_lines(data: dict[str, Any], prefix: str = "") -> list[str]:
    lines = [f"{key} = {_toml_value(value)}" for key, value in data.items() if not isinstance(value, dict)]
    lines.append("")
    for key, value in data.items():
        if isinstance(value, dict):
            lines += [f"[{prefix}{key}]", *_toml_lines(value, f"{prefix}{key}.")]
    return lines


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # a JSON string is a TOML basic string once DEL is escaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)
    return str(value)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the entries of ``over`` in place of its own, table by table."""
    out = dict(base)
    for key, value in over.items():
        current = out.get(key)
        out[key] = merged(current, value) if isinstance(current, dict) and isinstance(value, dict) else value
    return out
