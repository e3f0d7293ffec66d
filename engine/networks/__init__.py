"""The networks, each under the name that checkpoints have for it; ``engine.networks.registry`` says what is known."""

from __future__ import annotations

from engine.networks.registry import (
    IMAGENET,
    Backbone,
    Network,
    build,
    find_network,
    find_variant,
    networks,
    register_network,
    unregister_network,
    variant_ids,
)

__all__ = [
    "IMAGENET",
    "Backbone",
    "Network",
    "build",
    "find_network",
    "find_variant",
    "networks",
    "register_network",
    "unregister_network",
    "variant_ids",
]
