"""Looking into data sets and converting them to plain COCO keypoint files.

python -m engine.datasets kinds
python -m engine.datasets info ANNOTATIONS [--kind KIND] [--images DIR] [--json]
python -m engine.datasets convert ANNOTATIONS --images DIR --out COCO.json [--kind KIND] [--category NAME ...]
    [--own-points] [--usable] [--merge aic-into-coco17] [--also KIND ANNOTATIONS IMAGES]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.errors import CocoError
from engine.formats.datasets import KINDS, KeypointDataset, aic_into_coco17, combine, open_dataset, write_as_coco
from engine.utils.command_line import OK, Parser, run, write_event
from engine.utils.outputs import add_overwrite_option, check_outputs
from engine.utils.skipped import KEY, Skipped, add_strict_option

MERGES = {"aic-into-coco17": aic_into_coco17}


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    if options.command == "kinds":
        for kind in KINDS.values():
            sys.stdout.write(f"{kind.name:18} {kind.title}\n")
        return OK
    if options.command == "convert":
        _check_out(options)
    skipped = Skipped("records")
    data = open_dataset(options.kind, options.annotations, options.images, split=options.split, skipped=skipped)
    if not data.samples:
        _refuse_nothing(skipped)
    if options.command == "info":
        _tell(data, options.json, skipped)
    else:
        _convert(data, options, skipped)
    skipped.report()
    return skipped.status(options.strict)


def _refuse_nothing(skipped: Skipped) -> None:
    """Raises CocoError where nothing is left because all of it was skipped."""
    first = next(iter(skipped), None)
    if first is not None:
        more = f" ({len(skipped)} records)" if len(skipped) > 1 else ""
        raise CocoError(f"{first.reason}{more}", where=first.where)


def _convert(data: KeypointDataset, options: argparse.Namespace, skipped: Skipped) -> None:
    merge = MERGES.get(options.merge)
    parts = [data, *(open_dataset(kind, file, folder, skipped=skipped) for kind, file, folder in options.also)]
    if merge is not None:
        if not any(part.schema.name == "aic" for part in parts):
            raise CocoError(f"--merge {options.merge} needs a data set of kind aic", where=options.annotations)
        parts = [merge(part) if part.schema.name == "aic" else part for part in parts]
    whole = combine(parts)
    if options.category:
        whole = _of_categories(whole, options.category)
    if options.usable:
        whole = whole.usable().with_instances()
    write_as_coco(whole, options.out, own_points=options.own_points)
    _tell(whole, options.json, skipped)
    folder = next((image.folder for image in whole.images), None)
    if not options.json:
        sys.stdout.write(f"written to {options.out}; images are below {folder}\n")


def _check_out(options: argparse.Namespace) -> None:
    given = [("ANNOTATIONS", options.annotations), *(("--also", Path(file)) for _, file, _ in options.also)]
    inputs = ((name, file) for name, path in given for file in _files(path))
    check_outputs({"--out": options.out}, inputs, overwrite=options.overwrite)


def _files(path: Path) -> Iterator[Path]:
    """A file, or every file of a folder: all of an annotation folder is read."""
    yield path
    for parent, _, names in os.walk(path):
        yield from (Path(parent, name) for name in names)


def _of_categories(data: KeypointDataset, names: Sequence[str]) -> KeypointDataset:
    known = {category.name for category in data.categories}
    requested = [name if name in known else name.replace("-", "_") for name in names]
    for name in requested:
        if name not in known:
            raise CocoError(f"has no category {name!r}; it has {', '.join(sorted(known))}", where=data.file)
    return data.of_categories(requested).with_instances()


def _tell(data: KeypointDataset, as_json: bool, skipped: Skipped) -> None:
    faults = Counter(fault for sample in data.samples if (fault := sample.fault))
    summary = {
        "kind": data.kind,
        "schema": data.schema.name,
        "points": data.schema.num_keypoints,
        "images": len(data.images),
        "instances": len(data.samples),
        "usable": len(data.samples) - sum(faults.values()),
        "left_out": dict(data.dropped + faults),
        "categories": dict(Counter(sample.category for sample in data.samples)),
    }
    if as_json:
        write_event(summary | ({KEY: skipped.records()} if skipped else {}))
        return
    lines = [
        f"{data.kind}: {summary['points']} points, {summary['images']} images, {summary['instances']} instances, "
        f"{summary['usable']} of them fit for top-down training and evaluation"
    ]
    lines += [f"  left out: {count} with {why}" for why, count in (data.dropped + faults).most_common()]
    lines += [f"  {name}: {count}" for name, count in Counter(s.category for s in data.samples).most_common()]
    sys.stdout.write("\n".join(lines) + "\n")


def _parser() -> Parser:
    parser = Parser(prog="python -m engine.datasets", description="data sets in their original layouts")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    commands.add_parser("kinds", help="list the kinds of data sets")
    info = commands.add_parser("info", help="say what a data set holds")
    convert = commands.add_parser("convert", help="write a plain COCO keypoint file")
    for command in (info, convert):
        command.add_argument("annotations", type=Path, help="file or folder of annotations")
        command.add_argument("--kind", default="", help="see 'kinds' (default: as the content tells)")
        command.add_argument("--images", default="", help="folder of the images (default: beside the annotations)")
        command.add_argument("--split", default="", help="train, val or test of a list that holds all (DeepFashion)")
        command.add_argument("--json", action="store_true", help="write a line of JSON")
        add_strict_option(command)
    convert.add_argument("--out", type=Path, required=True, help="COCO file to write")
    add_overwrite_option(convert)
    convert.add_argument(
        "--category", action="append", default=[], help="only this category; may be given several times"
    )
    convert.add_argument(
        "--own-points", action="store_true", help="DeepFashion2: each category with its own points only"
    )
    convert.add_argument("--usable", action="store_true", help="only instances fit for top-down training")
    convert.add_argument("--merge", choices=sorted(MERGES), help="bring AI Challenger's people to COCO's 17 points")
    convert.add_argument(
        "--also",
        nargs=3,
        action="append",
        default=[],
        metavar=("KIND", "ANNOTATIONS", "IMAGES"),
        help="another data set to put into the same file; may be given several times",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))
