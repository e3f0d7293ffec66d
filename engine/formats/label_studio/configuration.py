"""The labeling configuration of a project: which keypoints and boxes people may draw, and the order of keypoints.

The order is that of ``model_index`` where every label has one. This program writes the keypoints of each category into
a control of their own, whose attributes ``category`` and ``skeleton`` ("0-1 0-2") Label Studio ignores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import quoteattr

from engine.errors import LabelError, PoseError
from engine.formats.text_files import head_of
from engine.labels.model import Category
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import read_text

VISIBILITY = "visibility"
OCCLUDED_CHOICE = "occluded"

_MAX_ENTRIES = 20_000
_MAX_FILES = 50
_MAX_DEPTH = 50
_BAD = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)], "\N{REPLACEMENT CHARACTER}"
)


@dataclass
class Keypoints:
    """The keypoints of a control. ``category``: "" = of every category."""

    category: str
    names: list[str]
    limbs: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Configuration:
    keypoints: list[Keypoints] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)


def find_configuration(path: Path, context: Context) -> Configuration:
    """The configuration beside a file of tasks: of the same name, else the only one there."""
    folder = path.absolute().parent
    try:
        files = sorted(p for p in islice(folder.iterdir(), _MAX_ENTRIES) if p.suffix.lower() == ".xml")[:_MAX_FILES]
    except OSError:
        return Configuration()
    files = [file for file in files if b"<View" in head_of(file, 4096)]
    same_name = [file for file in files if file.stem == path.stem]
    if len(same_name or files) != 1:
        if files:
            context.report(path.name, "Several labeling configurations beside the file", "none is used", severity=INFO)
        return Configuration()
    file = (same_name or files)[0]
    try:
        return read_configuration(file)
    except LabelError as error:
        context.report(file.name, f"Labeling configuration cannot be used: {error.message}", severity=ERROR)
        return Configuration()


def read_configuration(path: Path) -> Configuration:
    """Raises: LabelError, it cannot be read, or is not XML."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(read_text(path), forbid_dtd=True)
    except DefusedXmlException:
        raise LabelError("has a document type definition or entities, which are not read", where=path) from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise LabelError(f"is not valid XML: {str(error)[:200]}", where=path) from None
    except PoseError as error:
        raise LabelError(error.message, where=path) from None
    except OSError as error:
        raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None
    configuration = Configuration()
    for control in _controls(root):
        labels = [label for label in control if label.tag == "Label" and label.get("value")]
        values = [label.get("value", "").strip() for label in labels]
        if control.tag == "RectangleLabels":
            configuration.boxes += [value for value in values if value not in configuration.boxes]
            continue
        order = _order([label.get("model_index") for label in labels])
        names = list(dict.fromkeys(values[index] for index in order))
        limbs = _limbs(control.get("skeleton", ""))
        configuration.keypoints.append(Keypoints(control.get("category", "").strip(), names, limbs))
    return configuration


def _controls(root: Element) -> Iterator[Element]:
    level = [root]
    for _ in range(_MAX_DEPTH):
        yield from (element for element in level if element.tag in ("KeyPointLabels", "RectangleLabels"))
        level = [child for element in level for child in element]


def _order(indices: Sequence[str | None]) -> list[int]:
    ranks = [int(index) if index is not None and index.isdecimal() and len(index) < 10 else -1 for index in indices]
    positions = list(range(len(indices)))
    return positions if -1 in ranks else sorted(positions, key=lambda position: ranks[position])


def _limbs(text: str) -> list[tuple[int, int]]:
    limbs = []
    for pair in text.split():
        start, _, end = pair.partition("-")
        if start.isdecimal() and end.isdecimal() and len(pair) < 20:
            limbs.append((int(start), int(end)))
    return limbs


def control_of(index: int) -> str:
    """The name of the control with the keypoints of a category, by its position."""
    return f"keypoints_{index}"


def configuration_text(categories: Sequence[Category]) -> str:
    """The XML for these categories."""
    lines = ["<View>", '  <Image name="image" value="$image"/>', '  <RectangleLabels name="box" toName="image">']
    lines += [f"    <Label value={_quoted(category.name)}/>" for category in categories]
    lines.append("  </RectangleLabels>")
    for index, category in enumerate(categories):
        if category.schema is None:
            continue
        skeleton = " ".join(f"{a}-{b}" for a, b in category.schema.limb_indices.tolist())
        head = f'  <KeyPointLabels name="{control_of(index)}" toName="image" category={_quoted(category.name)}'
        lines.append(f'{head} skeleton="{skeleton}">')
        lines += [
            f'    <Label value={_quoted(name)} model_index="{rank}"/>'
            for rank, name in enumerate(category.schema.names)
        ]
        lines.append("  </KeyPointLabels>")
    lines += [
        f'  <Choices name="{VISIBILITY}" toName="image" perRegion="true">',
        f'    <Choice value="{OCCLUDED_CHOICE}"/>',
        "  </Choices>",
        "</View>",
    ]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    return quoteattr(text.translate(_BAD))
