"""Keypoint schemas of MMPose data set configurations: files of Python that are read, and never run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from engine.errors import SchemaError
from engine.schema.schema import DEFAULT_SIGMA, Schema, schema_from_dict
from engine.utils.files import read_bytes

_LARGEST = 4 << 20
_WANTED = ("dataset_name", "keypoint_info", "skeleton_info", "sigmas")


def read_metainfo(path: Path) -> Schema:
    """The schema of a file that sets ``dataset_info = dict(dataset_name=..., keypoint_info=..., ...)``.

    Raises:
        SchemaError: it cannot be read, is no such file, or what stands in it contradicts itself.
    """
    try:
        data = read_bytes(path, _LARGEST)
    except OSError as error:
        raise SchemaError(f"cannot be read ({error.strerror})", where=path) from None
    try:
        tree = ast.parse(data.decode("utf-8-sig"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SchemaError("is not a Python file", where=path) from None
    for node in tree.body:
        names = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Assign) and "dataset_info" in names:
            return _schema(_wanted(node.value, path), path)
    raise SchemaError("does not set dataset_info; is it an MMPose dataset configuration?", where=path)


def _schema(info: Any, path: Path) -> Schema:
    try:
        points = [info["keypoint_info"][k] for k in sorted(info["keypoint_info"])]
        sigmas = list(info.get("sigmas") or [])
        limbs = [info["skeleton_info"][k] for k in sorted(info.get("skeleton_info") or {})]
        name = str(info.get("dataset_name") or path.stem)
        data = {
            "name": name,
            "title": name,
            "category": name,
            "keypoints": [
                {
                    "name": str(p["name"]),
                    "swap": str(p.get("swap") or ""),
                    "color": _color(p.get("color")),
                    "group": p["type"] if p.get("type") in ("upper", "lower") else "",
                    "sigma": float(sigmas[i]) if i < len(sigmas) else DEFAULT_SIGMA,
                }
                for i, p in enumerate(points)
            ],
            "limbs": [
                {"from": str(s["link"][0]), "to": str(s["link"][1]), "color": _color(s.get("color"))} for s in limbs
            ],
        }
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SchemaError(f"its dataset_info is not as MMPose writes it ({error!r})", where=path) from None
    return schema_from_dict(data, where=path)


def _color(value: Any) -> str:
    """``[r, g, b]`` as #rrggbb, "" for none."""
    if not value:
        return ""
    r, g, b = (max(0, min(255, int(v))) for v in value)
    return f"#{r:02x}{g:02x}{b:02x}"


def _wanted(node: ast.expr, path: Path) -> dict[str, Any]:
    """The entries that a schema is made of; others may hold anything ("[1.] * 17")."""
    entries: list[tuple[str | None, ast.expr]] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        entries = [(k.arg, k.value) for k in node.keywords]
    elif isinstance(node, ast.Dict):
        entries = [(str(k.value), v) for k, v in zip(node.keys, node.values) if isinstance(k, ast.Constant)]
    return {name: _value(value, path) for name, value in entries if name in _WANTED}


def _value(node: ast.expr, path: Path) -> Any:
    """A literal, with ``dict(a=...)`` as a dictionary. Nothing is called."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {k.arg: _value(k.value, path) for k in node.keywords if k.arg is not None}
    if isinstance(node, ast.Dict):
        pairs = [(k, v) for k, v in zip(node.keys, node.values) if isinstance(k, ast.Constant)]
        return {k.value: _value(v, path) for k, v in pairs}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(v, path) for v in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise SchemaError(
            f"line {node.lineno} contains more than plain values and is not executed", where=path
        ) from None
