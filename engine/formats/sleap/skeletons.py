"""Skeletons of a SLEAP file: NetworkX graphs written by jsonpickle, in every layout that SLEAP has used.

A skeleton is the graph itself, or holds it as ``nx_graph``. A node is an index into the node list of the file, or an
object (``py/object``) with its name. The type of an edge is spelled out the first time (``py/reduce``) and later
referred to by the number of that object (``py/id``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.schema.schema import unique_names

EDGE, SYMMETRY = 1, 2


@dataclass(frozen=True)
class Skeleton:
    """Node names in the order of the points; edges and symmetries as pairs of node indices."""

    name: str
    nodes: list[str]
    edges: list[tuple[int, int]] = field(default_factory=list)
    symmetries: list[tuple[int, int]] = field(default_factory=list)


def read_skeletons(metadata: Mapping[str, Any]) -> list[Skeleton]:
    """Read the skeletons in the metadata of a file.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: they are written in an unknown way.
    """
    names = [str(node["name"]) if isinstance(node, Mapping) else str(node) for node in metadata.get("nodes", ())]
    return [_Reader(names).read(entry, index) for index, entry in enumerate(metadata["skeletons"])]


class _Reader:
    """Reads one skeleton. jsonpickle numbers objects from 1 in the order in which they appear."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._objects: list[str | int] = []

    def read(self, entry: Mapping[str, Any], skeleton_number: int) -> Skeleton:
        graph = entry.get("nx_graph", entry)
        links: list[tuple[Any, Any, Any]] = []
        nodes: list[str | int] = []
        for key, value in graph.items():  # in the order of the file, which numbers the objects
            if key == "links":
                links = [self._link(link) for link in value]
            elif key == "nodes":
                nodes = [
                    self._node(node["id"] if isinstance(node, Mapping) and "id" in node else node) for node in value
                ]
        position = {node: index for index, node in enumerate(nodes)}
        edges: list[tuple[int, int]] = []
        symmetries: list[tuple[int, int]] = []
        for source, target, link_type in links:
            (symmetries if link_type == SYMMETRY else edges).append((position[source], position[target]))
        for source, target in graph.get("edges", ()) if "links" not in graph else ():
            edges.append((position[self._node(source)], position[self._node(target)]))
        name = (graph.get("graph") or {}).get("name") or entry.get("name") or f"Skeleton-{skeleton_number}"
        return Skeleton(str(name), unique_names([self._name(node) for node in nodes]), edges, symmetries)

    def _link(self, link: Mapping[str, Any]) -> tuple[str | int, str | int, int]:
        fields: dict[str, Any] = {"type": EDGE}
        for key, value in link.items():
            if key in ("source", "target"):
                fields[key] = self._node(value)
            elif key == "type":
                fields[key] = self._link_type(value)
        return fields["source"], fields["target"], fields["type"]

    def _node(self, value: Any) -> str | int:
        """Index of a node in the node list of the file, or its name."""
        if isinstance(value, Mapping):
            if "py/id" in value:
                return self._objects[int(value["py/id"]) - 1]
            state = value.get("py/state", value)
            name = str(state["py/tuple"][0] if "py/tuple" in state else state["name"])
            self._objects.append(name)
            return name
        return int(value)

    def _link_type(self, value: Any) -> int:
        """``EDGE`` or ``SYMMETRY``."""
        if isinstance(value, Mapping):
            if "py/reduce" in value:
                link_type = int(value["py/reduce"][1]["py/tuple"][0])
                self._objects.append(link_type)
                return link_type
            reference = int(value.get("py/id", EDGE))
            target = self._objects[reference - 1] if 0 < reference <= len(self._objects) else reference
            return target if isinstance(target, int) else EDGE
        return int(value) if isinstance(value, int) else EDGE

    def _name(self, node: str | int) -> str:
        if isinstance(node, str):
            return node
        if not 0 <= node < len(self._names):
            raise IndexError(f"node {node} is not in the list of nodes")
        return self._names[node]
