"""Videos: opening, indexing, reading in sequence, jumping, stepping back, scrubbing.

    python tests/benchmarks/bench_video.py [--hours 3] [--file VIDEO]

Without a file it makes one: 1080p, 30 frames a second, H.264 with B-frames and a key every 250 frames; 20 s are encoded
and repeated until it is long enough. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.media.video.index.indexer import build_index, read_index
from engine.media.video.reader import VideoReader

SECONDS, RATE, WIDTH, HEIGHT = 20, 30, 1920, 1080


def encode(path: Path) -> None:
    """A picture with some texture, in which a few blocks move."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (HEIGHT // 24, WIDTH // 24, 3)).astype(np.uint8)
    ground = coarse.repeat(24, 0).repeat(24, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"preset": "veryfast", "g": "250", "bf": "3", "crf": "26"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(SECONDS * RATE):
            picture = ground.copy()
            for block in range(6):
                x, y = (index * (3 + block) + 300 * block) % (WIDTH - 200), (index * 2 + 160 * block) % (HEIGHT - 200)
                picture[y : y + 200, x : x + 200] = (40 * block, 255 - 40 * block, 120)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def repeat(short: Path, long: Path, hours: float) -> None:
    """Write the packets of a video again and again, later each time."""
    with av.open(str(short)) as source, av.open(str(long), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in source.demux(stream) if p.size]
        length = round(SECONDS / stream.time_base)
        for turn in range(max(1, round(hours * 3600 / SECONDS))):
            for data, pts, dts, is_key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.time_base = pts + turn * length, dts + turn * length, stream.time_base
                packet.is_keyframe, packet.stream = is_key, copy
                target.mux(packet)


def render(path: Path, hours: float) -> None:
    encode(path.with_name("short.mp4"))
    repeat(path.with_name("short.mp4"), path, hours)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def each(work: Callable[[int], object], frames: list[int]) -> np.ndarray:
    return np.array([timed(lambda i=i: work(i)) for i in frames]) * 1000


def measure(path: Path, folder: Path) -> list[tuple[str, str]]:
    process = psutil.Process()
    created = timed(lambda: build_index(path))
    index = read_index(path, folder)
    duration = float(index.times[-1])
    rows = [
        (
            "file",
            f"{duration / 3600:.2f} h, {index.frame_count} frames, {index.size[0]} x {index.size[1]}, {index.codec}",
        ),
        ("index made in", f"{created:.2f} s = {duration / created:.0f} times real time"),
        ("index on disk", f"{sum(f.stat().st_size for f in folder.glob('*.videoindex')) / 1024:.0f} KiB"),
    ]
    opened = timed(lambda: VideoReader(path, cache=folder).close())
    rows.append(("opened with its index", f"{opened * 1000:.0f} ms"))
    rng = np.random.default_rng(1)
    middle = index.frame_count // 2
    for ahead in (0, 8):
        with VideoReader(path, index, ahead=ahead) as reader:
            reader.read(middle)
            count = min(300, index.frame_count - middle - 1)
            taken = each(reader.read, list(range(middle + 1, middle + 1 + count))).sum() / 1000
            rows.append((f"in sequence, {ahead} ahead", f"{count / taken:.0f} frames/s"))
    with VideoReader(path, index) as reader:
        took = each(reader.read, rng.integers(0, index.frame_count, 20).tolist())
        rows.append(("jump anywhere", f"median {np.median(took):.0f} ms, longest {took.max():.0f} ms"))
        start = int(index.frame_count * 0.7)
        reader.read(start)
        took = each(reader.read, list(range(start - 1, max(0, start - 200), -1)))
        rows.append(("one frame back", f"median {np.median(took):.1f} ms, longest {took.max():.0f} ms"))
        took = each(reader.read_near, np.linspace(0, index.frame_count - 1, 60).astype(int).tolist())
        rows.append(("scrub through all of it", f"{1000 / took.mean():.0f} pictures/s"))
        took = each(lambda i: reader.read_near(i, 480), rng.integers(0, index.frame_count, 60).tolist())
        rows.append(("scrub, 480 pixels wide", f"{1000 / took.mean():.0f} pictures/s"))
        rows.append(("memory of the process", f"{process.memory_info().rss / 2**20:.0f} MiB"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), options.file
        if path is None:
            path = folder / "long.mp4"
            # In a process of its own, whose memory is not counted below.
            maker = multiprocessing.get_context("spawn").Process(target=render, args=(path, options.hours))
            maker.start()
            maker.join()
        print("| what | figure |\n|---|---|")
        for what, figure in measure(path, folder / "cache"):
            print(f"| {what} | {figure} |")


if __name__ == "__main__":
    main()
