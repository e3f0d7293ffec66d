"""Evaluation from Python: a model, or predictions in a file, against labels.

result = evaluate_model("movenet_thunder", "val.json", "val2017")
result = evaluate_results("val.json", "predictions.json")
result.metrics["AP"]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import CocoError
from engine.evaluate.model import (
    LABELLED_BOXES,
    PCK,
    Conditions,
    Measured,
    oks_figures,
    poses_by_id,
    predict_for_evaluation,
    records_of,
    results_of,
)
from engine.evaluate.results import AS_GIVEN, METRICS, distance_figures, evaluate, load, pair_by_similarity
from engine.evaluate.results_loading import AUTO
from engine.formats.coco.dataset import write_results
from engine.metrics.coco_metric import CocoMetricOptions
from engine.metrics.nme import has_norm
from engine.schema.matching import sigmas_are_guessed
from engine.schema.schema import DEFAULT_SIGMA, Schema
from engine.utils.context import Context
from engine.utils.skipped import Skipped, SkippedItem

DISTANCE_METRICS = ("pck", "auc", "epe")  # those of the protocol "pck"


@dataclass(frozen=True)
class EvaluationResult:
    """Figures of an evaluation.

    Attributes:
        metrics: figures by name, such as "AP", "PCK@0.2", "EPE" (pixels); NaN or -1 if nothing is defined.
        per_keypoint: PCK and EPE by the name of the keypoint; {} if they were not asked for.
        published: the figures published for the model; {} for predictions of a file.
        notes: what keeps the figures from being compared with those of others, in sentences.
        skipped: images, boxes and records that do not count.
        assumed: what had to be assumed about records that do count.
        report: all of it as plain data, as ``python -m engine.evaluate --out`` writes it.
    """

    metrics: dict[str, float]
    per_keypoint: dict[str, dict[str, float]]
    report: dict[str, Any] = field(repr=False)
    published: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedItem, ...] = ()
    assumed: tuple[SkippedItem, ...] = ()


def evaluate_model(
    model: str | Path,
    annotations: Path | str,
    images: Path | str = "",
    conditions: Conditions | None = None,
    *,
    metrics: Sequence[str] = (),
    wholebody: bool | None = None,
    weights: Path | str | None = None,
    results_out: Path | str | None = None,
    context: Context | None = None,
) -> EvaluationResult:
    """Predict by the protocol of the model and compare with the labels.

    Args:
        model: id or checkpoint file.
        annotations: labels in any format that is read. images: their folder; "" = the folder of the labels.
        conditions: boxes, flip test, device and so on.
        metrics: some of :data:`METRICS`; none = those of the model's protocol.
        wholebody: AP and AR by parts of the body; None = if the model has them.
        weights: other weights for the same architecture.
        results_out: file for the predictions that were compared, as a COCO results list.
        context: gets images done and images in all.

    Raises:
        PoseError: the model, the labels or all images cannot be used. Cancelled: ``context`` was cancelled.
    """
    conditions = conditions or Conditions()
    _check_metrics(metrics)
    skipped = Skipped()
    measured = predict_for_evaluation(str(model), annotations, images, conditions, weights, context, skipped)
    if results_out:
        write_results(results_out, results_of(measured, conditions.metric))
    report = model_report(measured, conditions, metrics, wholebody)
    figures = report["measured"]
    return EvaluationResult(
        metrics=_numbers(figures),
        per_keypoint=figures.get("per_keypoint", {}),
        report=report,
        published=report["published"],
        notes=tuple(report["notes"]),
        skipped=tuple(skipped),
    )


def evaluate_results(
    annotations: Path | str,
    results: Path | str,
    *,
    metrics: Sequence[str] = (),
    schema: str | Schema = "",
    category_by: str = AUTO,
    options: CocoMetricOptions = AS_GIVEN,
    wholebody: bool | None = None,
) -> EvaluationResult:
    """Compare predictions of a file with labels.

    Args:
        annotations: labels in any format that is read.
        results: a COCO results list, or a COCO file of predictions.
        metrics: some of :data:`METRICS`; none = all that are defined.
        schema: keypoints of the labels; "" = from their categories.
        category_by: how categories are matched, see :func:`engine.evaluate.results_loading.load`.
        options: how predictions are scored and suppressed; by default they are used as they are.
        wholebody: AP and AR by parts of the body; None = if the keypoints are COCO-WholeBody's.

    Raises:
        PoseError: a file cannot be read, the two do not belong together, or a figure cannot be computed.
    """
    _check_metrics(metrics)
    data = load(annotations, results, schema, category_by)
    if "nme" in metrics and not has_norm(data.schema.name):
        problem = f"it is not known what NME is normalized by for schema {data.schema.name!r}; leave out nme"
        raise CocoError(problem, where=annotations)
    chosen = metrics or METRICS
    report = evaluate(data, chosen, options, wholebody)
    notes = [str(item) for item in data.assumed]
    if "oks" in chosen:
        notes += sigma_notes(data.schema)
        if sigmas_are_guessed(data.schema):
            report["sigmas"] = "guessed"
    if notes:
        report["notes"] = notes
    return EvaluationResult(
        metrics=_numbers(report),
        per_keypoint=report.get("per_keypoint", {}),
        report=report,
        notes=tuple(notes),
        skipped=tuple(data.skipped),
        assumed=tuple(data.assumed),
    )


def model_report(
    measured: Measured, conditions: Conditions, metrics: Sequence[str] = (), wholebody: bool | None = None
) -> dict[str, Any]:
    """The figures of a model ("measured") beside those of its row ("published"), with the conditions and ``notes``.

    Args:
        metrics: some of :data:`METRICS`; none = those of the protocol.
        wholebody: AP and AR by parts of the body; None = if the model has them.
    """
    chosen = metrics or (DISTANCE_METRICS if measured.protocol == PCK else ("oks",))
    figures: dict[str, Any] = {}
    if "oks" in chosen:
        figures |= oks_figures(measured, conditions.metric, wholebody)
    if set(chosen) - {"oks"}:
        if conditions.boxes == LABELLED_BOXES:
            truth, predicted = poses_by_id(measured)
        else:
            truth, predicted = pair_by_similarity(*records_of(measured), measured.schema, measured.labels.images)
        figures |= distance_figures(truth, predicted, measured.schema, chosen)
    return {
        "model": measured.entry.id,
        "protocol": measured.protocol,
        "boxes": conditions.boxes,
        "flip_test": conditions.flip_test and measured.flip_test,
        "images": len(measured.labels.images),
        "predictions": len(measured.results),
        "measured": figures,
        "published": _numbers(measured.entry.metrics),
        "published_on": measured.entry.metrics_on,
        "notes": measured.notes + (sigma_notes(measured.schema) if "oks" in chosen else []),
    }


def sigma_notes(schema: Schema) -> list[str]:
    """Notes on the OKS sigmas, on which AP and AR depend."""
    if not sigmas_are_guessed(schema):
        return []
    return [
        f"the OKS sigmas of {schema.name!r} are guessed ({DEFAULT_SIGMA} for every keypoint): its AP and AR cannot be "
        "compared with figures of others (a schema file with sigmas, --schema FILE.toml, helps)"
    ]


def _check_metrics(metrics: Iterable[str]) -> None:
    for name in metrics:
        if name not in METRICS:
            raise CocoError(f"there is no metric {name!r}; choose from {', '.join(METRICS)}")


def _numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}
