"""Descriptions of published weights, whose files hold tensors only, made from the table of models."""

from __future__ import annotations

from engine.errors import ModelError
from engine.models.catalog import ModelEntry
from engine.models.metadata import CheckpointInfo
from engine.networks import find_network
from engine.schema.builtin import find_schema


def published_info(entry: ModelEntry) -> CheckpointInfo:
    """The description of a published model, as a checkpoint of this program would hold it.

    Raises:
        SchemaError, ModelError: the table contradicts itself.
    """
    network = find_network(entry.architecture, where=entry.id)
    normalization = dict(network.normalization)
    if entry.task == "detector":
        return CheckpointInfo(
            task=entry.task,
            architecture=entry.architecture,
            arguments=entry.arguments,
            input_size=entry.input_size,
            normalization=normalization,
            categories=network.categories(entry.arguments) if network.categories else [],
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
        normalization=normalization,
        conventions=conventions,
        categories=[schema.category],
        detector=entry.detector,
        metrics=entry.metrics,
        provenance={"title": entry.title, "licence": entry.licence, "url": entry.url},
    )


def missing_weights(entry: ModelEntry) -> ModelError:
    """The error for a published model whose weights are not on this computer."""
    if entry.weights_file is None:
        return ModelError(f"no address of the weights of {entry.id!r} is known; give the file with --weights FILE")
    return ModelError(
        f"the weights of {entry.id!r} are not on this computer; get them with 'python -m engine.zoo download "
        f"{entry.id}', give a file with --weights FILE, or put {entry.weights_file.name} (from {entry.url}) "
        f"into {entry.weights_file.parent}"
    )
