"""Frame i is frame i, in every codec and container, however it is reached."""

from __future__ import annotations

import gc
import os
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import Cancelled, MediaError
from engine.media.source import FrameSource, open_media
from engine.media.video.reader import VideoReader
from engine.media.video.rgb import PictureMaker
from tests.engine.media.video_clips import CLIPS, HEIGHT, WIDTH, X264, Clip, make, number_in, set_edits

# What is burnt in survives these; AV1 at this size loses the lowest bit here and there, so its pixels speak alone.
EXACT = [clip.name for clip in CLIPS if clip.name not in ("av1.mp4", "missing.ts", "refresh.mp4")]
FIRST = {"cut.mp4": 45, "headless.ts": 48, "leading.mp4": 48}


def plain(path: Path, reader: VideoReader) -> tuple[list[np.ndarray], list[Fraction | None]]:
    """Pictures and times of a decode from start to end by the library alone."""
    maker = PictureMaker(reader.index.picture)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        frames = list(container.decode(stream))
        times = [None if frame.pts is None else frame.pts * stream.time_base for frame in frames]
        return [maker.rgb(frame) for frame in frames], times


@pytest.mark.parametrize("name", [clip.name for clip in CLIPS])
def test_all_frames_in_sequence_200_at_random_and_50_backwards_are_those_of_a_plain_decode(clips, name: str) -> None:
    path = clips[name]
    with VideoReader(path, ahead=4) as reader:
        truth, times = plain(path, reader)
        assert reader.frame_count == len(truth)
        count = len(truth)
        for i in range(count):
            assert np.array_equal(reader.read(i), truth[i]), f"in sequence: {i}"
            if times[i] is not None:
                assert reader.exact_time(i) == times[i] - times[0]
    rng = np.random.default_rng(3)
    with VideoReader(path, cache_bytes=1) as reader:
        for i in rng.integers(0, count, 200).tolist():
            assert np.array_equal(reader.read(i), truth[i]), f"at random: {i}"
    with VideoReader(path) as reader:
        for i in range(count - 1, count - 51, -1):
            assert np.array_equal(reader.read(i), truth[i]), f"backwards: {i}"


@pytest.mark.parametrize("name", EXACT)
def test_the_number_in_the_picture_is_that_of_the_frame(clips, name: str) -> None:
    turned = {"turned.mp4": lambda image: np.rot90(image, -1), "mirrored.mp4": lambda image: image[:, ::-1]}
    upright = turned.get(name, lambda image: image)
    with VideoReader(clips[name]) as reader:
        first = FIRST.get(name, 0)
        assert reader.frame_count == 150 - first
        for i in [*range(0, reader.frame_count, 7), reader.frame_count - 1, 0]:
            assert number_in(upright(reader.read(i))) == first + i


@pytest.mark.parametrize(
    ("edits", "values"),
    [
        ([(60, 10), (45, 90)], [*range(10, 70), *range(90, 135)]),
        ([(30, 30), (30, 30)], None),  # the library shows the second time what it has not shown yet, or nothing
        ([(15, None), (60, 55)], [*range(55, 115)]),
        ([(30, 100), (30, 20)], [*range(100, 130), *range(20, 50)]),
    ],
    ids=["two parts", "a part twice", "a pause first", "the later part first"],
)
def test_edit_lists_of_several_parts(tmp_path: Path, edits, values) -> None:
    path = make(Clip("edited.mp4", "libx264", X264), tmp_path)
    set_edits(path, edits)
    with VideoReader(path) as reader:
        truth, _ = plain(path, reader)
        assert reader.frame_count == len(truth)
        if values is not None:
            assert [number_in(image) for image in truth] == values
        for i in [*range(len(truth)), *np.random.default_rng(0).integers(0, len(truth), 40).tolist()]:
            assert np.array_equal(reader.read(i), truth[i])


def test_times_of_a_variable_rate_are_those_that_were_written(clips) -> None:
    clip = next(clip for clip in CLIPS if clip.name == "vfr.mp4")
    assert clip.times is not None
    with VideoReader(clips["vfr.mp4"]) as reader:
        assert [reader.exact_time(i) for i in range(150)] == [Fraction(t - clip.times[0], 600) for t in clip.times]
        for i in (0, 1, 77, 149):
            assert reader.index.frame_at(reader.time(i)) == i
            assert reader.index.frame_at(reader.time(i) + 1e-4) == i
        assert reader.index.frame_at(-1) == 0
        assert reader.index.frame_at(1e6) == 149


