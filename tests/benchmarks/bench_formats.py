"""Every format in and out: ``python tests/benchmarks/bench_formats.py [COUNT] [FORMAT ...]``.

A COCO file of COUNT instances (100,000) in images of ten people is converted to each format, and back. Each conversion
runs in a process of its own, of which processor time, time on the clock and largest memory are printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np

from engine.formats.registry import format_named, formats
from tests.benchmarks.bench_convert import _records

_MEASURED = """
import resource, sys, time
start = time.monotonic()
from engine.convert import convert
from engine.formats.registry import WriteOptions, format_named
images = "link" if getattr(format_named(sys.argv[4]), "writes_images", False) else "none"
options = WriteOptions(images=images)
convert(sys.argv[1], sys.argv[2], from_format=sys.argv[3], to_format=sys.argv[4], write_options=options)
used, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - start
print(f"{used.ru_utime + used.ru_stime:.1f} s | {wall:.1f} s | {used.ru_maxrss / 1000:.0f} MB |")
"""


def _make_images(folder: Path, count: int) -> None:
    """Files of one picture under many names; formats that store shares of the size read it from them."""
    first = folder / "00000001.jpg"
    cv2.imwrite(str(first), np.zeros((1080, 1920, 3), np.uint8))
    for n in range(2, count + 1):
        os.link(first, folder / f"{n:08}.jpg")


def _measure(title: str, *arguments: str) -> None:
    print(f"| {title} | ", end="", flush=True)
    subprocess.run([sys.executable, "-c", _MEASURED, *arguments], check=True)


def main(count: int, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        _make_images(folder, count // 10)
        file = folder / "large.json"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(_records(count))
        print(f"| {count:,} instances | processor | clock | memory |\n|---|---|---|---|", flush=True)
        for name in names or sorted(each.name for each in formats() if each.can_write):
            suffix = format_named(name).suffixes[0] if format_named(name).suffixes else ""
            target = folder / f"copy_{name}{'' if suffix in ('.yaml', '.yml') else suffix}"
            _measure(f"coco to {name}", str(file), str(target), "coco", name)
            if format_named(name).can_read:
                _measure(f"{name} to coco", str(target), str(folder / "back.json"), name, "coco")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2:])
