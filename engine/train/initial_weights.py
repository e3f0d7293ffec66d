"""The network a run starts from: a bundled model, a checkpoint, or fresh layers, with a new head if the keypoints
differ."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.codecs import codec_from_dict
from engine.errors import ModelError
from engine.models.catalog import ModelEntry, find_model, user_models_dir
from engine.models.checkpoint import load_checkpoint, load_state, network_from, read_weights
from engine.models.download import Download, fetch
from engine.models.metadata import CheckpointInfo
from engine.models.mmpose_weights import missing_weights, published_info
from engine.networks import Network, build, find_network, find_variant
from engine.schema.schema import Schema

log = logging.getLogger(__name__)

RANDOM, PUBLISHED = "random", "published"


def initial_pose_network(model: str, weights: str, schema: Schema) -> tuple[nn.Module, CheckpointInfo]:
    """The network to train, and its description with ``schema`` in it.

    A model of the same points, once fine-tuned, keeps its head; any other start gets a new one. MoveNet's own four
    heads become one heatmap head.

    Args:
        model: id or file of a pose model, or the id of a network that starts from nothing
            (``engine.networks.variant_ids``).
        weights: a file for the same architecture, ``random``, or "".

    Raises:
        ModelError: no such model, a detector, or weights that do not fit.
    """
    variant = find_variant(model)
    if variant is not None:
        return _variant(model, *variant, weights, schema)
    entry = find_model(model)
    file = entry.file
    if entry.source == "published":
        return _published(entry, weights, schema)
    if file is None:
        raise ModelError(f"model {model!r} has no file on this computer")
    info, state = load_checkpoint(file)
    if info.task != "pose" or info.schema is None:
        raise ModelError("is a detector; --model takes a pose model", where=model)
    if weights and weights != RANDOM:
        state = read_weights(weights)
    described = info.replace(
        schema=schema.to_dict(),
        arguments={**info.arguments, "num_keypoints": schema.num_keypoints},
        metrics={},
    )
    same_points = tuple(point["name"] for point in info.schema["keypoints"]) == schema.names
    facts = find_network(info.architecture, where=file)
    if facts.trained_as:
        facts = find_network(facts.trained_as)
        codec = codec_from_dict(facts.codec, info.input_size)
        described = described.replace(architecture=facts.name, codec=codec.to_dict())
    elif same_points and weights != RANDOM:
        return network_from(described, state, where=weights or file), described
    network = build(described.architecture, described.arguments, where=file)
    if weights != RANDOM:
        _load_trunk(facts, network, state, weights or str(file))
    return network, described


def _variant(
    model: str, facts: Network, arguments: dict[str, Any], weights: str, schema: Schema
) -> tuple[nn.Module, CheckpointInfo]:
    """A network that starts from nothing, or from weights given for it."""
    if not weights:
        raise ModelError(
            f"{model!r} has no weights here: give a file with --weights, or --weights random to start from nothing"
        )
    size = facts.input_size
    info = CheckpointInfo(
        task="pose",
        architecture=facts.name,
        arguments={**arguments, "num_keypoints": schema.num_keypoints},
        schema=schema.to_dict(),
        codec=codec_from_dict(facts.codec, size, where=model).to_dict(),
        input_size=size,
        normalization=dict(facts.normalization),
    )
    network = build(facts.name, info.arguments)
    if weights != RANDOM:
        _load_trunk(facts, network, read_weights(weights), weights)
    return network, info


def initial_recipe_network(entry: ModelEntry, weights: str, schema: Schema) -> tuple[nn.Module, CheckpointInfo]:
    """The network of a published row as its recipe starts it: fresh, with the backbone of a classifier.

    Args:
        weights: a file with the backbone, or with the whole network, of which all but the last layer is used; "random";
            "published" = the row's own weights; "" = those that the publication started from, downloaded if need be.

    Raises:
        ModelError: weights that are not available or do not fit.
    """
    if weights == PUBLISHED:
        return _published(entry, "", schema)
    info = _described(entry, schema)
    network = build(info.architecture, info.arguments)
    if weights != RANDOM:
        file = weights or str(backbone_weights(info))
        _load_trunk(find_network(info.architecture), network, read_weights(file), file)
    return network, info


def backbone_weights(info: CheckpointInfo) -> Path:
    """The file of classifier weights for a network, in the models folder; downloaded if it is missing.

    Raises:
        ModelError: it cannot be downloaded (the message says how to get it by hand), or none is known.
    """
    backbone = find_network(info.architecture).backbone(info.arguments)
    if backbone is None:
        raise ModelError(f"no weights to start {info.architecture} from are known; give --weights FILE or random")
    target = user_models_dir() / "backbones" / backbone.url.rsplit("/", 1)[-1]
    return fetch(
        Download(backbone.id, backbone.url, backbone.digest, target), notice=lambda text: log.warning("%s", text)
    )


def _described(entry: ModelEntry, schema: Schema) -> CheckpointInfo:
    """The description of a row, with these keypoints."""
    info = published_info(entry).replace(metrics={}, provenance={})
    if info.schema is not None and tuple(point["name"] for point in info.schema["keypoints"]) == schema.names:
        return info.replace(categories=[schema.category])
    conventions = {name: value for name, value in info.conventions.items() if name != "channels"}
    return info.replace(
        schema=schema.to_dict(),
        arguments={**info.arguments, "num_keypoints": schema.num_keypoints},
        categories=[schema.category],
        conventions=conventions,
    )


def _published(entry: ModelEntry, weights: str, schema: Schema) -> tuple[nn.Module, CheckpointInfo]:
    """A published model with its own weights, with a new head if the keypoints are others."""
    if weights == RANDOM:
        return initial_recipe_network(entry, RANDOM, schema)
    if entry.task != "pose":
        raise ModelError("is a detector; --model takes a pose model", where=entry.id)
    file = Path(weights) if weights else entry.file
    if file is None:
        raise missing_weights(entry)
    state, info = read_weights(file), _described(entry, schema)
    if info.arguments == entry.arguments:
        return network_from(info, state, where=file), info
    network = build(info.architecture, info.arguments)
    facts = find_network(info.architecture)
    _load_trunk(facts, network, facts.own_names(state, network), str(file))
    return network, info


def _load_trunk(facts: Network, network: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    try:
        facts.load_trunk(network, state)
    except ValueError as error:
        raise ModelError(f"does not fit: {error}", where=where) from None


def initial_detector(model: str, categories: tuple[str, ...]) -> tuple[nn.Module, CheckpointInfo]:
    """The detector to train, with ``categories`` as its classes.

    A class that the start knows by name starts as that class, a new one as the mean of its animals (or of all classes).

    Raises:
        ModelError: no such model, or not a detector.
    """
    file = find_model(model).file
    if file is None:
        raise ModelError(f"detector {model!r} has no file on this computer")
    info, state = load_checkpoint(file)
    if info.task != "detector":
        raise ModelError("is a pose model; --detector wants a detector", where=model)
    described = info.replace(
        arguments={**info.arguments, "num_classes": len(categories)}, categories=list(categories), metrics={}
    )
    network = build(info.architecture, info.arguments, where=file)
    load_state(network, state, where=file)
    if tuple(info.categories) != categories:
        network.replace_classes(len(categories))
    return network, described


def knows_category(detector: str, categories: tuple[str, ...]) -> bool:
    """Whether a detector has classes of all these names. Reads only the file's header."""
    from engine.models.metadata import read_info

    file = find_model(detector).file
    return file is not None and set(categories) <= set(read_info(Path(file)).categories)
