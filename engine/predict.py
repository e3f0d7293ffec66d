"""Poses for images and videos, from the command line.

    python -m engine.predict INPUT... --out OUT.json

INPUT is images, folders of images and videos; with ``--annotations`` it is the folder of that file's images. The
result is a COCO file, or with ``--format results`` a COCO results list. Coordinates are image pixels, not rounded.
Images that are frames of a video tell the ``video`` and the ``frame_index``, counted from 0 as they are shown.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from engine.cli import OK, Parser, Progress, add_progress_option, run
from engine.contract.coco import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
    CocoResult,
    make_annotation,
    write_results,
)
from engine.contract.errors import CocoError, MediaError
from engine.contract.predictions import Prediction
from engine.contract.schema import Schema
from engine.geometry import xyxy_to_xywh
from engine.media.frame_reader import FrameReader
from engine.media.source import is_video
from engine.overlay import draw_poses, overlay_name, write_image
from engine.predict_inputs import (
    Source,
    boxes_of_annotations,
    boxes_of_results,
    choose_category,
    find_annotated_images,
    find_images,
)

if TYPE_CHECKING:
    from engine.pipeline import Item, PoseModel

Image = npt.NDArray[np.uint8]

# A results list is made to be evaluated: average precision wants weak detections too, ranked by their score. (Below 0.1
# there is nothing to gain: AP on 44 COCO images is the same at 0.05, with 2.3 times the boxes.)
EVALUATION_BOX_THRESHOLD = 0.1
# Frames of videos are decoded so many ahead and, as each is wanted once, few are kept.
READ_AHEAD = 8
VIDEO_BYTES = 128 << 20
LABELLED = 2  # COCO visibility: every point of a prediction is placed; its score says how surely


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    sources, dataset = _sources(options)
    _check_out(Path(options.out), sources)
    _prepare_process()
    from engine.pipeline import PoseModel

    model = PoseModel.load(options.model, options.detector, options.device, options.weights, options.backend)
    category, is_known = choose_category(dataset.categories, model.schema, model.category)
    sources = _with_boxes(options, sources, dataset, category, model.schema)
    if sources and sources[0].boxes is None and not model.takes_whole_image:
        model.detector_categories()  # a missing detector is told before any work is done
    found = _predict(model, sources, options)
    if options.format == "results":
        write_results(options.out, found.results(category))
    else:
        found.coco(dataset, category, is_known).write(options.out)
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m engine.predict", description="Find poses in images and videos.")
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="images, folders, videos; with --annotations the images' folder"
    )
    parser.add_argument("--out", required=True, metavar="OUT.json", help="the file to write")
    parser.add_argument("--model", default="movenet_thunder", metavar="ID|FILE", help="(default: %(default)s)")
    parser.add_argument("--weights", metavar="FILE", help="other weights for the same architecture")
    parser.add_argument(
        "--detector", metavar="ID|none", help="finds the boxes; none = the whole image (default: the model's own)"
    )
    parser.add_argument("--boxes", metavar="gt|FILE", help="boxes of --annotations, or of a COCO results list")
    parser.add_argument("--annotations", metavar="COCO.json", help="take images, ids and names from this file")
    parser.add_argument("--format", choices=("coco", "results"), default="coco", help="(default: %(default)s)")
    parser.add_argument(
        "--flip-test",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="average with the mirrored crops: slower, a little more exact (default: no)",
    )
    parser.add_argument(
        "--box-threshold",
        type=_fraction,
        metavar="X",
        help=f"drop weaker detections (default: the detector's; {EVALUATION_BOX_THRESHOLD} for results)",
    )
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps", help="(default: %(default)s)")
    parser.add_argument(
        "--backend",
        choices=("auto", "torch", "torch-bf16", "onnxruntime", "openvino", "openvino-bf16"),
        default="torch",
        help="what runs the pose network on a processor; auto measures once and takes the fastest that gives the same "
        "keypoints (default: %(default)s)",
    )
    parser.add_argument("--batch", type=_positive, default=16, metavar="N", help="crops at once (default: %(default)s)")
    parser.add_argument("--overlay", metavar="DIR", help="also write the images with the poses drawn")
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


def _sources(options: argparse.Namespace) -> tuple[list[Source], CocoDataset]:
    if options.boxes and not options.annotations:
        _parser().error("--boxes needs --annotations, which names the images")
    if not options.annotations:
        return find_images(options.inputs), CocoDataset()
    dataset = CocoDataset.read(options.annotations)
    return find_annotated_images(dataset, options.inputs, options.annotations), dataset


def _with_boxes(
    options: argparse.Namespace, sources: list[Source], dataset: CocoDataset, category: CocoCategory, schema: Schema
) -> list[Source]:
    if not options.boxes:
        return sources
    if options.boxes == "gt":
        return boxes_of_annotations(dataset, sources, category, schema.num_keypoints, options.annotations)
    return boxes_of_results(options.boxes, sources, dataset, category)


def _check_out(out: Path, sources: Sequence[Source]) -> None:
    """Find out before the work whether its result can be written."""
    if out.is_dir():
        raise CocoError("is a folder; give the name of a file", where=out)
    if any(out.absolute() == source.path for source in sources):
        raise CocoError("is one of the images; give another --out", where=out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CocoError(f"cannot be written ({error.strerror})", where=out) from None
    if not os.access(out.parent, os.W_OK):
        raise CocoError("cannot be written (its folder is read-only)", where=out)


def _prepare_process() -> None:
    from engine.train.process import prepare_process

    prepare_process()


@dataclass
class _Found:
    """Images in their order, with the size they have, and their poses with box (xywh) and category id."""

    images: list[CocoImage] = field(default_factory=list)
    poses: list[list[tuple[Prediction, list[float], object]]] = field(default_factory=list)

    def results(self, category: CocoCategory) -> Iterator[CocoResult]:
        for image, group in zip(self.images, self.poses, strict=True):
            for prediction, xywh, category_id in group:
                flat = [float(value) for value in prediction.keypoints.reshape(-1)]
                result = CocoResult(
                    image.id,
                    category.id if category_id is None else category_id,  # type: ignore[arg-type]
                    xywh,
                    prediction.score,
                    flat,
                )
                yield _with_visibility(result, prediction)

    def coco(self, dataset: CocoDataset, category: CocoCategory, is_known: bool) -> CocoDataset:
        categories = list(dataset.categories)
        if not is_known:
            categories = [c for c in categories if c.id != category.id] + [category]
        images = dataset.images or self.images
        annotations = list(self._annotations(category))
        return CocoDataset(images, annotations, categories, dataset.header, dataset.key_order)

    def _annotations(self, category: CocoCategory) -> Iterator[CocoAnnotation]:
        number = 0
        for image, group in zip(self.images, self.poses, strict=True):
            for prediction, xywh, category_id in group:
                number += 1
                labelled = np.full((len(prediction.keypoints), 1), LABELLED)
                annotation = make_annotation(
                    number,
                    image.id,
                    category.id if category_id is None else category_id,  # type: ignore[arg-type]
                    np.concatenate([prediction.keypoints[:, :2], labelled], 1, dtype=np.float64),
                    xywh,
                    score=prediction.score,
                    keypoint_scores=prediction.keypoints[:, 2],
                )
                yield _with_visibility(annotation, prediction)


Record = TypeVar("Record", CocoResult, CocoAnnotation)


def _with_visibility(record: Record, prediction: Prediction) -> Record:
    """With how likely each point is visible under ``keypoints_visible``, where the network tells."""
    if prediction.visibility is None:
        return record
    more = msgspec.json.encode({"keypoints_visible": [float(value) for value in prediction.visibility]})
    return msgspec.structs.replace(record, raw=record.encoded()[:-1] + b"," + more[1:])


def _predict(model: PoseModel, sources: Sequence[Source], options: argparse.Namespace) -> _Found:
    threshold = options.box_threshold
    if threshold is None and options.format == "results":
        threshold = EVALUATION_BOX_THRESHOLD
    found = _Found()
    lost: set[int] = set()
    with (
        Progress(options.progress, "predict", len(sources)) as progress,
        FrameReader(keep=1, cache_bytes=VIDEO_BYTES, ahead=READ_AHEAD) as reader,
        closing(
            model.stream(_items(sources, reader, lost), options.flip_test, batch=options.batch, box_threshold=threshold)
        ) as stream,
    ):
        for item, image, predictions in stream:
            source = item.key
            height, width = image.shape[:2]
            _check_size(source, width, height)
            record = source.image
            if not options.annotations and not record.raw:
                record = CocoImage(record.id, record.file_name, width, height)
            found.images.append(record)
            found.poses.append([] if id(source) in lost else _rows(source, predictions))
            if options.overlay:
                drawn = draw_poses(image, predictions, model.schema)
                write_image(Path(options.overlay, overlay_name(record.file_name)), drawn)
            progress.step()
    return found


def _items(sources: Sequence[Source], reader: FrameReader, lost: set[int]) -> Iterator[Item[Source]]:
    from engine.pipeline import Item

    for source in sources:
        read = partial(_read, source, reader, lost)
        given = source.boxes
        yield Item(source, read) if given is None else Item(source, read, given.xyxy, given.scores)


def _read(source: Source, reader: FrameReader, lost: set[int]) -> Image:
    """The image. A damaged frame of a video is told, noted by the source's identity in ``lost``, and read as black."""
    try:
        return reader.read(source.path, source.frame)
    except MediaError as error:
        if not is_video(source.path) or not source.path.is_file():
            raise
        logging.getLogger(__name__).warning("%s; it has no poses in the result", error)
        lost.add(id(source))
        return np.zeros((max(1, source.image.height), max(1, source.image.width), 3), np.uint8)


def _rows(source: Source, predictions: Sequence[Prediction]) -> list[tuple[Prediction, list[float], object]]:
    given = source.boxes
    if given is None:
        return [(p, [float(v) for v in xyxy_to_xywh(p.box)], None) for p in predictions]
    return list(zip(predictions, given.xywh.tolist(), given.category_ids, strict=True))


def _check_size(source: Source, width: int, height: int) -> None:
    """Coordinates only mean something in a picture of the size that the annotations were made in."""
    told = (source.image.width, source.image.height)
    if all(told) and told != (width, height):
        logging.getLogger(__name__).warning(
            "%s is %d x %d pixels, the annotations say %d x %d; boxes and poses are in the pixels of the file",
            source.path, width, height, *told,
        )  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s: %(message)s")
    raise SystemExit(run(main))
