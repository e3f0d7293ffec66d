from __future__ import annotations

import math

import numpy as np
import pytest

from poseapp.dialogs.figures import card_words, say_figures
from poseapp.dialogs.training.series import TrainingSeries, smoothed


def trained() -> TrainingSeries:
    series = TrainingSeries()
    series.take(
        {"event": "start", "what": "pose", "epochs": 2, "steps_per_epoch": 2, "device": "cpu", "val_instances": 3}
    )
    for step, epoch in ((1, 1), (2, 1), (3, 2)):
        series.take(
            {"event": "step", "what": "pose", "epoch": epoch, "step": step, "total_steps": 4, "loss": 1.0 / step,
             "images_per_second": 12.4, "seconds_left": 130.0}
        )  # fmt: skip
        if step == 2:
            figures = {"median_px": 2.14, "mean_px": 3.0, "PCK@0.2": 0.956, "AP": None}
            series.take(
                {"event": "epoch", "what": "pose", "epoch": 1, "train_loss": 0.7, "val_loss": None, "metrics": figures,
                 "best": True}
            )  # fmt: skip
    return series


def test_before_the_first_line_it_says_what_it_waits_for() -> None:
    assert TrainingSeries().progress_text().startswith("Starting")
    assert TrainingSeries().fraction() is None
    assert TrainingSeries().cards() == []


def test_progress_says_how_far_how_fast_and_how_long_yet() -> None:
    series = trained()
    assert series.progress_text() == "Training keypoints · epoch 2 of 2 · 12 images/s · about 2 min left"
    assert series.fraction() == 0.75


def test_two_networks_are_one_run_with_named_parts_and_both_figures_at_the_end() -> None:
    series = TrainingSeries()
    for part, what in ((1, "pose"), (2, "detector")):
        figures = {"median_px": 2.0, "PCK@0.2": 0.9, "AP": 0.8} if what == "pose" else {"recall": 0.75, "AP": 0.6}
        series.take({"event": "start", "what": what, "epochs": 1, "steps_per_epoch": 2, "part": part, "parts": 2})
        series.take({"event": "step", "what": what, "epoch": 1, "step": 1, "total_steps": 2, "loss": 1.0})
        assert series.fraction() == (part - 1 + 0.5) / 2
        series.take({"event": "epoch", "what": what, "epoch": 1, "best": True, "metrics": figures})
        assert series.progress_text().startswith(
            ("Training keypoints (1 of 2)", "Training the detector (2 of 2)")[part - 1]
        )
    assert [title for title, _, _ in series.final_cards()] == [
        "Typical error",
        "PCK@0.2",
        "Detector: AP",
    ]


def test_figures_are_said_in_plain_words_the_most_telling_first() -> None:
    assert trained().cards()[:2] == [
        ("Typical error", "2.1 px", "best model: 2.1 px (epoch 1)"),
        ("PCK@0.2", "96%", "best model: 96% (epoch 1)"),
    ]


def test_what_was_not_measured_is_neither_drawn_nor_said() -> None:
    phase = trained().phases["pose"]
    assert phase.main_figure == "median_px"
    assert len(phase.val_curve()[0]) == 0
    assert "AP" not in phase.metrics[0]
    assert math.isnan(phase.val_losses[0])


def test_without_figures_the_loss_is_shown() -> None:
    series = TrainingSeries()
    series.take({"event": "step", "what": "pose", "epoch": 1, "step": 1, "loss": 0.5})
    assert series.cards() == [("Loss", "0.5", "lower is better")]


def test_the_detector_is_a_phase_of_its_own() -> None:
    series = trained()
    series.take({"event": "start", "what": "detector", "epochs": 5, "steps_per_epoch": 4})
    assert series.progress_text() == "Training the detector · preparing"
    assert series.fraction() is None
    assert len(series.phases["pose"].steps) == 3


@pytest.mark.parametrize("line", [{}, {"event": "saved"}, {"event": "step", "step": None, "loss": "x"}])
def test_odd_lines_do_no_harm(line: dict[str, object]) -> None:
    series = TrainingSeries()
    series.take(line)
    assert series.fraction() is None


def test_smoothing_keeps_a_constant_and_the_length() -> None:
    values = np.full(50, 3.0)
    np.testing.assert_allclose(smoothed(values), values)
    assert len(smoothed(np.empty(0))) == 0


def test_a_long_curve_is_thinned() -> None:
    series = TrainingSeries()
    for step in range(9000):
        series.take({"event": "step", "what": "pose", "step": step, "loss": 1.0})
    steps, losses = series.phases["pose"].loss_curve()
    assert len(steps) == len(losses) <= 2250


def test_unknown_figures_keep_their_name() -> None:
    assert card_words("AUC", 0.51234) == ("AUC", "0.512")
    assert say_figures({"AP": 0.72, "median_px": 1.36, "note": "x"}) == "typical error 1.4 px, AP 0.720"


def test_figures_of_the_training_images_are_said_to_be_that() -> None:
    metrics = {"train_mean_px": 4.4, "train_median_px": 3.4, "train_PCK@0.2": 0.98, "train_AP": 1.0}
    assert say_figures(metrics) == "typical error 3.4 px, PCK@0.2 98% on its training images"
