"""Pages of a TIFF and frames of animations are frames: exact in any order, in bounds, with the times of the file."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import MediaError
from engine.media.images import read_image
from engine.media.pages.reader import PagesReader
from engine.media.reader import FrameReader
from engine.media.source import frame_times, has_frames, is_video, open_media, open_video, use_as_frames

SIZE = (64, 48)
COUNT = 7
DURATIONS = [40, 90, 0, 200, 40, 70, 1000]
Image = npt.NDArray[np.uint8]


def pictures(count: int = COUNT) -> list[Image]:
    """RGB pictures that differ, with few colors, so that a GIF holds them too."""
    results = []
    for n in range(count):
        image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
        cv2.rectangle(image, (4 + 6 * n, 8), (12 + 6 * n, 40), (250, 30 * n, 90), -1)
        results.append(image)
    return results


def write(path: Path, images: list[Image]) -> Path:
    bgr = [image[..., ::-1].copy() for image in images]
    if path.suffix == ".tif":
        assert cv2.imwritemulti(str(path), bgr)
    else:
        animation = cv2.Animation()
        animation.frames, animation.durations = bgr, np.array(DURATIONS[: len(bgr)], np.int32)
        assert cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 101])
    return path


def tiff(pages: list[tuple[int, int, bytes]], *, order: str = "<", big: bool = False, bits: int = 8) -> bytes:
    """A TIFF of gray pages (width, height, samples), by hand: either byte order, classic or with 64-bit offsets."""
    number, offset, entry = ("Q", "Q", "HHQQ") if big else ("H", "I", "HHII")
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HHH", 43, 8, 0) if big else mark + struct.pack(f"{order}H", 42)
    body = bytearray(head + struct.pack(order + offset, 0))
    link = len(head)
    for width, height, samples in pages:
        position = len(body)
        body += samples
        tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, position), (277, 1), (278, height),
                (279, len(samples))]  # fmt: skip
        body[link : link + struct.calcsize(offset)] = struct.pack(order + offset, len(body))
        body += struct.pack(order + number, len(tags))
        for tag, value in tags:
            kind = 16 if big else 4
            body += struct.pack(order + entry, tag, kind, 1, value)
        link = len(body)
        body += struct.pack(order + offset, 0)
    return bytes(body)


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".gif", ".png"])
def test_every_picture_is_a_frame_in_any_order(tmp_path: Path, suffix: str) -> None:
    images = pictures()
    path = write(tmp_path / f"a{suffix}", images)
    assert has_frames(path)
    with open_media(path) as source:
        assert (source.frame_count, source.size, source.problems) == (COUNT, SIZE, [])
        in_order = [source.read(index) for index in range(COUNT)]
        for index in (5, 0, 6, 3, 3, 1, 2, 6):
            np.testing.assert_array_equal(source.read(index), in_order[index])
        with pytest.raises(IndexError):
            source.read(COUNT)
    np.testing.assert_array_equal(read_image(path), in_order[0])
    for image, read in zip(images, in_order, strict=True):  # a GIF has a palette of fewer colors
        assert np.abs(image.astype(int) - read).mean() < (20 if suffix == ".gif" else 0.5)
    assert len({frame.tobytes() for frame in in_order}) == COUNT


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_times_are_those_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", pictures())
    with open_media(path) as source:
        times = [source.exact_time(index) for index in range(COUNT)]
    steps = [b - a for a, b in pairwise(times)]
    assert steps[:2] == [Fraction(40, 1000), Fraction(90, 1000)]
    assert steps[3:] == [Fraction(200, 1000), Fraction(40, 1000), Fraction(70, 1000)]
    # Of a frame that is to be shown for no time at all: what browsers make of it, and libav's frame rate for a PNG.
    assert steps[2] == Fraction(100, 1000) if suffix != ".png" else steps[2] > 0
    np.testing.assert_allclose(frame_times(path), [float(time) for time in times])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_pages_of_all_kinds_of_tiff_may_differ_in_size(tmp_path: Path, order: str, big: bool) -> None:
    pages = [(5 + n, 3 + n, bytes([40 * n + 9]) * ((5 + n) * (3 + n))) for n in range(4)]
    path = tmp_path / "a.tiff"
    path.write_bytes(tiff(pages, order=order, big=big))
    with open_media(path) as source:
        assert source.frame_count == 4
        for index in (3, 0, 2, 1):
            image = source.read(index)
            assert image.shape == (3 + index, 5 + index, 3)
            assert (image == 40 * index + 9).all()


def test_pages_with_12_of_16_bits_keep_their_brightness_from_page_to_page(tmp_path: Path) -> None:
    dark, bright = np.full((4, 4), 200, "<u2"), np.full((4, 4), 4000, "<u2")
    path = tmp_path / "deep.tif"
    path.write_bytes(tiff([(4, 4, dark.tobytes()), (4, 4, bright.tobytes())], bits=16))
    with open_media(path) as source:
        assert [int(source.read(index).max()) for index in (0, 1)] == [200 >> 4, 4000 >> 4]


def test_a_frame_can_be_made_small(tmp_path: Path) -> None:
    with open_video(write(tmp_path / "a.tif", pictures())) as source:
        assert source.read(2, 32).shape == (24, 32, 3)
        assert source.read(2, 1000).shape == (48, 64, 3)


def test_a_small_memory_holds_any_number_of_frames(tmp_path: Path) -> None:
    images = pictures()
    with PagesReader(write(tmp_path / "a.webp", images), cache_bytes=1) as source:
        for index in (6, 0, 3):
            np.testing.assert_array_equal(source.read(index), images[index])
            assert len(source._kept) <= 2


def test_nothing_is_held_open(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pictures())
    with open_video(path) as source:
        source.read(1)
        path.unlink()
        with pytest.raises(MediaError, match="does not exist"):
            source.read(2)


def test_one_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "one.tif"
    assert cv2.imwrite(str(path), pictures(1)[0])
    assert not has_frames(path)
    with open_media(path) as source:
        assert source.frame_count == 1


def test_a_file_is_an_image_or_frames_as_its_user_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pictures())
    with FrameReader() as reader:
        first = reader.read(path, 3)
        use_as_frames(path)
        assert is_video(path)
        fourth = reader.read(path, 3)
        use_as_frames(path, yes=False)
        assert not is_video(path)
        np.testing.assert_array_equal(reader.read(path, 3), first)
    assert not np.array_equal(first, fourth)
    use_as_frames(tmp_path / "photo.jpg")
    assert not is_video(tmp_path / "photo.jpg")


@pytest.mark.parametrize("name", ["empty.tif", "cut.tif", "cut.webp", "text.webp", "none.tif"])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("cut"):
        data = write(tmp_path / f"whole{path.suffix}", pictures()).read_bytes()
        path.write_bytes(data[:12])
    elif not name.startswith("none"):
        path.write_bytes(b"" if name.startswith("empty") else b"no picture")
    with pytest.raises(MediaError):
        open_video(path)


def test_a_page_that_is_damaged_does_not_harm_the_others(tmp_path: Path) -> None:
    data = bytearray(tiff([(4, 4, b"\x05" * 16)] * 3))
    position = data.rindex(struct.pack("<HHII", 273, 4, 1, 0)[:8])
    data[position + 8 : position + 12] = struct.pack("<I", 1 << 30)
    (tmp_path / "a.tif").write_bytes(data)
    with open_video(tmp_path / "a.tif") as source:
        assert (source.read(1) == 5).all()
        with pytest.raises(MediaError, match="page 2 is damaged"):
            source.read(2)


def test_a_page_that_claims_gigapixels_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff([(4, 4, b"\x05" * 16), (1 << 20, 1 << 20, b"\0" * 16)]))
    with open_video(tmp_path / "a.tif") as source, pytest.raises(MediaError, match="too large"):
        source.read(1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from([".tif", ".webp"]),
    changes=st.lists(st.tuples(st.integers(4, 4000), st.integers(0, 255)), max_size=8),
)
def test_changed_bytes_raise_nothing_but_media_errors(
    tmp_path: Path, suffix: str, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path / f"whole{suffix}"
    if not path.exists():
        path.write_bytes(
            tiff([(6, 4, bytes(range(24)))] * 4) if suffix == ".tif" else write(path, pictures(3)).read_bytes()
        )
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    changed = tmp_path / f"changed{suffix}"
    changed.write_bytes(data)
    try:
        with open_video(changed) as source:
            for index in range(min(source.frame_count, 5)):
                source.read(index)
    except MediaError:
        pass
