"""Data that the engine and the window both read: schemas, model table and weights, icons, themes, fonts, sample.

Every path goes through :func:`resource_path`, which answers from a checkout, an installed wheel and a PyInstaller
folder alike. This package imports neither the engine nor the window.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SCHEMA_SUFFIX = ".toml"


def resource_root() -> Path:
    """The folder that holds the resources."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle:
        frozen = Path(bundle) / "resources"
        if frozen.is_dir():
            return frozen
    return Path(__file__).resolve().parent


def resource_path(name: str) -> Path:
    """Absolute path of a resource, given relative to this folder with forward slashes.

    Args:
        name: for example ``"schemas/coco.toml"`` or ``"icons"``. Whether it exists is for the caller to find out.

    Raises:
        ValueError: the name is absolute or climbs out of the folder.
    """
    root = resource_root()
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise ValueError(f"not the name of a resource: {name!r}")
    return root.joinpath(*parts)


def schema_files() -> tuple[Path, ...]:
    """The built-in keypoint schemas, sorted by name."""
    return tuple(sorted(resource_path("schemas").glob(f"*{_SCHEMA_SUFFIX}")))


def schema_path(name: str) -> Path:
    """Where the built-in schema of that name lies (or would lie)."""
    return resource_path(f"schemas/{name}{_SCHEMA_SUFFIX}")
