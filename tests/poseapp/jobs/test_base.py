from __future__ import annotations

import errno

import pytest

from engine.errors import MediaError
from poseapp.jobs.base import RateEstimator, UnexpectedError, as_pose_error, say_duration, say_rate


def test_rate_of_steady_work_is_exact() -> None:
    rate = RateEstimator()
    for i in range(20):
        rate.update(i, i * 0.5)
    assert rate.rate == pytest.approx(2.0)
    assert rate.seconds_left(29, now=19 * 0.5) == pytest.approx(5.0)


def test_time_left_runs_down_between_observations() -> None:
    rate = RateEstimator()
    rate.update(0, 0.0)
    rate.update(1, 1.0)
    assert rate.seconds_left(5, now=1.0) == pytest.approx(4.0)
    assert rate.seconds_left(5, now=2.5) == pytest.approx(2.5)
    assert rate.seconds_left(5, now=99.0) == 0.0


def test_a_slow_start_is_forgotten() -> None:
    rate = RateEstimator(memory_seconds=5)
    rate.update(0, 0.0)
    rate.update(1, 20.0)  # loading the model
    for i in range(2, 302):
        rate.update(i, 20.0 + (i - 1) * 0.1)
    assert rate.rate == pytest.approx(10.0, rel=0.02)


def test_time_left_is_unknown_before_the_first_unit() -> None:
    rate = RateEstimator()
    assert rate.seconds_left(10, now=0.0) is None
    rate.update(0, 0.0)
    assert rate.seconds_left(10, now=3.0) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (9, "9 s"),
        (33, "35 s"),
        (57, "1 min"),
        (150, "2 min"),
        (3599, "1 h"),
        (5000, "1 h 25 min"),
        (7200, "2 h"),
    ],
)
def test_durations_are_said_coarsely(seconds: float, text: str) -> None:
    assert say_duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(31.4, "31 images/s"), (1.26, "1.3 images/s"), (0.1, "6 images/min")])
def test_rates_are_said_in_a_readable_unit(rate: float, text: str) -> None:
    assert say_rate(rate, "images") == text


def test_a_pose_error_is_told_as_it_is() -> None:
    error = MediaError("is not an image", where="a.txt")
    assert as_pose_error(error, "Run") is error


def test_other_errors_are_told_with_advice() -> None:
    messages = as_pose_error(ValueError("bad shape\nmore"), "Run the model")
    assert isinstance(messages, UnexpectedError)
    assert "ValueError: bad shape" in str(messages)
    assert "log" in str(messages)


def test_out_of_memory_is_told_in_plain_words() -> None:
    import torch

    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")):
        assert "not enough memory" in str(as_pose_error(error, "Run"))


def test_system_errors_name_the_file() -> None:
    messages = as_pose_error(OSError(errno.ENOSPC, "No space left on device", "/data/out.json"), "Export")
    assert str(messages).startswith("/data/out.json: the system refused: No space left on device")