def test_a_turned_video_is_shown_upright(clips) -> None:
    with VideoReader(clips["turned.mp4"]) as reader:
        assert reader.size == (HEIGHT, WIDTH)
        image = reader.read(5)
        assert image.shape == (WIDTH, HEIGHT, 3)
        # The file asks for a quarter turn against the clock: the first block of the stored rows is at the bottom left.
        assert number_in(np.rot90(image, -1)) == 5
        assert image.flags.c_contiguous


def test_pixels_that_are_not_square_are_made_so(clips) -> None:
    with VideoReader(clips["wide.mp4"]) as reader:
        assert reader.size == (round(WIDTH * 4 / 3), HEIGHT)
        assert reader.read(9).shape == (HEIGHT, 213, 3)


@pytest.mark.parametrize(
    ("space", "full", "levels", "expected"),
    [
        (6, False, (81, 90, 240), (254, 0, 0)),  # BT.601, limited: red
        (1, False, (63, 102, 240), (255, 0, 0)),  # BT.709, limited: red
        (6, True, (76, 85, 255), (254, 0, 0)),  # BT.601, full: red
        (2, False, (81, 90, 240), (254, 0, 0)),  # nothing said: BT.601, limited
        (6, False, (235, 128, 128), (255, 255, 255)),
        (6, False, (16, 128, 128), (0, 0, 0)),
        (6, True, (235, 128, 128), (235, 235, 235)),
    ],
)
def test_colors_follow_the_matrix_and_range_of_the_stream(tmp_path: Path, space, full, levels, expected) -> None:
    path = tmp_path / "flat.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 2 if full else 1
        planes = [np.full((48, 64), levels[0]), np.full((12, 64), levels[1]), np.full((12, 64), levels[2])]
        frame = av.VideoFrame.from_ndarray(np.concatenate(planes).astype(np.uint8), format="yuv420p")
        frame.colorspace, frame.color_range = space, 2 if full else 1
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with VideoReader(path) as reader:
        assert np.abs(reader.read(0).astype(int) - expected).max() <= 3


def test_the_cache_is_bounded_and_the_frames_are_the_readers_own_copies(clips) -> None:
    with VideoReader(clips["bframes.mp4"], cache_bytes=200_000) as reader:
        first = reader.read(100)
        first[:] = 7
        assert number_in(reader.read(100)) == 100
        assert reader._kept.bytes <= 200_000
        for i in range(100, 60, -1):
            assert number_in(reader.read(i)) == i
            assert reader._kept.bytes <= 200_000


def test_stepping_back_decodes_a_group_of_pictures_once(clips, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    with VideoReader(clips["bframes.mp4"]) as reader:
        reader.read(0)
        original = reader._stream.start
        monkeypatch.setattr(reader._stream, "start", lambda key: (starts.append(key), original(key))[1])
        for i in range(140, 96, -1):
            reader.read(i)
    assert len(starts) == 1


def test_a_quick_picture_is_a_key_frame_or_one_that_is_decoded(clips) -> None:
    with VideoReader(clips["opengop.ts"]) as reader:
        assert reader.key_frames().tolist() == [0, 24, 48, 72, 96, 120, 144]
        for expected, shown in ((100, 96), (30, 24), (149, 144), (0, 0)):
            index, image = reader.read_near(expected)
            assert (index, number_in(image)) == (shown, shown)
        assert number_in(reader.read(101)) == 101
        assert reader.read_near(100)[0] == 100
        assert max(reader.read_near(100, max_side=80)[1].shape[:2]) == 80
        assert number_in(reader.read(3)) == 3


def test_reading_ahead_ends_with_the_reader(clips) -> None:
    before = threading.active_count()
    reader = VideoReader(clips["bframes.mp4"], ahead=16)
    for i in (0, 1, 2, 90, 91, 92, 93, 20):
        assert number_in(reader.read(i)) == i
    assert threading.active_count() == before + 1
    reader.close()
    reader.close()
    assert threading.active_count() == before


def test_readers_of_one_file_in_several_threads_do_not_disturb_each_other(clips) -> None:
    path, wrong = clips["stream.ts"], []

    def work(seed: int) -> None:
        with VideoReader(path, ahead=3) as reader:
            for i in np.random.default_rng(seed).integers(0, 150, 30).tolist():
                if number_in(reader.read(i)) != i:
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not wrong


def test_a_frame_that_is_not_there_is_an_index_error(clips) -> None:
    with VideoReader(clips["cut.mp4"]) as reader:
        for i in (-1, 105, 10**9):
            with pytest.raises(IndexError):
                reader.read(i)
            with pytest.raises(IndexError):
                reader.time(i)


def test_a_cover_picture_and_sound_are_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), index, np.uint8), format="rgb24")
            quiet.pts, quiet.sample_rate = index * 1024, 48000
            for packet in [*video.encode(frame), *sound.encode(quiet)]:
                container.mux(packet)
        for packet in [*video.encode(None), *sound.encode(None)]:
            container.mux(packet)
    with VideoReader(path) as reader:
        assert (reader.frame_count, reader.problems) == (40, [])
        assert abs(int(reader.read(33).mean()) - 33) <= 2


