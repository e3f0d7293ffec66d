"""``python -m engine.zoo list|download|verify|path``: the models that can be given as --model and --detector.

Imports no torch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from engine.models.catalog import ModelEntry, find_model, list_models
from engine.models.catalog_download import VERBS, add_verbs, run_verb
from engine.models.metadata import TASKS
from engine.utils.command_line import OK, Parser, run
from engine.utils.plain_text import one_line


def main(argv: Sequence[str]) -> int:
    """Command line; returns the exit status."""
    parser = Parser(prog="python -m engine.zoo", description="The models that can be given as --model and --detector.")
    verbs = "list|download|verify|path"
    commands = parser.add_subparsers(dest="command", required=True, metavar=verbs, parser_class=Parser)
    listing = commands.add_parser("list", help="show every model")
    listing.add_argument("--json", action="store_true", help="as JSON, with every detail")
    listing.add_argument("--task", choices=TASKS, help="only these")
    add_verbs(commands)
    options = parser.parse_args(argv)
    if options.command in VERBS:
        return run_verb(options, find_model, list_models)
    entries = list_models(options.task)
    sys.stdout.write(_as_json(entries) if options.json else _as_table(entries))
    return OK


def _as_json(entries: Sequence[ModelEntry]) -> str:
    rows = [{**asdict(entry), "file": None if entry.file is None else str(entry.file)} for entry in entries]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _as_table(entries: Sequence[ModelEntry]) -> str:
    rows = [("ID", "TASK", "INPUT", "SCHEMA", "FIGURES", "FROM", "TITLE")]
    for entry in entries:
        width, height = entry.input_size
        figures = " ".join(f"{name} {_figure(value)}" for name, value in entry.metrics.items())
        size = f"{width}x{height}"
        rows.append(
            (
                entry.id,
                entry.task,
                size,
                entry.schema or "-",
                figures or "-",
                _location(entry),
                one_line(entry.title, 200),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _location(entry: ModelEntry) -> str:
    return entry.source if entry.source != "published" else "to download" if entry.file is None else "downloaded"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(run(main))
