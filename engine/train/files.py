"""Files that are whole or not there at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from engine.contract.errors import TrainingError


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name in the same folder, sync, then take the place of ``path``.

    Raises:
        TrainingError: the folder cannot be written or the disk is full; the old file stands.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TrainingError(f"cannot be written ({error.strerror or error})", where=path) from None
