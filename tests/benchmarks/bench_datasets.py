"""Reading and converting a large COCO-WholeBody file: ``python tests/benchmarks/bench_datasets.py [COUNT]``."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.formats.datasets import open_dataset, sniff, write_as_coco
from engine.formats.datasets.kinds import WHOLE_BODY_PARTS


def write_whole_bodies(path: Path, count: int) -> None:
    random = np.random.default_rng(0)

    def flat(points: int) -> list[float]:
        values = np.column_stack([random.uniform(0, 640, (points, 2)).round(2), random.integers(0, 3, points)])
        return values.ravel().tolist()

    images = [{"id": i, "file_name": f"{i:012}.jpg", "width": 640, "height": 480} for i in range(count // 4 + 1)]
    annotations: list[dict[str, Any]] = [
        {"id": i, "image_id": i // 4, "category_id": 1, "num_keypoints": 12, "iscrowd": 0, "area": 1000.5}
        | {"bbox": [1.5, 2.5, 100.0, 200.0], "segmentation": [[1.5] * 60]}
        | {name: flat(points) for name, points in WHOLE_BODY_PARTS}
        for i in range(count)
    ]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path.write_text(json.dumps(document))


def timed(what: str, call: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = call()
    print(f"| {what} | {time.perf_counter() - start:.2f} s |")
    return result


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "whole.json"
        write_whole_bodies(file, count)
        print(f"| {count} whole bodies, {file.stat().st_size / 1e6:.0f} MB | |\n|---|---|")
        timed("tell the kind", lambda: sniff(file))
        data = timed("open", lambda: open_dataset("coco_wholebody", file))
        timed("leave out what is unfit", data.usable)
        timed("write as plain COCO", lambda: write_as_coco(data, Path(folder) / "plain.json"))
        timed("open the plain file", lambda: open_dataset("", Path(folder) / "plain.json"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
