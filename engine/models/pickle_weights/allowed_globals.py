"""What the names in a foreign pickle stand for: inert records that check their arguments and keep them.

The records for names that are not torch's (:data:`STAND_INS`) are also what torch's unpickler gets in their place.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

# Bytes of a value by storage class, as torch names them.
STORAGE_ITEM_BYTES = {
    "FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip


class Refused(Exception):
    """The pickle asks for something weights do not need; the text names it."""


class Damaged(Exception):
    """The bytes are no pickle, or one that contradicts itself; the text says how."""


# --- what the names stand for ---------------------------------------------------------------------------------------


class HistoryBuffer:
    """In place of mmengine's class of logged values: takes its state and forgets it."""

    def __setstate__(self, state: object) -> None:
        pass


class ArrayClass:
    """In place of numpy.ndarray where it is named as a class: cannot be called."""

    def __init__(self) -> None:
        raise Refused("numpy.ndarray called directly")


class PickledDtype:
    """In place of numpy.dtype: keeps type code and byte order."""

    def __init__(self, code: object = None, align: object = False, copy: object = False) -> None:
        if isinstance(code, bytes):  # written by Python 2
            code = code.decode("latin-1")
        if not isinstance(code, str) or len(code) > 8:
            raise Refused(f"numpy.dtype of {type(code).__name__}")
        self.code = code
        self.order = ""

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        self.order = order if order in ("<", ">") else ""

    def resolve(self) -> np.dtype | None:
        """The number type, None for anything that is not a plain number (objects, structures, texts)."""
        if self.code[:1] not in ("f", "i", "u", "b") or not self.code[1:].isdigit():
            return None
        try:
            return np.dtype(self.order + self.code)
        except TypeError:
            return None


class PickledArray:
    """In place of numpy's arrays and scalars: shape, type and bytes as written."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.dtype: PickledDtype | None = None
        self.fortran = False
        self.data: object = b""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Damaged("a numpy array has a state of another form")
        _, shape, dtype, fortran, data = state
        if not _are_sizes(shape) or not isinstance(dtype, PickledDtype):
            raise Damaged("a numpy array has a state of another form")
        self.shape, self.dtype, self.fortran, self.data = shape, dtype, bool(fortran), data

    def values(self) -> Any:
        """Numbers as nested lists (or one number), None if this is not an array of plain numbers."""
        dtype = self.dtype.resolve() if self.dtype is not None else None
        if dtype is None or not isinstance(self.data, bytes):
            return None
        if len(self.data) != math.prod(self.shape) * dtype.itemsize:
            return None
        if not math.prod(self.shape):  # (10**9, 0) would be a billion empty lists
            return []
        flat = np.frombuffer(self.data, dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C").tolist()


def reconstruct(kind: object, shape: object, code: object) -> PickledArray:
    """In place of numpy's ``_reconstruct``."""
    if kind is not ArrayClass:
        raise Refused(f"numpy _reconstruct of {name_of(kind)}")
    return PickledArray()


def scalar(dtype: object, data: object = b"") -> PickledArray:
    """In place of numpy's ``scalar``."""
    if not isinstance(dtype, PickledDtype):
        raise Refused(f"numpy scalar of {name_of(dtype)}")
    value = PickledArray()
    value.dtype, value.data = dtype, data
    return value


def get_attribute(owner: object, name: object, *default: object) -> None:
    """In place of ``getattr``, which mmengine's history names for its own methods only. Nothing is looked up."""
    if owner is not HistoryBuffer or not isinstance(name, str) or name.startswith("_") or default:
        raise Refused(f"builtins.getattr({name_of(owner)}, {_text(name)})")


