"""The window looks as it was looked at: drawn anew and compared with the pictures in ``tests/golden/pictures``.

``POSEAPP_GOLDEN=write pytest tests/golden`` stores what is drawn now, and keeps the full size in the temporary folder
that it names, to be looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
ONE = ("empty-dark", "empty-light", "people-dark", "people-light", "dense-dark", "dense_close-light", "crowded-light",
       "crowded_dense-dark", "placement-light", "ghosts-dark", "missing-light", "video-dark")  # fmt: skip
TWO = ("empty-light-2x", "people-light-2x", "dense_close-dark-2x", "video-light-2x")
SIZES = {1: (1280, 800), 2: (2560, 1440)}
WIDTH = 480
COLORS = 200
COMPARED = 320
"""Width in pixels at which pictures are compared: what machines draw differently is finer."""
MOST_MEAN, MOST_TILE = 4.0, 22.0
"""Of 255: mean difference of the whole picture and of its worst tile. Fonts drawn by another library give about 1."""
TILES = (20, 12)


def draw(folder: Path, ratio: int, names: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "scenes.py"), str(folder), *names],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(ratio), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    draw(folder, 1, ONE)
    draw(folder, 2, TWO)
    return folder


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean and worst tile of two pictures' difference, each channel 0..255, at the size at which they are compared."""
    height = round(COMPARED * one.shape[0] / one.shape[1])
    small = [cv2.resize(p, (COMPARED, height), interpolation=cv2.INTER_AREA).astype(np.float32) for p in (one, other)]
    apart = np.abs(small[0] - small[1]).mean(axis=2)
    return float(apart.mean()), float(cv2.resize(apart, TILES, interpolation=cv2.INTER_AREA).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_the_window_looks_as_it_was_looked_at(drawn: Path, name: str) -> None:
    result = cv2.imread(str(drawn / f"{name}.png"))
    assert result is not None
    assert result.shape[1::-1] == SIZES[2 if name in TWO else 1]
    remaining = PICTURES / f"{name}.png"
    if os.environ.get("POSEAPP_GOLDEN") == "write":
        store(result, remaining)
    expected = cv2.imread(str(remaining))
    assert expected is not None, f"{remaining} is missing: POSEAPP_GOLDEN=write pytest tests/golden stores it"
    mean, tile = difference(result, expected)
    assert mean < MOST_MEAN, f"{drawn / name}.png differs by {mean:.1f} of 255 from {remaining}"
    assert tile < MOST_TILE, f"a part of {drawn / name}.png differs by {tile:.1f} of 255 from {remaining}"


def test_a_missing_panel_or_pose_would_be_noticed() -> None:
    picture = cv2.imread(str(PICTURES / "people-dark.png"))
    assert picture is not None
    height, width = picture.shape[:2]
    for x1, y1, x2, y2 in ((0.75, 0, 1, 0.8), (0.2, 0.25, 0.42, 0.8), (0, 0.86, 0.75, 0.95)):
        broken = picture.copy()
        broken[int(y1 * height) : int(y2 * height), int(x1 * width) : int(x2 * width)] = picture[
            height // 2, width // 30
        ]
        mean, tile = difference(broken, picture)
        assert mean > MOST_MEAN or tile > MOST_TILE


def store(picture: np.ndarray, target: Path) -> None:
    """Small enough for a repository: WIDTH wide, few colors."""
    from PIL import Image

    height = round(WIDTH * picture.shape[0] / picture.shape[1])
    small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
    image = Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    target.parent.mkdir(exist_ok=True)
    image.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)
