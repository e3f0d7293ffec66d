"""Codecs by name: keypoints -> training targets, network outputs -> keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from engine.codecs.base import Codec, Outputs
from engine.codecs.center_offset import CentreOffsetCodec
from engine.codecs.gaussian import GaussianCodec
from engine.codecs.msra import MSRACodec
from engine.codecs.udp import UDPCodec
from engine.errors import ModelError

__all__ = [
    "CODECS",
    "CentreOffsetCodec",
    "Codec",
    "GaussianCodec",
    "MSRACodec",
    "Outputs",
    "UDPCodec",
    "codec_from_dict",
]

KINDS: tuple[type[Codec], ...] = (CentreOffsetCodec, GaussianCodec, MSRACodec, UDPCodec)
CODECS: dict[str, type[Codec]] = {codec.name: codec for codec in KINDS}


def codec_from_dict(data: Mapping[str, Any], input_size: tuple[int, int], *, where: object = None) -> Codec:
    """The codec that a checkpoint names; the inverse of ``Codec.to_dict``.

    Args:
        data: ``{"name": ..., parameters}``; parameters left out have their defaults.
        input_size: width and height of the network's input.

    Raises:
        ModelError: unknown name, unknown parameter, or a value of the wrong kind.
    """
    kind = CODECS.get(str(data.get("name")))
    if kind is None:
        raise ModelError(f"unknown codec {data.get('name')!r}; this version has {', '.join(CODECS)}", where=where)
    defaults = {field.name: field.default for field in fields(kind) if field.name != "input_size"}
    values = {key: value for key, value in data.items() if key != "name"}
    for key, value in values.items():
        if key not in defaults:
            raise ModelError(f"codec {kind.name!r} has no parameter {key!r}", where=where)
        values[key] = _as_kind_of(defaults[key], value, f"codec {kind.name!r}: {key}", where)
    try:
        return kind(input_size=(int(input_size[0]), int(input_size[1])), **values)
    except ModelError as error:
        raise ModelError(error.message, where=where) from None


def _as_kind_of(default: Any, value: Any, what: str, where: object) -> Any:
    wanted = type(default)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ModelError(f"{what} must be a {wanted.__name__}, not {value!r}", where=where)
    return value
