"""One function a verb. ``COMMANDS`` maps the ids of the actions table to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from poseapp.commands import (
    category,
    edit,
    export,
    file,
    model,
    navigation,
    playback,
    pose,
    project,
    relink,
    review,
    track,
    view,
)
from poseapp.commands.context import Context
from poseapp.window.actions import ACTIONS

Command = Callable[[Context], None]


def _find(name: str) -> Command:
    if name.startswith("select_") and name[-1].isdigit():
        return partial(navigation.select_number, number=int(name[-1]))
    for module in (
        export,
        file,
        category,
        edit,
        model,
        navigation,
        playback,
        pose,
        project,
        relink,
        review,
        track,
        view,
    ):
        command = vars(module).get(name)
        if callable(command) and getattr(command, "__module__", "") == module.__name__:
            found: Command = command
            return found
    raise LookupError(f"no command for the action {name!r}")


COMMANDS: dict[str, Command] = {action.id: _find(action.id) for action in ACTIONS}
