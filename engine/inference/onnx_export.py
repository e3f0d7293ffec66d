"""Pose networks as ONNX files: normalized crops in, the network's outputs or keypoints out, any batch size."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.codecs import VISIBILITY, codec_from_dict
from engine.errors import ModelError
from engine.models.metadata import METADATA_KEY, CheckpointInfo
from engine.utils.files import replacing

OPSET = 20
INPUT = "crops"
KEYPOINTS, SCORES = "keypoints", "scores"
NEEDS_PACKAGES = "needs the packages onnx and onnxscript: install poseapp with the extra 'fast'"


class _Exported(nn.Module):
    """A network whose outputs are a tuple of tensors, with the names that they have in the file.

    Args:
        decode: decode the outputs to keypoints in crop pixels (B, K, 2) and scores (B, K).
    """

    def __init__(self, network: nn.Module, info: CheckpointInfo, decode: bool) -> None:
        super().__init__()
        self.network = network
        self.codec = codec_from_dict(info.codec, info.input_size)
        self.channels = slice(*info.conventions.get("channels", (None, None)))
        self.decode = decode
        self.names: tuple[str, ...] = ()
        """Set by ``forward``."""

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        outputs, visibility = self.codec.split(self.network(crops), self.channels)
        if self.decode:
            named = dict(zip((KEYPOINTS, SCORES), self.codec.decode(outputs), strict=True))
        else:
            named = {self.codec.output_names[0]: outputs} if isinstance(outputs, Tensor) else dict(outputs)
        if visibility is not None:
            named[VISIBILITY] = visibility
        self.names = tuple(named)
        return tuple(named.values())


def write_onnx(network: nn.Module, info: CheckpointInfo, path: Path, *, decode: bool = False) -> tuple[str, ...]:
    """Write a pose network as an ONNX file with a free batch size; the old file stays until the new one is complete.

    Input ``crops`` (B, 3, H, W) float32, normalized. Outputs are those of the network under the names of its codec
    (``Codec.output_names``), such as "heatmap"; with ``decode`` instead ``keypoints`` (B, K, 2) in crop pixels and
    ``scores`` (B, K). The model's description is kept in the file's metadata.

    Returns:
        The names of the outputs.

    Raises:
        ModelError: a package is missing, or the folder cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError:
        raise ModelError(f"writing ONNX files {NEEDS_PACKAGES}", where=path) from None
    wrapped = _Exported(network.float().cpu().eval(), info, decode)
    width, height = info.input_size
    # Two crops: the exporter would take a batch size of one for a constant.
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
    """Silence the exporter, which logs every step, except for errors."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)


def session(path: Path, threads: int) -> Any:
    """An onnxruntime session on the CPU.

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
    """The largest difference of each output between a written file and the network, on one and three crops of noise."""
    module = _Exported(network.float().cpu().eval(), info, decode)
    runtime = session(path, torch.get_num_threads())
    width, height = info.input_size
    differences: dict[str, float] = {}
    generator = torch.Generator().manual_seed(0)
    for count in (1, 3):
        crops = torch.randn(count, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected = module(crops)
        for name, value, actual in zip(module.names, expected, runtime.run(None, {INPUT: crops.numpy()}), strict=True):
            difference = float((torch.from_numpy(actual) - value).abs().max())
            differences[name] = max(differences.get(name, 0.0), difference)
    return differences
