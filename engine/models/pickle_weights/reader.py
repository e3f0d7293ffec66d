"""Safe reading of PyTorch weights files (``.pth``): MMPose 0.x and 1.x, training checkpoints and published ones, plain.

Such a file is a pickle with raw tensors, in a zip archive or in the older format without one. It is read in three
steps, each of which trusts nothing: the container (sizes against the file's length), a dry run of the pickle
(:mod:`engine.models.pickle_weights.interpreter`), and ``torch.load(weights_only=True)`` with inert stand-ins under the
few names that training files hold beside tensors. The stand-ins are known to torch only while one file is read.
Neither mmengine nor MMPose is needed.
"""

from __future__ import annotations

import math
import mmap
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import torch
from torch import Tensor

from engine.errors import ModelError
from engine.models.pickle_weights.allowed_globals import STAND_INS, Damaged, PickledArray, Refused
from engine.models.pickle_weights.interpreter import PICKLE_PROTOCOL, Machine
from engine.utils.files import open_regular

__all__ = ["ForeignCheckpoint", "read_foreign"]

Layout = Literal["0.x", "1.x", "plain"]

# Names under which a published checkpoint may hold its tensors.
STATE_KEYS = ("state_dict", "model", "model_state_dict", "net")
# What wrappers put before every name, and tensors that belong to the data's side and are no weights.
WRAPPER_PREFIX = "module."
DROPPED_PREFIX = "data_preprocessor."

ZIP_START = b"PK\x03\x04"
# The older format: pickles of a magic number, a version, facts on the machine, the content, the storages' keys; then
# for each key 8 bytes (how many values) and the values.
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
LEGACY_VERSION = 1001
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., length of the name, length of the extra field

MAX_ENTRIES = 100_000
MAX_PICKLE_BYTES = 512 * 2**20  # half a million iterations of training history are some 100 MB
# Tensors may share values, but not so often that a small file fills the memory.
MAX_GROWTH = 8
MAX_META_VALUES = 1_000_000
MAX_META_DEPTH = 50


@dataclass(frozen=True)
class ForeignCheckpoint:
    """The content of a weights file.

    Attributes:
        state_dict: tensors by the names they have in the file, without the wrapper prefix ``module.`` and without
            ``data_preprocessor.*``; on the CPU, floats as float32, each with memory of its own.
        meta: the file's description, plain values only (texts, numbers, lists, maps; arrays as nested lists):
            ``epoch``, ``cfg``, ``dataset_meta``, ... as far as it has them.
        layout: "0.x" (head under ``keypoint_head.``), "1.x" (``head.`` and a description by mmengine) or "plain".
    """

    state_dict: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)
    layout: Layout = "plain"


def read_foreign(path: Path | str) -> ForeignCheckpoint:
    """Read a PyTorch weights file without running anything in it.

    Raises:
        ModelError: missing, cut short, not such a file, contradictory sizes, or a pickle that asks for anything but
            tensors and plain data; the message names what it asked for.
    """
    path = Path(path)
    try:
        content = _read(path)
    except Refused as refusal:
        raise ModelError(
            f"asks for {refusal}, which weights do not need, and was refused; get the weights as safetensors",
            where=path,
        ) from None
    except Damaged as damage:
        raise ModelError(str(damage), where=path) from None
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror or error})", where=path) from None
    state = _state_of(content, path)
    wrapper = content.get("meta")
    meta = _plain_map(wrapper, path) if isinstance(wrapper, Mapping) else {}
    return ForeignCheckpoint(state, meta, _layout_of(state, meta))


def _read(path: Path) -> Any:
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(len(LEGACY_START))
        file.seek(0)
        if start.startswith(ZIP_START):
            machine = _check_zip(file, size)
        elif start == LEGACY_START:
            machine = _check_legacy(file, size)
        else:
            raise _other_kind(file, start)
    if machine.protocol != PICKLE_PROTOCOL:
        raise Damaged(f"has pickle protocol {machine.protocol}; save it with torch.save's own (2)")
    return _load(path, mapped=start.startswith(ZIP_START))


def _other_kind(file: IO[bytes], start: bytes) -> Exception:
    if LEGACY_START.startswith(start) or ZIP_START.startswith(start):
        return Damaged("is cut short; download it again")
    if start[:1] == b"\x80":
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                Machine().run(data)
        except Refused as refusal:
            return refusal
        except Damaged:
            pass
        return Damaged("is a pickle, but not a PyTorch weights file")
    return Damaged("is not a PyTorch weights file")


# --- the two containers ---------------------------------------------------------------------------------------------


def _check_zip(file: IO[bytes], size: int) -> Machine:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _checked_entries(archive, size)
            name = next((name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1), None)
            if name is None:
                raise Damaged("is a zip archive, but not a PyTorch weights file (no data.pkl)")
            folder = name.removesuffix("data.pkl")
            if folder + "constants.pkl" in entries:
                raise Refused("code to run (a TorchScript program)")
            if entries[name].file_size > MAX_PICKLE_BYTES:
                raise Damaged(f"its data.pkl has {entries[name].file_size:,} bytes, more than weights need")
            machine = Machine()
            with archive.open(name) as stream:
                machine.run(stream)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OverflowError, RuntimeError) as error:
        raise Damaged(f"is cut short or damaged ({error}); download it again") from None
    for storage in machine.storages.values():
        entry = entries.get(f"{folder}data/{storage.key}")
        if entry is None:
            raise Damaged(f"lacks the values of storage {storage.key[:40]!r}")
        if entry.file_size != storage.nbytes:
            raise Damaged(
                f"storage {storage.key[:40]!r} declares {storage.nbytes:,} bytes, the file holds {entry.file_size:,}"
            )
        _check_local_header(file, entry, size)
    return machine


