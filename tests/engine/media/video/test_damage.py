"""Damaged and foreign files: what can be read is read, and what is wrong is said."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from engine.errors import MediaError
from engine.media.video.reader import VideoReader
from tests.engine.media.video_clips import X264, Clip, make, number_in


@pytest.mark.parametrize(
    ("clip", "keep"),
    [
        (Clip("start.mp4", "libx264", X264, container_options={"movflags": "faststart"}), 0.6),
        (Clip("fragments.mp4", "libx264", X264, container_options={"movflags": "frag_keyframe+empty_moov"}), 0.7),
        (Clip("cut.mkv", "libx264", X264), 0.55),
        (Clip("cut.ts", "libx264", X264), 0.5),
        (Clip("cut.avi", "mjpeg", pix_fmt="yuvj420p"), 0.5),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_file_cut_short_gives_its_start(tmp_path: Path, clip: Clip, keep: float) -> None:
    path = make(clip, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with VideoReader(path) as reader:
        assert 20 < reader.frame_count < 150
        readable = 0
        for i in range(reader.frame_count):
            image = reader.read(i)
            try:
                readable += number_in(image) == i
            except AssertionError:
                pass
        # The last picture may be a part of one.
        assert readable >= reader.frame_count - 1
        if clip.name != "cut.ts":  # nothing in a transport stream says where it was to end
            assert reader.problems
            assert "cut short" in reader.problems[0] or "damaged" in reader.problems[0]


def test_a_damaged_middle_costs_its_own_pictures_only(tmp_path: Path) -> None:
    path = make(Clip("hurt.mp4", "libx264", {**X264, "g": "10"}), tmp_path)
    data = bytearray(path.read_bytes())
    with VideoReader(path) as reader:
        sizes = reader.index.packets.size.astype(np.int64)
    start = data.index(b"mdat") + 4
    begin = start + int(sizes[:60].sum()) + 4
    data[begin : begin + 300] = b"\xff" * 300
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert reader.frame_count == 150
        good, lost = 0, 0
        for i in [*range(150), 140, 3, 77]:
            try:
                good += number_in(reader.read(i)) == i
            except (MediaError, AssertionError):
                lost += 1
        assert good >= 125
        for i in [*range(50), *range(80, 150)]:
            assert number_in(reader.read(i)) == i


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"this is a letter, no video\n" * 50, "cannot be opened as a video|holds no video"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 500, "cannot be opened as a video"),
        (bytes(range(256)) * 64, "cannot be opened as a video|holds no|no picture"),
    ],
    ids=["empty", "text", "no table", "noise"],
)
def test_what_is_no_video_is_said_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=message) as caught:
        VideoReader(path)
    assert "film.mp4" in str(caught.value)


def test_a_folder_and_a_missing_file_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        VideoReader(tmp_path / "gone.mp4")
    with pytest.raises(MediaError, match="cannot be read"):
        VideoReader(f"{tmp_path}/a\0b.mp4")
    with pytest.raises(MediaError, match="is a folder"):
        VideoReader(tmp_path)


def test_a_file_that_changes_under_the_reader_is_an_error_not_another_picture(tmp_path: Path) -> None:
    path = make(Clip("a.mp4", "libx264", X264), tmp_path)
    with VideoReader(path) as reader:
        index = reader.index
    make(Clip("a.mp4", "libx264", {**X264, "g": "7"}, frames=40), tmp_path)
    with VideoReader(path, index) as reader, pytest.raises(MediaError):
        reader.read(149)
    path.unlink()
    with VideoReader(path, index) as reader, pytest.raises(MediaError, match="does not exist"):
        reader.read(3)


def test_a_list_of_addresses_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        VideoReader(path)


def test_a_list_of_files_beside_it_is_no_video(tmp_path: Path) -> None:
    make(Clip("a.ts", "libx264", X264, frames=10), tmp_path)
    for name, text in (
        ("list.mp4", "ffconcat version 1.0\nfile a.ts\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\na.ts\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(MediaError, match="is a list of other files"):
            VideoReader(tmp_path / name)


def test_sound_with_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        for packet in [*cover.encode(av.VideoFrame(32, 32, "yuvj420p")), *cover.encode(None)]:
            container.mux(packet)
    with pytest.raises(MediaError, match="only a cover picture"):
        VideoReader(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name there")
def test_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="is not a regular file"):
        VideoReader(tmp_path / "pipe.mp4")


def test_a_picture_that_is_gone_from_an_avi_moves_no_other_or_is_said(tmp_path: Path) -> None:
    path = make(Clip("gone.avi", "mjpeg", pix_fmt="yuvj420p"), tmp_path)
    with VideoReader(path) as reader:
        whole = reader.frame_count
        assert reader.problems == []
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[5]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)  # the name of the chunk as well, so that it is passed over
    path.write_bytes(data)
    refused = []
    with VideoReader(path) as reader:
        said = any(f"{whole - 1} of the {whole} pictures" in problem for problem in reader.problems)
        for index in range(reader.frame_count):
            try:
                image = reader.read(index)
            except MediaError:
                refused.append(index)
                continue
            assert number_in(image) == index or said
    assert refused == [5] or said
