"""Where in its video the points of an analysed video begin, if DeepLabCut analysed a part of each frame.

DeepLabCut writes such points relative to the part. Which part it was stands in ``..._meta.pickle`` beside the table,
else in the project's config.yaml (``cropping``, ``x1``, ``y1``). The pickle is not loaded: its text is searched, and
nothing in it is called or imported. Labels of images are relative to the stored images, cropped or not.

Source: https://github.com/DeepLabCut/DeepLabCut (analyze_videos, create_labeled_video)
"""

from __future__ import annotations

import pickletools
from pathlib import Path

from engine.errors import PoseError
from engine.formats.deeplabcut.config import DlcConfig, read_config
from engine.utils.context import Context
from engine.utils.files import read_bytes

_META = "_meta.pickle"
_MAX_BYTES = 1 << 24
_MAX_ORIGIN = 1 << 20

Origin = tuple[float, float]


def crop_origin(file: Path, config: DlcConfig, context: Context) -> Origin:
    """Left and top of the analysed part of a video in its frames; (0, 0) for whole frames. A crop is reported.

    Args:
        file: the table of the video. config: of the folder that it lies in.
    """
    meta = _meta_of(file)
    origin = None if meta is None else origin_in_meta(meta)
    source = "" if meta is None else meta.name
    if origin is None:
        folder = file.absolute().parent
        origin = config.crop_origin or read_config(folder.parent / "config.yaml").crop_origin
        source = "config.yaml"
    if origin is None or origin == (0, 0):
        return 0.0, 0.0
    left, top = origin
    what = f"Only a part of the video was analysed, from {left:g}, {top:g} on ({source})"
    context.report(file.name, what, "points were moved into the whole frame")
    return origin


def origin_in_meta(path: Path) -> Origin | None:
    """What the metadata of an analysed video say; None if they cannot be understood."""
    try:
        words = _words(read_bytes(path, _MAX_BYTES))
    except (OSError, PoseError, ValueError, EOFError, IndexError, UnicodeDecodeError):
        return None
    for index, word in enumerate(words):
        if word == "cropping" and words[index + 1 : index + 2] == [False]:
            return 0.0, 0.0
        if word == "cropping_parameters" and "cropping" in words:
            numbers = words[index + 1 : index + 5]
            if len(numbers) == 4 and all(type(n) is int and abs(n) < _MAX_ORIGIN for n in numbers):
                return float(str(numbers[0])), float(str(numbers[2]))
    return None


def _words(data: bytes) -> list[object]:
    """The texts, integers and truth values of a pickle in the order in which they stand in it."""
    words: list[object] = []
    memo: dict[int, object] = {}
    last: object = None
    for code, value, _ in pickletools.genops(data):
        name = code.name
        if "UNICODE" in name or name in ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"):
            last = value
            words.append(value)
        elif name in ("NEWTRUE", "NEWFALSE"):
            last = name == "NEWTRUE"
            words.append(last)
        elif name == "MEMOIZE":
            memo[len(memo)] = last
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(str(value))] = last
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            last = memo.get(int(str(value)))
            if isinstance(last, str):
                words.append(last)
        else:
            last = None
    return words


def _meta_of(file: Path) -> Path | None:
    """The metadata of a table: of its stem, or of the stem before the suffixes of later steps ("_el", "_filtered")."""
    stem = file.stem
    while stem:
        meta = file.with_name(f"{stem}{_META}")
        if meta.is_file():
            return meta
        if "_" not in stem:
            return None
        stem = stem.rpartition("_")[0]
    return None
