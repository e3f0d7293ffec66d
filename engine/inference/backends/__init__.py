"""Ways to run a network on the CPU: torch, onnxruntime, OpenVINO; single precision or bfloat16.

"auto" measures those that are installed, once per network and machine, and remembers the fastest of those that give
the same keypoints (see :mod:`engine.inference.backends.autotune`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.codecs import Outputs
from engine.errors import ModelError
from engine.inference.backends.pytorch import bfloat16_runner, float32_runner
from engine.models.metadata import CheckpointInfo

__all__ = ["BACKENDS", "RUNNERS", "Runner", "RunnerName", "make_runner"]

BACKENDS = ("auto", "torch", "onnxruntime", "openvino")
RunnerName = str


@dataclass(frozen=True)
class Runner:
    """A network ready to run: normalized crops (B, 3, H, W) float32 -> the outputs of the network."""

    name: RunnerName
    forward: Callable[[Tensor], Outputs]

    def __call__(self, crops: Tensor) -> Outputs:
        return self.forward(crops)


def _onnxruntime(network: nn.Module, info: CheckpointInfo, file: Path) -> Callable[[Tensor], Outputs]:
    from engine.inference.backends.onnx import onnxruntime_runner

    return onnxruntime_runner(network, info, file)


def _openvino(network: nn.Module, info: CheckpointInfo, file: Path) -> Callable[[Tensor], Outputs]:
    from engine.inference.backends.onnx import openvino_runner

    return openvino_runner(network, info, file, "f32")


def _openvino_bf16(network: nn.Module, info: CheckpointInfo, file: Path) -> Callable[[Tensor], Outputs]:
    from engine.inference.backends.onnx import openvino_runner

    return openvino_runner(network, info, file, "bf16")


RUNNERS: Mapping[RunnerName, Callable[[nn.Module, CheckpointInfo, Path], Callable[[Tensor], Outputs]]] = {
    "torch": lambda network, _info, _file: float32_runner(network),
    "torch-bf16": lambda network, _info, _file: bfloat16_runner(network),
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "openvino-bf16": _openvino_bf16,
}
"""By name; the third argument is where the ONNX file of the network is kept."""


def make_runner(name: RunnerName, network: nn.Module, info: CheckpointInfo, onnx_file: Path) -> Runner:
    """Prepare a network to run.

    Raises:
        ModelError: unknown, not installed, or not able to run this network.
    """
    make = RUNNERS.get(name)
    if make is None:
        raise ModelError(f"there is no backend {name!r}; choose one of {', '.join(RUNNERS)}")
    with torch.inference_mode():
        return Runner(name, make(network, info, onnx_file))
