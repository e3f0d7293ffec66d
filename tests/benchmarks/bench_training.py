"""Speed of a training step: batch preparation, and the step itself.

python tests/benchmarks/bench_training.py [--device auto] [--steps 20]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from engine.train.config import AugmentConfig, OptimizerConfig, TaskConfig
from engine.utils.process import prepare_process

prepare_process()

import torch  # noqa: E402

from engine.inference.device import describe_device, pick_device  # noqa: E402
from engine.train.data.pose_crops import ImageCache  # noqa: E402
from engine.train.data.sampler import epoch_batches  # noqa: E402
from engine.train.data.training_set import TrainingSet, read_training_set  # noqa: E402
from engine.train.initial_weights import initial_detector, initial_pose_network  # noqa: E402
from engine.train.optimizer import build_optimizer  # noqa: E402
from engine.train.tasks.detector import DetectorTask  # noqa: E402
from engine.train.tasks.pose import PoseTask  # noqa: E402
from engine.train.tasks.task import Phase  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.engine.train.conftest import write_bars  # noqa: E402

WARM_UP = 3


def phase_of(name: str, data: TrainingSet, batch: int, out: Path) -> Phase:
    config = TaskConfig(batch=batch, optimizer=OptimizerConfig(lr=1e-3), augment=AugmentConfig(rotation=180))
    if name == "efficientdet_lite0":
        return DetectorTask(*initial_detector(name, data.categories), config, data, None, 1 << 28, out)
    return PoseTask(*initial_pose_network(name, "", data.schema), config, data, None, ImageCache(1 << 28), out)


def measure(phase: Phase, device: torch.device, steps: int) -> tuple[float, float]:
    """Seconds to prepare a batch and seconds to learn from it."""
    network = phase.network.to(device).train()
    optimizer = build_optimizer(network.parameters(), phase.config.optimizer)
    preparing = learning = 0.0
    for value, items in enumerate(epoch_batches(phase.train_count, steps + WARM_UP, phase.config.batch, 0, 0)):
        started = time.perf_counter()
        batch = phase.collate([phase.sample(index, rng) for index, rng in items])
        prepared = time.perf_counter()
        loss = phase.loss({name: tensor.to(device) for name, tensor in batch.tensors.items()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if value >= WARM_UP:
            preparing += prepared - started
            learning += time.perf_counter() - prepared
    return preparing / steps, learning / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    device = pick_device(options.device)
    print(f"{describe_device(device)}, load before {os.getloadavg()[0]:.1f}\n")
    print("| network | batch | prepare ms | step ms | images/s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data = read_training_set(write_bars(Path(folder), 24))
        for name, batch in (("movenet_lightning", 16), ("movenet_thunder", 16), ("efficientdet_lite0", 8)):
            preparing, learning = measure(phase_of(name, data, batch, Path(folder)), device, options.steps)
            rate = batch / (preparing + learning)
            print(f"| {name} | {batch} | {1000 * preparing:.0f} | {1000 * learning:.0f} | {rate:.1f} |", flush=True)


if __name__ == "__main__":
    main()
