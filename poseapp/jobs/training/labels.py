"""The labels of one category as the trainer reads them: a COCO file and a schema file. No Qt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.schema.schema import Schema
from poseapp.project.model import Category, FrameKey, Instance


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder that holds all images; the root of the first where they lie on several drives."""
    try:
        return Path(os.path.commonpath([str(p.absolute().parent) for p in paths]))
    except ValueError:
        return Path(paths[0].absolute().anchor)


def coco_data(
    category: Category, rows: Sequence[tuple[FrameKey, Path, list[Instance]]], root: Path
) -> dict[str, list[dict[str, Any]]]:
    """A COCO dataset of one category; absent points are 0, 0, 0 and file names are relative to ``root``.

    Args:
        rows: frame, its image file, its poses of the category.
        root: the folder that is given to the trainer; a file outside it keeps its absolute path.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, (_, path, instances) in enumerate(rows, 1):
        absolute = path.absolute()
        name = absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)
        images.append({"id": index, "file_name": name})
        for instance in instances:
            annotations.append(_annotation(instance, len(annotations) + 1, index))
    schema = category.schema
    skeleton = [[int(a) + 1, int(b) + 1] for a, b in schema.limb_indices]
    kind = {"id": 1, "name": category.name, "keypoints": list(schema.names), "skeleton": skeleton}
    return {"images": images, "annotations": annotations, "categories": [kind]}


def _annotation(instance: Instance, index: int, image: int) -> dict[str, Any]:
    seen = instance.visibility > 0
    points = np.where(seen[:, None], instance.keypoints, 0.0)
    flat = np.column_stack([points, instance.visibility]).ravel()
    record: dict[str, Any] = {
        "id": index,
        "image_id": image,
        "category_id": 1,
        "keypoints": [float(v) for v in flat],
        "num_keypoints": int(seen.sum()),
        "iscrowd": 0,
    }
    if instance.box is not None:
        x1, y1, x2, y2 = (float(v) for v in instance.box)
        record["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        record["area"] = (x2 - x1) * (y2 - y1)
    return record


def schema_toml(schema: Schema) -> str:
    """A schema in the program's own TOML format."""
    lines = [f"{name} = {_text(getattr(schema, name))}" for name in ("name", "title", "category", "source")]
    lines.append("keypoints = [")
    lines += [f"  {_table(point)}," for point in msgspec.to_builtins(schema.keypoints)]
    lines.append("]")
    lines.append("limbs = [")
    lines += [f"  {_table(limb)}," for limb in msgspec.to_builtins(schema.limbs)]
    lines.append("]")
    return "\n".join(lines) + "\n"


def _table(row: dict[str, Any]) -> str:
    cells = [f"{_text(k)} = {_text(v) if isinstance(v, str) else repr(v)}" for k, v in row.items() if v != ""]
    return "{" + ", ".join(cells) + "}"


def _text(value: str) -> str:
    """A TOML basic string: a JSON string is one, once DEL is escaped."""
    return msgspec.json.encode(value).decode("utf-8").replace("\x7f", "\\u007f")
