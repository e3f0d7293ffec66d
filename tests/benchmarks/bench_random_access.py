"""Random access to videos: is every frame, read alone, the frame that a plain decode of the whole file gives?

    python tests/benchmarks/bench_random_access.py VIDEO_OR_FOLDER... [--every 1] [--jumps]

Each frame is read by a fresh reader, in random order, and compared with a plain decode from the start of the file.
With --jumps one reader jumps through all frames instead. Prints a Markdown table; ends with 1 if any frame differs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.errors import MediaError
from engine.media.source import VIDEO_SUFFIXES
from engine.media.video.index.index import VideoIndex
from engine.media.video.index.indexer import build_index
from engine.media.video.reader import VideoReader
from engine.media.video.rgb import PictureMaker


def digest(pixels: bytes) -> bytes:
    return hashlib.blake2b(pixels, digest_size=16).digest()


def plain_decode(path: Path, index: VideoIndex) -> list[bytes]:
    """Digests of all frames, in the order in which the decoder gives them."""
    picture = PictureMaker(index.picture)
    with av.open(str(path)) as container:
        return [digest(picture.rgb(frame).tobytes()) for frame in container.decode(container.streams[index.stream])]


def compare(path: Path, every: int, jumps: bool) -> tuple[str, bool]:
    """A row of the table, and whether all is well."""
    index = build_index(path)
    truth = plain_decode(path, index)
    frames = list(range(0, index.frame_count, every))
    random.Random(0).shuffle(frames)
    refused: list[int] = []
    wrong: list[int] = []
    begin = time.perf_counter()
    shared_reader = VideoReader(path, index, cache_bytes=64 << 20) if jumps else None
    for frame in frames:
        reader = shared_reader or VideoReader(path, index, cache_bytes=64 << 20)
        try:
            if frame >= len(truth) or digest(reader.read(frame).tobytes()) != truth[frame]:
                wrong.append(frame)
        except MediaError:
            refused.append(frame)
        if shared_reader is None:
            reader.close()
    if shared_reader is not None:
        shared_reader.close()
    each = (time.perf_counter() - begin) / max(1, len(frames))
    well = not (wrong or refused) and index.frame_count == len(truth)
    examples = f" (e.g. {sorted(wrong + refused)[:5]})" if wrong or refused else ""
    return (
        f"| {path.name} | {len(truth)} | {index.frame_count} | {len(frames)} | {len(wrong)} | {len(refused)}{examples} "
        f"| {1000 * each:.0f} ms |",
        well,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="read every so many frames")
    parser.add_argument("--jumps", action="store_true", help="one reader for all frames")
    chosen = parser.parse_args()
    files = [
        file
        for path in chosen.paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file()
    ]
    print("| video | plain decode | index | read | differ | refused | a read |\n|---|---|---|---|---|---|---|")
    all_well = True
    for file in files:
        row, well = compare(file, chosen.every, chosen.jumps)
        print(row, flush=True)
        all_well = all_well and well
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
