"""How many pictures an MP4 stores, and whether its clock and edit list can be believed (ISO/IEC 14496-12, 8.3 to 8.7).

An edit list shows a part of what is stored. Where the time scale is damaged, the part is nothing or a single picture:
then the list is not followed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from engine.media.video.index.mp4_tables import boxes, is_mp4
from engine.utils.files import open_regular

# FFmpeg takes a time scale outside 1.._MOST_SCALE for 1.
_MOST_SCALE = (1 << 31) - 1
_MOST_ENTRIES = 1 << 24
_MOST_TRACKS = 1000
_MOST_FILE = 1 << 62
_NO_MEDIA = -1

Box = tuple[int, int]


@dataclass(frozen=True)
class VideoTable:
    """What the tables of the first video track say.

    Attributes:
        pictures: how many are stored; 0 where the file is fragmented and they are listed elsewhere.
        follow_edits: False where the edit list cannot be meant so.
        unit: seconds of one unit of time, where the time scale of the track is damaged; None = as the track says.
    """

    pictures: int
    follow_edits: bool = True
    unit: Fraction | None = None


def video_table(path: Path) -> VideoTable | None:
    """None for files that are no MP4, have no video track, or are damaged so that this cannot be told."""
    if not is_mp4(path):
        return None
    try:
        with open_regular(path, _MOST_FILE) as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError, struct.error):
        return None


def _read(file: BinaryIO, length: int) -> VideoTable | None:
    movie = _find(file, (0, length), b"moov")
    if movie is None:
        return None
    movie_scale, movie_length = _scale(file, _find(file, movie, b"mvhd"))
    for count, (kind, begin, end) in enumerate(boxes(file, *movie)):
        if count > _MOST_TRACKS:
            return None
        track = (begin, min(end, movie[1]))
        media = _find(file, track, b"mdia") if kind == b"trak" else None
        if media is not None and _is_video(file, media):
            return _of_track(file, track, media, movie_scale, movie_length)
    return None


def _of_track(file: BinaryIO, track: Box, media: Box, movie_scale: int, movie_length: int) -> VideoTable | None:
    scale, media_length = _scale(file, _find(file, media, b"mdhd"))
    table = _find(file, media, b"minf", b"stbl")
    if table is None:
        return None
    sizes, times = _find(file, table, b"stsz"), _find(file, table, b"stts")
    listed = _numbers(file, sizes, 8, 1)[0] if sizes else 0
    timed, duration, longest = _durations(file, times) if times else (0, 0, 0)
    pictures = max(listed, timed)
    unit = None
    if not 0 < scale <= _MOST_SCALE:
        total = media_length or duration
        known = 0 < movie_scale <= _MOST_SCALE and movie_length > 0 and total > 0
        # As long as the movie; without that, 30 pictures a second.
        unit = Fraction(movie_length, movie_scale * total) if known else Fraction(pictures or 1, 30 * (total or 1))
    edits = _find(file, track, b"edts", b"elst")
    follow = edits is None or pictures < 2
    if not follow and edits is not None and unit is None and duration >= pictures:
        follow = _shows_something(_edits(file, edits), movie_scale, scale, media_length or duration, longest)
    return VideoTable(pictures, follow, unit)


def _shows_something(
    edits: list[tuple[int, int]], movie_scale: int, scale: int, media_length: int, longest: int
) -> bool:
    """Whether a list of (length in units of the movie, first in units of the media) shows more than one picture."""
    movie_scale = movie_scale if 0 < movie_scale <= _MOST_SCALE else 1
    shown = sum(
        Fraction(length, movie_scale) for length, first in edits if first != _NO_MEDIA and 0 <= first < media_length
    )
    return shown * scale > longest


def _edits(file: BinaryIO, box: Box) -> list[tuple[int, int]]:
    version, count = _numbers(file, box, 0, 1)[0] >> 24, _numbers(file, box, 4, 1)[0]
    layout = ">Qq4x" if version == 1 else ">Ii4x"
    data = _bytes(file, box, 8, min(count, _MOST_ENTRIES) * struct.calcsize(layout))
    return list(struct.iter_unpack(layout, data[: len(data) // struct.calcsize(layout) * struct.calcsize(layout)]))


def _durations(file: BinaryIO, box: Box) -> tuple[int, int, int]:
    """Number of pictures, how long they last together, and the longest of them."""
    count = min(_numbers(file, box, 4, 1)[0], _MOST_ENTRIES)
    data = _bytes(file, box, 8, 8 * count)
    pictures = total = longest = 0
    for samples, step in struct.iter_unpack(">Ii", data[: len(data) // 8 * 8]):
        pictures += samples
        total += samples * max(0, step)
        longest = max(longest, step if samples > 1 else 0)
    return pictures, total, longest


def _scale(file: BinaryIO, box: Box | None) -> tuple[int, int]:
    """Units a second, and the length in them, of mvhd and mdhd."""
    if box is None:
        return 0, 0
    if _numbers(file, box, 0, 1)[0] >> 24 == 1:
        scale, high, low = _numbers(file, box, 20, 3)
        return scale, high << 32 | low
    scale, length = _numbers(file, box, 12, 2)
    return scale, length


def _is_video(file: BinaryIO, media: Box) -> bool:
    """Whether the handler of a track says video; where it is damaged, whether the track has a video media header."""
    handler = _find(file, media, b"hdlr")
    if handler is not None and _bytes(file, handler, 8, 4) == b"vide":
        return True
    return _find(file, media, b"minf", b"vmhd") is not None


def _find(file: BinaryIO, within: Box, *kinds: bytes) -> Box | None:
    """Where the content of a box lies, by the way to it."""
    for kind in kinds:
        match = next((box for box in _boxes(file, within) if box[0] == kind), None)
        if match is None:
            return None
        within = (match[1], min(match[2], within[1]))
    return within


def _boxes(file: BinaryIO, within: Box) -> Iterator[tuple[bytes, int, int]]:
    for count, box in enumerate(boxes(file, *within)):
        if count > _MOST_TRACKS * 10:
            return
        yield box


def _numbers(file: BinaryIO, box: Box, at: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}I", _bytes(file, box, at, 4 * count))


def _bytes(file: BinaryIO, box: Box, at: int, count: int) -> bytes:
    file.seek(box[0] + at)
    return file.read(max(0, min(count, box[1] - box[0] - at)))
