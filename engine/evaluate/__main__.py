"""``python -m engine.evaluate``: predictions, or a model, against labels.

    python -m engine.evaluate --annotations COCO.json --results R.json
    python -m engine.evaluate --annotations COCO.json --images FOLDER --model ID [--boxes gt|DETECTIONS.json]

The first compares existing predictions, by default with the scores in the file. The second predicts by the protocol of
the model and prints the published figures beside the measured ones.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.evaluate.evaluation import EvaluationResult, evaluate_model, evaluate_results
from engine.evaluate.model import LABELLED_BOXES, Conditions
from engine.evaluate.results import METRICS
from engine.evaluate.results_loading import AUTO, CATEGORY_BY
from engine.evaluate.tables import comparison_table, figures_table
from engine.metrics.coco_metric import GIVEN, NMS_MODES, NO_NMS, SCORE_MODES, CocoMetricOptions
from engine.utils.atomic_write import write_atomically
from engine.utils.command_line import Parser, Progress, add_progress_option, run
from engine.utils.context import Context
from engine.utils.files import MAX_TEXT_BYTES, read_bytes
from engine.utils.outputs import add_overwrite_option, check_outputs, holds_predictions
from engine.utils.skipped import KEY, Skipped, add_strict_option


def main(arguments: Sequence[str]) -> int:
    """Run with these arguments; PoseError for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    metrics = tuple(name.strip() for name in (options.metrics or "").split(",") if name.strip())
    for name in metrics:
        if name not in METRICS:
            parser.error(f"there is no metric {name!r}; choose from {', '.join(METRICS)}")
    for name in ("model", "results", "annotations"):
        if getattr(options, name) == "":
            parser.error(f"--{name} is empty")
    if (options.model is None) == (options.results is None):
        parser.error("give either --results, existing predictions, or --model, which predicts")
    _check_outputs(options)
    if options.model:
        result = _evaluate_model(options, metrics)
        skipped, table = Skipped(), comparison_table(result.report)
    else:
        result = _evaluate_results(options, metrics)
        skipped, table = Skipped("kinds of records", "kind of records"), figures_table(result.report)
    skipped.extend(result.skipped)
    if options.out:
        report = result.report | ({KEY: skipped.records()} if skipped else {})
        write_atomically(Path(options.out), (json.dumps(_without_nan(report), indent=1) + "\n").encode())
    sys.stdout.write(table)
    skipped.report()
    assumed = Skipped()
    assumed.extend(result.assumed)
    return skipped.status(options.strict) or assumed.status(options.strict)


def _check_outputs(options: argparse.Namespace) -> None:
    names = ("annotations", "results", "model", "weights", "boxes", "schema")
    inputs = [(f"--{name}", getattr(options, name)) for name in names]
    check_outputs({"--out": options.out}, inputs, overwrite=options.overwrite, is_own=_holds_figures)
    check_outputs(
        {"--results-out": options.results_out},
        [*inputs, ("--out", options.out)],
        overwrite=options.overwrite,
        is_own=holds_predictions,
    )
    check_outputs({"--out": options.out, "--results-out": options.results_out}, [])


