"""Checkpoints: safetensors files that describe themselves (see ``engine.models.metadata``).

Files that others wrote as pickles (``.pth``) are read by ``engine.models.pickle_weights.reader``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.models.catalog import find_model
from engine.models.checkpoint_limits import check_bounds, check_points
from engine.models.metadata import (
    METADATA_KEY,
    CheckpointInfo,
    info_from_header,
    looks_like_pickle,
    read_header,
    read_info,
)
from engine.models.mmpose_weights import missing_weights, published_info
from engine.models.pickle_weights.reader import read_foreign
from engine.networks import build, find_network
from engine.utils.files import new_file_mode, open_regular, replacing

__all__ = [
    "CheckpointInfo",
    "load_checkpoint",
    "load_network",
    "load_state",
    "network_from",
    "read_info",
    "read_weights",
    "save_checkpoint",
]

Storage = Literal["float32", "float16", "int8"]
# A kernel stored as int8 has a float32 vector of this name beside it: weight[o] = int8[o] * scale[o].
INT8_SCALE = ".int8_scale"

# Prefixes that wrappers add to every name.
WRAPPER_PREFIXES = ("module.",)


def save_checkpoint(
    path: Path | str, state_dict: Mapping[str, Tensor], info: CheckpointInfo, *, storage: Storage = "float32"
) -> None:
    """Write weights and description to one file; the old file stays until the new one is complete.

    Args:
        storage: how convolution kernels are kept: "float32" exactly; "float16" at half the size; "int8" at a quarter,
            each output channel as integers up to 127 times a scale (exact for weights that were quantized like this).
            Biases, scales and normalization statistics stay as they are: rounding hurts most there and saves least.

    Raises:
        ModelError: the folder cannot be written.
    """
    path = Path(path)
    tensors: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        tensors |= _stored(name, tensor.detach().to("cpu"), storage)
    description = json.dumps(info.to_dict(), ensure_ascii=False, allow_nan=False)
    data = safetensors.torch.save(tensors, metadata={"format": "pt", METADATA_KEY: description})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, data)
    except OSError as error:
        raise ModelError(f"cannot be written ({error.strerror or error})", where=path) from None


def _stored(name: str, tensor: Tensor, storage: Storage) -> dict[str, Tensor]:
    # A copy: the format refuses tensors that share memory, and needs contiguous strides (not channels-last).
    tensor = tensor.clone(memory_format=torch.contiguous_format)
    if storage == "float32" or not tensor.is_floating_point() or tensor.dim() < 3:
        return {name: tensor}
    if storage == "float16":
        return {name: tensor.to(torch.float16)}
    largest = tensor.float().abs().flatten(1).amax(1)
    scale = torch.where(largest > 0, largest / 127, torch.ones_like(largest))
    whole = (tensor / scale.reshape(-1, *[1] * (tensor.dim() - 1))).round()
    return {name: whole.to(torch.int8), name + INT8_SCALE: scale}


def _write_atomically(path: Path, data: bytes) -> None:
    with replacing(path, mode=new_file_mode()) as temporary:
        temporary.write_bytes(data)


def load_checkpoint(path: Path | str) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """Read a checkpoint of this program: its description, and tensors on the CPU with floats as float32.

    Raises:
        ModelError: missing, cut short, foreign, or without a description.
    """
    path = Path(path)
    header = read_header(path)
    info = info_from_header(header, where=path)
    return info, _read_tensors(path)


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Named tensors of a weights file: safetensors (with or without description) or a PyTorch pickle, read safely.

    Wrapper prefixes (``module.``) are taken off; floats come as float32 on the CPU.

    Raises:
        ModelError: missing, damaged, or holding anything but tensors and plain data; names what was refused.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            start = file.read(8)
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror or error})", where=path) from None
    if looks_like_pickle(start):
        return read_foreign(path).state_dict
    read_header(path)
    return _without_wrapper(_read_tensors(path))


def load_network(
    id_or_path: Path | str, weights: Path | str | None = None, device: torch.device | str = "cpu"
) -> tuple[nn.Module, CheckpointInfo]:
    """Build the network of a catalog model or of a checkpoint file.

    Args:
        id_or_path: id (``python -m engine.zoo list``) or checkpoint file.
        weights: other weights for the same architecture: a checkpoint, plain safetensors or ``.pth``.
        device: where the network goes.

    Returns:
        The network in evaluation mode, channels-last, on ``device``; and its description.

    Raises:
        ModelError: nothing of that name, an unreadable file, or weights that do not fit; the first tensor is named.
    """
    entry = find_model(id_or_path)
    where = entry.file if weights is None else Path(weights)
    if where is None:
        raise missing_weights(entry)
    if entry.source == "published":
        info, state = published_info(entry), read_weights(where)
    elif weights is None:
        info, state = load_checkpoint(where)
    else:
        assert entry.file is not None
        info, state = read_info(entry.file), read_weights(where)
    if weights is not None:
        _check_same_architecture(info, where)
    check_bounds(info, where=where)
    network = network_from(info, state, where=where)
    channels = getattr(network, "num_keypoints", None)
    if isinstance(channels, int):
        check_points(info, channels, where=where)
    return network.to(device=device, memory_format=torch.channels_last), info


def network_from(info: CheckpointInfo, state: Mapping[str, Tensor], *, where: object = None) -> nn.Module:
    """Build the network that ``info`` describes around the tensors of ``state`` (which it takes over, not copies).

    Raises:
        ModelError: as :func:`load_state`.
    """
    facts = find_network(info.architecture, where=where)
    # On the meta device nothing is allocated or initialized, whatever size a foreign description asks for.
    with torch.device("cpu" if facts.needs_memory else "meta"):
        network = build(info.architecture, info.arguments, where=where)
    state = facts.own_names(state, network)
    _check_fits(network, state, where)
    network.load_state_dict(dict(state), strict=True, assign=True)
    return network.eval()


def load_state(network: nn.Module, state: Mapping[str, Tensor], *, where: object = None) -> None:
    """Copy weights into a network.

    Raises:
        ModelError: a tensor is missing, left over or of another shape; the first is named, the network is untouched.
    """
    _check_fits(network, state, where)
    network.load_state_dict(dict(state), strict=True)


def _check_fits(network: nn.Module, state: Mapping[str, Tensor], where: object) -> None:
    expected = network.state_dict()
    kind = type(network).__name__
    if not expected.keys() & state.keys():
        first = next(iter(state), "none")
        raise ModelError(f"is of another architecture: no tensor fits {kind} (its first is {first!r})", where=where)
    for name, tensor in expected.items():
        if name not in state:
            raise ModelError(f"does not fit {kind}: tensor {name!r} is missing", where=where)
        if state[name].shape != tensor.shape:
            shape, need = tuple(state[name].shape), tuple(tensor.shape)
            raise ModelError(f"does not fit {kind}: tensor {name!r} has shape {shape}, expected {need}", where=where)
    for name in state:
        if name not in expected:
            raise ModelError(f"does not fit {kind}: it has no tensor {name!r}", where=where)


def _check_same_architecture(info: CheckpointInfo, weights: Path) -> None:
    try:
        other = read_info(weights)
    except ModelError:
        return  # no description: the tensors themselves are compared
    if (other.architecture, other.arguments) != (info.architecture, info.arguments):
        raise ModelError(
            f"holds {other.architecture} {other.arguments}, the model is {info.architecture} {info.arguments}",
            where=weights,
        )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(f"cannot be read ({error})", where=path) from None
    state = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + INT8_SCALE)
        if tensor.dtype == torch.int8 and scale is not None:
            if scale.shape != tensor.shape[:1]:
                raise ModelError(f"tensor {name!r} and its scale do not belong together", where=path)
            state[name] = tensor.float() * scale.float().reshape(-1, *[1] * (tensor.dim() - 1))
        elif not name.endswith(INT8_SCALE):
            # Copies, so that no tensor keeps the file mapped: training replaces the file it was loaded from.
            state[name] = tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
    return state


def _without_wrapper(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in WRAPPER_PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name[len(prefix) :]: tensor for name, tensor in state.items()}
    return state
