"""Recipes of published models as training configurations. Loads no torch.

Common to all: Adam at 5e-4 for 210 epochs, a linear warm-up of 500 steps from a thousandth, a tenth of the rate from
epochs 170 and 200 on, validation every 10 epochs, random mirror and box changes of the crops, mean squared error of
heatmaps. The ``recipe`` table of a row (``resources/models.toml``) has the rest: data, GPUs and batch of each,
half-body crops, and the figure that chose the best epoch. Codec, input size and network are in the row itself.

A step has as many instances as on the GPUs of the publication; with fewer GPUs, gradients of several batches are
accumulated. As batch normalization sees the batch of a single GPU there too, the training is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from engine.errors import TrainingError
from engine.models.catalog import ModelEntry, find_model, list_models
from engine.schema.builtin import find_schema
from engine.schema.schema import Schema
from engine.train.config import TopDownConfig, TrainConfig, config_from_dict, merged

EPOCHS = 210
LEARNING_RATE = 5e-4
WARMUP_STEPS, WARMUP_FACTOR = 500, 0.001
MILESTONES = (170, 200)
VALIDATE_EVERY = 10
HALF_BODY_CHANCE = 0.3
VISIBILITY_WEIGHT = 1e-3
# Folders of the images of each data set in its original layout: those to train and those to validate on.
IMAGE_FOLDERS = {
    "coco": ("train2017", "val2017"),
    "coco_wholebody": ("train2017", "val2017"),
    "halpe": ("hico_20160224_det/images/train2015", "val2017"),
    "deepfashion_upper": ("img", "img"),
    "deepfashion_lower": ("img", "img"),
    "deepfashion_full": ("img", "img"),
    "deepfashion2": ("train/image", "validation/image"),
}


def find_recipe(id: str) -> ModelEntry:
    """The row with this id.

    Raises:
        TrainingError: there is none, or it has no recipe.
    """
    rows = [entry for entry in list_models("pose") if entry.recipe]
    entry_of_id = next((entry for entry in rows if entry.id == id), None)
    if entry_of_id is None:
        raise TrainingError(f"there is no recipe {id!r}; there are {', '.join(entry.id for entry in rows)}")
    return entry_of_id


def recipe_for(entry: ModelEntry) -> dict[str, Any]:
    """The entries of a row's recipe that differ from the default ``TrainConfig``, as plain nested data.

    Raises:
        TrainingError: the row has no recipe.
    """
    recipe = entry.recipe
    if not recipe:
        raise TrainingError(f"model {entry.id!r} has no recipe")
    batch, cards = int(recipe.get("batch_per_gpu", 32)), int(recipe.get("gpus", 1))
    optimizer = {
        "kind": "adam",
        "lr": LEARNING_RATE,
        "weight_decay": 0.0,
        "schedule": "steps",
        "warmup_steps": WARMUP_STEPS,
        "warmup_factor": WARMUP_FACTOR,
        "milestones": list(MILESTONES),
        "gamma": 0.1,
        "grad_norm": 0.0,
    }
    topdown = msgspec.to_builtins(TopDownConfig(enabled=True))
    topdown["half_body"] = HALF_BODY_CHANCE if recipe.get("half_body") else 0.0
    pose = {
        "epochs": EPOCHS,
        "batch": batch,
        "total_batch": batch * cards,
        "patience": 0,
        "validate_every": VALIDATE_EVERY,
        "select": str(recipe.get("select", "")).rsplit("/", 1)[-1],
        "visibility_weight": VISIBILITY_WEIGHT,
        "precision": "float32",
        "optimizer": optimizer,
        "topdown": topdown,
    }
    return {
        "recipe": entry.id,
        "model": entry.id,
        "what": "pose",
        "detector": entry.detector or "",
        "cache_mb": -1,  # decoding takes 80 % of the time to make a crop
        "pose": pose,
    }


def with_recipe(config: TrainConfig, entry: ModelEntry) -> TrainConfig:
    """The configuration with the entries of a row's recipe in place of its own."""
    return config_from_dict(merged(msgspec.to_builtins(config), recipe_for(entry)), where=f"recipe {entry.id}")


def with_data(config: TrainConfig, folder: str) -> TrainConfig:
    """The configuration with the files of the recipe's data set below ``folder``; files that are named already stay.

    Raises:
        TrainingError: there is no recipe.
    """
    if not config.recipe:
        raise TrainingError("--data goes with --recipe; without, name the files with --train and --images")
    entry, root = find_recipe(config.recipe), Path(folder)
    recipe = entry.recipe
    images = IMAGE_FOLDERS.get(str(recipe.get("dataset", "")), ("", ""))
    paths = {
        "train": str(recipe.get("train", "")).split(" + ")[0],
        "val": str(recipe.get("val", "")),
        "images": images[0],
        "val_images": images[1],
    }
    missing = {name: str(root / path) for name, path in paths.items() if path and not getattr(config, name)}
    return msgspec.structs.replace(config, **missing)


def points_of(config: TrainConfig) -> tuple[str | Schema, str]:
    """The schema to read the labels with ("" = from the file), and the kind of the data set if it must be given."""
    if config.schema or not config.recipe:
        return config.schema, ""
    entry = find_model(config.recipe)
    if entry.subset:
        return find_schema(entry.schema).subset(entry.subset), entry.schema
    return "", ""


def is_missing_extra(config: TrainConfig) -> bool:
    """Whether the recipe trains on a second data set that was not given."""
    return bool(config.recipe) and " + " in str(find_model(config.recipe).recipe.get("train", "")) and not config.extra
