"""Every kind of image file becomes upright RGB; every broken one an error that names it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.image_headers import read_header
from engine.media.images import IMAGE_SUFFIXES, MAX_PIXELS, decode_image, image_size, list_images, read_image

AVIF, HEIC = b"\0\0\0\x10ftypavif\0\0\0\0\0\0\1\0meta", b"\0\0\0\x10ftypheic\0\0\0\0\0\0\1\0meta"
PIL = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(40, 60, 3), smooth, without symmetry."""
    small = np.random.default_rng(0).integers(0, 255, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (60, 40), interpolation=cv2.INTER_LINEAR)


def encode(array: np.ndarray, kind: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    image = PIL.fromarray(array)
    (image.convert(mode) if mode != image.mode else image).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_orientation_is_applied_once_and_the_size_agrees(
    picture: np.ndarray, tmp_path: Path, kind: str, orientation: int, mode: str
) -> None:
    exif = PIL.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind.lower()}"
    data = encode(picture, kind, mode, exif=exif)
    path.write_bytes(data)
    with PIL.open(io.BytesIO(data)) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    result = read_image(path)
    assert result.shape == expected.shape
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert np.abs(result - expected).mean() < 3
    assert image_size(path) == (result.shape[1], result.shape[0])


@pytest.mark.parametrize(
    ("kind", "mode", "tolerance"),
    [
        ("PNG", "RGB", 0), ("PNG", "L", 0), ("PNG", "LA", 0), ("PNG", "RGBA", 0), ("PNG", "P", 0), ("PNG", "1", 0),
        ("GIF", "P", 0), ("BMP", "RGB", 0), ("BMP", "P", 0), ("BMP", "1", 0), ("TIFF", "CMYK", 1), ("TIFF", "P", 0),
        ("TIFF", "RGBA", 0), ("TIFF", "1", 0), ("PPM", "RGB", 0), ("PPM", "L", 0), ("JPEG", "CMYK", 3),
        ("JPEG", "L", 2), ("WEBP", "RGBA", 6), ("AVIF", "RGB", 2), ("AVIF", "L", 2), ("AVIF", "RGBA", 2),
    ],
)  # fmt: skip
def test_every_pixel_format_becomes_rgb(
    picture: np.ndarray, tmp_path: Path, kind: str, mode: str, tolerance: float
) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(encode(picture, kind, mode))
    with PIL.open(path) as stored:
        expected = np.asarray(stored.convert("RGB")).astype(int)
    result = read_image(path)
    assert result.shape == (40, 60, 3)
    assert np.abs(result - expected).mean() <= tolerance
    assert image_size(path) == (60, 40)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    for kind in ("PNG", "TIFF"):
        result = decode_image(encode(values, kind, "I;16"))
        assert np.abs(result[..., 0].astype(float) - values / 257).max() <= 1


def test_transparent_pixels_keep_their_color(picture: np.ndarray) -> None:
    see_through = np.dstack([picture, np.full(picture.shape[:2], 40, np.uint8)])
    assert np.array_equal(decode_image(encode(see_through, "PNG", "RGBA")), picture)


def test_paths_in_any_script_are_read(picture: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "Müller 写真 №1"
    folder.mkdir()
    path = folder / "ποδόσφαιρο 🏃.png"
    path.write_bytes(encode(picture, "PNG"))
    assert np.array_equal(read_image(path), picture)
    assert image_size(path) == (60, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_file_cut_short_is_refused_by_name(
    picture: np.ndarray, tmp_path: Path, kind: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encode(cv2.resize(picture, (600, 400)), kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError, match=r"cut\.img"):
        read_image(path)
    assert capfd.readouterr().err == ""  # the decoders' own lines


def test_damage_inside_a_png_is_found(picture: np.ndarray) -> None:
    data = bytearray(encode(picture, "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(MediaError, match="damaged PNG"):
        decode_image(bytes(data))


def test_files_that_are_no_images_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (tmp_path / "photo.avif").write_bytes(b"\0\0\0\x18ftypavif" + bytes(20))
    for name, why in {
        "empty.jpg": "is empty",
        "text.png": "not an image",
        "folder.png": "is a folder",
        "missing.png": "does not exist",
        "photo.heic": "HEIC",
        "photo.avif": "AVIF",
    }.items():
        with pytest.raises(MediaError, match=why) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)


def test_a_header_that_announces_too_many_pixels_is_refused_unread(tmp_path: Path) -> None:
    body = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    assert MAX_PIXELS < 60000 * 60000
    for read in (read_image, image_size):
        with pytest.raises(MediaError, match=r"bomb\.png.*60000 x 60000"):
            read(path)


def test_floating_point_tiff_names_the_way_out(picture: np.ndarray) -> None:
    with pytest.raises(MediaError, match="convert it to PNG"):
        decode_image(encode(picture, "TIFF", "F"))


def test_headers_of_noise_are_none_and_never_raise() -> None:
    rng = np.random.default_rng(1)
    starts = [
        b"\xff\xd8\xff\xe1",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBPVP8X",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
        AVIF,
        HEIC,
    ]
    for start in [*starts, b""]:
        for length in (0, 1, 7, 30, 300):
            read_header(io.BytesIO(start + rng.bytes(length)))


def test_webp_sizes_come_from_all_three_kinds_of_header(picture: np.ndarray) -> None:
    exif = PIL.Exif()
    exif[0x0112] = 6
    for options, size in (({}, (60, 40)), ({"lossless": True}, (60, 40)), ({"exif": exif}, (40, 60))):
        header = read_header(io.BytesIO(encode(picture, "WEBP", **options)))
        assert header is not None
        assert header.size == size


def test_folders_are_listed_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    names = ["b/1.png", "img10.jpg", "img2.JPG", "IMG1.jpg", "a/10.png", "a/9.png"]
    for name in [*names, "a/.hidden.png", ".git/x.png", "n.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    results = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert results == ["IMG1.jpg", "img2.JPG", "img10.jpg", "a/9.png", "a/10.png", "b/1.png"]
    assert len(list_images(tmp_path, recursive=False)) == 3
    with pytest.raises(MediaError, match="does not exist"):
        list_images(tmp_path / "nowhere")


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
