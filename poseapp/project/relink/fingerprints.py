"""Which file a video was when its labels were made: one fingerprint a media, in the project file."""

from __future__ import annotations

from poseapp.project.store import ProjectStore

_TABLE = "CREATE TABLE IF NOT EXISTS fingerprint (media INTEGER PRIMARY KEY, text TEXT NOT NULL)"


def keep_fingerprint(store: ProjectStore, media: int, text: str) -> None:
    """Keep the text of a :class:`engine.media.alignment.fingerprint.Fingerprint`; one kept before is replaced.

    Raises:
        ProjectError: the project is open for reading only, or the disk is full.
    """
    with store.database.write():
        store.database.run(_TABLE)
        store.database.run("INSERT OR REPLACE INTO fingerprint VALUES (?, ?)", (media, text))


def fingerprints(store: ProjectStore) -> dict[int, str]:
    """All that are kept, by media."""
    if not store.database.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'fingerprint'"):
        return {}
    return dict(store.database.rows("SELECT media, text FROM fingerprint ORDER BY media"))
