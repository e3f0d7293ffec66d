"""Which frames a model has worked on."""

from __future__ import annotations

from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore


def frames_of_model(store: ProjectStore, source: str) -> set[FrameKey]:
    """Frames that hold poses of a model (``Instance.source``), accepted ones too. A frame in which it found nothing is
    not told from one that it has not seen."""
    rows = store.database.rows("SELECT DISTINCT media, idx FROM instance WHERE source = ?", (source,))
    return {FrameKey(int(media), int(index)) for media, index in rows}
