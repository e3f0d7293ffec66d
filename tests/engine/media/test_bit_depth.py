from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.media.images import decode_image, read_image


def ramp(bits: int, channels: int = 1) -> np.ndarray:
    """All brightnesses of a camera with so many bits, the last of them in the lower right corner."""
    values = np.linspace(0, (1 << bits) - 1, 64 * 48).astype(np.uint16).reshape(48, 64)
    return values if channels == 1 else np.dstack([values // 4, values // 2, values])  # B, G, R


def encode(array: np.ndarray, suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, array)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize(("suffix", "channels"), [(".png", 1), (".png", 3), (".tiff", 1), (".tiff", 3), (".pgm", 1)])
def test_fewer_bits_than_the_file_has_room_for_give_the_whole_range(bits: int, suffix: str, channels: int) -> None:
    values = ramp(bits, channels)
    image = decode_image(encode(values, suffix))
    expected = (values >> (bits - 8)).astype(np.uint8)
    expected = np.repeat(expected[..., None], 3, 2) if channels == 1 else expected[..., ::-1]
    assert np.array_equal(image, expected)
    assert image.max() == 255


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_eight_bits_in_a_file_of_sixteen_stay_as_they_are(suffix: str) -> None:
    values = ramp(8)
    assert np.array_equal(decode_image(encode(values, suffix))[..., 0], values)


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 1), (".png", 3), (".tiff", 1), (".tiff", 3), (".pgm", 1)])
def test_all_sixteen_bits_come_out_as_opencv_has_them(suffix: str, channels: int) -> None:
    data = encode(ramp(16, channels), suffix)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(decode_image(data), expected)


def test_an_orientation_is_applied_once_also_to_few_bits(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "turned.tif"
    Image.fromarray(ramp(12)).save(path, tiffinfo={274: 6})
    image = read_image(path)
    assert image.shape == (64, 48, 3)
    assert image[-1, 0, 0] == 255  # the brightest, lower right corner comes to the lower left one


@pytest.mark.parametrize("name", ["g16_10bit.png", "g16_12bit.png", "g16_12bit.tif"])
def test_a_picture_of_the_field_is_not_black(shared: Path, name: str) -> None:
    assert read_image(shared / "field/inputs/bit12" / name).mean() > 60
