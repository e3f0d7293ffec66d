"""The few entries of a DeepLabCut ``config.yaml`` that a reader needs; unreadable ones count as missing.

Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.errors import PoseError
from engine.formats.text_files import read_yaml
from engine.utils.context import Context

_MAX_CROP = 1 << 20


@dataclass(frozen=True)
class DlcConfig:
    """Attributes:
    scorer: who labelled. skeleton: pairs of keypoint names.
    identity: whether an individual is the same animal in every image.
    crop_origin: left and top of the part of the frames in which videos are analysed; None = whole frames.
    """

    scorer: str = ""
    skeleton: tuple[tuple[str, str], ...] = ()
    identity: bool = False
    crop_origin: tuple[float, float] | None = None


def read_config(path: Path, context: Context | None = None) -> DlcConfig:
    """Read a configuration; a missing file gives an empty one, an unreadable one too, and is reported."""
    if not path.is_file():
        return DlcConfig()
    try:
        data = read_yaml(path)
    except PoseError as error:
        if context is not None:
            context.report(str(path), f"The configuration {error.message}", "scorer, skeleton and identity are unknown")
        return DlcConfig()
    if not isinstance(data, dict):
        return DlcConfig()
    return DlcConfig(
        scorer=_text(data.get("scorer")),
        skeleton=_pairs(data.get("skeleton")),
        identity=data.get("identity") is True,
        crop_origin=_crop_origin(data),
    )


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    """Limbs: pairs of names; a longer list is a chain of them."""
    if not isinstance(value, list):
        return ()
    chains = [[_text(name) for name in chain] for chain in value if isinstance(chain, list)]
    return tuple((a, b) for chain in chains for a, b in pairwise(chain) if a and b)


def _crop_origin(data: dict[Any, Any]) -> tuple[float, float] | None:
    left, top = data.get("x1"), data.get("y1")
    if data.get("cropping") is not True or not isinstance(left, int | float) or not isinstance(top, int | float):
        return None
    return (float(left), float(top)) if max(abs(left), abs(top)) < _MAX_CROP else None


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
