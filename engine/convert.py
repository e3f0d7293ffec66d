"""Convert labels from one format to another, from the command line.

    python -m engine.convert labels.slp labels.json
    python -m engine.convert labels.json poses.csv --to csv
    python -m engine.convert labels.slp dataset --to yolo --copy-images
    python -m engine.convert labels.json crops/labels.json --crop-images
    python -m engine.convert --list

IN is a file, folder or zip archive of any format that can be read; its content says which, or --from. The suffix of OUT
says in which format to write, or --to; a name that ends in .zip gets an archive. What the target cannot keep is listed
on standard error before anything is written; with --strict nothing is written then, and the exit status is 2. Labels of
any number fit: records are read and written one after the other.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import LabelError
from engine.formats.crops import DEFAULT_MARGIN, CroppedLabels
from engine.formats.frame_images import FrameImages
from engine.formats.registry import (
    LabelFormat,
    ReadOptions,
    WriteOptions,
    find_format,
    format_for_writing,
    formats,
)
from engine.labels.features import Feature, count_features, lost_features
from engine.labels.reader import LabelReader
from engine.labels.splitting import SPLITS, FramesSubset, SplitBy, assign_splits, labelled_frames, parse_fractions
from engine.utils.command_line import OK, Parser, Progress, add_progress_option, run, write_event
from engine.utils.context import Context
from engine.utils.outputs import add_overwrite_option, check_outputs
from engine.utils.plain_text import one_line

_SHOWN = 10  # findings printed on standard error


@dataclass(frozen=True)
class Conversion:
    """What a conversion does, before and after it was done.

    Attributes:
        source, target: the formats.
        lost: what the target cannot keep, as phrases ("frames of videos (12)").
        findings: what was odd about records, as sentences; complete once it was written.
    """

    source: LabelFormat
    target: LabelFormat
    lost: list[str]
    findings: list[str] = field(default_factory=list)


def convert(
    path: Path | str,
    out: Path | str,
    *,
    from_format: str = "",
    to_format: str = "",
    read_options: ReadOptions | None = None,
    write_options: WriteOptions | None = None,
    on_loss: Callable[[str], object] | None = None,
    strict: bool = False,
    labelled_only: bool = False,
    crop_margin: float | None = None,
    splits: Mapping[str, float] | None = None,
    split_by: SplitBy = "frame",
    seed: int = 0,
    context: Context | None = None,
) -> Conversion:
    """Convert a label file.

    Args:
        labelled_only: leave out frames that nobody has labelled.
        crop_margin: make an image of each pose, with this share of its width and height around it; None = whole images.
        splits: fractions of the frames by name; a data set that has no splits of its own becomes a file for each,
            ``out_train.json``. ``split_by``, ``seed``: see :func:`engine.labels.splitting.assign_splits`.
        from_format, to_format: names of formats; "" = as the content, and the suffix, say.
        on_loss: called before anything is written with each thing that the target cannot keep, as a sentence.
        strict: write nothing if the target cannot keep everything.

    Raises:
        LabelError: the labels cannot be read or written, a format is unknown, or ``strict`` forbids the loss.
        Cancelled: the context was cancelled; nothing was written.
    """
    context = context or Context()
    target, source = format_for_writing(out, to_format), find_format(path, from_format)
    write_options = write_options or WriteOptions()
    with source.read(Path(path), context, read_options) as labels:
        if labelled_only:
            include = write_options.include_predictions
            labels = FramesSubset(labels, labelled_frames(labels, include_predictions=include, context=context))
        if crop_margin is not None:
            labels = CroppedLabels(labels, crop_margin, context)
            write_options = replace(write_options, images="copy")
        lost = what_is_lost(labels, target, context)
        for phrase in lost:
            if on_loss is not None:
                on_loss(f"{target.title} cannot keep {phrase}")
        if lost and strict:
            raise LabelError("nothing was written, for the format cannot keep everything", where=out)
        if splits is None:
            target.write(labels, Path(out), write_options, context)
        else:
            write_splits(
                labels, target, Path(out), write_options, assign_splits(labels, splits, split_by, seed), context
            )
        place_images(labels, target, Path(out), write_options, context)
    return Conversion(source, target, lost, context.findings.sentences())


def place_images(labels: LabelReader, target: LabelFormat, out: Path, options: WriteOptions, context: Context) -> None:
    """Copy or link images to where a label file that was written names them; data sets in a folder have done so
    themselves.

    Raises:
        LabelError: one cannot be written. Cancelled.
    """
    if options.images == "none" or getattr(target, "writes_images", False):
        return
    images = FrameImages(labels)
    try:
        images.place_beside(out.absolute().parent, options.images, context)
    finally:
        images.close()


def write_splits(
    labels: LabelReader,
    target: LabelFormat,
    out: Path,
    options: WriteOptions,
    split_of_frames: Sequence[str],
    context: Context,
) -> Path:
    """Write labels in splits: as one data set where the format has splits, else a file for each.

    Args:
        split_of_frames: see :func:`engine.labels.splitting.assign_splits`.

    Returns:
        what was written; the first file of several.

    Raises:
        LabelError, Cancelled: as :meth:`LabelFormat.write`.
    """
    if getattr(target, "writes_splits", False):
        target.write(labels, out, replace(options, splits=split_of_frames), context)
        return out if out.exists() else out.with_suffix("")
    splits = list(dict.fromkeys(sorted(split_of_frames, key=SPLITS.index)))
    for split in splits:
        frames = [position for position, name in enumerate(split_of_frames) if name == split]
        target.write(FramesSubset(labels, frames), split_path(out, split), options, context)
    return split_path(out, splits[0]) if splits else out


def split_path(out: Path, split: str) -> Path:
    """The file of one split: ``labels.json`` becomes ``labels_train.json``."""
    return out.with_name(f"{out.stem}_{split}{out.suffix}")


def what_is_lost(labels: LabelReader, target: LabelFormat, context: Context | None = None) -> list[str]:
    """What a format could not keep of labels, as phrases; reads them once, unless the format keeps all of it."""
    if labels.raw_format == target.name:
        return []  # records are written as they came
    keeps = {*target.keeps, Feature.UNKNOWN_KEYS}  # no format keeps the keys of another; that is nothing to warn of
    missing = set(Feature) - keeps
    return lost_features(count_features(labels, context, missing), keeps) if missing else []


def main(argv: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse_intermixed_args(argv)
    if options.list:
        if options.markdown:
            sys.stdout.write(markdown_table())
        else:
            _list_formats(as_json=options.json)
        return OK
    if options.input is None or options.output is None:
        parser.error("give IN and OUT, or --list")
    splits = None if options.splits is None else parse_fractions(options.splits)
    if not is_empty_folder(options.output):
        outputs = {"OUT": options.output} | {f"OUT of {s}": split_path(options.output, s) for s in splits or ()}
        check_outputs(outputs, [("IN", options.input)], overwrite=options.overwrite)
    with Progress(options.progress, "converting", unit="record") as progress:
        done = convert(
            options.input,
            options.output,
            from_format=options.from_format,
            to_format=options.to_format,
            read_options=ReadOptions(None if options.images is None else Path(options.images), options.split),
            write_options=WriteOptions(
                include_predictions=not options.no_predictions,
                images="copy" if options.copy_images else "link" if options.link_images else "none",
                absolute_paths=options.absolute_paths,
            ),
            on_loss=_warn,
            strict=options.strict,
            labelled_only=options.labelled_only,
            crop_margin=options.crop_images,
            splits=splits,
            split_by=options.split_by,
            seed=options.seed,
            context=Context(lambda done, total, _text: progress.move_to(done, total)),
        )
    if options.json:
        event = {"from": done.source.name, "to": done.target.name, "out": str(options.output), "lost": done.lost}
        write_event({**event, "findings": [str(finding) for finding in done.findings]})
        return OK
    for finding in done.findings[:_SHOWN]:
        _warn(finding)
    if len(done.findings) > _SHOWN:
        _warn(f"... and {len(done.findings) - _SHOWN} more")
    sys.stdout.write(f"{done.source.title} to {done.target.title}: {options.output}\n")
    return OK


def _warn(text: str) -> None:
    sys.stderr.write(one_line(f"warning: {text}") + "\n")


def _list_formats(*, as_json: bool) -> None:
    for format in formats():
        facts = {
            "name": format.name,
            "title": format.title,
            "suffixes": list(format.suffixes),
            "can_read": format.can_read,
            "can_write": format.can_write,
        }
        if as_json:
            sys.stdout.write(json.dumps(facts) + "\n")
            continue
        can = " ".join(word for word, ok in (("read", format.can_read), ("write", format.can_write)) if ok)
        sys.stdout.write(f"{format.name:20} {can:12} {format.title}\n")


def markdown_table() -> str:
    """The formats as a table in Markdown, for the documentation."""
    lines = ["| `--from`, `--to` | format | files | read | write | what writing loses |", "|---|---|---|---|---|---|"]
    for format in formats():
        lost = [feature.value for feature in Feature if format.can_write and feature not in format.keeps]
        suffixes = " ".join(f"`{suffix}`" for suffix in format.suffixes) or "a folder"
        read, write = ("yes" if able else "" for able in (format.can_read, format.can_write))
        lines.append(f"| `{format.name}` | {format.title} | {suffixes} | {read} | {write} | {'; '.join(lost)} |")
    return "\n".join(lines) + "\n"


def is_empty_folder(path: Path) -> bool:
    """Whether a path is a folder without anything in it, which formats of folders may write into."""
    try:
        return path.is_dir() and not any(path.iterdir())
    except OSError:
        return False


def _margin(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise ArgumentTypeError(f"{text!r} is no share from 0 to 10")
    return value


def _parser() -> Parser:
    parser = Parser(prog="python -m engine.convert", description="Convert labels from one format to another.")
    parser.add_argument("input", metavar="IN", nargs="?", type=Path, help="label file, folder or zip archive")
    parser.add_argument("output", metavar="OUT", nargs="?", type=Path, help="file or new folder to write")
    parser.add_argument("--from", dest="from_format", default="", help="format of IN (default: as its content says)")
    parser.add_argument("--to", dest="to_format", default="", help="format of OUT (default: as its suffix says)")
    parser.add_argument("--images", help="folder of the images (default: looked for around IN)")
    parser.add_argument("--split", default="", help="train, val or test of a list that holds all (DeepFashion)")
    parser.add_argument("--splits", metavar="80/10/10", help="divide the frames: shares of train, val and test")
    parser.add_argument(
        "--split-by",
        choices=("frame", "video", "track"),
        default="frame",
        help="what stays in one split (default: frame)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the division into splits")
    parser.add_argument("--labelled-only", action="store_true", help="leave out frames without labels")
    parser.add_argument("--no-predictions", action="store_true", help="leave out what nobody has accepted")
    images = parser.add_mutually_exclusive_group()
    images.add_argument("--copy-images", action="store_true", help="copy the images into the data set, or beside OUT")
    images.add_argument("--link-images", action="store_true", help="link the images there, or copy them if need be")
    images.add_argument(
        "--crop-images",
        type=_margin,
        nargs="?",
        const=DEFAULT_MARGIN,
        metavar="MARGIN",
        help="make an image of each pose, with this share of its size around it (default: 0.25)",
    )
    parser.add_argument("--absolute-paths", action="store_true", help="name images and videos by absolute paths")
    parser.add_argument("--strict", action="store_true", help="write nothing if OUT cannot keep everything; status 2")
    parser.add_argument("--list", action="store_true", help="list the formats")
    parser.add_argument("--markdown", action="store_true", help="with --list: as a table in Markdown")
    parser.add_argument("--json", action="store_true", help="write what was done as a line of JSON")
    add_overwrite_option(parser)
    add_progress_option(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))
