"""A published model's recipe as settings of a training run. Loads no torch.

Common to all rows: Adam at 5e-4 for 210 epochs, a linear warm-up of 500 steps from a thousandth, a tenth of the rate
from epochs 170 and 200 on, validation every 10 epochs, mirror and box changes of the crops, mean squared error of
heatmaps. A row's ``recipe`` table (``resources/models.toml``) tells the rest: data, cards and batch of each, half-body
crops, and the figure that chose the best epoch. Codec, input and network stand in the row itself.

A step has as many instances as on the cards of the publication; with fewer of them batches are added up. As batch
normalisation sees one card's batch at a time there too, that is the same training.
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
# Where the images of a data set lie in its own layout, below its folder: those to train and those to validate on.
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
    """The row of that id.

    Raises:
        TrainingError: there is none, or it has no recipe.
    """
    rows = [entry for entry in list_models("pose") if entry.recipe]
    found = next((entry for entry in rows if entry.id == id), None)
    if found is None:
        raise TrainingError(f"there is no recipe {id!r}; there are {', '.join(entry.id for entry in rows)}")
    return found


def recipe_for(entry: ModelEntry) -> dict[str, Any]:
    """What a row's recipe changes of the default ``TrainConfig``, as plain nested data.

    Raises:
        TrainingError: the row has no recipe.
    """
    told = entry.recipe
    if not told:
        raise TrainingError(f"model {entry.id!r} has no recipe")
    batch, cards = int(told.get("batch_per_gpu", 32)), int(told.get("gpus", 1))
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
    topdown["half_body"] = HALF_BODY_CHANCE if told.get("half_body") else 0.0
    pose = {
        "epochs": EPOCHS,
        "batch": batch,
        "total_batch": batch * cards,
        "patience": 0,
        "validate_every": VALIDATE_EVERY,
        "select": str(told.get("select", "")).rsplit("/", 1)[-1],
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
        "cache_mb": -1,  # decoding takes four fifths of the time to make a crop
        "pose": pose,
    }


def with_recipe(config: TrainConfig, entry: ModelEntry) -> TrainConfig:
    """A configuration with the entries of a row's recipe in place of its own."""
    return config_from_dict(merged(msgspec.to_builtins(config), recipe_for(entry)), where=f"recipe {entry.id}")


def with_data(config: TrainConfig, folder: str) -> TrainConfig:
    """A configuration with the files of the recipe's data set below ``folder``; what is named already stays.

    Raises:
        TrainingError: there is no recipe to tell the files.
    """
    if not config.recipe:
        raise TrainingError("--data goes with --recipe; without, name the files with --train and --images")
    entry, root = find_recipe(config.recipe), Path(folder)
    told = entry.recipe
    images = IMAGE_FOLDERS.get(str(told.get("dataset", "")), ("", ""))
    found = {
        "train": str(told.get("train", "")).split(" + ")[0],
        "val": str(told.get("val", "")),
        "images": images[0],
        "val_images": images[1],
    }
    missing = {name: str(root / path) for name, path in found.items() if path and not getattr(config, name)}
    return msgspec.structs.replace(config, **missing)


def points_of(config: TrainConfig) -> tuple[str | Schema, str]:
    """Schema to read the labels with ("" = as the file says), and the kind of the data set where it must be told."""
    if config.schema or not config.recipe:
        return config.schema, ""
    entry = find_model(config.recipe)
    if entry.subset:
        return find_schema(entry.schema).subset(entry.subset), entry.schema
    return "", ""


def is_missing_extra(config: TrainConfig) -> bool:
    """Whether the recipe trains on a second data set, which was not given."""
    return bool(config.recipe) and " + " in str(find_model(config.recipe).recipe.get("train", "")) and not config.extra
