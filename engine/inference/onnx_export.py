"""Networks as ONNX files: normalised crops in, heatmaps or keypoints out, any number of crops at once."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.codecs.registry import codec_from_dict
from engine.errors import ModelError
from engine.models.metadata import METADATA_KEY, CheckpointInfo
from engine.utils.files import replacing

OPSET = 20
INPUT = "crops"
HEATMAP = "heatmap"
KEYPOINTS, SCORES = "keypoints", "scores"
NEEDED = "needs the packages onnx and onnxscript: install poseapp with the extra 'fast'"


class _NamedOutputs(nn.Module):
    """The outputs of a network as a tuple in the order of ``names``."""

    def __init__(self, network: nn.Module, info: CheckpointInfo) -> None:
        super().__init__()
        self.network = network
        self.channels = slice(*info.conventions.get("channels", (None, None)))
        self.names: tuple[str, ...] = ()

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(crops)
        if isinstance(outputs, Tensor):
            self.names = (HEATMAP,)
            return (outputs[:, self.channels],)
        self.names = tuple(outputs)
        return tuple(outputs.values())


class _Decoded(nn.Module):
    """Keypoints in crop pixels (B, K, 2) and scores (B, K); and the visibility (B, K) where the network tells it."""

    def __init__(self, network: nn.Module, info: CheckpointInfo) -> None:
        super().__init__()
        self.inner = _NamedOutputs(network, info)
        self.codec = codec_from_dict(info.codec, info.input_size)
        self.names: tuple[str, ...] = ()

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        outputs = dict(zip_names(self.inner(crops), self.inner.names))
        visible = outputs.pop("visibility", None)
        points, scores = self.codec.decode(outputs if len(outputs) > 1 else outputs[HEATMAP])
        self.names = (KEYPOINTS, SCORES) if visible is None else (KEYPOINTS, SCORES, "visibility")
        return (points, scores) if visible is None else (points, scores, visible)


def zip_names(values: tuple[Tensor, ...], names: tuple[str, ...]) -> zip[tuple[str, Tensor]]:
    return zip(names, values, strict=True)


def write_onnx(network: nn.Module, info: CheckpointInfo, path: Path, *, decode: bool = False) -> tuple[str, ...]:
    """Write a pose network as an ONNX file with a free batch size; the old file stays until the new one is complete.

    Input ``crops`` (B, 3, H, W) float32, normalised; outputs those of the network, the one of a network with a single
    head being called ``heatmap``; with ``decode`` instead ``keypoints`` (B, K, 2) in crop pixels and ``scores`` (B, K).
    The model's description is kept in the file's metadata.

    Returns:
        The names of the outputs.

    Raises:
        ModelError: a package is missing, or the folder cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError:
        raise ModelError(f"writing ONNX files {NEEDED}", where=path) from None
    wrapped: _NamedOutputs | _Decoded = (_Decoded if decode else _NamedOutputs)(network.float().cpu().eval(), info)
    width, height = info.input_size
    # Two crops, because a batch of one would be taken for a constant.
    example = torch.zeros(2, 3, height, width)
    with torch.inference_mode(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        wrapped(example)
        program = torch.onnx.export(
            wrapped,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(wrapped.names),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps({**info.to_dict(), "decode": decode})
    onnx.checker.check_model(model)
    _write(path, model.SerializeToString())
    return wrapped.names


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o644) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ModelError(f"cannot be written ({error.strerror or error})", where=path) from None


class _quiet:
    """The exporter reports every step through logging; only its errors are of interest here."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)


def session(path: Path, threads: int) -> Any:
    """An onnxruntime session on the processor.

    Raises:
        ModelError: onnxruntime is missing, or does not take the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ModelError("running ONNX files needs onnxruntime: install poseapp with the extra 'fast'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base class of its errors
        raise ModelError(f"onnxruntime does not take it ({str(error).splitlines()[0][:160]})", where=path) from None


def compare(path: Path, network: nn.Module, info: CheckpointInfo, *, decode: bool) -> Mapping[str, float]:
    """Run a written file beside the network on noise, one crop and three; the largest difference of each output."""
    module = (_Decoded if decode else _NamedOutputs)(network.float().cpu().eval(), info)
    runtime = session(path, torch.get_num_threads())
    width, height = info.input_size
    found: dict[str, float] = {}
    generator = torch.Generator().manual_seed(0)
    for count in (1, 3):
        crops = torch.randn(count, 3, height, width, generator=generator)
        with torch.inference_mode():
            wanted = module(crops)
        for name, value, given in zip(module.names, wanted, runtime.run(None, {INPUT: crops.numpy()}), strict=True):
            found[name] = max(found.get(name, 0.0), float((torch.from_numpy(given) - value).abs().max()))
    return found
