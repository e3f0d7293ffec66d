"""Asks whether to import labels into the open project: files that changed, or one of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QWidget

from poseapp.dialogs.prompt import AskDialog
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.formats.report import LabelOffer

TAKE, LEAVE = "take", "leave"


def ask_about_labels(
    offers: Sequence[LabelOffer],
    take: Callable[[Sequence[LabelOffer]], None],
    leave: Callable[[Sequence[LabelOffer]], None],
    parent: QWidget | None = None,
) -> AskDialog:
    """Ask once; Cancel changes nothing, and the question is asked again at the next opening of the project.

    Args:
        take, leave: called with the offers that the user accepts or declines.
    """
    changed = [offer for offer in offers if offer.digest]
    if changed or len(offers) == 1:
        return _ask_whether(changed or offers, take, leave, parent)
    choices = [(", ".join(path.name for path in offer.paths), index) for index, offer in enumerate(offers)]
    text = (
        "There are several label files here. "
        "The one you choose is imported into the project; the others stay as they are."
    )
    dialog = AskDialog("Choose a label file", text, "Read the labels", parent, choices=choices)
    dialog.ask(lambda answer: take([offers[index]]) if isinstance(index := answer.chosen(), int) else None)
    return dialog


def ask_about_sizes(
    question: LabelSizesDiffer, go_on: Callable[[LabelSize], None], parent: QWidget | None = None
) -> AskDialog:
    """Ask what to do with labels made on images of another size; Cancel imports nothing.

    Args:
        go_on: called with the answer.
    """
    text = (
        f"Images whose labels were made in another size or orientation: {question.images:,}. "
        f"The first: {question.example}.\n"
        "Fit: turn and scale the labels so that they lie on the pictures as shown; an export writes them as they "
        "came.\nLeave: the labels already lie on the pictures as shown, and only the size in the file is wrong."
    )
    choices = [("Fit the labels to the images", LabelSize.FIT), ("Leave the labels as they are", LabelSize.KEEP)]
    dialog = AskDialog("Labels of another size", text, "Open", parent, choices=choices)
    dialog.ask(lambda answer: go_on(LabelSize(str(answer.chosen()))))
    return dialog


def _ask_whether(
    offers: Sequence[LabelOffer],
    take: Callable[[Sequence[LabelOffer]], None],
    leave: Callable[[Sequence[LabelOffer]], None],
    parent: QWidget | None,
) -> AskDialog:
    text = "\n".join(offer.text for offer in offers)
    text += "\nTaking them in adds what is new and changes what only the file has changed. "
    text += "Your own changes and deletions are kept. Undo reverts it."
    choices = [
        (("Import the new labels"), TAKE),
        (("Keep the project as it is; ask again when the file changes"), LEAVE),
    ]
    dialog = AskDialog("New labels", text, "Continue", parent, choices=choices)
    dialog.ask(lambda answer: (take if answer.chosen() == TAKE else leave)(offers))
    return dialog
