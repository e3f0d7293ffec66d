"""Groups and data sets of an HDF5 file by the low-level interface: files hold a group and two data sets for each label,
and the usual interface takes ten times as long for them.

Links within the file are followed; links to other files are not, and are collected.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.formats.hdf5 import check_table

_MAX_LINKS = 8
_MAX_OBJECTS = 3_000_000
_SMALL_BYTES = 1 << 16
_MAX_TEXTS = 1_000_000
_MAX_TARGETS = 1000
_MAX_ATTRIBUTE_BYTES = 1 << 24

Array = npt.NDArray[Any]


class Node:
    """A group or data set, and its HDF5 path without links."""

    __slots__ = ("id", "is_group", "path")

    def __init__(self, id: Any, path: str, is_group: bool) -> None:
        self.id, self.path, self.is_group = id, path, is_group

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Tree:
    """The objects of an open file.

    Attributes:
        foreign_links: HDF5 paths of links to other files, which are not followed.
    """

    def __init__(self, h5py: ModuleType, file: Any, path: Path) -> None:
        self._h5py, self._path = h5py, path
        self.root = Node(file["/"].id, "", True)
        self.foreign_links: list[str] = []
        self._objects = 0
        self._targets: dict[str, Node | None] = {}

    def names(self, group: Node) -> Iterator[str]:
        """Names in a group; bytes that are not UTF-8 are kept as surrogates."""
        for name in group.id:
            yield name.decode("utf-8", "surrogateescape")

    def child(self, group: Node, name: str, *, follow: bool = True) -> Node | None:
        """The object of this name.

        Args:
            follow: also where a link within the file leads; else only what stands there itself.
        """
        return self._child(group, name, _MAX_LINKS if follow else 0)

    def group(self, group: Node, name: str, *, follow: bool = True) -> Node | None:
        child = self.child(group, name, follow=follow)
        return child if child is not None and child.is_group else None

    def _child(self, group: Node, name: str, links_left: int) -> Node | None:
        raw = name.encode("utf-8", "surrogateescape")
        h5 = self._h5py
        if not group.id.links.exists(raw):
            return None
        link = group.id.links.get_info(raw).type
        if link == h5.h5l.TYPE_SOFT:
            if not links_left:
                return None
            target = group.id.links.get_val(raw).decode("utf-8", "surrogateescape")
            if not target.startswith("/"):
                return self._resolve(group, target, links_left - 1)
            if target not in self._targets:  # thousands of poses link to one skeleton and one video
                if len(self._targets) > _MAX_TARGETS:
                    self._targets.clear()
                self._targets[target] = self._resolve(group, target, links_left - 1)
            return self._targets[target]
        if link != h5.h5l.TYPE_HARD:
            if f"{group.path}/{name}" not in self.foreign_links:
                self.foreign_links.append(f"{group.path}/{name}")
            return None
        self._objects += 1
        if self._objects > _MAX_OBJECTS:
            raise ProjectError("has too many objects", where=self._path)
        id = h5.h5o.open(group.id, raw)
        if isinstance(id, h5.h5g.GroupID):
            return Node(id, f"{group.path}/{name}", True)
        return Node(id, f"{group.path}/{name}", False) if isinstance(id, h5.h5d.DatasetID) else None

    def _resolve(self, group: Node, target: str, links_left: int) -> Node | None:
        node: Node | None = self.root if target.startswith("/") else group
        for part in target.split("/"):
            if part in ("", "."):
                continue
            if node is None or not node.is_group:
                return None
            node = self._child(node, part, links_left)
        return node

    def array(self, group: Node, name: str) -> Array | None:
        """The content of a data set of numbers or texts; None if there is none.

        Raises:
            ProjectError: it claims an absurd size, is stored in another file, or holds something else.
        """
        node = self.child(group, name)
        if node is None or node.is_group:
            return None
        dtype, shape = node.id.dtype, node.id.shape
        if shape is None:
            return None
        where = f"{group.path}/{name}".lstrip("/")
        if dtype.kind not in "iufbSO" or (dtype.hasobject and math.prod(shape) > _MAX_TEXTS):
            raise ProjectError(f"{where[:200]} holds neither numbers nor texts", where=self._path)
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize <= _SMALL_BYTES:
            plan = node.id.get_create_plist()
            layout = plan.get_layout()
            h5d = self._h5py.h5d
            if layout == h5d.COMPACT or (layout == h5d.CONTIGUOUS and not plan.get_external_count()):
                small = np.zeros(shape, dtype)
                node.id.read(self._h5py.h5s.ALL, self._h5py.h5s.ALL, small)
                return small
        dataset = self._h5py.Dataset(node.id)
        check_table(dataset, where[:200], self._path)
        return np.asarray(dataset[()])

    def numbers(self, group: Node, name: str) -> npt.NDArray[np.float64] | None:
        array = self.array(group, name)
        return array.astype(np.float64) if array is not None and array.dtype.kind in "fiu" else None

    def texts(self, group: Node, name: str) -> list[str]:
        array = self.array(group, name)
        return [] if array is None or array.dtype.kind not in "SO" else [text_of(v) for v in array.reshape(-1).tolist()]

    def attribute(self, node: Node, name: str) -> Any:
        """A scalar attribute; None if there is none, or a larger one."""
        value = self.attribute_array(node, name)
        return None if value is None or value.size != 1 else value.reshape(-1)[0]

    def attribute_array(self, node: Node, name: str) -> Array | None:
        """An attribute of any size, None if there is none."""
        raw, h5a = name.encode(), self._h5py.h5a
        if not h5a.exists(node.id, raw):
            return None
        attribute = h5a.open(node.id, raw)
        if attribute.shape is None or math.prod(attribute.shape) * attribute.dtype.itemsize > _MAX_ATTRIBUTE_BYTES:
            return None
        value = np.zeros(attribute.shape, attribute.dtype)
        attribute.read(value)
        return value

    def type_of(self, node: Node) -> str:
        """The NWB type of an object, "" without one."""
        return text_of(self.attribute(node, "neurodata_type"))


def text_of(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def number_of(value: object) -> float:
    """A finite number; 0 for anything else."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return result if math.isfinite(result) else 0.0
