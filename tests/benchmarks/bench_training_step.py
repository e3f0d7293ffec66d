"""Speed of one step of a recipe's network, ResNet-50 at 256x192, without the making of its batch.

python tests/benchmarks/bench_training_step.py [--batch 16] [--steps 3] [--device cpu] [--compile]

Wall time is disturbed by other programs; processor time a thread is not, but counts what threads wait for each other.
"""

from __future__ import annotations

import argparse
import os
import time

from engine.utils.process import prepare_process

prepare_process()

import torch  # noqa: E402

from engine.inference.device import describe_device, pick_device  # noqa: E402
from engine.networks import build  # noqa: E402
from engine.train.batch_size import gib, step_memory  # noqa: E402
from engine.train.config import OptimizerConfig  # noqa: E402
from engine.train.losses import keypoint_mse  # noqa: E402
from engine.train.optimizer import build_optimizer  # noqa: E402

SIZE = (192, 256)
WAYS = (
    ("float32, channels first", torch.contiguous_format, torch.float32),
    ("float32", torch.channels_last, torch.float32),
    ("bf16", torch.channels_last, torch.bfloat16),
)


def measure(
    device: torch.device, batch: int, steps: int, layout: torch.memory_format, dtype: torch.dtype, compiled: bool
) -> tuple[float, float]:
    """Seconds of the quickest step, and of processor time a thread in it."""
    network = build("resnet_pose", {"depth": 50}).train().to(device, memory_format=layout)
    if compiled:
        network.compile()
    optimizer = build_optimizer(network.parameters(), OptimizerConfig(kind="adam", lr=1e-4, weight_decay=0))
    x = torch.randn(batch, 3, SIZE[1], SIZE[0], device=device).contiguous(memory_format=layout)
    target, weight = torch.rand(batch, 17, 64, 48, device=device), torch.ones(batch, 17, device=device)
    results = []
    for _ in range(steps + 1):
        started, used = time.perf_counter(), time.process_time()
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            maps = network(x)
        loss = keypoint_mse(maps.float(), target, weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        results.append((time.perf_counter() - started, (time.process_time() - used) / torch.get_num_threads()))
    return min(results[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    device = pick_device(options.device)
    need = step_memory(build("resnet_pose", {"depth": 50}), SIZE)
    print(f"{describe_device(device)}, load before {os.getloadavg()[0]:.1f}; about {gib(need.of(options.batch))}\n")
    print("| way | batch | step s | processor s a thread | images/s |\n|---|---|---|---|---|")
    for name, layout, dtype in WAYS:
        wall, used = measure(device, options.batch, options.steps, layout, dtype, options.compile)
        print(f"| {name} | {options.batch} | {wall:.2f} | {used:.2f} | {options.batch / wall:.1f} |", flush=True)


if __name__ == "__main__":
    main()
