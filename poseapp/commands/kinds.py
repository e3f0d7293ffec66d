"""Which kind of object new poses are."""

from __future__ import annotations

from collections.abc import Callable

from poseapp.canvas.template import template_pose
from poseapp.commands.context import Context
from poseapp.dialogs.schema_choice import KindChoice, SchemaChoiceDialog


def choose_kind(context: Context, then: Callable[[Context], None] | None = None) -> None:
    """Ask for the points of new poses; ``then`` goes on with what was wanted."""
    session = context.session
    if session.store is None:
        return
    dialog = SchemaChoiceDialog(session.categories(), template_pose, session.category, context.window.widget())

    def take(choice: KindChoice) -> None:
        use_kind(context, choice)
        if then is not None and session.category is not None:
            then(context)

    dialog.kind_chosen.connect(take)
    dialog.open()


def use_kind(context: Context, choice: KindChoice) -> None:
    """New poses are of this kind from now on; the project gets a category for it where it has none."""
    session = context.session
    category = session.ensure_category(choice.name, choice.schema)
    session.select()  # new poses follow the selection otherwise
    session.choose_category(category.id)
    context.window.tell(f"New poses are {category.name}, {category.schema.num_keypoints} points")
