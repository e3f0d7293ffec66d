"""HEIC is read where a decoder is installed, upright; without one the message says what to do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media import images
from tests.engine.media.heif_files import can_write, heic_bytes

pytestmark = pytest.mark.skipif(not can_write(), reason="PyAV without an HEVC coder")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(64, 96, 3), smooth, without symmetry."""
    small = np.random.default_rng(0).integers(0, 255, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (96, 64), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [None, 0, 1])
def test_heic_is_shown_as_its_boxes_say(picture: np.ndarray, tmp_path: Path, turns: int, mirror: int | None) -> None:
    pytest.importorskip("pi_heif")
    path = tmp_path / "photo.HEIC"
    path.write_bytes(heic_bytes(picture, turns, mirror))
    expected = np.rot90(picture, turns)
    if mirror is not None:
        expected = expected[::-1] if mirror == 0 else expected[:, ::-1]
    result = images.read_image(path)
    assert result.shape == expected.shape
    assert result.flags.c_contiguous
    assert np.abs(result - expected.astype(int)).mean() < 4
    assert images.image_size(path) == (result.shape[1], result.shape[0])
    assert images.is_image(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_heic_cut_short_is_refused_by_name(picture: np.ndarray, tmp_path: Path, share: float) -> None:
    pytest.importorskip("pi_heif")
    data = heic_bytes(picture)
    path = tmp_path / "cut.heic"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError, match=r"cut\.heic.*damaged HEIC"):
        images.read_image(path)


def test_without_a_decoder_the_size_is_known_and_the_way_out_is_told(
    picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_heic_library", lambda: None)
    path = tmp_path / "photo.heic"
    path.write_bytes(heic_bytes(picture, turns=1))
    assert images.image_size(path) == (64, 96)
    with pytest.raises(MediaError, match=r"photo\.heic.*pi-heif.*JPEG or PNG"):
        images.read_image(path)
