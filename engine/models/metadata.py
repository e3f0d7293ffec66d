"""The description that a checkpoint holds, readable without torch.

A checkpoint is a safetensors file whose metadata holds, under the key ``poseapp``, the JSON of a
:class:`CheckpointInfo`. The reader here looks at the header only, trusts nothing in it, and never touches the tensors.

The safetensors layout: 8 bytes little-endian length N, N bytes of JSON (``{"name": {"dtype", "shape",
"data_offsets"}}`` and ``"__metadata__"``, a map of strings), then the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.utils.files import open_regular

FORMAT_VERSION = 1
METADATA_KEY = "poseapp"
TASKS = ("pose", "detector")

# A header of ours is a few hundred kilobytes; a length beyond this is a foreign or hostile file.
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_DIMENSIONS = 8
KEYS = {"normalization": "normalisation"}
"""Keys of a description that differ from the attributes of :class:`CheckpointInfo`: they are part of the format."""
ITEM_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


CONVENTIONS: dict[str, tuple[str, ...]] = {
    # "published": source positions rounded to 1/32 pixel, affines in single precision, as the published networks had
    # them; "exact": the processor's best.
    "pixels": ("exact", "published"),
    # "udp": the crop of unbiased data processing (``engine.geometry.udp_affine``).
    "crop": ("regular", "udp"),
    # "upstream": the flip map that published weights were trained with (``Schema.upstream_flip_indices``).
    "flip": ("schema", "upstream"),
}
"""Conventions with the values they take, the first being the default. Beside them ``channels``: [start, stop], the
range of the network's output channels that are the schema's keypoints; default all."""


@dataclass(frozen=True, eq=True)
class CheckpointInfo:
    """Everything needed to rebuild a network, prepare its input and decode its output.

    Maps hold JSON values: tuples become lists, numpy scalars numbers, numbers that are not finite null.

    Attributes:
        task: "pose" or "detector".
        architecture: name of a network (``engine.networks.networks``).
        arguments: keyword arguments of the architecture.
        schema: ``Schema.to_dict()`` of a pose network, else None.
        codec: ``{"name": ..., parameters}``; empty for detectors.
        input_size: width and height of the network's input, pixels.
        normalization: ``{"mean": [3], "std": [3]}`` of RGB in 0..255: the network's input is (value - mean) / std.
        box_padding: a crop is this much wider and higher than the box.
        conventions: how input and output of a network that was trained elsewhere differ, see :data:`CONVENTIONS`;
            empty for networks trained here.
        categories: names of the detector's classes ("" for slots without one), or the category of the pose.
        score_threshold: below it a detection is dropped, a keypoint is drawn faint.
        detector: what finds the boxes: the name of a file in the same folder, or an id of the catalog; None = nothing.
        metrics: measured figures by name.
        provenance: free record: training data, seed, versions, licence, origin.
        format_version: of this record; a newer one is refused.
        extra: entries that this version does not know; written back unchanged.
    """

    task: str
    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    codec: dict[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (256, 256)
    normalization: dict[str, list[float]] = field(default_factory=lambda: {"mean": [0.0] * 3, "std": [255.0] * 3})
    box_padding: float = 1.25
    conventions: dict[str, Any] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)
    score_threshold: float = 0.3
    detector: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _validate(self)
        # JSON's own types at once, so that what is written equals what will be read.
        for name in ("arguments", "schema", "codec", "normalization", "conventions", "metrics", "provenance", "extra"):
            object.__setattr__(self, name, _json_value(getattr(self, name)))

    def replace(self, **changes: Any) -> CheckpointInfo:
        """A copy with some attributes changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        known = {KEYS.get(f.name, f.name): getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        return {**self.extra, **known, "input_size": list(self.input_size), "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: object = None) -> CheckpointInfo:
        """The inverse of :meth:`to_dict`; unknown entries are kept in ``extra``.

        Raises:
            ModelError: written by a newer version, an entry missing or of the wrong kind.
        """
        if not isinstance(data, Mapping):
            raise ModelError("the model description is not a JSON object", where=where)
        version = data.get("format_version", FORMAT_VERSION)
        if not _is_int(version) or version < 1:
            raise ModelError(f"model description: format_version is {version!r}, not a number from 1", where=where)
        if version > FORMAT_VERSION:
            raise ModelError(
                f"was made by a newer version (format {version}, this one reads {FORMAT_VERSION}); update the program",
                where=where,
            )
        names = {KEYS.get(f.name, f.name): f.name for f in fields(cls) if f.name != "extra"}
        for name in ("task", "architecture", "input_size"):
            if name not in data:
                raise ModelError(f"model description: {name!r} is missing", where=where)
        known = {names[key]: value for key, value in data.items() if key in names}
        if isinstance(known["input_size"], list):
            known["input_size"] = tuple(known["input_size"])
        try:
            return cls(**known, extra={key: value for key, value in data.items() if key not in names})
        except ModelError as error:
            raise ModelError(error.message, where=where) from None


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as the header describes it."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """A checked safetensors header."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def read_info(path: Path | str) -> CheckpointInfo:
    """The description of a checkpoint, from its header alone.

    Raises:
        ModelError: missing, cut short, not a safetensors file, without a description, or made by a newer version.
    """
    return info_from_header(read_header(path), where=path)


def info_from_header(header: Header, *, where: object = None) -> CheckpointInfo:
    """The description in a header.

    Raises:
        ModelError: there is none, or it is not valid.
    """
    text = header.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            "holds tensors but no model description; give it as --weights together with the --model it belongs to",
            where=where,
        )
    return CheckpointInfo.from_dict(_parse_json(text, "the model description", where), where=where)


def read_header(path: Path | str) -> Header:
    """Read and check the header of a safetensors file.

    Raises:
        ModelError: missing file, foreign format, or a header that contradicts itself or the file's length.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            total = file.seek(0, 2)
            file.seek(0)
            start = file.read(8)
            length = _header_length(start, total, path)
            text = file.read(length)
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror or error})", where=path) from None
    if len(text) != length:
        raise ModelError("is cut short inside its header; copy or download it again", where=path)
    try:
        parsed = _parse_json(text.decode("utf-8"), "the header", path)
    except UnicodeDecodeError:
        raise ModelError("is not a safetensors file (its header is not UTF-8)", where=path) from None
    if not isinstance(parsed, dict):
        raise ModelError("is not a safetensors file (its header is not a JSON object)", where=path)
    return _checked_header(parsed, total - 8 - length, path)


def looks_like_pickle(start: bytes) -> bool:
    """Whether a file with these first 8 bytes is a PyTorch pickle, zipped or not.

    A safetensors length may happen to begin with the same bytes, but then it is a small number.
    """
    is_marked = start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"
    return is_marked and int.from_bytes(start[:8], "little") > MAX_HEADER_BYTES


def _header_length(start: bytes, total: int, path: Path) -> int:
    if looks_like_pickle(start):
        raise ModelError("is a PyTorch pickle file, not a safetensors file; give it as --weights", where=path)
    if len(start) < 8:
        raise ModelError("is not a safetensors file (it has fewer than 8 bytes)", where=path)
    length: int = struct.unpack("<Q", start)[0]
    if length > MAX_HEADER_BYTES:
        raise ModelError(f"is not a safetensors file (a header of {length} bytes is announced)", where=path)
    if length < 2:
        raise ModelError("is not a safetensors file (it has no header)", where=path)
    if 8 + length > total:
        raise ModelError("is cut short inside its header; copy or download it again", where=path)
    return length


def _checked_header(parsed: dict[str, Any], available: int, path: Path) -> Header:
    metadata = parsed.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelError("safetensors header: metadata is not a map of strings", where=path)
    tensors = {}
    spans = []
    for name, entry in parsed.items():
        tensors[name], span = _tensor_entry(name, entry, path)
        spans.append((*span, name))
    end = 0
    for begin, stop, name in sorted(spans):
        if begin != end:
            raise ModelError(f"safetensors header: tensor {name!r} overlaps another or leaves a gap", where=path)
        end = stop
    if end > available:
        raise ModelError(f"is cut short: {available} of {end} bytes of weights; copy or download it again", where=path)
    if end < available:
        raise ModelError(f"has {available - end} bytes after its last tensor; it is damaged", where=path)
    return Header(tensors, metadata)


def _tensor_entry(name: str, entry: Any, path: Path) -> tuple[TensorEntry, tuple[int, int]]:
    def wrong(what: str) -> ModelError:
        return ModelError(f"safetensors header: tensor {name!r}: {what}", where=path)

    if not isinstance(entry, dict):
        raise wrong("no description")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise wrong(f"unknown number type {dtype!r}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(_is_int(n) and n >= 0 for n in shape):
        raise wrong("its shape is not a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_int(n) and n >= 0 for n in offsets):
        raise wrong("its data_offsets are not two positions")
    if offsets[1] - offsets[0] != math.prod(shape) * ITEM_SIZES[dtype]:
        raise wrong(f"{offsets[1] - offsets[0]} bytes do not hold {dtype} of shape {shape}")
    return TensorEntry(dtype, tuple(shape)), (offsets[0], offsets[1])


def _parse_json(text: str, what: str, where: object) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ModelError(f"{what} names an entry twice", where=where)
        return entries

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ModelError(f"{what} is not valid JSON ({reason})", where=where) from None


def _validate(info: CheckpointInfo) -> None:
    """Check the type of every attribute; the errors name the entry."""

    def need(good: bool, name: str, what: str) -> None:
        if not good:
            raise ModelError(
                f"model description: {KEYS.get(name, name)!r} must be {what}, not {getattr(info, name)!r:.80}"
            )

    need(info.task in TASKS, "task", f"one of {', '.join(TASKS)}")
    need(_is_name(info.architecture), "architecture", "a name")
    for name in ("arguments", "codec", "metrics", "provenance", "extra"):
        value = getattr(info, name)
        need(isinstance(value, dict) and all(isinstance(key, str) for key in value), name, "a map")
    need(info.schema is None or _is_schema(info.schema), "schema", "null or a schema with keypoints")
    need(not info.codec or isinstance(info.codec.get("name"), str), "codec", "a map with a name")
    size = info.input_size
    need(isinstance(size, tuple) and len(size) == 2 and all(_is_int(n) and 0 < n <= 16384 for n in size),
         "input_size", "[width, height]")  # fmt: skip
    need(_is_normalization(info.normalization), "normalization", "mean and std of three numbers, std above 0")
    need(_is_number(info.box_padding) and info.box_padding > 0, "box_padding", "a number above 0")
    need(_are_conventions(info.conventions), "conventions", "a map of those that this version knows")
    need(isinstance(info.categories, list) and all(isinstance(c, str) for c in info.categories),
         "categories", "a list of names")  # fmt: skip
    need(_is_number(info.score_threshold), "score_threshold", "a number")
    need(info.detector is None or _is_name(info.detector), "detector", "null or a name")
    need(_is_int(info.format_version), "format_version", "a whole number")
    if info.task == "pose":
        need(info.schema is not None, "schema", "there for a pose network")
        need(bool(info.codec), "codec", "there for a pose network")


def _is_schema(schema: Any) -> bool:
    return (
        isinstance(schema, dict)
        and isinstance(schema.get("name"), str)
        and isinstance(schema.get("keypoints"), list | tuple)
        and len(schema["keypoints"]) > 0
    )


def _are_conventions(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    for name, chosen in value.items():
        if name == "channels":
            is_range = isinstance(chosen, list | tuple) and len(chosen) == 2 and all(_is_int(n) for n in chosen)
            if not is_range or not 0 <= chosen[0] < chosen[1]:
                return False
        elif chosen not in CONVENTIONS.get(name, ()):
            return False
    return True


def _is_normalization(value: Any) -> bool:
    if not isinstance(value, dict) or not {"mean", "std"} <= set(value):
        return False
    triples = (value["mean"], value["std"])
    if not all(isinstance(t, list | tuple) and len(t) == 3 and all(_is_number(v) for v in t) for t in triples):
        return False
    return all(v > 0 for v in value["std"])


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()  # metrics come as numpy scalars
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
