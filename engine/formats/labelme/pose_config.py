"""The YAML file in which X-AnyLabeling keeps the keypoints of each category:

has_visible: true
classes:
  person: [nose, left_eye, right_eye]
skeleton:                                   # of this program; others ignore it
  person: [[nose, left_eye], [nose, right_eye]]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from engine.errors import LabelError
from engine.formats.named_poses import as_dict, as_list, text_of
from engine.formats.text_files import head_of, read_yaml
from engine.labels.model import Category
from engine.utils.context import ERROR, INFO, Context

NAME = "pose.yaml"

_MAX_ENTRIES = 20_000
_MAX_FILES = 50
_CLASSES = re.compile(rb"^classes\s*:\s*(?:#.*)?$|^classes\s*:\s*\{", re.MULTILINE)
_YOLO = re.compile(rb"^(?:names|kpt_shape|nc)\s*:", re.MULTILINE)


@dataclass
class PoseConfig:
    """Attributes:
    names: keypoints by category. limbs: pairs of positions in them, from 0.
    """

    names: dict[str, list[str]] = field(default_factory=dict)
    limbs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def config_in(folder: Path) -> Path | None:
    """The first file of a folder that looks like one. Never raises."""
    files = _configs_in(folder)
    return files[0] if files else None


def _configs_in(folder: Path) -> list[Path]:
    try:
        entries = [p for p in islice(folder.iterdir(), _MAX_ENTRIES) if p.suffix.lower() in (".yaml", ".yml")]
    except OSError:
        return []
    files = []
    for path in sorted(entries, key=lambda entry: (entry.name != NAME, entry.name))[:_MAX_FILES]:
        head = head_of(path)
        if _CLASSES.search(head) and not _YOLO.search(head):
            files.append(path)
    return files


def find_config(folder: Path, context: Context) -> PoseConfig:
    """What the file in a folder, else in its parent, says; without one nothing is known."""
    for candidate in (folder, folder.absolute().parent):
        files = _configs_in(candidate)
        if files:
            for other in files[1:]:
                context.report(other.name, "Another file of keypoint names", f"{files[0].name} is used", severity=INFO)
            return _read(files[0], context)
    return PoseConfig()


def _read(path: Path, context: Context) -> PoseConfig:
    config = PoseConfig()
    try:
        content = as_dict(read_yaml(path))
    except LabelError as error:
        context.report(path.name, f"File of keypoint names cannot be used: {error.message}", severity=ERROR)
        return config
    for label, names in as_dict(content.get("classes")).items():
        category = text_of(label)
        texts = [text_of(name) for name in as_list(names)]
        if not category or not all(texts) or len(set(texts)) < len(texts):
            context.report(f"{path.name}: {label}", "Category without a list of different names", "list is not used",
                           severity=ERROR)  # fmt: skip
            continue
        config.names[category] = texts
    for label, pairs in as_dict(content.get("skeleton")).items():
        names = config.names.get(text_of(label), [])
        config.limbs[text_of(label)] = _limbs(as_list(pairs), names)
    return config


def _limbs(pairs: Sequence[object], names: Sequence[str]) -> list[tuple[int, int]]:
    positions = {name: index for index, name in enumerate(names)}
    limbs = []
    for pair in pairs:
        ends = [positions.get(text_of(end)) for end in as_list(pair)]
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
            limbs.append((ends[0], ends[1]))
    return limbs


def config_text(categories: Sequence[Category]) -> str:
    """The content of a file for these categories."""
    import yaml

    with_points = [(c.name, c.schema) for c in categories if c.schema is not None]
    data: dict[str, object] = {
        "has_visible": True,
        "classes": {c.name: [] if c.schema is None else list(c.schema.names) for c in categories},
        "skeleton": {name: [[limb.start, limb.end] for limb in schema.limbs] for name, schema in with_points},
    }
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100))
