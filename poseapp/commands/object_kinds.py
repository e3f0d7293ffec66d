"""Which object a new pose is of, where a category has the points of several (garments)."""

from __future__ import annotations

from collections.abc import Callable

from engine.schema.schema import Subset
from poseapp.commands.context import Context
from poseapp.dialogs.prompt import AskDialog
from poseapp.project.model import Category
from poseapp.project.schema.subsets import subset_named


def ask_object(context: Context, category: Category, then: Callable[[Subset | None], None]) -> None:
    """Call ``then`` with the subset of points that a new pose of a category gets; None for all of them.

    It is asked only where the category has subsets and is not called after one of them.
    """
    subsets = category.schema.subsets
    named = subset_named(category.schema, category.name)
    if not subsets or named is not None:
        then(named)
        return
    last = context.last_objects.get(category.id, subsets[0].name)
    ordered = sorted(subsets, key=lambda subset: subset.name != last)
    choices = [(f"{s.name.replace('_', ' ')} ({s.stop - s.start} keypoints)", s.name) for s in ordered]

    def take(dialog: AskDialog) -> None:
        chosen = next((s for s in subsets if s.name == dialog.chosen()), None)
        if chosen is not None:
            context.last_objects[category.id] = chosen.name
            then(chosen)

    AskDialog(
        "What is it?",
        f"{category.name} has the keypoints of {len(subsets)} kinds of objects. The new pose gets those of one.",
        "Add",
        context.window.widget(),
        choices=choices,
    ).ask(take)
