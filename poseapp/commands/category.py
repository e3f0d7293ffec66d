"""Which kind of object new poses are."""

from __future__ import annotations

from collections.abc import Callable

from engine.schema.builtin import schema_of_subset
from engine.schema.schema import Schema, Subset
from poseapp.canvas.template_pose import template_pose
from poseapp.commands.context import Context, finish_placing
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.schema.choice import KindChoice, SchemaChoiceDialog
from poseapp.dialogs.schema.editor import SchemaEditorDialog
from poseapp.dialogs.schema.mapping import ChangePointsDialog
from poseapp.project.model import Category
from poseapp.project.schema.draft import SchemaDraft
from poseapp.project.schema.migration import Sources
from poseapp.project.schema.subsets import subset_named


def choose_kind(context: Context, then: Callable[[Context], None] | None = None) -> None:
    """Ask for the points of new poses; ``then`` goes on with what was wanted."""
    session = context.session
    if session.store is None:
        return
    dialog = SchemaChoiceDialog(
        session.categories(), template_pose, session.category, context.window.widget(), context.runner
    )

    def use(choice: KindChoice) -> None:
        use_kind(context, choice)
        if then is not None and session.category is not None:
            then(context)

    dialog.kind_chosen.connect(lambda choice: _of_one_object(context, choice, use))
    dialog.open()


def _of_one_object(context: Context, choice: KindChoice, use: Callable[[KindChoice], None]) -> None:
    """Ask for one of several kinds of objects, where the points are those of several (13 garments): it gets a category
    of its own. What the project has already is taken as it is."""
    schema = choice.schema
    if not schema.subsets or any(c.name == choice.name for c in context.session.categories()):
        use(choice)
        return
    choices: list[tuple[str, object]] = [
        (f"{s.name.replace('_', ' ')} ({s.stop - s.start} keypoints)", s) for s in schema.subsets
    ]
    choices.append((f"All of them in one category ({schema.num_keypoints} keypoints)", None))

    def take(dialog: AskDialog) -> None:
        subset = dialog.chosen()
        if isinstance(subset, Subset):
            use(KindChoice(subset.name, schema_of_subset(schema, subset)))
        else:
            use(choice)

    text = f"{choice.name} covers {len(schema.subsets)} object types, each with its own keypoints."
    AskDialog("Choose a category", text, "Use this", context.window.widget(), choices=choices).ask(take)


def use_kind(context: Context, choice: KindChoice) -> None:
    """New poses are of this category from now on; one that the project has not is added, which undo takes back."""
    session = context.session
    category = session.find_category(choice.schema, choice.name)
    # A cat and a dog may have the same points, and are two categories.
    if category is None or (category.name != choice.name and choice.name not in {c.name for c in session.categories()}):
        category = session.add_category(choice.name, choice.schema)
    if category is None:
        return
    session.select()  # new poses follow the selection otherwise
    session.choose_category(category.id)
    context.window.tell(f'New poses use "{category.name}" ({category.schema.num_keypoints} keypoints)')


def edit_points(context: Context) -> None:
    """The points of a kind, in an editor."""
    session = context.session
    if session.store is None:
        return
    dialog = SchemaEditorDialog(
        session.categories(), template_pose, session.category, context.window.widget(), context.runner
    )
    dialog.use_requested.connect(lambda name, draft, base: use_draft(context, name, draft, base))
    dialog.show()


def use_draft(context: Context, name: str, draft: SchemaDraft, base: Category | None) -> None:
    """A new kind; other looks for the points of one; or its poses move to other points."""
    session = context.session
    finish_placing(context)
    schema = draft.schema()
    if base is None:
        use_kind(context, KindChoice(name, schema))
    elif draft.sources() == tuple(range(base.schema.num_keypoints)):
        now = (base.name, base.schema.keypoints, base.schema.limbs)
        if (name, schema.keypoints, schema.limbs) == now:
            context.window.tell(f"{name} was not changed")
        elif session.update_category(base, name, schema):
            context.window.tell(f"{name} has been changed", "good")
    else:
        _migrate(context, base, name, schema, draft.sources())


def change_points(context: Context) -> None:
    """Poses of a kind to another set of points."""
    session = context.session
    if session.store is None or not session.categories():
        context.window.tell("There are no poses to convert yet")
        return
    dialog = ChangePointsDialog(session.categories(), session.category, context.window.widget())
    dialog.change_requested.connect(
        lambda source, schema, sources: _migrate(context, source, source.name, schema, sources)
    )
    dialog.show()


def _migrate(context: Context, source: Category, name: str, schema: Schema, sources: Sources) -> None:
    finish_placing(context)
    category = context.session.migrate(source, name, schema, sources)
    if category is not None:
        context.session.choose_category(category.id)
        context.window.tell(f"{name} now has {schema.num_keypoints} keypoints. Undo restores the poses.", "good")


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
        "Choose a category",
        f"{category.name} combines the keypoints of {len(subsets)} object types. Choose the one of the new pose.",
        "Add",
        context.window.widget(),
        choices=choices,
    ).ask(take)
