"""Converting a large COCO file: ``python tests/benchmarks/bench_convert.py [COUNT]``.

Each conversion runs in a process of its own, of which processor time and largest memory are printed; so does the way
through a project (import, export), for comparison.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PROJECT = """
from pathlib import Path
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.store import ProjectStore
with ProjectStore.create(Path(sys.argv[2]).with_suffix(".pose")) as store:
    import_coco(store, sys.argv[1])
    export_coco(store, sys.argv[2])
"""
_CONVERT = """
from engine.convert import convert
convert(sys.argv[1], sys.argv[2], to_format=sys.argv[3])
"""
_MEASURED = """
import resource, sys
sys.path.insert(0, {root!r})
{work}
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"| {{sys.argv[4]}} | {{used.ru_utime + used.ru_stime:.1f}} s | {{used.ru_maxrss / 1000:.0f}} MB |")
"""


def _records(count: int) -> Iterator[str]:
    """The text of a file with so many instances of 17 keypoints, ten an image."""
    chosen = random.Random(1)
    images = range(1, count // 10 + 1)
    yield '{"info":{"year":2024},"images":['
    yield ",".join(f'{{"id":{i},"file_name":"{i:08}.jpg","width":1920,"height":1080,"license":1}}' for i in images)
    yield '],"annotations":['
    for n in range(1, count + 1):
        points = [chosen.randrange(limit) for _ in range(17) for limit in (1920, 1080, 3)]
        record = {"id": n, "image_id": (n - 1) // 10 + 1, "category_id": 1, "keypoints": points, "num_keypoints": 17}
        record |= {"bbox": [10.5, 20.25, 300, 400], "area": 120000, "iscrowd": 0, "track_id": n % 1000}
        yield ("," if n > 1 else "") + json.dumps(record, separators=(",", ":"))
    names = json.dumps([f"point_{n}" for n in range(17)])
    yield f'],"categories":[{{"id":1,"name":"thing","keypoints":{names},"skeleton":[[1,2]]}}]}}'


def _measure(work: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", _MEASURED.format(root=str(_ROOT), work=work), *arguments], check=True)


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.json"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(_records(count))
        print(
            f"| {count:,} instances, {file.stat().st_size / 1e6:.0f} MB | processor | memory |\n|---|---|---|",
            flush=True,
        )
        for target, suffix in (("coco", ".json"), ("csv", ".csv"), ("parquet", ".parquet")):
            _measure(_CONVERT, str(file), str(Path(folder, f"copy{suffix}")), target, f"to {target}")
        _measure(_PROJECT, str(file), str(Path(folder) / "out.json"), "", "import into a project, export")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
