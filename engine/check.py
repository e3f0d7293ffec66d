"""Check labels for mistakes, from the command line.

    python -m engine.check LABELS [--images DIR] [--only ID]... [--json] [--list]

LABELS is a file or folder of any format that can be read. Findings are listed by check; the exit status is 0 if there
are none, 1 if there are warnings or errors, 2 for bad input. Checks that need images run where at least one image was
found, or with ``--images``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from engine.errors import MediaError
from engine.formats.registry import format_named, formats, read_labels
from engine.labels.checks import Check, Finding, ImageOfFrame, checks, find_check, run_checks
from engine.labels.model import IMAGES
from engine.labels.reader import LabelReader
from engine.media.image_finder import find_images, likely_folders
from engine.utils.command_line import OK, Parser, Progress, add_progress_option, run
from engine.utils.context import INFO, Context
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
    image_of = images_of(labels, images) if any(check.needs_images for check in chosen) else None
    return run_checks(labels, chosen, image_of=image_of, context=context)


def images_of(labels: LabelReader, folder: Path | str | None = None) -> ImageOfFrame | None:
    """Where the images of labels are; None if no folder was named and not one image is there.

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
    return lambda position, frame: paths.get(position)


def main(argv: Sequence[str]) -> int:
    """Command line; returns the exit status."""
    parser = Parser(prog="python -m engine.check", description="Check labels for mistakes.")
    parser.add_argument("labels", nargs="?", metavar="LABELS", help="a label file or folder of any known format")
    parser.add_argument("--images", metavar="DIR", help="folder of the images (default: around the labels)")
    readable = f"one of {', '.join(format.name for format in formats() if format.can_read)} (default: by content)"
    parser.add_argument("--from", dest="format", default="", metavar="FORMAT", help=readable)
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="run this check; may be repeated")
    parser.add_argument("--list", action="store_true", help="show the checks and leave")
    parser.add_argument("--all", action="store_true", help=f"list every finding, not only the first {SHOWN} of a check")
    parser.add_argument("--json", action="store_true", help="print findings as one JSON list")
    add_progress_option(parser)
    options = parser.parse_args(argv)
    if options.list:
        for check in checks():
            sys.stdout.write(f"{check.id} ({check.severity}): {check.title}. {check.help}\n")
        return OK
    if options.labels is None:
        parser.error("name the labels to check")
    if options.format:
        format_named(options.format)
    context = Context()
    with read_labels(options.labels, format=options.format, images=options.images, context=context) as labels:
        mode = "none" if options.json else options.progress
        with Progress(mode, "check", 2 * labels.num_instances() or None, unit="instance") as progress:
            stepping = Context(lambda done, _total, _text: progress.step(done - progress.done))
            findings = find_problems(labels, options.images, options.only, stepping)
            counts = _print_json(findings) if options.json else _print_text(findings, options.all)
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


def _print_text(findings: Iterable[Finding], every: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    lines: dict[str, list[str]] = {}
    for finding in findings:
        counts[finding.check] += 1
        if every or counts[finding.check] <= SHOWN:
            lines.setdefault(finding.check, []).append("  " + one_line(f"{finding.where}: {finding.message}", 500))
    for check in checks():
        if check.id in lines:
            sys.stdout.write(f"{check.title} ({check.severity}, {check.id}): {counts[check.id]:,}\n")
            sys.stdout.write("\n".join(lines[check.id]) + "\n")
            if counts[check.id] > len(lines[check.id]):
                sys.stdout.write(f"  and {counts[check.id] - len(lines[check.id]):,} more (--all lists them)\n")
    if not counts:
        sys.stdout.write("nothing found\n")
    return counts


if __name__ == "__main__":
    raise SystemExit(run(main))
