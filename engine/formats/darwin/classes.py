"""The classes of a Darwin data set, in ``.v7/metadata.json``: keypoints and limbs of skeletons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.named_poses import NamedPoses, as_dict, as_list, text_of
from engine.formats.text_files import read_json
from engine.labels.model import Category
from engine.utils.context import ERROR, Context

METADATA = ".v7/metadata.json"


def declare_classes(folder: Path, poses: NamedPoses, context: Context) -> None:
    """Declare the skeletons that the metadata in a folder, or in its parent, lists."""
    path = next((p for p in (folder / METADATA, folder.absolute().parent / METADATA) if p.is_file()), None)
    if path is None:
        return
    try:
        content = as_dict(read_json(path))
    except LabelError as error:
        context.report(METADATA, f"Classes cannot be read: {error.message}", severity=ERROR)
        return
    for record in map(as_dict, as_list(content.get("classes"))):
        name = text_of(record.get("name"))
        skeleton = as_dict(record.get("skeleton") or as_dict(record.get("metadata")).get("skeleton"))
        nodes = [text_of(as_dict(node).get("name")) for node in as_list(skeleton.get("nodes"))]
        if not name or not all(nodes) or len(set(nodes)) < len(nodes):
            context.report(f"{METADATA}: {name}", "Class without a name or different nodes", "not used")
            continue
        positions = {node: index for index, node in enumerate(nodes)}
        edges = [as_dict(edge) for edge in as_list(skeleton.get("edges"))]
        ends = [(positions.get(text_of(e.get("from"))), positions.get(text_of(e.get("to")))) for e in edges]
        poses.declare(name, nodes, [(a, b) for a, b in ends if a is not None and b is not None])


def metadata_of(categories: Sequence[Category]) -> dict[str, Any]:
    """The content of the file for these categories."""
    classes: list[dict[str, Any]] = []
    for category in categories:
        if category.schema is None:
            classes.append({"name": category.name, "type": "bounding_box", "metadata": {}})
            continue
        count = category.schema.num_keypoints
        names = category.schema.names
        nodes = [{"name": name, "x": (n + 0.5) / count, "y": 0.5} for n, name in enumerate(names)]
        edges = [{"from": names[a], "to": names[b]} for a, b in category.schema.limb_indices.tolist()]
        skeleton = {"nodes": nodes, "edges": edges}
        classes.append({"name": category.name, "type": "skeleton", "metadata": {"skeleton": skeleton}})
    return {"version": "1.0", "classes": classes}
