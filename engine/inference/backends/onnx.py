"""onnxruntime and OpenVINO on the CPU, from the ONNX file of a network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.codecs import Outputs
from engine.errors import ModelError
from engine.inference.onnx_export import INPUT, session, write_onnx
from engine.models.metadata import CheckpointInfo


def _named(names: Sequence[str], values: Sequence[Any]) -> Outputs:
    outputs = {name: torch.from_numpy(value) for name, value in zip(names, values, strict=True)}
    return outputs if len(outputs) > 1 else next(iter(outputs.values()))


def _onnx_file(network: nn.Module, info: CheckpointInfo, file: Path) -> Path:
    if not file.is_file():
        # All channels: a runner gives what the network gives.
        conventions = {name: value for name, value in info.conventions.items() if name != "channels"}
        write_onnx(network, info.replace(conventions=conventions), file)
    return file


def onnxruntime_runner(network: nn.Module, info: CheckpointInfo, file: Path) -> Callable[[Tensor], Outputs]:
    """Raises ModelError where onnxruntime is missing or does not take the file."""
    runtime = session(_onnx_file(network, info, file), torch.get_num_threads())
    names = [output.name for output in runtime.get_outputs()]

    def forward(crops: Tensor) -> Outputs:
        return _named(names, runtime.run(None, {INPUT: crops.contiguous().numpy()}))

    return forward


def openvino_runner(
    network: nn.Module, info: CheckpointInfo, file: Path, precision: str
) -> Callable[[Tensor], Outputs]:
    """Args: precision: "f32" or "bf16". Raises ModelError where OpenVINO is missing or does not take the file."""
    # Importing OpenVINO would start a thread that sends usage data; None makes the import of that part fail, and
    # OpenVINO works without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise ModelError("the backend 'openvino' needs the package openvino: install the extra 'fast'") from None
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    try:
        compiled = core.compile_model(core.read_model(str(_onnx_file(network, info, file))), "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO does not take it ({str(error).splitlines()[0][:160]})", where=file) from None
    names = [output.any_name for output in compiled.outputs]
    request = compiled.create_infer_request()

    def forward(crops: Tensor) -> Outputs:
        results = request.infer([crops.contiguous().numpy()], share_inputs=True)
        return _named(names, [results[output].copy() for output in compiled.outputs])

    return forward