def encode(text: object, encoding: object = None) -> bytes:
    """In place of ``_codecs.encode``, by which old pickles spell bytes; no other codec is known."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", b"latin1"):
        raise Refused(f"_codecs.encode with codec {_text(encoding)}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Damaged("bytes are spelled wrongly") from None


def empty_bytes(*arguments: object) -> bytes:
    """In place of ``bytes``, by which old pickles spell none."""
    if arguments:
        raise Refused("builtins.bytes with arguments")
    return b""


# Under the names by which pickles know them (the first part of numpy's changed with version 2).
STAND_INS: dict[str, Any] = {
    "builtins.getattr": get_attribute,
    "builtins.bytes": empty_bytes,
    "mmengine.logging.history_buffer.HistoryBuffer": HistoryBuffer,
    "numpy.ndarray": ArrayClass,
    "numpy.dtype": PickledDtype,
    "numpy.core.multiarray._reconstruct": reconstruct,
    "numpy._core.multiarray._reconstruct": reconstruct,
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
}


@dataclass(frozen=True)
class StorageKind:
    """A storage class of torch: how many bytes one value has."""

    item_bytes: int


@dataclass(frozen=True)
class Storage:
    """Values that a file holds elsewhere, under ``key``.

    Attributes:
        numel: how many values a tensor may see.
        nbytes: size of the whole record.
    """

    key: str
    item_bytes: int
    numel: int
    nbytes: int


@dataclass(frozen=True)
class TensorRecord:
    """A tensor that fits into its storage."""

    size: tuple[int, ...]


def tensor_v2(storage: object, offset: object, size: object, stride: object, *rest: object) -> TensorRecord:
    """In place of torch's ``_rebuild_tensor_v2``: checks that the storage holds what the tensor shows.

    Raises:
        Damaged: it does not, or values are shown more than once (a small file could then fill the memory).
    """
    if not isinstance(storage, Storage) or not _are_sizes(size) or not _are_sizes(stride):
        raise Damaged("a tensor is described wrongly")
    if not isinstance(offset, int) or offset < 0 or len(size) != len(stride):
        raise Damaged("a tensor is described wrongly")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if count and (last >= storage.numel or count > storage.numel):
        raise Damaged(f"a tensor declares {max(count, last + 1):,} values, the file holds {storage.numel:,} for it")
    return TensorRecord(size)


def parameter(data: object, *rest: object) -> TensorRecord:
    """In place of torch's ``_rebuild_parameter``."""
    if not isinstance(data, TensorRecord):
        raise Refused(f"torch._utils._rebuild_parameter of {name_of(data)}")
    return data


def ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    """``OrderedDict()``, or of a list of pairs as Python 2 wrote it."""
    pairs = arguments[0] if len(arguments) == 1 else []
    if len(arguments) > 1 or not isinstance(pairs, list) or not all(type(p) is list and len(p) == 2 for p in pairs):
        raise Damaged("an OrderedDict is described wrongly")
    return OrderedDict((plain_key(key), value) for key, value in pairs)


def counter(*arguments: Any) -> Counter[Any]:
    """``Counter()`` or ``Counter({...})``."""
    if len(arguments) > 1 or not all(type(argument) is dict for argument in arguments):
        raise Damaged("a Counter is described wrongly")
    return Counter(*arguments)


NAMES: dict[str, Any] = {
    **STAND_INS,
    "_codecs.encode": encode,
    "collections.OrderedDict": ordered,
    "collections.Counter": counter,
    "torch._utils._rebuild_tensor": tensor_v2,
    "torch._utils._rebuild_tensor_v2": tensor_v2,
    "torch._utils._rebuild_parameter": parameter,
    **{f"torch.{name}": StorageKind(size) for name, size in STORAGE_ITEM_BYTES.items()},
}


def _are_sizes(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(type(n) is int and n >= 0 for n in value)


def name_of(value: object) -> str:
    for name, stand_in in NAMES.items():
        if stand_in is value:
            return name
    return type(value).__name__


def _text(value: object) -> str:
    # Only of texts: writing out tuples within tuples can take for ever.
    return repr(value[:40]) if isinstance(value, str) else type(value).__name__


def plain_key(value: object) -> Any:
    # Tuples within tuples can take for ever to hash.
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    raise Damaged(f"a map has a key of type {type(value).__name__}")