def _checked_entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    entries = {entry.filename: entry for entry in infos}
    if len(infos) > MAX_ENTRIES or len(entries) != len(infos) or archive.comment:
        raise Damaged("is a zip archive that PyTorch did not write")
    packed = next((e for e in infos if e.compress_type != zipfile.ZIP_STORED or e.file_size != e.compress_size), None)
    if packed is not None:
        raise Damaged(
            f"its entry {packed.filename[:60]!r} is compressed ({packed.compress_size:,} bytes to "
            f"{packed.file_size:,}), which PyTorch never does; refused unread"
        )
    total = sum(entry.file_size for entry in infos)
    if total > size:
        raise Damaged(f"declares {total:,} bytes of content in a file of {size:,} bytes; refused unread")
    return entries


def _check_local_header(file: IO[bytes], entry: zipfile.ZipInfo, size: int) -> None:
    # Torch maps the values at the place that the entry's own header gives; the list at the file's end may differ.
    file.seek(entry.header_offset)
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(ZIP_START):
        raise Damaged(f"its entry {entry.filename[:60]!r} is damaged; download it again")
    _, name, extra = LOCAL_HEADER.unpack(header)
    if entry.header_offset + LOCAL_HEADER.size + name + extra + entry.file_size > size:
        raise Damaged(f"its entry {entry.filename[:60]!r} is cut short; download it again")


def _check_legacy(file: IO[bytes], size: int) -> Machine:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        Machine().run(data)
        version, system = (Machine().run(data) for _ in range(2))
        if version != LEGACY_VERSION or not isinstance(system, dict) or system.get("little_endian") is not True:
            raise Damaged("was written by a version or on a machine that cannot be read here")
        machine = Machine(legacy=True)
        start = data.tell()
        machine.run(data)
        if data.tell() - start > MAX_PICKLE_BYTES:
            raise Damaged("its pickle is longer than weights need")
        keys = Machine().run(data)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise Damaged("its list of storages is damaged")
        if len(set(keys)) != len(keys) or set(keys) != machine.storages.keys():
            raise Damaged("its list of storages does not belong to its tensors")
        offset = data.tell()
        for key in keys:
            storage = machine.storages[key]
            count = int.from_bytes(data[offset : offset + 8], "little", signed=True)
            offset += 8 + storage.nbytes
            if offset > size:
                raise Damaged(
                    f"is cut short: it has {size:,} bytes and declares at least {offset:,}; download it again"
                )
            if count != storage.numel:
                raise Damaged(f"storage {key[:40]!r} declares {storage.numel:,} values, the file holds {count:,}")
    return machine


def _load(path: Path, *, mapped: bool) -> Any:
    allowed = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    # Types of objects that are given a state must be known too; the dry run refuses pickles that name this one.
    allowed.append((PickledArray, f"{PickledArray.__module__}.{PickledArray.__qualname__}"))
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on old storage classes; what cannot be read is an error anyway
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped, encoding="latin1")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
            AssertionError, MemoryError, OverflowError) as error:  # fmt: skip
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise Damaged(f"is not a PyTorch weights file, or is damaged ({reason})") from None


# --- what it holds --------------------------------------------------------------------------------------------------


def _state_of(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in STATE_KEYS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ModelError("holds no named tensors", where=path)
    state: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise ModelError(f"a tensor is named by {type(name).__name__}, not by a text", where=path)
        if not isinstance(value, Tensor):
            raise ModelError(f"entry {name[:60]!r} is not a tensor", where=path)
        state[name] = value
    total = 4 * sum(tensor.numel() for tensor in state.values())
    if total > MAX_GROWTH * path.stat().st_size:
        raise ModelError(f"shows the same values again and again ({total:,} bytes); refused", where=path)
    if all(name.startswith(WRAPPER_PREFIX) for name in state):
        state = {name.removeprefix(WRAPPER_PREFIX): tensor for name, tensor in state.items()}
    return {name: _own(tensor) for name, tensor in state.items() if not name.startswith(DROPPED_PREFIX)}


def _own(tensor: Tensor) -> Tensor:
    # A copy, so that nothing keeps the file mapped or shares memory with another tensor.
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(kind, copy=True, memory_format=torch.contiguous_format)


def _layout_of(state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Layout:
    if any(name.startswith("keypoint_head.") for name in state):
        return "0.x"
    if "mmengine_version" in meta or "dataset_meta" in meta:
        return "1.x"
    roots = {name.partition(".")[0] for name in state}
    return "1.x" if roots == {"backbone", "head"} else "plain"


def _plain_map(values: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    budget = [MAX_META_VALUES]
    try:
        return {str(key): _plain_value(value, budget, 0) for key, value in values.items() if not _is_inert(value)}
    except Damaged as damage:
        raise ModelError(str(damage), where=path) from None


def _is_inert(value: Any) -> bool:
    return not (value is None or isinstance(value, (str, int, float, list, tuple, Mapping, PickledArray)))


def _plain_value(value: Any, budget: list[int], depth: int) -> Any:
    """``value`` reduced to texts, numbers, lists and maps; everything else is left out."""
    budget[0] -= math.prod(value.shape) if isinstance(value, PickledArray) else 1
    if budget[0] < 0 or depth > MAX_META_DEPTH:
        raise Damaged("its description (meta) is larger than any recipe")
    if isinstance(value, PickledArray):
        return value.values()
    if isinstance(value, Mapping):
        items = [(key, item) for key, item in value.items() if isinstance(key, (str, int)) and not _is_inert(item)]
        return {key: _plain_value(item, budget, depth + 1) for key, item in items}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain_value(item, budget, depth + 1) for item in value if not _is_inert(item))
    return value
