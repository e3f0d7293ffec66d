"""Strange and damaged video files, read in every order against a plain decode and the numbers in the pictures.

    python tests/benchmarks/bench_hostile_video.py [--only PART] [--folder KEPT]

Needs the ffmpeg program to make the files. Prints a Markdown table of those that were read wrongly, and a count.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.errors import MediaError
from engine.media.video.decoder import FAULTS, open_container
from engine.media.video.reader import VideoReader
from engine.media.video.rgb import PictureMaker
from tests.benchmarks.hostile_clips import RECIPES, make
from tests.benchmarks.hostile_surgery import SURGERY, operate
from tests.engine.media.video_clips import number_in

Image = np.ndarray


def plain(path: Path, reader: VideoReader) -> tuple[list[Image], list[int | None]]:
    """Pictures and times of a decode from start to end by the library alone, stepping over what is damaged."""
    maker = PictureMaker(reader.index.picture)
    pictures, times = [], []
    with open_container(path) as container:
        stream = container.streams[reader.index.stream]
        stream.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FAULTS:
                break
            if packet is None:
                break
            try:
                frames = packet.decode()
            except FAULTS:
                continue
            for frame in frames:
                pictures.append(maker.rgb(frame))
                times.append(frame.pts)
    return pictures, times


def number(image: Image) -> int | None:
    try:
        return number_in(image)
    except AssertionError:
        return None


def got(reader: VideoReader, i: int) -> Image | None:
    try:
        return reader.read(i)
    except MediaError:
        return None


def faults(path: Path) -> list[str]:
    """What is wrong with the way a file is read; empty when nothing is."""
    wrong: list[str] = []
    with VideoReader(path, ahead=4) as reader:
        truth, times = plain(path, reader)
        count = reader.frame_count
        if count != len(truth):
            wrong.append(f"{count} frames, a plain decode has {len(truth)}")
        base = reader.index.time_base
        bad, late, lost = [], [], []
        ordered = [got(reader, i) for i in range(count)]
        for i in range(min(count, len(truth))):
            image = ordered[i]
            if image is None:
                lost.append(i)
            elif not np.array_equal(image, truth[i]):
                bad.append(i)
            if None not in (times[i], times[0]) and reader.exact_time(i) != (times[i] - times[0]) * base:
                late.append(i)
        for text, frames in (("in sequence", bad), ("unreadable", lost), ("times", late)):
            if frames:
                wrong.append(f"{text}: {len(frames)} wrong, at {frames[:6]}")
        values = [number(image) if image is not None else None for image in ordered]
        known = [n for n in values if n is not None]
        if known != sorted(known) or len(set(known)) != len(known):
            wrong.append(f"numbers do not ascend: {known[:12]}")
        if not reader.problems and known and len(known) == count and known[-1] - known[0] + 1 != count:
            wrong.append(f"numbers {known[0]}..{known[-1]}, {count} frames")
        problems = reader.problems
    for text, options, order in (
        ("at random", {"cache_bytes": 1}, np.random.default_rng(3).integers(0, count, 200).tolist()),
        ("backwards", {}, list(range(count - 1, max(-1, count - 51), -1))),
    ):
        with VideoReader(path, **options) as reader:
            bad = [i for i in order if not same(got(reader, i), ordered[i])]
        if bad:
            wrong.append(f"{text}: {len(bad)} wrong, at {bad[:6]}")
    if wrong and problems:
        wrong.append(f"(says: {problems})")
    return wrong


def same(a: Image | None, b: Image | None) -> bool:
    return (a is None) == (b is None) and (a is None or np.array_equal(a, b))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        right = 0
        print("| file | what is wrong |\n|---|---|")
        for name in [*RECIPES, *SURGERY]:
            if not re.search(arguments.only, name):
                continue
            began = time.perf_counter()
            try:
                path = folder / name
                if not path.exists():
                    path = make(name, folder) if name in RECIPES else operate(name, folder)
                result = faults(path)
            except Exception as error:
                result = [f"{type(error).__name__}: {error}"]
            right += not result
            if result:
                print(f"| {name} ({time.perf_counter() - began:.1f} s) | {'; '.join(result)} |", flush=True)
        print(f"\n{right} files read rightly.")


if __name__ == "__main__":
    main()
