"""Training, evaluation and export as functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.api.model import Model
from engine.errors import LabelError, TrainingError
from engine.labels import LabelReader
from engine.train.config import TrainConfig, check, config_from_dict, merged
from engine.utils.context import Context

if TYPE_CHECKING:  # torch loads when a run begins
    from engine.evaluate.evaluation import EvaluationResult
    from engine.train.run import TrainResult

PathLike = str | os.PathLike[str]


def train(
    labels: PathLike,
    *,
    out: PathLike,
    images: PathLike = "",
    model: PathLike = "movenet_lightning",
    val: PathLike = "",
    val_images: PathLike = "",
    epochs: int = 0,
    batch: int = 0,
    learning_rate: float = 0.0,
    device: str = "auto",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: Context | None = None,
) -> TrainResult:
    """Fine-tune a pose network on labels, and a detector too where none knows the objects.

    Args:
        labels: file or folder of any format that can be read.
        out: folder for the results; it must not hold a run, unless ``resume`` or ``overwrite`` is set.
        images: folder of the images; "" = the folder of the labels.
        model: start: an id of :func:`engine.list_models`, or a checkpoint.
        val: labels to validate on; "" = a tenth of the images is set aside.
        val_images: folder of their images; "" = as ``images``.
        epochs: 0 = by the number of labels.
        batch: instances at once; 0 = the default.
        learning_rate: its peak; 0 = by the network.
        device: "auto", "cpu", "cuda" or "mps".
        settings: any other setting by its name, as ``--set`` of ``python -m engine.train`` takes it:
            ``{"pose.augment.rotation": 180, "val_fraction": 0.2}``.
        resume: go on with the run in ``out``.
        overwrite: replace the run in ``out``.
        context: gets steps done and steps in all; cancelling it saves and stops.

    Returns:
        ``result.best``, the path of the best checkpoint (for :func:`engine.load_model`), ``result.metrics`` by name,
        and more.

    Raises:
        TrainingError: wrong settings, or nothing to train on. LabelError, MediaError, ModelError: bad input.

    Example:
        >>> import engine
        >>> tiny = {"pose.steps_per_epoch": 1, "what": "pose"}
        >>> result = engine.train("labels.json", images=".", out="run", epochs=1, batch=2, device="cpu", settings=tiny)
        >>> result.outcome, result.best.name
        ('finished', 'best.safetensors')
        >>> model = engine.load_model(result.best, device="cpu")
    """
    if isinstance(labels, LabelReader):
        raise TrainingError("training reads a file: engine.write_labels(labels, 'labels.json'), then pass its path")
    config = _config(
        TrainConfig(
            train=os.fspath(labels),
            images=os.fspath(images),
            val=os.fspath(val),
            val_images=os.fspath(val_images),
            model=os.fspath(model),
            out=os.fspath(out),
            device=device,
            seed=seed,
        ),
        {"epochs": epochs, "batch": batch, "optimizer.lr": learning_rate},
        settings or {},
    )
    from engine.train.run import train as run_training

    return run_training(config, resume=resume, overwrite=overwrite, context=context)


def evaluate(
    model: Model | PathLike,
    labels: PathLike,
    *,
    images: PathLike = "",
    boxes: PathLike = "gt",
    metrics: Sequence[str] = (),
    flip_test: bool = True,
    device: str = "auto",
    weights: PathLike | None = None,
    context: Context | None = None,
) -> EvaluationResult:
    """Predict the images of labels and compare: AP and AR, or PCK, AUC and EPE, as the model's protocol says.

    Args:
        model: an id, a checkpoint file, a training folder, or a loaded model.
        labels: file or folder of any format that can be read.
        images: folder of the images; "" = the folder of the labels.
        boxes: "gt" = the labelled boxes; else a file of detections, as a COCO results list.
        metrics: some of "oks", "pck", "auc", "epe", "nme"; none = those of the model's protocol.
        flip_test: average with the mirrored image, as published figures are measured.
        device: "auto", "cpu", "cuda" or "mps".
        weights: other weights for the same network.
        context: gets images done and images in all.

    Returns:
        ``result.metrics`` by name, ``result.published`` figures of the model, and more.

    Raises:
        ModelError, LabelError, MediaError: the model, the labels or all images cannot be used.

    Example:
        >>> import engine
        >>> result = engine.evaluate("movenet_lightning", "labels.json", images=".", metrics=["pck"], device="cpu")
        >>> 0 <= result.metrics["PCK@0.2"] <= 1
        True
    """
    if isinstance(labels, LabelReader):
        raise LabelError("evaluation reads a file: engine.write_labels(labels, 'labels.json'), then pass its path")
    if isinstance(metrics, str):
        metrics = [metrics]
    from engine.evaluate.evaluation import evaluate_model
    from engine.evaluate.model import Conditions

    return evaluate_model(
        model_name(model),
        os.fspath(labels),
        os.fspath(images),
        Conditions(boxes=os.fspath(boxes), flip_test=flip_test, device=device),
        metrics=metrics,
        weights=None if weights is None else os.fspath(weights),
        context=context,
    )


def export(
    model: Model | PathLike,
    path: PathLike,
    *,
    weights: PathLike | None = None,
    decode: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a pose model as an ONNX file, and compare it with the network.

    Args:
        model: an id, a checkpoint file, a training folder, or a loaded model.
        path: ends in .onnx; an existing file that this function did not write is only replaced with ``overwrite``.
        weights: other weights for the same network.
        decode: keypoints and scores as outputs, instead of what the network gives.

    Returns:
        The path.

    Raises:
        ModelError: a detector, or missing packages (``pip install poseapp[fast]``).
        PoseError: the file cannot be written, or must not be replaced.

    Example:
        >>> import engine
        >>> engine.export("movenet_lightning", "lightning.onnx").name
        'lightning.onnx'
    """
    from engine.export import export_model

    target = Path(path)
    other = None if weights is None else os.fspath(weights)
    export_model(model_name(model), target, other, decode=decode, overwrite=overwrite)
    return target


def model_name(model: Model | PathLike) -> str:
    """What the catalog finds a model by."""
    return model.entry.id if isinstance(model, Model) else os.fspath(model)


def _config(config: TrainConfig, pose: Mapping[str, Any], settings: Mapping[str, Any]) -> TrainConfig:
    """A configuration with the settings of the pose network that are not 0, and then those by their full names."""
    data = msgspec.to_builtins(config)
    named = {f"pose.{name}": value for name, value in pose.items() if value}
    if "pose.epochs" in named:
        named["detect.epochs"] = named["pose.epochs"]
    for name, value in {**named, **settings}.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        data = merged(data, value)
    config = config_from_dict(data)
    check(config)
    return config
