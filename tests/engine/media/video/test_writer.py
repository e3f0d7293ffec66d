"""Pictures into an mp4: as many, in order, at the times given, whatever their rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.video.reader import VideoReader
from engine.media.video.writer import write_mp4


def pictures(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """Frame n is n steps brighter."""
    return [np.full((height, width, 3), 20 + 8 * n, np.uint8) for n in range(count)]


@pytest.mark.parametrize(
    "times",
    [
        [Fraction(n, 30) for n in range(20)],
        [Fraction(n * 1001, 30000) for n in range(20)],
        [Fraction(n * n + n, 240) for n in range(20)],
        [Fraction(n * 12345 + n % 3, 1_000_003) for n in range(20)],
    ],
    ids=["steady", "ntsc", "variable", "odd clock"],
)
def test_frames_and_times_are_those_given(tmp_path: Path, times: list[Fraction]) -> None:
    path = tmp_path / "a.mp4"
    last = Fraction(1, 15)
    assert list(write_mp4(path, pictures(20), times, (64, 48), last)) == list(range(1, 21))
    exact = times[1].denominator < 1_000_000
    with VideoReader(path) as reader:
        assert reader.frame_count == 20
        assert reader.problems == []
        for n in range(20):
            assert abs(int(reader.read(n)[24, 32, 0]) - (20 + 8 * n)) <= 2
            assert (
                reader.exact_time(n) == times[n]
                if exact
                else reader.time(n) == pytest.approx(float(times[n]), abs=1e-5)
            )
    with av.open(str(path)) as container:
        assert float(container.duration / av.time_base) == pytest.approx(float(times[-1] + last), abs=2e-3)


def test_colors_come_back(tmp_path: Path) -> None:
    colors = [(200, 30, 40), (20, 180, 60), (40, 50, 220)]
    shown = [np.broadcast_to(np.uint8(c), (48, 64, 3)) for c in colors]
    list(write_mp4(tmp_path / "a.mp4", shown, [Fraction(n, 10) for n in range(3)], (64, 48)))
    with VideoReader(tmp_path / "a.mp4") as reader:
        for n, color in enumerate(colors):
            assert reader.read(n)[20, 30].tolist() == pytest.approx(color, abs=5)


def test_odd_sizes_and_pictures_of_another_size(tmp_path: Path) -> None:
    shown = [*pictures(2, 33, 21), *pictures(1, 66, 42)]
    list(write_mp4(tmp_path / "a.mp4", shown, [Fraction(n, 10) for n in range(3)], (33, 21)))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert reader.size == (34, 22)
        assert reader.frame_count == 3


def test_times_that_repeat_do_not_lose_frames(tmp_path: Path) -> None:
    times = [Fraction(n // 2, 10) for n in range(6)]
    list(write_mp4(tmp_path / "a.mp4", pictures(6), times, (64, 48)))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert [round(reader.time(n), 3) for n in range(reader.frame_count)] == pytest.approx(
            [float(t) for t in times], abs=2e-3
        )


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be written to a video"):
        list(write_mp4(tmp_path / "a.mp4", [], [], (0, 5)))
    with pytest.raises(MediaError, match="cannot be written"):
        list(write_mp4(tmp_path / "no" / "a.mp4", pictures(1), [Fraction(0)], (64, 48)))
