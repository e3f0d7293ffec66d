"""The commands of ``python -m engine.zoo`` for published weights: download, verify, path. Imports no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm  # type: ignore[import-untyped]

from engine.errors import Cancelled, ModelError
from engine.models.download import MIRROR_VARIABLE, Download, fetch, has_digest
from engine.utils.command_line import BAD_INPUT, OK, Progress, add_progress_option, fail

VERBS = ("download", "verify", "path")


class Weights(Protocol):
    """The part of ``engine.models.catalog.ModelEntry`` that is used here."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def file(self) -> Path | None: ...
    @property
    def weights_file(self) -> Path | None: ...
    @property
    def url(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def problems(self) -> Sequence[str]: ...


def add_verbs(commands: Any) -> None:
    """Add the three commands to the subparsers of the command line."""
    download = commands.add_parser(
        "download",
        help="download published weights",
        description="Download published weights into the models folder. Run the same command again to resume. "
        f"{MIRROR_VARIABLE} names a mirror to use instead of the published host.",
    )
    download.add_argument("ids", nargs="+", metavar="ID", help="models of the list")
    add_progress_option(download)
    verify = commands.add_parser("verify", help="compare downloaded weights with the published digest")
    verify.add_argument("ids", nargs="*", metavar="ID", help="models of the list (default: all that are here)")
    path = commands.add_parser("path", help="show where the weights of a model are, or where to put them")
    path.add_argument("id", metavar="ID", help="a model of the list")


def run_verb(
    options: argparse.Namespace, find: Callable[[str], Weights], every: Callable[[], Sequence[Weights]]
) -> int:
    """Run one of the three commands; returns the exit status.

    Args:
        find, every: ``find_model`` and ``list_models`` of ``engine.models.catalog``.

    Raises:
        ModelError: no model of that name.
        Cancelled: the user stopped it.
    """
    if options.command == "download":
        return _download([find(name) for name in options.ids], options.progress)
    if options.command == "verify":
        return _verify([find(name) for name in options.ids] or every(), named=bool(options.ids))
    return _path(find(options.id))


def download_of(entry: Weights) -> Download:
    """The download of a published model.

    Raises:
        ModelError: no address is known.
    """
    if entry.weights_file is None:
        known = " ".join(entry.problems)
        raise ModelError(f"no address of the weights of {entry.id} is known{': ' + known if known else ''}")
    return Download(entry.id, entry.url, entry.digest, entry.weights_file)


class ByteProgress(Progress):
    """Progress in bytes, for ``report`` of :func:`engine.models.download.fetch`; may go backwards, too."""

    def __init__(self, mode: str, what: str) -> None:
        super().__init__(mode, what, unit="B")
        if self._bar is not None:
            self._bar.unit_scale = True
            self._bar.unit_divisor = 1024

    def report(self, done: int, total: int | None) -> None:
        self.total = total
        if self._bar is not None:
            self._bar.total = total
        self.step(done - self.done)

    def notice(self, text: str) -> None:
        """Show a failure that is retried."""
        self.event({"event": "retry", "what": self.what, "reason": text})
        if self._bar is not None:
            tqdm.write(f"{self.what}: {text}", file=sys.stderr)


def _download(entries: Sequence[Weights], mode: str) -> int:
    status = OK
    for entry in entries:
        if entry.source != "published":
            _print_file(mode, entry.id, entry.file, "is part of this installation")
            continue
        try:
            item = download_of(entry)
            with ByteProgress(mode, entry.id) as progress:
                path = fetch(item, report=progress.report, notice=progress.notice)
        except Cancelled:
            raise
        except ModelError as error:  # the other models can still be downloaded
            status = fail(str(error))
        else:
            _print_file(mode, entry.id, path, "is here and whole" if entry.digest else "is here (no digest is known)")
    return status


def _print_file(mode: str, name: str, path: Path | None, text: str) -> None:
    if mode == "json":
        Progress(mode, name).event({"event": "downloaded", "id": name, "file": None if path is None else str(path)})
    else:
        sys.stdout.write(f"{name}: {path} {text}\n")
        sys.stdout.flush()


def _verify(entries: Sequence[Weights], *, named: bool) -> int:
    """Print one line per model; the status is 0 if all match what was published."""
    status = OK
    for entry in entries:
        path = entry.file or entry.weights_file
        here = path is not None and path.is_file()
        if not named and not (here and entry.source == "published"):
            continue
        if path is None or not here:
            verdict, status = "missing", BAD_INPUT
        elif not entry.digest:
            verdict = "here, no digest is known"
        elif has_digest(path, entry.digest):
            verdict = "as published"
        else:
            verdict, status = f"DAMAGED: SHA-256 does not begin with {entry.digest}; download it again", BAD_INPUT
        sys.stdout.write(f"{entry.id}: {verdict}{'' if path is None else f' ({path})'}\n")
    return status


def _path(entry: Weights) -> int:
    path = entry.file or entry.weights_file
    if path is None:
        download_of(entry)
    sys.stdout.write(f"{path}\n")
    if path is None or not path.is_file():
        return fail(f"the weights of {entry.id} are not here; python -m engine.zoo download {entry.id}")
    return OK
