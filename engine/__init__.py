"""Keypoint poses without a window: load a model, find poses, read and write labels, train, evaluate, export.

    import engine

    model = engine.load_model("movenet_thunder")
    poses = model("photo.jpg")
    poses[0].keypoints  # (K, 2) image pixels
    poses.plot("poses.png")

Everything a program needs is in this module (docs/api.md). Importing it is quick: no other library is loaded before a
function is called, torch only by those that run a network.

``engine.train``, ``engine.evaluate`` and ``engine.export`` are functions of this API and modules with commands
(``python -m engine.train``) at the same time: the modules can be called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# The only place that holds the version: pyproject.toml reads it from here, and so does a program that has no metadata
# of its installation (a checkout, a frozen build).
__version__ = "0.1.0"

__all__ = [
    "Model",
    "ModelEntry",
    "Pose",
    "PoseError",
    "Poses",
    "VideoFrame",
    "check_labels",
    "evaluate",
    "export",
    "list_models",
    "load_model",
    "read_labels",
    "train",
    "write_labels",
]

if TYPE_CHECKING:
    from engine.api.labels import check_labels as check_labels
    from engine.api.labels import read_labels as read_labels
    from engine.api.labels import write_labels as write_labels
    from engine.api.model import Model as Model
    from engine.api.model import VideoFrame as VideoFrame
    from engine.api.model import load_model as load_model
    from engine.api.poses import Pose as Pose
    from engine.api.poses import Poses as Poses
    from engine.api.runs import evaluate as evaluate
    from engine.api.runs import export as export
    from engine.api.runs import train as train
    from engine.errors import PoseError as PoseError
    from engine.models.catalog import ModelEntry as ModelEntry
    from engine.models.catalog import list_models as list_models

# Where each name of the API is defined; the module is imported when the name is first used.
_DEFINED_IN = {
    "Model": "engine.api.model",
    "ModelEntry": "engine.models.catalog",
    "Pose": "engine.api.poses",
    "PoseError": "engine.errors",
    "Poses": "engine.api.poses",
    "VideoFrame": "engine.api.model",
    "check_labels": "engine.api.labels",
    "list_models": "engine.models.catalog",
    "load_model": "engine.api.model",
    "read_labels": "engine.api.labels",
    "write_labels": "engine.api.labels",
}
# Submodules that are functions of the API too, and where these functions are defined.
_CALLABLE_MODULES = {"train": "engine.api.runs", "evaluate": "engine.api.runs", "export": "engine.api.runs"}


def __getattr__(name: str) -> Any:
    """Import what is used for the first time (PEP 562)."""
    if name in _CALLABLE_MODULES:
        return import_module(f"engine.{name}")  # which sets the attribute
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(import_module(_DEFINED_IN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableModule(ModuleType):
    """A submodule that forwards a call to the function of the API that has its name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module(_CALLABLE_MODULES[name]), name)(*arguments, **options)


class _Package(ModuleType):
    """This package. Python sets a submodule as an attribute of its package right after importing it, whoever imports
    it: that is where ``engine.train`` becomes callable, so that the order of imports does not matter."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLABLE_MODULES and isinstance(value, ModuleType):
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
