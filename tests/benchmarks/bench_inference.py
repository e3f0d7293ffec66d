"""Images a second of the detector and people a second of the pose networks.

Run by hand: ``python tests/benchmarks/bench_inference.py``.
Prints a Markdown table. Two threads by default, as on a small shared computer; ``--threads N`` for more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from engine.utils.process import prepare_process  # noqa: E402

prepare_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from engine.inference.detector import Detector  # noqa: E402
from engine.inference.device import describe_device  # noqa: E402
from engine.inference.pose_estimator import PoseEstimator  # noqa: E402
from engine.media.images import read_image  # noqa: E402

SECONDS = 4.0


def rate(work: Callable[[], object], count: int) -> float:
    """``count`` things are done by each call; the best call counts, for other programs only slow it down."""
    work()
    best = float("inf")
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return count / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    image = read_image(ROOT / "resources/sample/astronaut.jpg")
    box = np.array([[10, 8, 365, 511]], np.float32)
    detector = Detector.load(device=options.device)
    print(f"{describe_device(detector.device)}; 512 x 512 photograph, letterbox, crop and decode included\n")
    print("| | batch 1 | batch 8 |\n|---|---|---|")
    detect = partial(detector.detect, categories=["person"])
    rates = [rate(partial(detect, [image] * n, batch=n), n) for n in (1, 8)]
    print(f"| EfficientDet-Lite0, images/s | {rates[0]:.1f} | {rates[1]:.1f} |")
    for model in ("movenet_thunder", "movenet_lightning"):
        estimator = PoseEstimator.load(model, options.device)
        for flip in (False, True):
            run = partial(estimator.predict, [image], flip_test=flip)
            rates = [rate(partial(run, [box.repeat(n, 0)], batch=n), n) for n in (1, 8)]
            print(f"| {model}{', flip test' if flip else ''}, people/s | {rates[0]:.1f} | {rates[1]:.1f} |")


if __name__ == "__main__":
    main()
