"""The preview of an import shows every count, and asks about conflicts only where there are some."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from poseapp.dialogs.import_labels import THEIRS, ImportLabelsDialog
from poseapp.project.formats.report import LabelOffer


def offer(
    counts: dict[str, int], conflicts: tuple[str, ...] = (), remarks: tuple[str, ...] = (), has_news: bool = True
) -> LabelOffer:
    rows = tuple(counts.items())
    return LabelOffer((Path("job.xml"),), "", b"", rows, conflicts, remarks, has_news=has_news)


def test_counts_conflicts_and_remarks_are_shown(qtbot: QtBot) -> None:
    dialog = ImportLabelsDialog(offer({"New poses": 1200, "Equal poses": 3}, ("a.png differs",), ("odd",)))
    qtbot.addWidget(dialog)
    texts = [[dialog.table.item(row, column).text() for column in range(2)] for row in range(2)]
    assert texts == [["New poses", "1,200"], ["Equal poses", "3"]]
    assert [dialog.details.item(row).text() for row in range(2)] == ["a.png differs", "odd"]
    assert dialog.conflicts.isVisibleTo(dialog)


@pytest.mark.parametrize("takes", [True, False])
def test_the_answer_says_what_becomes_of_conflicts(qtbot: QtBot, takes: bool) -> None:
    dialog = ImportLabelsDialog(offer({"Poses that differ in the file and in the project": 1}, ("a.png differs",)))
    qtbot.addWidget(dialog)
    if takes:
        dialog.conflicts.setCurrentIndex(dialog.conflicts.findData(THEIRS))
    with qtbot.waitSignal(dialog.accepted_import) as signal:
        dialog.import_button.click()
    assert signal.args == [takes]


def test_nothing_new_cannot_be_imported(qtbot: QtBot) -> None:
    dialog = ImportLabelsDialog(offer({"Equal poses": 3}, has_news=False))
    qtbot.addWidget(dialog)
    assert not dialog.import_button.isEnabled()
    assert not dialog.conflicts.isVisibleTo(dialog)
    assert not dialog.details.isVisibleTo(dialog)
