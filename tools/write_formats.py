"""Write docs/formats.md from the registries of label formats and of exports: ``python tools/write_formats.py``."""

from __future__ import annotations

import json
from pathlib import Path

from engine.convert import markdown_table
from engine.formats.registry import formats
from engine.labels.features import Feature
from poseapp.project.exports.registry import all_exports

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "formats.md"
PEERS = ROOT / "tests" / "peers" / "results.json"

_COLUMNS = {
    Feature.OCCLUSION: "occlusion",
    Feature.BOXES: "boxes",
    Feature.TRACKS: "tracks",
    Feature.TRACK_NAMES: "track names",
    Feature.SCORES: "scores",
    Feature.SEVERAL_CATEGORIES: "several categories",
    Feature.VIDEO_FRAMES: "video frames",
    Feature.SEVERAL_MEDIA: "several media",
    Feature.EMPTY_FRAMES: "empty frames",
    Feature.FRAME_MARKS: "frame marks",
    Feature.CROWDS: "crowds",
}

_TEXT = """# Label formats

Made by `python tools/write_formats.py` from the registries; edit the facts there.

`python -m engine.convert IN OUT` converts any format that can be read to any that can be written; `engine.train`,
`engine.evaluate` and the window (File > Open labels..., or drop the file) read them all. The content says which format
it is, not the suffix. To add one: [label-format.md](extending/label-format.md).

{formats}
A zip archive is read in whatever format it holds, and written with `--to NAME` and a name that ends in `.zip`.
`--copy-images` and `--link-images` put the images into data sets in a folder.

## What each format keeps

Keypoints and their visibility are kept by all.

{keeps}
## Other programs read our files

Made by `tests/peers/run.py`; coordinates and the number of poses are compared.

{peers}
## Exports of the window

{exports}"""


def document() -> str:
    """The text of the document."""
    lines = ["| name | menu item | what | files |", "|---|---|---|---|"]
    for export in all_exports():
        files = f"`{export.suffix}`" if export.suffix else "a folder"
        lines.append(f"| `{export.name}` | `{export.action}` | {export.title} | {files} |")
    lines.append("| each label format that can be written | `export_labels` | as above | |")
    return _TEXT.format(formats=markdown_table(), keeps=_keeps(), peers=_peers(), exports="\n".join(lines) + "\n")


def _keeps() -> str:
    """A column for each feature."""
    lines = [f"| format | {' | '.join(_COLUMNS.values())} |", "|---|" + "---|" * len(_COLUMNS)]
    for format in formats():
        if format.suffixes != (".zip",):
            cells = ("yes" if feature in format.keeps else "" for feature in _COLUMNS)
            lines.append(f"| `{format.name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _peers() -> str:
    """A row for each reader and file."""
    lines = ["| reader | file | result |", "|---|---|---|"]
    for reader, cells in sorted(json.loads(PEERS.read_text(encoding="utf-8")).items()):
        lines += [f"| {reader} | {name} | {result} |" for name, result in sorted(cells.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
