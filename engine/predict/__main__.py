r"""``python -m engine.predict``: poses in images and videos.

    python -m engine.predict INPUT... --out OUT.json

INPUT is images, folders of images and videos; with ``--annotations`` it is the folder of that file's images. The
output is a COCO file, or with ``--format results`` a COCO results list. Coordinates are image pixels, not rounded.
Images that are frames of a video have the keys ``video`` and ``frame_index``, counted from 0 in display order.

What cannot be read is skipped and listed at the end, and under ``skipped`` in the output; with ``--strict`` the exit
status is then 2. In a file name that is not UTF-8, each invalid byte is written as an escape such as ``\udce9``, which
Python's ``json`` and ``os.fsencode`` turn into that name again.

An interrupted run goes on with ``--resume``, also after files were added, repaired or removed. Many inputs can be
divided
among processes, GPUs and computers that see the same folders:
``torchrun --nproc_per_node N -m engine.predict INPUT... --out OUT.json``.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from engine.errors import CocoError, MediaError
from engine.formats.coco.dataset import CocoCategory, CocoDataset
from engine.formats.datasets.conversion import read_registered
from engine.media.source import is_video
from engine.predict.inputs import (
    Source,
    boxes_of_annotations,
    boxes_of_results,
    boxes_on_pictures,
    check_something_is_left,
    choose_category,
    find_annotated_images,
    find_images,
)
from engine.predict.items import run_items
from engine.predict.journal import JournalReader, journal_path, journals
from engine.predict.output import Result
from engine.predict.run import EVALUATION_BOX_THRESHOLD, make_header, run_model
from engine.predict.sharding import Shard
from engine.predict.tracking import find_tracks
from engine.schema.schema import Schema
from engine.utils.command_line import OK, Parser, add_progress_option, run, write_event
from engine.utils.outputs import add_overwrite_option, check_outputs, file_id, holds_predictions
from engine.utils.plain_text import OneLineFormatter
from engine.utils.skipped import Skipped, add_strict_option
from engine.visualization import overlay_name

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    shard = Shard.from_environment()
    skipped = Skipped("inputs")
    sources, dataset = _sources(options, skipped)
    _check_out(options, sources)
    _prepare_process()
    from engine.inference.pose_model import PoseModel

    device = shard.device(options.device)
    model = PoseModel.load(options.model, options.detector, device, options.weights, options.backend)
    if options.flip_test and model.estimator.flip_test_problem:
        log.warning("--flip-test is left out: %s", model.estimator.flip_test_problem)
    category, is_known = choose_category(dataset.categories, model.schema, model.category)
    sources = _with_boxes(options, sources, dataset, category, model.schema, skipped)
    if sources and sources[0].boxes is None and not model.takes_whole_image:
        model.detector_categories()  # report a missing detector before any work is done
    header = make_header(options, model.estimator.info.architecture)
    items = run_items(sources)
    run_model(model, sources, items, options, header, shard)
    if not shard.is_main:
        return OK
    out = Path(options.out)
    with JournalReader(journals(out), header, items) as journal:
        result = Result(sources, journal, dataset, category, is_known, model.schema, skipped)
        tracks = find_tracks(sources, result.predictions, model.schema) if options.track else None
        if len(result) or not sources:  # without images: of a COCO file that names none
            result.write(out, options.format, tracks)
    for path in journals(out):
        path.unlink(missing_ok=True)
    if options.progress == "json" and skipped:
        write_event(skipped.event())
    if sources:
        check_something_is_left(len(result), skipped)
    skipped.report()
    return skipped.status(options.strict)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m engine.predict", description="Find poses in images and videos.")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="images, folders of images, videos; with --annotations the folder of the images",
    )
    parser.add_argument("--out", required=True, metavar="OUT.json", help="output file")
    parser.add_argument("--model", default="movenet_thunder", metavar="ID|FILE", help="(default: %(default)s)")
    parser.add_argument("--weights", metavar="FILE", help="other weights for the same architecture")
    parser.add_argument(
        "--detector",
        metavar="ID|none",
        help="detector for the boxes; none = the whole image (default: the one the model names)",
    )
    parser.add_argument(
        "--boxes", metavar="gt|FILE", help="use the boxes of --annotations (gt), or of a COCO results list"
    )
    parser.add_argument(
        "--annotations", metavar="LABELS", help="predict in the images of this file, with its ids and names"
    )
    parser.add_argument("--format", choices=("coco", "results"), default="coco", help="(default: %(default)s)")
    parser.add_argument(
        "--flip-test",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="average with mirrored crops: half as fast, slightly more accurate with some models; ignored for models "
        "whose left/right pairs are unknown or that were trained without mirroring (default: no)",
    )
    parser.add_argument(
        "--box-threshold",
        type=_fraction,
        metavar="X",
        help=f"drop detections with a lower score (default: the detector's; {EVALUATION_BOX_THRESHOLD} for results)",
    )
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps", help="(default: %(default)s)")
    parser.add_argument(
        "--backend",
        choices=("auto", "torch", "torch-bf16", "onnxruntime", "openvino", "openvino-bf16"),
        default="torch",
        help="what runs the pose network on a CPU; auto measures once and uses the fastest that gives the same "
        "keypoints (default: %(default)s)",
    )
    parser.add_argument("--batch", type=_positive, metavar="N", help="crops at once (default: what suits the device)")
    parser.add_argument(
        "--detect-every",
        type=_positive,
        default=1,
        metavar="N",
        help="run the detector on every N-th frame of a video and interpolate boxes between them (default: 1)",
    )
    parser.add_argument("--track", action="store_true", help="add track numbers to the poses of videos")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted run from OUT.json.part; inputs may have been added or removed since",
    )
    add_overwrite_option(parser)
    parser.add_argument("--overlay", metavar="DIR", help="also write the images with the poses drawn on them")
    add_strict_option(parser)
    add_progress_option(parser)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _sources(options: argparse.Namespace, skipped: Skipped) -> tuple[list[Source], CocoDataset]:
    if options.boxes and not options.annotations:
        _parser().error("--boxes needs --annotations, which names the images")
    if not options.annotations:
        sources = find_images(options.inputs, skipped)
        if options.track and not any(map(is_video, options.inputs)):
            raise MediaError("--track follows poses through videos, and there is none among the inputs")
        return sources, CocoDataset()
    if options.track:
        _parser().error("--track takes videos, not --annotations")
    dataset = read_registered(options.annotations)
    if dataset is None:
        dataset = CocoDataset.read(options.annotations, skipped.add_record)
    return find_annotated_images(dataset, options.inputs, options.annotations, skipped), dataset


def _with_boxes(
    options: argparse.Namespace, sources: list[Source], dataset: CocoDataset, category: CocoCategory, schema: Schema,
    skipped: Skipped,
) -> list[Source]:  # fmt: skip
    if not options.boxes:
        return sources
    if options.boxes == "gt":
        sources = boxes_of_annotations(dataset, sources, category, schema.num_keypoints, options.annotations)
    else:
        sources = boxes_of_results(options.boxes, sources, dataset, category, skipped)
    return boxes_on_pictures(sources, options.annotations)


def _check_out(options: argparse.Namespace, sources: Sequence[Source]) -> None:
    """Raise an error before the run if its output cannot be written, or would replace an input."""
    out = Path(options.out)
    inputs = [
        ("--annotations", options.annotations),
        ("--boxes", options.boxes),
        ("--model", options.model),
        ("--weights", options.weights),
        ("--detector", options.detector),
        *(("INPUT", source.path) for source in sources),
    ]
    check_outputs({"--out": journal_path(out)}, inputs)
    check_outputs({"--out": out}, inputs, overwrite=options.overwrite, is_own=holds_predictions)
    if options.overlay:
        _check_overlays(Path(options.overlay), options.inputs, sources)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CocoError(f"cannot be written ({error.strerror})", where=out) from None
    if not os.access(out.parent, os.W_OK):
        raise CocoError("cannot be written (its folder is read-only)", where=out)


def _check_overlays(folder: Path, inputs: Sequence[str], sources: Sequence[Source]) -> None:
    """Raise MediaError if an overlay, which has the name of its image, would replace the image."""
    folder_id = file_id(folder)
    if folder_id is None:
        return
    if not folder.is_dir():
        raise MediaError("is not a folder; give another --overlay", where=folder)
    if folder_id in {file_id(path) for path in (*map(Path, inputs), *{source.path.parent for source in sources})}:
        raise MediaError("is the folder of the images, which would be replaced; give another --overlay", where=folder)
    originals = {file_id(source.path) for source in sources}
    for source in sources:
        overlay = folder / overlay_name(source.image.file_name)
        if file_id(overlay) in originals and overlay.exists():
            raise MediaError("is one of the images; give another --overlay", where=overlay)


def _prepare_process() -> None:
    from engine.utils.process import prepare_process

    prepare_process()


if __name__ == "__main__":
    terminal = logging.StreamHandler()
    terminal.setFormatter(OneLineFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[terminal])
    raise SystemExit(run(main))
