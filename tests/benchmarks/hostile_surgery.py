"""Video files cut, joined and patched in ways that cameras, recorders and careless programs do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.hostile_clips import X264, X265, ffmpeg, master
from tests.engine.media.video_clips import HEIGHT, WIDTH, Clip, picture, set_edits
from tests.engine.media.video_clips import X264 as OPTIONS
from tests.engine.media.video_clips import make as make_clip

TS_PACKET = 188
GOP = f"{X264} keyint=15:min-keyint=15:bframes=3:b-pyramid=normal:scenecut=0 -pix_fmt yuv420p"
OPEN = f"{X264} open-gop=1:keyint=15:min-keyint=1:bframes=3:b-pyramid=normal:scenecut=0 -pix_fmt yuv420p"
CRA = f"{X265}:open-gop=1:keyint=15:min-keyint=1:bframes=4:scenecut=0"
MJPEG = "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p"
MPEG2 = "-c:v mpeg2video -bf 2 -g 15 -q:v 3"


def part(path: Path, recipe: str, first: int = 0, last: int = 45, inputs: str = "") -> Path:
    """Pictures first..last-1 coded in some way."""
    raw = path.with_suffix(".rgb")
    raw.write_bytes(b"".join(picture(index).tobytes() for index in range(first, last)))
    before = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "30", "-i", str(raw)]
    wrong = ffmpeg([*inputs.split(), *before, *recipe.split(), str(path)])
    raw.unlink()
    if wrong:
        raise RuntimeError(wrong)
    return path


def joined(path: Path, *recipes: str) -> None:
    """Parts of 45 pictures, byte behind byte."""
    parts = [part(path.with_stem(f"part{n}"), recipe, 45 * n, 45 * n + 45) for n, recipe in enumerate(recipes)]
    path.write_bytes(b"".join(each.read_bytes() for each in parts))
    for each in parts:
        each.unlink()


def remuxed(path: Path, suffix: str, *recipes: str) -> None:
    raw = path.with_suffix(suffix)
    joined(raw, *recipes)
    wrong = ffmpeg(["-fflags", "+genpts", "-i", str(raw), "-c", "copy", str(path)])
    if wrong:
        raise RuntimeError(wrong)


def cut(path: Path, recipe: str, begin: float, end: float, unit: int = 1) -> None:
    data = part(path, recipe, 0, 90).read_bytes()
    first, last = (round(position * len(data) / unit) * unit for position in (begin, end))
    path.write_bytes(data[first:last])


def holed(path: Path, recipe: str, begin: float, end: float, unit: int = 1) -> None:
    data = part(path, recipe, 0, 90).read_bytes()
    first, last = (round(position * len(data) / unit) * unit for position in (begin, end))
    path.write_bytes(data[:first] + data[last:])


def patched(path: Path, recipe: str, *changes: tuple[bytes, bytes]) -> None:
    data = part(path, recipe, 0, 90).read_bytes()
    for old, new in changes:
        if old not in data:
            raise RuntimeError(f"{old!r} is not in it")
        data = data.replace(old, new)
    path.write_bytes(data)


def edited(path: Path, *edits: tuple[int, int | None]) -> None:
    created = make_clip(Clip(path.name, "libx264", OPTIONS), path.parent)
    set_edits(created, edits)


def flat(path: Path, change: Callable[[bytearray, int], None], kind: bytes = b"stts") -> None:
    data = bytearray(part(path, GOP, 0, 90).read_bytes())
    change(data, data.index(kind))
    path.write_bytes(data)


def put(data: bytearray, at: int, value: int) -> None:
    data[at : at + 4] = value.to_bytes(4, "big")


def with_cover(path: Path) -> None:
    cover = path.parent / "cover.png"
    film = part(path.parent / "film.mp4", GOP, 0, 90)
    ffmpeg(["-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", str(cover)])
    wrong = ffmpeg(
        ["-i", str(cover), "-i", str(film), "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic",
         str(path)]
    )  # fmt: skip
    if wrong:
        raise RuntimeError(wrong)


def two_videos(path: Path) -> None:
    film = part(path.parent / "film.mp4", GOP, 0, 90)
    wrong = ffmpeg(
        ["-i", str(film), "-f", "lavfi", "-t", "3", "-i", "testsrc=s=64x48", "-f", "lavfi", "-t", "3", "-i", "sine",
         "-map", "0:v", "-map", "1:v", "-map", "2:a", "-c:v:0", "copy", "-c:v:1", "mpeg4", str(path)]
    )  # fmt: skip
    if wrong:
        raise RuntimeError(wrong)


SMALL = GOP + " -s 80x48"
WIDE = GOP + " -vf setsar=4/3"
TURNS = [(turn, flip) for turn in (0, 90, 180, 270) for flip in (False, True)]

SURGERY: dict[str, Callable[[Path], object]] = {
    "twice.ts": lambda p: joined(p, GOP, GOP),
    "thrice.ts": lambda p: joined(p, OPEN, OPEN, OPEN),
    "back.ts": lambda p: joined(p, GOP + " -output_ts_offset 10", GOP + " -output_ts_offset 9.2"),
    "forth.ts": lambda p: joined(p, GOP, GOP + " -output_ts_offset 1000"),
    "overlap.ts": lambda p: joined(p, GOP, GOP + " -output_ts_offset 1.1166"),
    "mid_back.ts": lambda p: joined(p, GOP, GOP + " -output_ts_offset 1.5", GOP + " -output_ts_offset 2.3166"),
    "twice.mpg": lambda p: joined(p, MPEG2, MPEG2),
    "twice.m2v": lambda p: joined(p, MPEG2 + " -f mpeg2video", MPEG2 + " -f mpeg2video"),
    "twice.h264": lambda p: joined(p, OPEN, OPEN),
    "twice.hevc": lambda p: joined(p, CRA, CRA),
    "twice.mjpeg": lambda p: joined(p, "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p", "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p"),
    "twice_hevc.ts": lambda p: joined(p, CRA, CRA),
    "twice.flv": lambda p: joined(p, GOP, GOP),
    "twice.mkv": lambda p: joined(p, GOP, GOP),
    "sizes.ts": lambda p: joined(p, GOP, SMALL),
    "sizes.h264": lambda p: joined(p, GOP, SMALL, GOP),
    "sizes.mkv": lambda p: remuxed(p, ".ts", GOP, SMALL),
    "sars.ts": lambda p: joined(p, GOP, WIDE),
    "sars.mkv": lambda p: remuxed(p, ".ts", GOP, WIDE),
    "depths.ts": lambda p: joined(p, GOP, GOP + " -pix_fmt yuv422p10le"),
    "codecs.ts": lambda p: joined(p, GOP, CRA),
    "cut.ts": lambda p: cut(p, GOP, 0.23, 0.81),
    "cut188.ts": lambda p: cut(p, OPEN, 0.23, 0.81, TS_PACKET),
    "cut_hevc.ts": lambda p: cut(p, CRA, 0.23, 0.81),
    "cut_mpeg2.ts": lambda p: cut(p, MPEG2, 0.23, 0.81),
    "cut.mpg": lambda p: cut(p, MPEG2, 0.23, 0.81),
    "cut.h264": lambda p: cut(p, OPEN, 0.23, 0.81),
    "cut.hevc": lambda p: cut(p, CRA, 0.23, 0.81),
    "cut.mjpeg": lambda p: cut(p, "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p", 0.23, 0.81),
    "cut.flv": lambda p: cut(p, GOP, 0, 0.6),
    "cut.avi": lambda p: cut(p, "-c:v mpeg4 -bf 2 -g 12 -q:v 3", 0, 0.6),
    "cut.ogv": lambda p: cut(p, "-c:v libtheora -g 24 -q:v 8", 0, 0.6),
    "cut.wmv": lambda p: cut(p, "-c:v wmv2 -g 24 -q:v 3", 0, 0.6),
    "cut.webm": lambda p: cut(p, "-c:v libvpx-vp9 -g 30 -deadline realtime -cpu-used 8", 0, 0.6),
    "cut.y4m": lambda p: cut(p, "-pix_fmt yuv420p -f yuv4mpegpipe", 0, 0.6),
    "holed.ts": lambda p: holed(p, GOP, 0.4, 0.5),
    "holed188.ts": lambda p: holed(p, GOP, 0.4, 0.5, TS_PACKET),
    "holed_open.ts": lambda p: holed(p, OPEN, 0.4, 0.5),
    "holed_hevc.ts": lambda p: holed(p, CRA, 0.4, 0.5),
    "holed.mpg": lambda p: holed(p, MPEG2, 0.4, 0.5),
    "holed.mkv": lambda p: holed(p, GOP, 0.4, 0.5),
    "holed.webm": lambda p: holed(p, "-c:v libvpx-vp9 -g 30 -deadline realtime -cpu-used 8", 0.4, 0.5),
    "holed.h264": lambda p: holed(p, GOP, 0.4, 0.5),
    "holed.avi": lambda p: holed(p, "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p", 0.4, 0.5),
    "noindex.avi": lambda p: patched(p, "-c:v mpeg4 -bf 2 -g 12 -q:v 3", (b"idx1", b"JUNK")),
    "nosync.mp4": lambda p: patched(p, GOP, (b"stss", b"free")),
    "noctts.mp4": lambda p: patched(p, GOP, (b"ctts", b"free")),
    "noedit.mp4": lambda p: patched(p, GOP, (b"edts", b"free")),
    "zerotime.mp4": lambda p: flat(p, lambda d, at: put(d, at + 16, 0)),
    "hugetime.mp4": lambda p: flat(p, lambda d, at: put(d, at + 16, 0x7FFFFFF)),
    "negtime.mp4": lambda p: flat(p, lambda d, at: put(d, at + 16, 0xFFFFFF00)),
    "fewtimes.mp4": lambda p: flat(p, lambda d, at: put(d, at + 12, 40)),
    "manytimes.mp4": lambda p: flat(p, lambda d, at: put(d, at + 12, 10**9)),
    "fewsizes.mp4": lambda p: flat(p, lambda d, at: put(d, at + 12, 40), b"stsz"),
    "manysizes.mp4": lambda p: flat(p, lambda d, at: put(d, at + 12, 10**9), b"stsz"),
    "samesizes.mp4": lambda p: flat(p, lambda d, at: (put(d, at + 8, 1), put(d, at + 12, 10**9)), b"stsz"),
    "manychunks.mp4": lambda p: flat(p, lambda d, at: put(d, at + 16, 10**9), b"stsc"),
    "zeroscale.mp4": lambda p: flat(p, lambda d, at: put(d, at + 16, 0), b"mdhd"),
    "gaps.avi": lambda p: part(p, MJPEG + " -vf setpts=(N+floor(N/10)*7)/30/TB -vsync vfr", 0, 90),
    "allzero.mkv": lambda p: part(p, GOP + " -vf setpts=N/90000/TB -vsync passthrough -enc_time_base 1:90000"),
    "edit_pause.mp4": lambda p: edited(p, (20, None), (100, 13)),
    "edit_gop.mp4": lambda p: edited(p, (30, 50)),
    "edit_three.mp4": lambda p: edited(p, (7, 3), (9, 60), (5, 140)),
    "edit_pauses.mp4": lambda p: edited(p, (10, 5), (15, None), (30, 60), (5, None)),
    "edit_beyond.mp4": lambda p: edited(p, (500, 5)),
    "edit_one.mp4": lambda p: edited(p, (1, 77)),
    "edit_overlap.mp4": lambda p: edited(p, (30, 20), (30, 40)),
    "cover.mp4": with_cover,
    "cover.mkv": with_cover,
    "two.mp4": two_videos,
    "two.mkv": two_videos,
    "vob.vob": lambda p: part(p, MPEG2 + " -f vob", 0, 90),
    "dvd.mpg": lambda p: part(p, MPEG2 + " -f dvd", 0, 90),
    "junk.mp4": lambda p: p.write_bytes(part(p, GOP, 0, 90).read_bytes() + b"\xa5" * 9999),
    "junk.mkv": lambda p: p.write_bytes(part(p, GOP, 0, 90).read_bytes() + b"\xa5" * 9999),
    "junk.ts": lambda p: p.write_bytes(part(p, GOP, 0, 90).read_bytes() + b"\xa5" * 9999),
    "junk.avi": lambda p: p.write_bytes(part(p, "-c:v mpeg4 -bf 2", 0, 90).read_bytes() + b"\xa5" * 9999),
    "before.ts": lambda p: p.write_bytes(b"\x47" * 5000 + part(p, GOP, 0, 90).read_bytes()),
    "before.h264": lambda p: p.write_bytes(b"\x55" * 5000 + part(p, GOP, 0, 90).read_bytes()),
    **{
        f"turn{turn}{'f' if flip else ''}.mp4": lambda p, turn=turn, flip=flip: make_clip(
            Clip(p.name, "libx264", OPTIONS, frames=30, turn=turn, flip=flip, aspect=Fraction(4, 3)), p.parent
        )
        for turn, flip in TURNS
    },
}  # fmt: skip


def operate(name: str, folder: Path) -> Path:
    """Make one of :data:`SURGERY`."""
    SURGERY[name](folder / name)
    return folder / name


__all__ = ["SURGERY", "master", "operate"]
