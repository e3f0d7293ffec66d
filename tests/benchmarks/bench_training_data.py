"""How many instances a second one process makes ready for a recipe: read, decoded, cut, and encoded, at 256x192.

python tests/benchmarks/bench_training_data.py [--labels COCO.json --images DIR] [--seconds 5] [--workers 0 1 2]

Without labels, pictures of COCO's usual size (640x480, JPEG) are drawn.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.schema.builtin import find_schema
from engine.train.config import TopDownConfig, TrainConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.prefetch import prepared
from engine.train.data.sampler import epoch_batches
from engine.train.data.training_set import read_training_set
from engine.train.initial_weights import initial_recipe_network
from engine.train.recipes import find_recipe, with_recipe
from engine.train.tasks.topdown import TopDownTask
from engine.train.tasks.topdown_validation import Conditions, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

RECIPE = "coco_res50_256x192"
BATCH = 64


def draw(folder: Path, count: int = 64) -> Path:
    """Photographs in all but content: smooth colors with noise, two people of 17 points in each."""
    rng = np.random.default_rng(0)
    schema = find_schema("coco")
    data = CocoDataset(categories=[make_category(1, schema)])
    for index in range(1, count + 1):
        coarse = rng.integers(0, 256, (30, 40, 3), np.uint8)
        image = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(-12, 12, image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        data.images.append(make_image(index, f"{index}.jpg", 640, 480))
        for person in range(2):
            low = rng.uniform(0, 250, 2)
            points = low + rng.uniform(0, 1, (17, 2)) * (150, 220)
            marked = np.concatenate([points, np.full((17, 1), 2.0)], 1)
            data.annotations.append(make_annotation(2 * index + person, index, 1, marked, [*low, 150, 220]))
    data.write(folder / "labels.json")
    return folder / "labels.json"


def rate(phase: TopDownTask, workers: int, seconds: float) -> float:
    """Instances a second."""

    def forever() -> Iterator[list[tuple[int, np.random.Generator]]]:
        for epoch in range(10**6):
            yield from epoch_batches(phase.train_count, 4, BATCH, 0, epoch)

    done = 0
    with closing(prepared(lambda items: phase.collate([phase.sample(*i) for i in items]), forever(), workers)) as ready:
        next(ready)
        started = time.perf_counter()
        for batch in ready:
            done += len(batch.ids)
            if time.perf_counter() - started > seconds:
                break
    return done / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels")
    parser.add_argument("--images", default="")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    options = parser.parse_args()
    entry = find_recipe(RECIPE)
    config = with_recipe(TrainConfig(), entry).pose
    assert isinstance(config.topdown, TopDownConfig)
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; MMPose 1.3.2 with one process: 349\n")
    print("| pictures kept decoded | threads | instances/s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(options.labels) if options.labels else draw(Path(folder))
        data = read_training_set(labels, options.images)
        network, info = initial_recipe_network(entry, "random", data.schema)
        protocol = Protocol.of(
            entry, data, Path(options.images or labels.parent), validation_part=False, conditions=Conditions()
        )  # fmt: skip
        for remaining in (0, 1 << 30):
            for workers in options.workers:
                phase = TopDownTask(network, info, config, data, protocol, ImageCache(remaining), Path(folder))
                print(
                    f"| {'yes' if remaining else 'no'} | {workers} | {rate(phase, workers, options.seconds):.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
