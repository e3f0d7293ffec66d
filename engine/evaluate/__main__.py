"""``python -m engine.evaluate``: predictions, or a model, against labels.

    python -m engine.evaluate --annotations COCO.json --results R.json
    python -m engine.evaluate --annotations COCO.json --images FOLDER --model ID [--boxes gt|DETECTIONS.json]

The first compares predictions that are there, by default with the scores that stand with them. The second predicts by
the protocol of the model's row and prints the published figures beside those measured.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
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
from engine.evaluate.results import METRICS, Evaluation, distance_figures, evaluate, load, pair_by_likeness
from engine.evaluate.results_loading import AUTO, CATEGORY_BY
from engine.formats.coco.dataset import write_results
from engine.metrics.coco_metric import GIVEN, NMS_MODES, NO_NMS, SCORE_MODES, CocoMetricOptions
from engine.metrics.nme import has_norm
from engine.schema.matching import sigmas_are_guessed
from engine.schema.schema import DEFAULT_SIGMA, Schema
from engine.utils.atomic_write import write_atomically
from engine.utils.command_line import Parser, Progress, add_progress_option, run
from engine.utils.files import MAX_TEXT_BYTES, read_bytes
from engine.utils.outputs import add_overwrite_option, check_outputs, holds_predictions
from engine.utils.skipped import KEY, Skipped, add_strict_option

__all__ = ["METRICS", "Evaluation", "evaluate", "evaluate_model", "load", "main"]

OF_DISTANCES = ("pck", "auc", "epe")  # what the protocol of that name gives
RELATIVE_DIFFERENCE = "difference"


def main(arguments: Sequence[str]) -> int:
    """Command line; PoseError for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    wanted = [name.strip() for name in (options.metrics or "").split(",") if name.strip()]
    for name in wanted:
        if name not in METRICS:
            parser.error(f"there is no metric {name!r}; choose from {', '.join(METRICS)}")
    for name in ("model", "results", "annotations"):
        if getattr(options, name) == "":
            parser.error(f"--{name} is empty")
    if (options.model is None) == (options.results is None):
        parser.error("give either --results, predictions that are there, or --model, which predicts")
    check_outputs(
        {"--out": options.out},
        _inputs(options),
        overwrite=options.overwrite,
        is_own=_holds_figures,
    )
    check_outputs(
        {"--results-out": options.results_out},
        [*_inputs(options), ("--out", options.out)],
        overwrite=options.overwrite,
        is_own=holds_predictions,
    )
    check_outputs({"--out": options.out, "--results-out": options.results_out}, [])
    skipped, assumed = Skipped("kinds of records", "kind of records") if options.results else Skipped(), Skipped()
    figures = _of_model(options, wanted, skipped) if options.model else _of_results(options, wanted, skipped, assumed)
    if skipped:
        figures[KEY] = skipped.records()
    if options.out:
        write_atomically(Path(options.out), (json.dumps(_plain(figures), indent=1) + "\n").encode())
    sys.stdout.write(comparison_table(figures) if options.model else table(figures))
    skipped.report()
    return skipped.status(options.strict) or assumed.status(options.strict)


def _inputs(options: argparse.Namespace) -> list[tuple[str, str | None]]:
    names = ("annotations", "results", "model", "weights", "boxes", "schema")
    return [(f"--{name}", getattr(options, name)) for name in names]


