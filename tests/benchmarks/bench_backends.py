"""Published architectures on the processor: forward alone and end to end, by backend; and AP of the embedded models.

    python tests/benchmarks/bench_backends.py [--data FOLDER] [--threads N] [--only forward,ap]

"end to end" is crop, normalisation, network and decoding of people of a 640x480 picture, without flip test. Weights are
random: the speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from engine.errors import ModelError
from engine.inference.backends import RUNNERS, make_runner
from engine.inference.pose_estimator import PoseEstimator
from engine.models.catalog import find_model
from engine.models.metadata import CheckpointInfo
from engine.models.mmpose_weights import published_info
from engine.networks import build

ROWS = ("coco_res50_256x192", "wholebody_hrnetw32_256x192", "wholebody_hrnetw48_384x288")
BATCHES = (1, 8)
ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = Path(os.environ.get("POSEAPP_TEST_DATA", ROOT.parent / "shared")) / "data" / "coco-mini"


def median_seconds(call: Callable[[], object], least: float = 2.0) -> float:
    call()
    call()
    times: list[float] = []
    while sum(times) < least or len(times) < 5:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def forward_rows(folder: Path) -> list[str]:
    lines = []
    for row in ROWS:
        info = published_info(find_model(row))
        network = build(info.architecture, info.arguments).eval()
        width, height = info.input_size
        plain: dict[int, float] = {}
        for name in ("eager", *RUNNERS):
            cells = []
            for batch in BATCHES:
                crops = torch.randn(batch, 3, height, width)
                try:
                    run = network if name == "eager" else make_runner(name, network, info, folder / f"{row}.onnx")
                    with torch.inference_mode():
                        seconds = median_seconds(lambda run=run, crops=crops: run(crops))  # type: ignore[misc]
                except (ModelError, RuntimeError) as error:
                    cells.append(str(error)[:40])
                    continue
                plain.setdefault(batch, seconds)
                ratio = f" ({plain[batch] / seconds:.2f}x)"
                cells.append(
                    f"{seconds / batch * 1e3:.1f}{ratio} / {end_to_end(network, info, name, folder, row, batch):.1f}"
                )
            lines.append(f"| {row} | {name} | {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def end_to_end(network: torch.nn.Module, info: CheckpointInfo, name: str, folder: Path, row: str, batch: int) -> float:
    estimator = PoseEstimator(network, info)
    if name != "eager":
        estimator._run_network = make_runner(name, network, info, folder / f"{row}.onnx")
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    boxes = [[50 + 10 * i, 40, 250 + 10 * i, 440] for i in range(batch)]
    return median_seconds(lambda: estimator.predict([image], [boxes], batch=batch)) / batch * 1e3


def ap_rows(data: Path) -> list[str]:
    lines = []
    annotations = data / "person_keypoints.json"
    with tempfile.TemporaryDirectory() as temporary:
        out, figures = Path(temporary, "r.json"), Path(temporary, "m.json")
        for model in ("movenet_thunder", "movenet_lightning"):
            cells = []
            for name in RUNNERS:
                given = ["--annotations", annotations, "--boxes", "gt", "--model", model, "--backend", name]
                rest = ["--format", "results", "--out", out, "--progress", "none"]
                call("engine.predict", data / "images", *given, *rest)
                call("engine.evaluate", "--annotations", annotations, "--results", out, "--out", figures)
                cells.append(f"{json.loads(figures.read_text())['AP']:.4f}")
            lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def call(module: str, *arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="forward,ap")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if "forward" in options.only:
        with tempfile.TemporaryDirectory() as temporary:
            lines = forward_rows(Path(temporary))
        print(
            f"torch {torch.__version__}, {options.threads} threads; ms a person: forward (against eager) / end to end\n"
        )
        print("| network | backend | batch 1 | batch 8 |\n|---|---|---|---|")
        print("\n".join(lines))
    if "ap" in options.only:
        print(f"\nAP with given boxes on the 44 images of {options.data.name}\n")
        print(f"| model | {' | '.join(RUNNERS)} |\n|{'---|' * (len(RUNNERS) + 1)}")
        print("\n".join(ap_rows(options.data)))


if __name__ == "__main__":
    main()
