"""Files that appear whole or not at all: written under a temporary name beside them, synced, put in place."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = None, sync: bool = True, suffix: str = ".tmp") -> Iterator[Path]:
    """A name to write to, which takes the place of ``path`` when the block ends well; else nothing is left of it.

    Args:
        mode: permissions of the file; None = for its owner alone.
        sync: force it to the disk first. False only for what can be made again.
        suffix: of the temporary name, for writers that tell the format by it.

    Raises:
        OSError: it cannot be written; a file that was there is untouched.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if sync:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def new_file_mode() -> int:
    """Permissions that any new file gets."""
    mask = os.umask(0o022)
    os.umask(mask)
    return 0o666 & ~mask


def kept_mode(path: Path) -> int:
    """Permissions of the file that is replaced, else those of any new file."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return new_file_mode()
