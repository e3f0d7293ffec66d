"""The pages of a TIFF: where their directories are (TIFF 6.0, section 2; BigTIFF has wider numbers)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Literal

_Order = Literal["little", "big"]

MOST = 100_000
"""Pictures of one file that are looked for; a file that says more is a mistake or a trap."""
_MOST_BYTES = 1 << 40
# Directories of a TIFF may overlap, so that a small file can make a reader go on for hours; reading then stops with
# what has been seen.
_MOST_TABLE_BYTES = 32 << 20
_CLASSIC, _BIG = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Layout:
    """Sizes in bytes of a kind of TIFF.

    Attributes:
        order: of bytes. count: of the number of entries. entry: of an entry. offset: of a place in the file.
        first: where the place of the first directory is written.
    """

    order: _Order
    count: int
    entry: int
    offset: int
    first: int


def is_tiff(start: bytes) -> bool:
    """Whether a file that begins so is a TIFF."""
    return start[:4] in _CLASSIC or start[:4] in _BIG


def layout_of(start: bytes) -> Layout:
    """The layout of a TIFF by its first bytes."""
    order: _Order = "little" if start[:2] == b"II" else "big"
    return Layout(order, 8, 20, 8, 8) if start[:4] in _BIG else Layout(order, 2, 12, 4, 4)


def tiff_pages(file: BinaryIO) -> list[int]:
    """The places of the directories of full pages, smaller copies and masks left out; at most MOST."""
    file.seek(0)
    start = file.read(16)
    layout = layout_of(start)
    at = int.from_bytes(start[layout.first : layout.first + layout.offset], layout.order)
    pages: list[int] = []
    visited: set[int] = set()
    table_bytes = 0
    while 0 < at < _MOST_BYTES and at not in visited and len(visited) < MOST:
        visited.add(at)
        file.seek(at)
        head = file.read(layout.count)
        if len(head) < layout.count:
            break
        entries = int.from_bytes(head, layout.order)
        length = entries * layout.entry + layout.offset
        table_bytes += length
        if entries > 1 << 16 or table_bytes > _MOST_TABLE_BYTES:
            break
        table = file.read(length)
        if len(table) < length:
            break
        if not _is_reduced(table[: -layout.offset], layout):
            pages.append(at)
        at = int.from_bytes(table[-layout.offset :], layout.order)
    return pages


def _is_reduced(table: bytes, layout: Layout) -> bool:
    """Whether a directory holds a smaller copy of another picture, or its mask (tag 254, bits 0 and 2)."""
    for at in range(0, len(table), layout.entry):
        if int.from_bytes(table[at : at + 2], layout.order) == 254:
            value = table[at + layout.entry - layout.offset : at + layout.entry]
            return bool(int.from_bytes(value[:4], layout.order) & 5)
    return False
