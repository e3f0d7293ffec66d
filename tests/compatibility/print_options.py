"""The options of a command as JSON, without running it: python print_options.py MODULE."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from typing import Any, NoReturn


def options_of(parser: argparse.ArgumentParser, command: str = "") -> dict[str, dict[str, Any]]:
    """Options and arguments of a parser ("" in the result) and of its subcommands, by subcommand and first name."""
    result: dict[str, dict[str, Any]] = {command: {}}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                result.update(options_of(subparser, f"{command} {name}".strip()))
            continue
        plain = action.default is None or isinstance(action.default, str | int | float)
        result[command][action.option_strings[0] if action.option_strings else action.dest] = {
            "strings": list(action.option_strings),
            "choices": sorted(map(str, action.choices)) if action.choices else None,
            "takes_value": action.nargs != 0,
            "default": action.default if plain else str(action.default),
        }
    return result


def print_and_leave(self: argparse.ArgumentParser, *arguments: Any, **more: Any) -> NoReturn:
    sys.stdout.write(json.dumps(options_of(self)))
    raise SystemExit(0)


if __name__ == "__main__":
    argparse.ArgumentParser.parse_args = print_and_leave  # type: ignore[assignment, method-assign]
    module = sys.argv[1]
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
