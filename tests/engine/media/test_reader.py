from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.reader import FrameReader
from tests.engine.media.video_clips import number_in


def test_images_and_frames_of_several_videos_are_read_in_turn(clips) -> None:
    videos = [clips[name] for name in ("bframes.mp4", "plain.mkv", "stream.ts")]
    with FrameReader(lambda path: np.full((2, 2, 3), int(path.stem), np.uint8), keep=2, ahead=2) as reader:
        for index in (3, 4, 90, 2):
            for video in videos:
                assert number_in(reader.read(video, index)) == index
            assert reader.read(Path("7.png"))[0, 0, 0] == 7
        assert max(reader.read(videos[0], 5, max_side=40).shape) == 40
        assert len(reader._videos) == 2
        reader.close()
        assert number_in(reader.read(videos[1], 11)) == 11


def test_a_preview_is_given_where_the_frame_takes_longer(clips) -> None:
    path = clips["bframes.mp4"]
    with FrameReader() as reader:
        assert reader.preview(path, 3) is None
        near = reader.preview(path, 140)
        assert near is not None
        assert number_in(near) == 96
        assert number_in(reader.read(path, 140)) == 140
        assert reader.preview(path, 139) is None
        assert reader.preview(path, 1000) is None
        assert reader.preview(Path("gone.mp4"), 0) is None
        assert reader.preview(Path("picture.png"), 0) is None


def test_a_frame_that_a_video_lacks_is_told(clips) -> None:
    with FrameReader() as reader:
        with pytest.raises(MediaError, match="has 105 frames"):
            reader.read(clips["cut.mp4"], 105)
        with pytest.raises(MediaError, match="does not exist"):
            reader.read(Path("gone.mp4"), 0)
