"""Write docs/formats.md from the registries of label formats and of exports: ``python tools/write_formats.py``."""

from __future__ import annotations

from pathlib import Path

from engine.convert import markdown_table
from poseapp.project.exports.registry import all_exports

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "formats.md"

_TEXT = """# Label formats

Made by `python tools/write_formats.py` from the registries; edit the facts there.

`python -m engine.convert IN OUT` converts any format that can be read to any that can be written; `engine.train`,
`engine.evaluate` and the window (File > Open labels..., or drop the file) read them all. The content says which format
it is, not the suffix. To add one: [label-format.md](extending/label-format.md).

{formats}
## Exports of the window

{exports}"""


def document() -> str:
    """The text of the document."""
    lines = ["| name | menu item | what | files |", "|---|---|---|---|"]
    for export in all_exports():
        files = f"`{export.suffix}`" if export.suffix else "a folder"
        lines.append(f"| `{export.name}` | `{export.action}` | {export.title} | {files} |")
    lines.append("| each label format that can be written | `export_labels` | as above | |")
    return _TEXT.format(formats=markdown_table(), exports="\n".join(lines) + "\n")


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