def test_open_media_reads_videos_folders_and_single_images(clips, tmp_path: Path) -> None:
    import cv2

    for index in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"f{index}.png"), np.full((20, 30, 3), index, np.uint8))
    with open_media(tmp_path) as source:
        assert isinstance(source, FrameSource)
        assert (source.frame_count, source.size) == (3, (30, 20))
        assert [int(source.read(i)[0, 0, 0]) for i in range(3)] == [1, 2, 10]
        assert source.exact_time(1) == Fraction(1, 30)
        with pytest.raises(IndexError):
            source.read(3)
    with open_media(tmp_path / "f10.png") as source:
        assert source.frame_count == 1
    with open_media(clips["vp9.webm"]) as source:
        assert isinstance(source, FrameSource)
        assert number_in(source.read(12)) == 12
    with pytest.raises(MediaError, match="does not exist"):
        open_media(tmp_path / "gone.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="contains no images"):
        open_media(tmp_path / "empty")


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    path = make(Clip("one.mp4", "libx264", frames=1), tmp_path)
    with VideoReader(path) as reader:
        assert (reader.frame_count, reader.time(0)) == (1, 0.0)
        assert number_in(reader.read(0)) == 0


@pytest.mark.slow
def test_the_real_samples_have_the_frames_that_are_known_of_them(shared: Path) -> None:
    for name, count, size in (
        ("dance-video/dance.mp4", 450, (406, 720)),
        ("openfield-mouse/videos/m3v1mp4.mp4", 2330, None),
    ):
        path = shared / "data" / name
        with VideoReader(path) as reader:
            assert reader.frame_count == count
            assert reader.problems == []
            if size is not None:
                assert sorted(reader.size) == sorted(size)
            sequence = {i: reader.read(i) for i in range(200)}
        with VideoReader(path, cache_bytes=1) as reader:
            for i in (150, 3, 199, 77):
                assert np.array_equal(reader.read(i), sequence[i])


def test_a_read_can_be_given_up_and_taken_up_again(clips) -> None:
    with VideoReader(clips["bframes.mp4"]) as reader:
        asked: list[int] = []

        def stop() -> bool:
            asked.append(1)
            return len(asked) > 10

        with pytest.raises(Cancelled):
            reader.read(140, stop=stop)
        assert len(asked) == 11
        assert number_in(reader.read(140)) == 140
        assert number_in(reader.read(96, stop=lambda: True)) == 96  # it is decoded already
        assert reader.problems == []


def test_what_is_quick_is_known_beforehand(clips) -> None:
    with VideoReader(clips["bframes.mp4"]) as reader:
        assert reader.is_quick(0)
        assert reader.is_quick(100)
        assert not reader.is_quick(140)
        reader.read(130)
        assert reader.is_quick(140)
        assert reader.is_quick(97)
        assert not reader.is_quick(90)


@pytest.mark.skipif(os.name == "nt", reason="such names are not possible there")
def test_any_file_name_will_do(clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("12:30 ü %03d.mp4", "-y.mp4", "a#b?c=[1].mp4", "http:film.mp4", "%d.mp4"):
        path = Path(name)
        path.write_bytes(clips["bframes.mp4"].read_bytes())
        with VideoReader(path) as reader:
            assert number_in(reader.read(77)) == 77
