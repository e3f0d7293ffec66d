"""Image files of several pictures: pages of a TIFF, frames of an animated GIF, WebP or PNG (docs/adr/0011)."""

from engine.media.pages.counting import (
    CHECKED_IN_FOLDERS,
    READ_AS_PAGES,
    SUFFIXES,
    count_pages,
    has_pages,
    page_count,
)
from engine.media.pages.tiff import MOST

__all__ = [
    "CHECKED_IN_FOLDERS",
    "MOST",
    "READ_AS_PAGES",
    "SUFFIXES",
    "count_pages",
    "has_pages",
    "page_count",
    "remark",
]
