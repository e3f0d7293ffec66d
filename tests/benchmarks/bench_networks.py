"""Loading and forward times: ``python tests/benchmarks/bench_networks.py [--threads 2] [--device cpu]``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from engine.models.checkpoint import load_network
from engine.networks import build

EMBEDDED = {"movenet_lightning": 192, "movenet_thunder": 256, "efficientdet_lite0": 320}
BATCHES = (1, 8)


def milliseconds(run: Callable[[], object], device: str, repeats: int = 9) -> float:
    """Median of several runs after two to warm up."""

    def once() -> float:
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1000

    once(), once()
    return sorted(once() for _ in range(repeats))[repeats // 2]


def forward_times(network: nn.Module, shape: tuple[int, int], device: str) -> list[str]:
    cells = []
    for batch in BATCHES:
        for memory_format in (torch.contiguous_format, torch.channels_last):
            network.to(memory_format=memory_format)
            x = torch.randn(batch, 3, *shape, device=device).contiguous(memory_format=memory_format)
            with torch.inference_mode():
                cells.append(f"{milliseconds(lambda x=x: network(x), device):.1f}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.device}; milliseconds\n")
    print("| network | load | b 1 | b 1 channels-last | b 8 | b 8 channels-last |\n|---|---|---|---|---|---|")
    for name, size in EMBEDDED.items():
        load = milliseconds(lambda name=name: load_network(name, device=options.device), options.device)
        network, _ = load_network(name, device=options.device)
        print(f"| {name} | {load:.0f} | {' | '.join(forward_times(network, (size, size), options.device))} |")
    network = build("resnet_pose", {"depth": 50}).eval().to(options.device)
    print(f"| resnet_pose 50, 256x192 | - | {' | '.join(forward_times(network, (256, 192), options.device))} |")


if __name__ == "__main__":
    main()
