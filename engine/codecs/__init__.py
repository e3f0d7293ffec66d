"""Keypoints -> training targets, network outputs -> keypoints: one module per codec, found by name.

How to add one: docs/extending/network.md.
"""

from __future__ import annotations

from engine.codecs.base import (
    CODECS,
    VISIBILITY,
    WEIGHTS,
    Codec,
    Outputs,
    Target,
    codec_from_dict,
    codecs,
    codecs_of_recipes,
    in_float32,
    register_codec,
    unregister_codec,
)
from engine.codecs.center_offset import CenterOffsetCodec
from engine.codecs.gaussian import GaussianCodec
from engine.codecs.heatmap import HeatmapCodec
from engine.codecs.msra import MSRACodec
from engine.codecs.udp import UDPCodec

__all__ = [
    "CODECS",
    "VISIBILITY",
    "WEIGHTS",
    "CenterOffsetCodec",
    "Codec",
    "GaussianCodec",
    "HeatmapCodec",
    "MSRACodec",
    "Outputs",
    "Target",
    "UDPCodec",
    "codec_from_dict",
    "codecs",
    "codecs_of_recipes",
    "in_float32",
    "register_codec",
    "unregister_codec",
]
