"""Time of the OKS figures by our evaluator and by pycocotools, on made-up people; prints a small Markdown table.

    python tests/benchmarks/bench_evaluate.py [IMAGES] [PREDICTIONS]

COCO val2017 with the detections that are customary is 5000 images with 21 predictions each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.metrics.coco_metric import GIVEN, NO_NMS, CocoMetricOptions, PoseResult, evaluate_coco
from engine.metrics.oks import keypoint_ap
from engine.metrics.wholebody import evaluate_wholebody
from engine.schema.builtin import find_schema


def scene(schema_name: str, images: int, predictions: int) -> tuple[CocoDataset, list[PoseResult]]:
    schema = find_schema(schema_name)
    rng = np.random.default_rng(0)
    data = CocoDataset(categories=[make_category(1, schema)])
    results: list[PoseResult] = []
    k = schema.num_keypoints
    for image in range(1, images + 1):
        data.images.append(make_image(image, f"{image}.jpg", 640, 480))
        people = [rng.uniform(0, 400) + rng.uniform(0, 100, (k, 2)) for _ in range(rng.integers(1, 5))]
        for points in people:
            marked = np.column_stack([points, rng.choice([0, 1, 2], k)])
            index = len(data.annotations) + 1
            data.annotations.append(make_annotation(index, image, 1, marked, [*points.min(0), 100, 100], area=5000.0))
        for index in range(predictions):
            guess = people[index % len(people)] + rng.normal(0, 2 + index, (k, 2))
            posed = np.column_stack([guess, rng.uniform(0.1, 1, k)])
            box = np.concatenate([guess.min(0), guess.max(0)])
            results.append(PoseResult(index, image, posed, float(rng.random()), box, 20000.0, 1, float(rng.random())))
    return data, results


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    created = work()
    return time.perf_counter() - start, created


def by_reference(data: CocoDataset, result: list[PoseResult], schema_name: str) -> dict[str, float]:
    labels = [
        {"image_id": a.image_id, "category_id": 1, "keypoints": a.keypoints, "bbox": a.bbox, "area": a.area}
        for a in data.annotations
    ]
    results = []
    for one in result:
        assert one.box is not None
        box = [*one.box[:2], *(one.box[2:] - one.box[:2])]
        results.append(
            {"image_id": one.image_id, "category_id": 1, "keypoints": one.keypoints.ravel(), "bbox": box,
             "score": one.score}
        )  # fmt: skip
    return keypoint_ap([{"id": image.id} for image in data.images], labels, results, find_schema(schema_name).sigmas)


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    predictions = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    data, result = scene("coco", images, predictions)
    schema = find_schema("coco")
    alone = CocoMetricOptions(score_mode=GIVEN, nms_mode=NO_NMS)
    reference, expected = timed(lambda: by_reference(data, result, "coco"))
    own, got = timed(lambda: evaluate_coco(data, result, schema, alone))
    assert got == expected
    whole, _ = timed(lambda: evaluate_coco(data, result, schema))
    body, people = scene("coco_wholebody", images, predictions)
    parts, _ = timed(lambda: evaluate_wholebody(body, people, find_schema("coco_wholebody")))
    print(f"{images} images, {predictions} predictions each\n")
    print("| what | seconds |\n|---|---|")
    print(f"| pycocotools, 17 points | {reference:.2f} |")
    print(f"| ours, 17 points, equal figures | {own:.2f} |")
    print(f"| ours with scores and suppression | {whole:.2f} |")
    print(f"| ours, 133 points by parts, with scores and suppression | {parts:.2f} |")


if __name__ == "__main__":
    main()
