"""The export dialog says what is lost, refuses what cannot be written, and remembers what was chosen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine.labels.features import Feature
from poseapp.dialogs.export_labels import ExportLabelsDialog, LabelExport
from poseapp.project.exports.label_format import label_exports
from poseapp.project.model import Summary

SUMMARY = Summary(
    frames=5, labelled_frames=3, predicted_frames=1, reviewed_frames=0, flagged_frames=0, labelled=4, predicted=2
)


@pytest.fixture
def dialog(qtbot: QtBot, tmp_path: Path) -> ExportLabelsDialog:
    return make(qtbot, tmp_path, {})


def make(qtbot: QtBot, folder: Path, chosen: dict[str, object]) -> ExportLabelsDialog:
    dialog = ExportLabelsDialog(label_exports(), SUMMARY, folder / "mice-labels", chosen)
    qtbot.addWidget(dialog)
    return dialog


def choose(dialog: ExportLabelsDialog, name: str) -> None:
    dialog.format.setCurrentIndex(dialog.format.findData(name))


def test_the_suffix_follows_the_format(dialog: ExportLabelsDialog, tmp_path: Path) -> None:
    for name, suffix in (("coco", ".json"), ("yolo", ".yaml"), ("lightning_pose", ""), ("sleap", ".slp")):
        choose(dialog, name)
        assert dialog.path.text() == str(tmp_path / f"mice-labels{suffix}")


def test_what_a_format_cannot_keep_is_said_with_counts(dialog: ExportLabelsDialog) -> None:
    dialog.show_features(Counter({Feature.BOXES: 4, Feature.OCCLUSION: 2}))
    choose(dialog, "cvat")
    assert dialog.losses.text() == "This format cannot keep: instances with a box (4)."
    choose(dialog, "yolo")
    assert "keeps everything" in dialog.losses.text()
    dialog.show_features(Counter({Feature.TRACKS: 1200}))
    assert "instances with a track (1,200)" in dialog.losses.text()


def test_images_are_asked_about_where_a_format_can_take_them_along(dialog: ExportLabelsDialog) -> None:
    for name, takes in (("coco", False), ("yolo", True), ("labelme", True), ("csv", False)):
        choose(dialog, name)
        assert dialog.images.isEnabled() is takes


def test_what_cannot_be_written_is_refused(dialog: ExportLabelsDialog, tmp_path: Path) -> None:
    choose(dialog, "coco")
    assert dialog.export_button.isEnabled()
    for text in ("", str(tmp_path / "gone/x.json"), str(tmp_path / ("x" * 300))):
        dialog.path.setText(text)
        assert not dialog.export_button.isEnabled()
        assert dialog.note.text()
    full = tmp_path / "full"
    full.mkdir()
    (full / "a").write_text("")
    choose(dialog, "lightning_pose")
    dialog.path.setText(str(full))
    assert not dialog.export_button.isEnabled()
    dialog.path.setText(str(tmp_path / "new"))
    dialog.splits.setText("80/x")
    assert not dialog.export_button.isEnabled()
    dialog.splits.setText("80/20")
    assert dialog.export_button.isEnabled()


def test_a_file_that_would_be_replaced_is_told(dialog: ExportLabelsDialog, tmp_path: Path) -> None:
    choose(dialog, "coco")
    (tmp_path / "a.json").write_text("")
    dialog.path.setText(str(tmp_path / "a"))
    assert "will be replaced" in dialog.note.text()
    assert dialog.export_button.isEnabled()


def test_choices_come_back(dialog: ExportLabelsDialog, qtbot: QtBot, tmp_path: Path) -> None:
    choose(dialog, "yolo")
    dialog.only_labelled.setChecked(False)
    dialog.predicted.setChecked(True)
    dialog.images.setCurrentIndex(1)
    dialog.splits.setText("70/30")
    dialog.split_by.setCurrentIndex(2)
    with qtbot.waitSignal(dialog.accepted_export) as signal:
        dialog.export_button.click()
    (export,) = signal.args
    assert export == LabelExport("yolo", tmp_path / "mice-labels.yaml", False, True, "link", "70/30", "track")
    again = make(qtbot, tmp_path, export.choices())
    assert again.chosen() == export


def test_choices_of_another_version_are_as_at_first(qtbot: QtBot, tmp_path: Path) -> None:
    odd: dict[str, object] = {"format": "gone", "images": 3, "splits": [1], "labelled_only": "x", "split_by": None}
    chosen = make(qtbot, tmp_path, odd).chosen()
    assert (chosen.images, chosen.splits, chosen.split_by, chosen.include_predicted) == ("copy", "", "frame", False)
