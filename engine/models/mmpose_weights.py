"""Published weights, whose files hold tensors only: what the table says of them, and the names of their tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.models.catalog import ModelEntry
from engine.models.metadata import CheckpointInfo
from engine.schema.builtin import find_schema

# RGB in 0..255, of the ImageNet photographs; every published row was trained with them.
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}

# Older programs called the head otherwise; newer ones keep the normalisation among the weights.
RENAMED = (("keypoint_head.", "head."),)
DROPPED = ("data_preprocessor.",)
COUNTER = "num_batches_tracked"


def published_info(entry: ModelEntry) -> CheckpointInfo:
    """The description of a published model, as one of our own checkpoints would carry it.

    Raises:
        SchemaError, ModelError: the table contradicts itself.
    """
    if entry.task == "detector":
        from engine.networks.torchvision_detectors import torchvision_categories

        return CheckpointInfo(
            task=entry.task,
            architecture=entry.architecture,
            arguments=entry.arguments,
            input_size=entry.input_size,
            categories=torchvision_categories(entry.arguments["name"]),
            metrics=entry.metrics,
            provenance={"title": entry.title, "licence": entry.licence, "url": entry.url},
        )
    schema = find_schema(entry.schema)
    conventions = dict(entry.conventions)
    if entry.subset:
        span = next((subset for subset in schema.subsets if subset.name == entry.subset), None)
        schema = schema.subset(entry.subset)
        assert span is not None
        conventions["channels"] = [span.start, span.stop]
    return CheckpointInfo(
        task=entry.task,
        architecture=entry.architecture,
        arguments=entry.arguments,
        schema=schema.to_dict(),
        codec=entry.codec,
        input_size=entry.input_size,
        normalisation=IMAGENET,
        conventions=conventions,
        categories=[schema.category],
        detector=entry.detector,
        metrics=entry.metrics,
        provenance={"title": entry.title, "licence": entry.licence, "url": entry.url},
    )


def missing_weights(entry: ModelEntry) -> ModelError:
    """What to tell when a published model is asked for and its weights are not here."""
    if entry.weights_file is None:
        return ModelError(f"no address of the weights of {entry.id!r} is known; give the file with --weights FILE")
    return ModelError(
        f"the weights of {entry.id!r} are not on this computer; get them with 'python -m engine.zoo download "
        f"{entry.id}', give a file with --weights FILE, or put {entry.weights_file.name} (from {entry.url}) "
        f"into {entry.weights_file.parent}"
    )


def own_names(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a published file under the names of ``network``; what does not belong to the network is dropped.

    Which of the known layouts it is, the names themselves tell.
    """
    found = {}
    for name, tensor in state.items():
        if name.startswith(DROPPED):
            continue
        for old, new in RENAMED:
            if name.startswith(old):
                name = new + name.removeprefix(old)
        found[name] = tensor
    for name in network.state_dict():
        if name.endswith(COUNTER):
            # Files of old versions lack this counter, and nothing here reads it.
            found.setdefault(name, torch.zeros((), dtype=torch.int64))
    return found
