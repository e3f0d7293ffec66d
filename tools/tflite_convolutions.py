"""The convolutions of a fully quantised TensorFlow Lite file, in the order in which the graph runs them.

Reads just the tables that this needs (FlatBuffers; field numbers after tensorflow/lite/schema/schema.fbs), so that
converting a model takes no packages besides those of the program.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
CONV_2D, DEPTHWISE_CONV_2D = 3, 4
INT32, INT8 = 2, 9  # TensorType


@dataclass(frozen=True)
class Convolution:
    """One convolution, as stored and as real numbers.

    Attributes:
        name: the file's name of the kernel.
        whole: int8 kernel (O, I / groups, kh, kw).
        scale: float32 (O,): the kernel is ``whole * scale``.
        bias: float32 (O,): the stored int32 times its scale (that of the input times that of the kernel).
    """

    name: str
    whole: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def weight(self) -> NDArray[np.float32]:
        return self.whole * self.scale[:, None, None, None]


def read_convolutions(path: Path) -> list[Convolution]:
    """All convolutions of the first graph.

    Raises:
        ValueError: another kind of file, or a convolution that is not int8 with a scale for each output channel.
    """
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise ValueError(f"{path}: not a TensorFlow Lite file")
    model = Table.root(data)
    graph = model.tables(2)[0]
    kinds = [max(code.scalar(0, "b"), code.scalar(3, "i")) for code in model.tables(1)]
    tensors, buffers = graph.tables(0), model.tables(4)
    found = []
    for operator in graph.tables(3):
        kind = kinds[operator.scalar(0, "I")]
        if kind in (CONV_2D, DEPTHWISE_CONV_2D):
            kernel, bias = (tensors[index] for index in operator.vector(1, "<i4")[1:3])
            found.append(_convolution(kernel, bias, buffers, depthwise=kind == DEPTHWISE_CONV_2D))
    return found


def _convolution(kernel: Table, bias: Table, buffers: list[Table], *, depthwise: bool) -> Convolution:
    name = kernel.text(3)
    if (kernel.scalar(1, "b"), bias.scalar(1, "b")) != (INT8, INT32):
        raise ValueError(f"{name}: not int8 with an int32 bias")
    whole = buffers[kernel.scalar(2, "I")].vector(0, "i1").reshape(kernel.vector(0, "<i4"))
    # Kernels are (O, kh, kw, I); those of depthwise convolutions (1, kh, kw, O).
    whole = whole.transpose(3, 0, 1, 2) if depthwise else whole.transpose(0, 3, 1, 2)
    scale, bias_scale = (_scale(tensor, len(whole)) for tensor in (kernel, bias))
    steps = np.frombuffer(buffers[bias.scalar(2, "I")].vector(0, "i1").tobytes(), "<i4")
    real = (steps.astype(np.float64) * bias_scale).astype(np.float32)
    return Convolution(name, np.ascontiguousarray(whole), scale, real)


def _scale(tensor: Table, channels: int) -> NDArray[np.float32]:
    quantisation = tensor.table(4)
    scale = quantisation.vector(2, "<f4")
    if len(scale) != channels or quantisation.vector(3, "<i8").any():
        raise ValueError(f"{tensor.text(3)}: not symmetric with one scale for each output channel")
    return scale.astype(np.float32)


class Table:
    """A FlatBuffers table: fields by number; a field that is absent reads as zero or as empty."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._fields = position - self._int(position)
        self._fields_end = struct.unpack_from("<H", data, self._fields)[0]

    @classmethod
    def root(cls, data: bytes) -> Table:
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def scalar(self, field: int, kind: str) -> int:
        """``kind``: a format character of ``struct``."""
        at = self._at(field)
        return struct.unpack_from(f"<{kind}", self._data, at)[0] if at else 0

    def table(self, field: int) -> Table:
        at = self._at(field)
        if not at:
            raise ValueError(f"field {field} is missing")
        return Table(self._data, at + self._int(at))

    def tables(self, field: int) -> list[Table]:
        start, count = self._vector(field)
        return [Table(self._data, at + self._int(at)) for at in range(start, start + 4 * count, 4)]

    def vector(self, field: int, kind: str) -> NDArray[np.generic]:
        """``kind``: a type string of NumPy."""
        start, count = self._vector(field)
        return np.frombuffer(self._data, kind, count, start)

    def text(self, field: int) -> str:
        return self.vector(field, "i1").tobytes().decode()

    def _at(self, field: int) -> int:
        entry = 4 + 2 * field
        offset = struct.unpack_from("<H", self._data, self._fields + entry)[0] if entry < self._fields_end else 0
        return self._position + offset if offset else 0

    def _vector(self, field: int) -> tuple[int, int]:
        at = self._at(field)
        if not at:
            return 0, 0
        at += self._int(at)
        return at + 4, self._int(at)

    def _int(self, at: int) -> int:
        return int(struct.unpack_from("<i", self._data, at)[0])
