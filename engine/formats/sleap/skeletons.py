"""Skeletons of a SLEAP file: NetworkX graphs written by jsonpickle, in every layout that SLEAP has used.

A skeleton is the graph itself or holds it as ``nx_graph``. Nodes are numbers into the list of the file, or objects
(``py/object``) that carry their name. The type of an edge is written out where it is met first (``py/reduce``), later
by the number of that object (``py/id``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.formats.coco.dataset import unique_names

EDGE, SYMMETRY = 1, 2


@dataclass(frozen=True)
class Skeleton:
    """Nodes in the order of the points, edges and symmetries between them by position."""

    name: str
    nodes: list[str]
    edges: list[tuple[int, int]] = field(default_factory=list)
    symmetries: list[tuple[int, int]] = field(default_factory=list)


def read_skeletons(metadata: Mapping[str, Any]) -> list[Skeleton]:
    """The skeletons that the metadata of a file lists.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: they are written in a way that is not known.
    """
    names = [str(node["name"]) if isinstance(node, Mapping) else str(node) for node in metadata.get("nodes", ())]
    return [_Reader(names).read(entry, number) for number, entry in enumerate(metadata["skeletons"])]


class _Reader:
    """One skeleton: objects are numbered from 1 in the order in which they are met."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._objects: list[str | int] = []

    def read(self, entry: Mapping[str, Any], number: int) -> Skeleton:
        graph = entry.get("nx_graph", entry)
        links: list[tuple[Any, Any, Any]] = []
        nodes: list[str | int] = []
        for key, value in graph.items():  # in the order of the file, in which objects are numbered
            if key == "links":
                links = [self._link(link) for link in value]
            elif key == "nodes":
                nodes = [
                    self._node(node["id"] if isinstance(node, Mapping) and "id" in node else node) for node in value
                ]
        place = {identity: position for position, identity in enumerate(nodes)}
        edges: list[tuple[int, int]] = []
        symmetries: list[tuple[int, int]] = []
        for source, target, kind in links:
            (symmetries if kind == SYMMETRY else edges).append((place[source], place[target]))
        for source, target in graph.get("edges", ()) if "links" not in graph else ():
            edges.append((place[self._node(source)], place[self._node(target)]))
        title = (graph.get("graph") or {}).get("name") or entry.get("name") or f"Skeleton-{number}"
        return Skeleton(str(title), unique_names([self._name(identity) for identity in nodes]), edges, symmetries)

    def _link(self, link: Mapping[str, Any]) -> tuple[str | int, str | int, int]:
        found: dict[str, Any] = {"type": EDGE}
        for key, value in link.items():
            if key in ("source", "target"):
                found[key] = self._node(value)
            elif key == "type":
                found[key] = self._kind(value)
        return found["source"], found["target"], found["type"]

    def _node(self, written: Any) -> str | int:
        """Number of a node in the list of the file, or its name."""
        if isinstance(written, Mapping):
            if "py/id" in written:
                return self._objects[int(written["py/id"]) - 1]
            state = written.get("py/state", written)
            name = str(state["py/tuple"][0] if "py/tuple" in state else state["name"])
            self._objects.append(name)
            return name
        return int(written)

    def _kind(self, written: Any) -> int:
        """``EDGE`` or ``SYMMETRY``."""
        if isinstance(written, Mapping):
            if "py/reduce" in written:
                kind = int(written["py/reduce"][1]["py/tuple"][0])
                self._objects.append(kind)
                return kind
            number = int(written.get("py/id", EDGE))
            known = self._objects[number - 1] if 0 < number <= len(self._objects) else number
            return known if isinstance(known, int) else EDGE
        return int(written) if isinstance(written, int) else EDGE

    def _name(self, identity: str | int) -> str:
        if isinstance(identity, str):
            return identity
        if not 0 <= identity < len(self._names):
            raise IndexError(f"node {identity} is not in the list of nodes")
        return self._names[identity]
