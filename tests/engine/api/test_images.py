"""What may be passed as an image, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from engine.api.images import checked_boxes, image_source, is_one_image, listed_boxes, rgb_image
from engine.errors import MediaError
from engine.media.images import read_image

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
RGB = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (GRAY, np.dstack([GRAY] * 3)),
        (GRAY[..., None], np.dstack([GRAY] * 3)),
        (RGB, RGB),
        (np.dstack([RGB, GRAY]), RGB),
        (RGB[::-1, ::-1], RGB[::-1, ::-1]),
        (RGB / 255.0, RGB),
        (RGB.astype(np.float32), RGB),
        (RGB.astype(np.float16), RGB),
        (RGB.astype(np.int64), RGB),
        (RGB.astype(np.uint16) * 257, RGB),  # 16 bits
        (RGB.astype(np.uint16) << 4, RGB),  # 12 bits, as cameras write them
        (GRAY > 100, np.dstack([(GRAY > 100) * np.uint8(255)] * 3)),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GRAY), np.dstack([GRAY] * 3)),
        (Image.fromarray(np.dstack([RGB, GRAY]), "RGBA"), RGB),
        (Image.fromarray(GRAY.astype(np.uint16) * 257), np.dstack([GRAY] * 3)),
    ],
)
def test_pixels_become_rgb_of_8_bits(image: Any, expected: np.ndarray) -> None:
    pixels = rgb_image(image)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, expected)


def test_a_pil_image_is_turned_upright_like_a_file(tmp_path: Path) -> None:
    turned = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(rgb_image(opened), read_image(tmp_path / "turned.png"))
        assert rgb_image(opened).shape == (4, 3, 3)


def test_a_torch_tensor_with_channels_last_is_an_array() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(rgb_image(torch.from_numpy(RGB.copy())), RGB)
    with pytest.raises(MediaError, match=r"tensor\.permute"):
        rgb_image(torch.zeros(3, 5, 6))
    with pytest.raises(MediaError, match="cannot be read as a NumPy array"):
        rgb_image(torch.zeros(5, 6, 3, requires_grad=True))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "not None"),
        (3, "not int"),
        ({"image": RGB}, "not dict"),
        (b"\xff\xd8", "encoded bytes; decode them with PIL"),
        (np.zeros((3, 5, 6)), r"channels come last; pass array.transpose\(1, 2, 0\)"),
        (RGB[None], "a batch; pass a list of images"),
        (np.zeros((5, 6, 2)), r"not \(H, W\), \(H, W, 1\), \(H, W, 3\) or \(H, W, 4\)"),
        (np.zeros(5), r"has the shape \(5,\)"),
        (RGB[:0], "has no pixels"),
        (np.where(RGB > 100, np.nan, 0.5), "NaN or infinite"),
        (RGB / 255.0 - 0.5, "floats must be within 0..1 or 0..255"),
        (RGB * 3.0, "floats must be within"),
        (RGB.astype(np.int32) - 9, "integers must be within"),
        (RGB.astype(np.int64) * 5000, "integers must be within"),
        (RGB.astype(str), "not integers or floats"),
        (RGB.astype(complex), "not integers or floats"),
        (RGB.astype(object), "not integers or floats"),
    ],
)
def test_what_is_not_an_image_is_refused_with_what_to_pass(image: Any, message: str) -> None:
    assert is_one_image(image)
    with pytest.raises(MediaError, match=message) as caught:
        image_source(image)
    assert str(caught.value).startswith("image: ")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.jpg", "does not exist"),
        (".", "is a folder; pass its files"),
        ("https://host.example/photo.jpg", "is a web address; download the file"),
        ("film.mp4", "is a video among images"),
        (Path("nothing.jpg"), "does not exist"),
    ],
)
def test_a_path_that_is_not_an_image_is_refused(path: str | Path, message: str, folder: Path) -> None:
    with pytest.raises(MediaError, match=message):
        image_source(path, "images[1]")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([1, 2, 3], r"shape \(N, 4\).* this has \(3,\)"),
        ([[1, 2, 3, 4, 5]], r"this has \(1, 5\)"),
        ([[5, 5, 2, 9]], r"boxes\[0\]: \[5, 5, 2, 9\] has no area .* x \+ width"),
        ([[0, 0, 9, 9], [0, 0, 9, np.nan]], r"boxes\[1\]: has a number that is not finite"),
        ([[0.1, 0.1, 0.5, 0.9]], "multiply fractions"),
        ([[0, 0, 9, 9], [1, 2]], r"an array \(N, 4\) of numbers"),
        ("all", r"an array \(N, 4\) of numbers"),
    ],
)
def test_wrong_boxes_are_refused(boxes: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        checked_boxes(boxes)


def test_one_box_and_no_box_are_boxes() -> None:
    assert checked_boxes([0, 0, 9, 9]).shape == (1, 4)
    assert checked_boxes([]).shape == (0, 4)
    assert [boxes.shape for boxes in listed_boxes([[0, 0, 9, 9], []], 2)] == [(1, 4), (0, 4)]
    with pytest.raises(MediaError, match="has 1 entries for 2 images"):
        listed_boxes([[0, 0, 9, 9]], 2)
    with pytest.raises(MediaError, match="a list with one array"):
        listed_boxes(np.zeros((2, 4)), 2)


def test_the_errors_are_of_one_family() -> None:
    assert issubclass(MediaError, engine.PoseError)
