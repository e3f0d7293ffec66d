"""Check labels for mistakes, from the command line.

    python -m engine.check LABELS [--images DIR] [--only ID]... [--format text|json] [--fix OUT] [--list]

LABELS is a file or folder of any format that can be read. What the reader had to leave out or change, and what the
checks found, is one list by kind; the exit status is 0 if there is nothing in it but information, 1 if there are
warnings or errors, 2 for bad input. Checks that need images run where at least one image was found, or with
``--images``. ``--fix OUT`` writes the labels with all mistakes mended that can be mended without a person, in the same
or another format; LABELS stay as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import msgspec

from engine.errors import MediaError
from engine.formats.registry import format_for_writing, format_named, formats, read_labels, write_labels
from engine.labels.checks import (
    Check,
    Finding,
    FixedLabels,
    ImageOfFrame,
    Problem,
    Summary,
    checks,
    find_check,
    is_clean,
    run_checks,
)
from engine.labels.features import Feature, count_features, lost_features
from engine.labels.model import IMAGES
from engine.labels.reader import LabelReader
from engine.media.image_finder import LOST, Kind, find_images, likely_folders
from engine.utils.command_line import OK, Parser, Progress, add_progress_option, run
from engine.utils.context import INFO, WARNING, Context
from engine.utils.outputs import add_overwrite_option, check_outputs
from engine.utils.plain_text import one_line

FOUND = 1
SHOWN = 20
"""Findings of one check that are listed, unless --all asks for the rest."""


def find_problems(
    labels: LabelReader,
    images: Path | str | None = None,
    only: Iterable[str] = (),
    context: Context | None = None,
) -> Iterator[Finding]:
    """Run checks over labels that are open.

    Args:
        images: folder of the images; None = they are looked for around the labels.
        only: ids of checks; none = all.

    Raises:
        LabelError: there is no check of such an id.
        MediaError: ``images`` is not a folder.
        Cancelled: the context was cancelled.
    """
    chosen: list[type[Check]] = [find_check(id) for id in only] or checks()
    image_of = images_of(labels, images, context) if any(check.needs_images for check in chosen) else None
    return run_checks(labels, chosen, image_of=image_of, context=context)


def images_of(
    labels: LabelReader, folder: Path | str | None = None, context: Context | None = None
) -> ImageOfFrame | None:
    """Where the images of labels are; None if no folder was named and not one image is there.

    Args:
        context: is told of images that were found in another way than by their path, and why others were not taken.

    Raises:
        MediaError: ``folder`` is not a folder.
    """
    if folder is not None and not Path(folder).is_dir():
        raise MediaError("is not a folder" if Path(folder).exists() else "does not exist", where=folder)
    frames = [
        (position, frame)
        for position, frame in enumerate(labels.frames())
        if not labels.media or labels.media[frame.media].type == IMAGES
    ]
    search = find_images(
        [frame.name for _, frame in frames],
        likely_folders(labels.path, folder or labels.image_folder),
        [(frame.width, frame.height) for _, frame in frames],
    )
    paths = {position: path for (position, _), path in zip(frames, search.paths, strict=True)}
    if folder is None and not any(paths.values()):
        return None
    for finding in search.findings:
        if context is not None and finding.kind is not Kind.MISSING:
            context.report(finding.case, finding.kind.value, severity=WARNING if finding.kind in LOST else INFO)
    return lambda position, frame: paths.get(position)


def main(argv: Sequence[str]) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(argv)
    if options.list:
        for check in checks():
            fix = f" Fix: {check.fix_title}." if check.fix_title else ""
            sys.stdout.write(f"{check.id} ({check.severity}): {check.title}. {check.help}{fix}\n")
        return OK
    if options.labels is None:
        _parser().error("name the labels to check")
    if options.format:
        format_named(options.format)
    if options.fix is not None:
        check_outputs({"--fix": options.fix}, [("LABELS", Path(options.labels))], overwrite=options.overwrite)
        format_for_writing(options.fix, options.to)
    context = Context()
    with read_labels(options.labels, format=options.format, images=options.images, context=context) as labels:
        if options.json and options.fix is None:
            return _list_findings(labels, options, context)
        problems = _problems(labels, options, context)
        fixed = 0 if options.fix is None else _write_fixed(labels, options, context)
    if options.output == "json" or options.json:
        facts = {"labels": str(options.labels), "findings": problems, "fixed": fixed}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(facts), indent=1).decode() + "\n")
    else:
        _print_text(problems)
        if options.fix is not None:
            sys.stdout.write(f"{fixed:,} fixed: {options.fix}\n")
    return OK if is_clean(problems) else FOUND


def _parser() -> Parser:
    parser = Parser(prog="python -m engine.check", description="Check labels for mistakes, and mend them.")
    parser.add_argument("labels", nargs="?", metavar="LABELS", help="a label file or folder of any known format")
    parser.add_argument("--images", metavar="DIR", help="folder of the images (default: around the labels)")
    readable = f"one of {', '.join(format.name for format in formats() if format.can_read)} (default: by content)"
    parser.add_argument("--from", dest="format", default="", metavar="FORMAT", help=readable)
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="run this check; may be repeated")
    parser.add_argument("--list", action="store_true", help="show the checks and leave")
    parser.add_argument("--all", action="store_true", help=f"list every finding, not only the first {SHOWN} of a check")
    parser.add_argument(
        "--format", dest="output", choices=("text", "json"), default="text", help="how the list of findings is printed"
    )
    parser.add_argument("--json", action="store_true", help="print the findings of the checks as one JSON list")
    parser.add_argument(
        "--fix",
        metavar="OUT",
        type=Path,
        help="write the labels with all that can be fixed (with --only: by these checks)",
    )
    parser.add_argument("--to", default="", metavar="FORMAT", help="format of OUT (default: as its suffix says)")
    add_overwrite_option(parser)
    add_progress_option(parser)
    return parser


def _problems(labels: LabelReader, options: argparse.Namespace, context: Context) -> list[Problem]:
    """What the reader met and the checks found, as one list."""
    summary = Summary(None if options.all else SHOWN)
    with _progress(labels, options) as stepping:
        for finding in find_problems(labels, options.images, options.only, stepping):
            summary.add(finding)
        return summary.problems([*context.findings.remarks(), *stepping.findings.remarks()])


@contextmanager
def _progress(labels: LabelReader, options: argparse.Namespace) -> Iterator[Context]:
    mode = "none" if options.json or options.output == "json" else options.progress
    with Progress(mode, "check", 2 * labels.num_instances() or None, unit="instance") as progress:
        yield Context(lambda done, _total, _text: progress.step(done - progress.done))


def _write_fixed(labels: LabelReader, options: argparse.Namespace, context: Context) -> int:
    """Write the labels with what can be mended; returns how many findings were."""
    chosen = [find_check(id) for id in options.only] or checks()
    image_of = images_of(labels, options.images) if any(check.needs_images for check in chosen) else None
    fixed = FixedLabels(labels, chosen, image_of=image_of)
    format = format_for_writing(options.fix, options.to)
    if labels.raw_format != format.name:  # else records are written as they came
        for phrase in lost_features(count_features(fixed), {*format.keeps, Feature.UNKNOWN_KEYS}):
            sys.stderr.write(one_line(f"warning: {format.title} cannot keep {phrase}") + "\n")
    written = Context()
    write_labels(fixed, options.fix, format=options.to, context=written)
    for sentence in written.findings.sentences():
        sys.stderr.write(one_line(f"{options.fix}: {sentence}", 500) + "\n")
    return sum(fixed.applied.values())


def _list_findings(labels: LabelReader, options: argparse.Namespace, context: Context) -> int:
    """Print the findings of the checks one by one; what the reader met goes to standard error."""
    with _progress(labels, options) as stepping:
        counts = _print_json(find_problems(labels, options.images, options.only, stepping))
    for sentence in context.findings.sentences():
        sys.stderr.write(one_line(f"{options.labels}: {sentence}", 500) + "\n")
    return FOUND if any(find_check(id).severity != INFO for id in counts) else OK


def _print_json(findings: Iterable[Finding]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for finding in findings:
        sys.stdout.write("[\n" if not counts else ",\n")
        sys.stdout.write(json.dumps(asdict(finding), ensure_ascii=True))
        counts[finding.check] += 1
    sys.stdout.write("\n]\n" if counts else "[]\n")
    return counts


def _print_text(problems: Sequence[Problem]) -> None:
    for problem in problems:
        action = f", {problem.action}" if problem.action else ""
        sys.stdout.write(
            one_line(f"{problem.title}{action} ({problem.severity}, {problem.id}): {problem.count:,}") + "\n"
        )
        for record in problem.records:
            sys.stdout.write("  " + one_line(record, 500) + "\n")
        left = problem.count - len(problem.records)
        if left > 0 and problem.records:
            hint = " (--all lists them)" if problem.is_check else ""
            sys.stdout.write(f"  and {left:,} more{hint}\n")
        if problem.fix:
            sys.stdout.write(f"  --fix OUT: {problem.fix} ({problem.fixable:,})\n")
    if not problems:
        sys.stdout.write("nothing found\n")


if __name__ == "__main__":
    raise SystemExit(run(main))
