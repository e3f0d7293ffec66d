"""The labels of CVAT: names, and the points and edges of skeletons, which stand in a drawing (SVG)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from engine.schema.schema import Schema
from engine.utils.limits import MAX_KEYPOINTS, MAX_LIMBS, MAX_NAME

_SHAPE = re.compile(r"<(circle|line)\b([^<>]*)>")
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ESCAPES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}


@dataclass
class CvatLabel:
    """One label. ``points`` are the names of its keypoints in order; ``edges`` pairs of positions in them."""

    name: str
    is_skeleton: bool = False
    points: list[str] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def read_labels_of(meta: Element) -> dict[str, CvatLabel]:
    """The labels of the ``meta`` element by name, without those that are points of a skeleton."""
    labels: dict[str, CvatLabel] = {}
    parts: dict[str, list[str]] = {}
    drawings: dict[str, str] = {}
    for element in meta.iter("label"):
        name = (element.findtext("name") or "").strip()[:MAX_NAME]
        parent = (element.findtext("parent") or "").strip()
        if parent:
            if len(parts.setdefault(parent, [])) < MAX_KEYPOINTS and name not in parts[parent]:
                parts[parent].append(name)
            continue
        labels.setdefault(name, CvatLabel(name, (element.findtext("type") or "").strip() == "skeleton"))
        drawings[name] = element.findtext("svg") or ""
    for name, label in labels.items():
        points, edges = _read_drawing(drawings.get(name, ""))
        label.points = parts.get(name) or [n for n in points.values() if n]
        position = {point: index for index, point in enumerate(label.points)}
        ends = [(position.get(points.get(a, "")), position.get(points.get(b, ""))) for a, b in edges]
        label.edges = [(a, b) for a, b in ends if a is not None and b is not None and a != b]
        label.is_skeleton = label.is_skeleton or bool(label.points)
    return labels


def _read_drawing(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Names of the points by their node, and the edges between nodes."""
    points: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    for shape in _SHAPE.finditer(text):
        values = {match[1]: match[2] or match[3] or "" for match in _ATTRIBUTE.finditer(shape[2])}
        if shape[1] == "line" and len(edges) < MAX_LIMBS:
            edges.append((values.get("data-node-from", ""), values.get("data-node-to", "")))
        elif shape[1] == "circle" and len(points) < MAX_KEYPOINTS:
            node = values.get("data-node-id") or values.get("data-element-id", "")
            points[node] = _unescaped(values.get("data-label-name", ""))[:MAX_NAME]
    return points, edges


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text


def drawing_of(schema: Schema, layout: Sequence[tuple[float, float]]) -> str:
    """The SVG of a skeleton.

    Args:
        layout: x, y of each keypoint, 0 to 100.
    """
    shapes = []
    for limb in schema.limbs:
        start, end = schema.index[limb.start], schema.index[limb.end]
        (x1, y1), (x2, y2) = layout[start], layout[end]
        shapes.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="black" data-type="edge" '
            f'data-node-from="{start + 1}" stroke-width="0.5" data-node-to="{end + 1}"></line>'
        )
    for index, (name, (x, y)) in enumerate(zip(schema.names, layout, strict=True), 1):
        shapes.append(
            f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x:g}" cy="{y:g}" stroke-width="0.1" '
            f'data-type="element node" data-element-id="{index}" data-node-id="{index}" '
            f"data-label-name={quoteattr(name)}></circle>"
        )
    return "".join(shapes)