def _holds_figures(path: Path) -> bool:
    """Whether a file is a report of this command: a JSON object of figures, without records."""
    try:
        report = json.loads(read_bytes(path, MAX_TEXT_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(report, dict) and isinstance(report.get("predictions"), int) and "annotations" not in report


def _of_results(
    options: argparse.Namespace, wanted: Sequence[str], skipped: Skipped, assumed: Skipped
) -> dict[str, Any]:
    metric = _metric(options, CocoMetricOptions(score_mode=GIVEN, nms_mode=NO_NMS))
    data = load(options.annotations, options.results, options.schema or "", options.category_by)
    if "nme" in wanted and not has_norm(data.schema.name):
        problem = f"it is not known what NME is measured by for schema {data.schema.name!r}; leave nme out"
        raise CocoError(problem, where=options.annotations)
    figures = evaluate(data, wanted or METRICS, metric, options.wholebody)
    skipped.extend(data.skipped)
    assumed.extend(data.assumed)
    notes = [str(item) for item in assumed]
    if "oks" in (wanted or METRICS):
        notes += sigma_notes(data.schema)
        if sigmas_are_guessed(data.schema):
            figures["sigmas"] = "guessed"
    return figures | ({"notes": notes} if notes else {})


def sigma_notes(schema: Schema) -> list[str]:
    """What is to be said of the OKS sigmas that AP and AR rest on."""
    if not sigmas_are_guessed(schema):
        return []
    return [
        f"the OKS sigmas of {schema.name!r} are guessed ({DEFAULT_SIGMA} for every point): its AP and AR cannot be "
        "compared with figures of others (--schema FILE.toml tells sigmas)"
    ]


def _of_model(options: argparse.Namespace, wanted: Sequence[str], skipped: Skipped) -> dict[str, Any]:
    conditions = Conditions(
        boxes=options.boxes,
        flip_test=options.flip_test,
        limit=options.limit,
        metric=_metric(options, CocoMetricOptions()),
        device=options.device,
        batch=options.batch,
        backend=options.backend,
    )
    progress: list[Progress] = []

    def step(total: int) -> None:
        if progress:
            progress[0].step()
        else:
            progress.append(Progress(options.progress, "predict", total))

    try:
        measured = predict_for_evaluation(
            options.model, options.annotations, options.images or "", conditions, options.weights, step, skipped
        )
    finally:
        for bar in progress:
            bar.close()
    if options.results_out:
        write_results(options.results_out, results_of(measured, conditions.metric))
    return evaluate_model(measured, conditions, wanted, options.wholebody)


def evaluate_model(
    measured: Measured, conditions: Conditions, metrics: Sequence[str] = (), wholebody: bool | None = None
) -> dict[str, Any]:
    """The figures of a model under ``measured``, those of its row under ``published``, what was done, and ``notes``.

    Args:
        metrics: some of :data:`engine.evaluate.results.METRICS`; none = those of the protocol.
        wholebody: AP and AR by parts of the body; None = where the model has them.
    """
    chosen = metrics or (OF_DISTANCES if measured.protocol == PCK else ("oks",))
    figures: dict[str, Any] = {}
    if "oks" in chosen:
        figures |= oks_figures(measured, conditions.metric, wholebody)
    if set(chosen) - {"oks"}:
        if conditions.boxes == LABELLED_BOXES:
            truth, found = poses_by_id(measured)
        else:
            truth, found = pair_by_likeness(*records_of(measured), measured.schema, measured.labels.images)
        figures |= distance_figures(truth, found, measured.schema, chosen)
    return {
        "model": measured.entry.id,
        "protocol": measured.protocol,
        "boxes": conditions.boxes,
        "flip_test": conditions.flip_test and measured.flip_test,
        "images": len(measured.labels.images),
        "predictions": len(measured.results),
        "measured": figures,
        "published": {name: value for name, value in measured.entry.metrics.items() if isinstance(value, int | float)},
        "published_on": measured.entry.metrics_on,
        "notes": measured.notes + (sigma_notes(measured.schema) if "oks" in chosen else []),
    }


def _metric(options: argparse.Namespace, default: CocoMetricOptions) -> CocoMetricOptions:
    """What is not given is as in ``default``; a score mode alone brings the suppression of the published protocol."""
    own = CocoMetricOptions()
    score = options.score_mode or default.score_mode
    suppression = default.nms_mode if options.score_mode in (None, GIVEN) else own.nms_mode
    return CocoMetricOptions(
        score_mode=score,
        keypoint_score_thr=options.keypoint_score_thr,
        nms_mode=options.nms or suppression,
        nms_thr=options.nms_thr,
        use_area=options.use_area,
    )


def _parser() -> Parser:
    made = Parser(prog="python -m engine.evaluate", description="Measure predictions, or a model, against labels.")
    own = CocoMetricOptions()
    made.add_argument("--annotations", required=True, metavar="COCO.json", help="the labels, in any known layout")
    made.add_argument("--results", metavar="R.json", help="a results list, or a COCO file of predictions")
    made.add_argument(
        "--metrics", help=f"some of {','.join(METRICS)} (default: all; with --model those of its protocol)"
    )
    made.add_argument("--out", metavar="M.json", help="also write the figures as JSON")
    made.add_argument("--schema", metavar="NAME|FILE",
                      help="with --results: the points of the labels (default: as their categories tell)")  # fmt: skip
    made.add_argument("--category-by", choices=CATEGORY_BY, default=AUTO,
                      help="with --results: how categories are matched; auto = by name or id, and one category on each "
                      "side is the same (default: %(default)s)")  # fmt: skip
    add_strict_option(made)
    add_overwrite_option(made)
    score = made.add_argument_group("score and suppression, as MMPose's CocoMetric")
    score.add_argument("--score-mode", choices=SCORE_MODES,
                       help=f"(default: {own.score_mode}; with --results {GIVEN})")  # fmt: skip
    score.add_argument("--keypoint-score-thr", type=float, default=own.keypoint_score_thr, metavar="X",
                       help="weaker keypoints do not count in bbox_keypoint (default: %(default)s)")  # fmt: skip
    score.add_argument("--nms", choices=NMS_MODES,
                       help=f"(default: {own.nms_mode}; none for scores as given)")  # fmt: skip
    score.add_argument("--nms-thr", type=_above_0, default=own.nms_thr, metavar="X", help="(default: %(default)s)")
    score.add_argument("--use-area", action=argparse.BooleanOptionalAction, default=True,
                       help="OKS by the annotation's area, else by 0.53 of its box (default: yes)")  # fmt: skip
    score.add_argument("--wholebody", action=argparse.BooleanOptionalAction,
                       help="also by parts of the body (default: where the points are COCO-WholeBody's)")  # fmt: skip
    model = made.add_argument_group("with --model")
    model.add_argument("--model", metavar="ID|FILE", help="predict with this model")
    model.add_argument("--images", metavar="FOLDER", help="of the annotations (default: beside them)")
    model.add_argument("--weights", metavar="FILE", help="other weights for the same architecture")
    model.add_argument("--boxes", default=LABELLED_BOXES, metavar="gt|FILE",
                       help="labelled boxes, or those of a COCO results list (default: %(default)s)")  # fmt: skip
    model.add_argument(
        "--flip-test", action=argparse.BooleanOptionalAction, default=True, help="(default: where it helps)"
    )
    model.add_argument("--limit", type=_positive, metavar="N", help="only the first N images that have boxes")
    model.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps", help="(default: %(default)s)")
    model.add_argument("--backend", choices=("auto", "torch", "onnxruntime", "openvino"), default="torch",
                       help="what runs the network on a processor (default: %(default)s)")  # fmt: skip
    model.add_argument("--batch", type=_positive, default=16, metavar="N", help="crops at once (default: %(default)s)")
    model.add_argument("--results-out", metavar="R.json",
                       help="also write the predictions that were compared, for --results")  # fmt: skip
    add_progress_option(made)
    return made


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _above_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def table(figures: dict[str, Any]) -> str:
    """The figures for people, two columns, then one line for each keypoint."""
    lines = [f"note: {note}" for note in figures.get("notes", [])]
    lines += [f"{name:13} {_figure(value)}" for name, value in figures.items() if isinstance(value, int | float)]
    points: dict[str, dict[str, float]] = figures.get("per_keypoint", {})
    names = list(next(iter(points.values()), {}))
    if names:
        width = max(len(name) for name in points) + 2
        lines += ["", f"{'':{width}}" + "".join(f"{name:>10}" for name in names)]
        lines += [
            f"{point:{width}}" + "".join(f"{_figure(row[name]):>10}" for name in names) for point, row in points.items()
        ]
    return "\n".join(lines) + "\n"


def comparison_table(report: dict[str, Any]) -> str:
    """What was measured beside what is published, for people."""
    measured, published = report["measured"], report["published"]
    flip = "flip test" if report["flip_test"] else "no flip test"
    lines = [
        f"{report['model']}: protocol {report['protocol']}, {report['images']} images, "
        f"{report['predictions']} predictions, boxes {report['boxes']}, {flip}",
    ]
    if published:
        lines.append(report["published_on"])
    lines += [f"note: {note}" for note in report["notes"]]
    lines += ["", f"{'':15}{'published':>10}{'measured':>10}{RELATIVE_DIFFERENCE:>12}"]
    names = [name for name, value in measured.items() if isinstance(value, int | float)]
    for name in [*(name for name in published if name not in names), *names]:
        theirs, ours = published.get(name, math.nan), measured.get(name, math.nan)
        lines.append(f"{name:15}{_figure(theirs):>10}{_figure(ours):>10}{_difference(ours, theirs):>12}")
    return "\n".join(lines) + "\n"


def _difference(ours: float, theirs: float) -> str:
    if not (math.isfinite(ours) and math.isfinite(theirs)) or -1 in (ours, theirs):
        return ""
    return f"{ours - theirs:+.4f}" if abs(theirs) <= 1 else f"{ours - theirs:+.2f}"


def _figure(value: float | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if not math.isfinite(value) or value == -1 else f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    raise SystemExit(run(main))