def _holds_figures(path: Path) -> bool:
    """Whether a file is a report of this command: a JSON object of figures, without records."""
    try:
        report = json.loads(read_bytes(path, MAX_TEXT_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(report, dict) and isinstance(report.get("predictions"), int) and "annotations" not in report


def _evaluate_results(options: argparse.Namespace, metrics: Sequence[str]) -> EvaluationResult:
    return evaluate_results(
        options.annotations,
        options.results,
        metrics=metrics,
        schema=options.schema or "",
        category_by=options.category_by,
        options=_metric_options(options, CocoMetricOptions(score_mode=GIVEN, nms_mode=NO_NMS)),
        wholebody=options.wholebody,
    )


def _evaluate_model(options: argparse.Namespace, metrics: Sequence[str]) -> EvaluationResult:
    conditions = Conditions(
        boxes=options.boxes,
        flip_test=options.flip_test,
        limit=options.limit,
        metric=_metric_options(options, CocoMetricOptions()),
        device=options.device,
        batch=options.batch,
        backend=options.backend,
    )
    bar: list[Progress] = []

    def show(done: int, total: int, _: str) -> None:
        if not bar:
            bar.append(Progress(options.progress, "predict", total))
        if done > bar[0].done:
            bar[0].step(done - bar[0].done)

    try:
        return evaluate_model(
            options.model,
            options.annotations,
            options.images or "",
            conditions,
            metrics=metrics,
            wholebody=options.wholebody,
            weights=options.weights,
            results_out=options.results_out,
            context=Context(show),
        )
    finally:
        for progress in bar:
            progress.close()


def _metric_options(options: argparse.Namespace, defaults: CocoMetricOptions) -> CocoMetricOptions:
    """Options that are not given are as in ``defaults``; with a score mode alone, the suppression is the published
    one."""
    published = CocoMetricOptions()
    nms_mode = defaults.nms_mode if options.score_mode in (None, GIVEN) else published.nms_mode
    return CocoMetricOptions(
        score_mode=options.score_mode or defaults.score_mode,
        keypoint_score_thr=options.keypoint_score_thr,
        nms_mode=options.nms or nms_mode,
        nms_thr=options.nms_thr,
        use_area=options.use_area,
    )


def _parser() -> Parser:
    parser = Parser(prog="python -m engine.evaluate", description="Evaluate predictions, or a model, against labels.")
    defaults = CocoMetricOptions()
    parser.add_argument("--annotations", required=True, metavar="LABELS", help="labels in any format that is read")
    parser.add_argument("--results", metavar="R.json", help="a COCO results list, or a COCO file of predictions")
    parser.add_argument(
        "--metrics", help=f"some of {','.join(METRICS)} (default: all; with --model those of its protocol)"
    )
    parser.add_argument("--out", metavar="M.json", help="also write the figures as JSON")
    parser.add_argument("--schema", metavar="NAME|FILE",
                        help="with --results: keypoints of the labels (default: from their categories)")  # fmt: skip
    parser.add_argument("--category-by", choices=CATEGORY_BY, default=AUTO,
                        help="with --results: how categories are matched; auto = by name or id, and a single category "
                        "on each side is the same (default: %(default)s)")  # fmt: skip
    add_strict_option(parser)
    add_overwrite_option(parser)
    score = parser.add_argument_group("scores and suppression, as in MMPose's CocoMetric")
    score.add_argument("--score-mode", choices=SCORE_MODES,
                       help=f"(default: {defaults.score_mode}; with --results {GIVEN})")  # fmt: skip
    score.add_argument("--keypoint-score-thr", type=float, default=defaults.keypoint_score_thr, metavar="X",
                       help="keypoints with less do not count in bbox_keypoint (default: %(default)s)")  # fmt: skip
    score.add_argument("--nms", choices=NMS_MODES,
                       help=f"(default: {defaults.nms_mode}; none with scores as given)")  # fmt: skip
    score.add_argument("--nms-thr", type=_positive_number, default=defaults.nms_thr, metavar="X",
                       help="(default: %(default)s)")  # fmt: skip
    score.add_argument("--use-area", action=argparse.BooleanOptionalAction, default=True,
                       help="OKS with the annotation's area, else with 0.53 of its box (default: yes)")  # fmt: skip
    score.add_argument("--wholebody", action=argparse.BooleanOptionalAction,
                       help="also by parts of the body (default: if the keypoints are COCO-WholeBody's)")  # fmt: skip
    model = parser.add_argument_group("with --model")
    model.add_argument("--model", metavar="ID|FILE", help="predict with this model")
    model.add_argument("--images", metavar="FOLDER", help="images of the labels (default: the folder of the labels)")
    model.add_argument("--weights", metavar="FILE", help="other weights for the same architecture")
    model.add_argument("--boxes", default=LABELLED_BOXES, metavar="gt|FILE",
                       help="labelled boxes, or those of a COCO results list (default: %(default)s)")  # fmt: skip
    model.add_argument(
        "--flip-test", action=argparse.BooleanOptionalAction, default=True, help="(default: for models it helps)"
    )
    model.add_argument("--limit", type=_positive_integer, metavar="N", help="only the first N images that have boxes")
    model.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps", help="(default: %(default)s)")
    model.add_argument("--backend", choices=("auto", "torch", "onnxruntime", "openvino"), default="torch",
                       help="what runs the network on a CPU (default: %(default)s)")  # fmt: skip
    model.add_argument("--batch", type=_positive_integer, default=16, metavar="N",
                       help="crops at once (default: %(default)s)")  # fmt: skip
    model.add_argument("--results-out", metavar="R.json",
                       help="also write the predictions that were compared, for --results")  # fmt: skip
    add_progress_option(parser)
    return parser


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    raise SystemExit(run(main))
