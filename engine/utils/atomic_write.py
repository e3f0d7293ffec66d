"""Files that are whole or not there at all."""

from __future__ import annotations

from pathlib import Path

from engine.errors import TrainingError
from engine.utils.files import kept_mode, replacing

OUT_FILES = (
    "config.toml",
    "log.jsonl",
    "best.safetensors",
    "last.safetensors",
    "pose.state.pt",
    "detector.safetensors",
    "detector.last.safetensors",
    "detector.state.pt",
    "stop",
)
"""What training writes or removes in its folder."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name in the same folder, sync, then take the place of ``path``.

    Raises:
        TrainingError: the folder cannot be written or the disk is full; the old file stands.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot be made ({error.strerror or error})", where=path.parent) from None
    try:
        with replacing(path, mode=kept_mode(path)) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise TrainingError(f"cannot be written ({error.strerror or error})", where=path) from None
