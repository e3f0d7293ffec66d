"""``poseapp [PATH...] | --sample | --tour DIR | --version``; when frozen, also the door to the engine's commands."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from poseapp import __version__

ENGINE_COMMANDS = {
    "--engine-train": "engine.train.__main__",
    "--engine-predict": "engine.predict.__main__",
    "--engine-evaluate": "engine.evaluate.__main__",
    "--engine-zoo": "engine.zoo",
    "--engine-export": "engine.export",
    "--engine-datasets": "engine.datasets.__main__",
    "--engine-convert": "engine.convert",
    "--engine-check": "engine.check",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ENGINE_COMMANDS:  # a frozen program has no `python -m`
        from engine.utils.command_line import run as run_command

        module = importlib.import_module(ENGINE_COMMANDS[arguments[0]])
        return run_command(module.main, arguments[1:])
    if arguments and arguments[0] == "--try-hdf5":
        from engine.formats.hdf5_trial import main as try_hdf5

        return try_hdf5(arguments[1:])
    options = _parser(_known_formats() if {"-h", "--help"} & set(arguments) else "").parse_args(arguments)
    missing = [path for path in options.paths if not path.exists()]
    if missing:
        sys.stderr.write(f"poseapp: {missing[0]}: there is no such file or folder\n")
        return 2
    try:
        if options.tour is not None:
            from poseapp.tour.tour import run_tour

            return run_tour(options.tour, size=options.tour_size)
        from poseapp.app.application import run
    except ImportError as error:
        sys.stderr.write(
            f"poseapp: the window's libraries cannot be loaded ({error}); the README tells what to install\n"
        )
        return 2
    return run([path.absolute() for path in options.paths], sample=options.sample)


def _known_formats() -> str:
    """For the help; the window does without, so that it opens without loading all formats."""
    from poseapp.app.label_formats import known_formats

    return known_formats().replace("%", "%%")


def _parser(known_formats: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="poseapp", description="Label, correct and train keypoint poses.")
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help=f"images, folders, videos, labels ({known_formats}) or a project",
    )
    parser.add_argument("--sample", action="store_true", help="open the bundled sample photographs")
    parser.add_argument(
        "--tour", type=Path, metavar="DIR", help="drive the window through a whole journey, pictures in DIR"
    )
    parser.add_argument(
        "--tour-size", default="1280x800", metavar="WxH", help="size of the tour's window (default 1280x800)"
    )
    parser.add_argument("--version", action="version", version=f"poseapp {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
