"""The log on the disk: warnings and errors of the program, in files that do not grow without end."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from engine.utils.plain_text import OneLineFormatter

NAME = "poseapp.log"
MAX_BYTES = 1 << 20
KEPT = 3
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_handler: RotatingFileHandler | None = None


def start_log(folder: Path) -> bool:
    """Write the log to a folder from now on. False when it cannot be written; then only the terminal has it."""
    global _handler
    stop_log()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / NAME, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    except OSError as error:
        logging.getLogger(__name__).warning("no log is kept: %s", error)
        return False
    handler.setFormatter(OneLineFormatter(FORMAT))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    _handler = handler
    return True


def stop_log() -> None:
    """Close the file, so that it can be moved."""
    global _handler
    if _handler is not None:
        logging.getLogger().removeHandler(_handler)
        _handler.close()
        _handler = None


def is_logging() -> bool:
    return _handler is not None
