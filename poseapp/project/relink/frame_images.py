"""Small pictures of labelled frames: they find the frames again when another file takes the place of the video.

They are kept by the content key of the file that they were taken from, so that re-mapping and its undo need not touch
them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from poseapp.project.store import ProjectStore

Gray = npt.NDArray[np.uint8]

_MOST_BYTES = 1 << 16


def keep_pictures(store: ProjectStore, key: str, pictures: Mapping[int, Gray]) -> None:
    """Keep grey (S, S) uint8 pictures of frames; one kept before stays.

    Raises:
        ProjectError: the project is open for reading only, or the disk is full.
    """
    with store.database.write():
        store.database.many(
            "INSERT OR IGNORE INTO frame_picture VALUES (?, ?, ?)",
            ((key, int(index), zlib.compress(picture.tobytes())) for index, picture in pictures.items()),
        )


def kept_pictures(store: ProjectStore, key: str) -> dict[int, Gray]:
    """By frame number; what cannot be read is left out."""
    results: dict[int, Gray] = {}
    for index, data in store.database.rows("SELECT idx, picture FROM frame_picture WHERE key = ? ORDER BY idx", (key,)):
        try:
            values = np.frombuffer(zlib.decompressobj().decompress(data, _MOST_BYTES), np.uint8)
            side = round(len(values) ** 0.5)
            if side:
                results[int(index)] = values.reshape(side, side)
        except (zlib.error, ValueError, TypeError):
            continue
    return results


def frames_without_picture(store: ProjectStore, media: int, key: str, most: int) -> list[int]:
    """Labelled frames of a media of which no picture is kept, at most so many, evenly from the first to the last."""
    rows = store.database.rows(
        "SELECT idx FROM frame WHERE media = ? AND labelled AND NOT EXISTS "
        "(SELECT 1 FROM frame_picture p WHERE p.key = ? AND p.idx = frame.idx) ORDER BY idx",
        (media, key),
    )
    results = [int(index) for (index,) in rows]
    if len(results) <= most:
        return results
    return [results[i] for i in np.unique(np.linspace(0, len(results) - 1, most).round().astype(int))]


def has_picture(store: ProjectStore, key: str, index: int) -> bool:
    return store.database.row("SELECT 1 FROM frame_picture WHERE key = ? AND idx = ?", (key, index)) is not None
