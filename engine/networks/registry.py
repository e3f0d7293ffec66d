"""The registry of networks: how each is built, and everything the engine has to know about it.

How to add one: docs/extending/network.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.networks.layers import copy_tensors

ENTRY_POINTS = "poseapp.networks"
"""Entry-point group of other packages: each entry is a module that calls :func:`register_network`."""

IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
"""Mean and deviation of the ImageNet photographs, RGB in 0..255."""

# A counter of batch normalization that files of old torch versions lack, and that nothing here reads.
COUNTER = "num_batches_tracked"

Make = TypeVar("Make", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class Backbone:
    """Published weights of a classifier that a network can start from.

    Attributes:
        id: name for people and in logs.
        url, digest: where they are, and the first hexadecimal digits of their SHA-256.
        arguments: those of the network that they fit.
    """

    id: str
    url: str
    digest: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network and the facts about it.

    Attributes:
        name: the architecture's name in checkpoints and in ``resources/models.toml``.
        make: builds it from keyword arguments; pose networks take ``num_keypoints``, detectors ``num_classes``.
        task: "pose" or "detector".
        learning_rate: peak rate of AdamW for fine-tuning.
        input_size, normalization, codec: of a network that starts from nothing, and of published weights.
        variants: ids for ``--model`` that start from nothing (``--weights random`` or a backbone), with the arguments.
        backbones: weights that recipes start from.
        head: prefixes of the parameters that are new when the keypoints are others; for networks without a method
            ``load_trunk_from(state)``, which decides by itself what it takes from other weights.
        renamed: prefixes of parameter names in published files -> ours; dropped: prefixes that are left out.
        trained_as: name of the network that is trained in place of this one, which starts from its weights.
        categories: names of the classes of published weights, from the arguments; "" for slots without one.
        needs_memory: it computes something while it is built, so that it cannot be built on the meta device.
    """

    name: str
    make: Callable[..., nn.Module]
    task: Literal["pose", "detector"] = "pose"
    learning_rate: float = 5e-4
    input_size: tuple[int, int] = (192, 256)
    normalization: Mapping[str, list[float]] = field(default_factory=lambda: IMAGENET)
    codec: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backbones: tuple[Backbone, ...] = ()
    head: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    trained_as: str = ""
    categories: Callable[[Mapping[str, Any]], list[str]] | None = None
    needs_memory: bool = False

    def backbone(self, arguments: Mapping[str, Any]) -> Backbone | None:
        """The backbone weights that fit a network with these arguments."""
        for backbone in self.backbones:
            if all(arguments.get(name) == value for name, value in backbone.arguments.items()):
                return backbone
        return None

    def own_names(self, state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        """The tensors of a file under the names of ``network``, without those that ``dropped`` names."""
        renamed: dict[str, Tensor] = {}
        for name, tensor in state.items():
            if name.startswith(self.dropped):
                continue
            for old, new in self.renamed.items():
                if name.startswith(old):
                    name = new + name.removeprefix(old)
            renamed[name] = tensor
        for name in network.state_dict():
            if name.endswith(COUNTER):
                renamed.setdefault(name, torch.zeros((), dtype=torch.int64))
        return renamed

    def load_trunk(self, network: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Take everything but the head from other weights.

        Raises:
            ValueError: a tensor is missing or has another shape; the first is named, nothing was changed.
        """
        if hasattr(network, "load_trunk_from"):
            network.load_trunk_from(state)
        elif not self.head:
            raise ValueError(f"network {self.name!r} does not say which parameters are its head")
        else:
            own = self.own_names(state, network)
            copy_tensors(network, own, [name for name in network.state_dict() if not name.startswith(self.head)])


NETWORKS: dict[str, Network] = {}
"""The registered networks by name; :func:`networks` sees to it that all are there."""


def register_network(name: str, **facts: Any) -> Callable[[Make], Make]:
    """Decorator: make a network available.

        @register_network("tiny", learning_rate=1e-3, variants={"tiny": {}}, codec={"name": "gaussian"})
        class Tiny(nn.Module): ...

    Args:
        name: of the architecture.
        facts: the other attributes of :class:`Network`.

    Raises:
        ValueError: the name is taken.
    """

    def register(make: Make) -> Make:
        if name in NETWORKS:
            raise ValueError(f"there is a network {name!r} already")
        NETWORKS[name] = Network(name=name, make=make, **facts)
        return make

    return register


def unregister_network(name: str) -> None:
    """Forget a network; nothing happens if there is none of this name."""
    NETWORKS.pop(name, None)


def networks() -> list[Network]:
    """All networks, by name."""
    _discover()
    return [NETWORKS[name] for name in sorted(NETWORKS)]


def find_network(name: str, *, where: object = None) -> Network:
    """The network of that name.

    Raises:
        ModelError: there is none.
    """
    _discover()
    network = NETWORKS.get(name)
    if network is None:
        known = ", ".join(sorted(NETWORKS))
        raise ModelError(f"unknown architecture {name!r}; this version has {known}", where=where)
    return network


def find_variant(id: str) -> tuple[Network, dict[str, Any]] | None:
    """The network that an id for ``--model`` starts from nothing, and its arguments; None = it names none."""
    for network in networks():
        if id in network.variants:
            return network, dict(network.variants[id])
    return None


def variant_ids() -> tuple[str, ...]:
    """The ids for ``--model`` that start a network from nothing."""
    return tuple(id for network in networks() for id in network.variants)


def build(architecture: str, arguments: Mapping[str, Any], *, where: object = None) -> nn.Module:
    """Build a network with fresh weights.

    Raises:
        ModelError: unknown architecture, or arguments it does not take.
    """
    make = find_network(architecture, where=where).make
    try:
        return make(**arguments)
    except (TypeError, ValueError, LookupError, OverflowError, RuntimeError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelError(f"architecture {architecture!r} does not take its arguments: {reason}", where=where) from None


@cache
def _discover() -> None:
    """Import every module of this package, and those of other packages, so that they register their networks."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        importlib.import_module(module.name)
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()
