"""The one family of errors a user may see.

Every message says what happened, to which file or record, and what to do about it. Command-line programs print the
message on one line and leave with status 2; the window shows it in a corner. Anything outside this family is a defect
of the program.
"""

from __future__ import annotations

_LONGEST = 600  # characters of a message, and of a place; a damaged file may put megabytes into either


class PoseError(Exception):
    """Something the user can act on.

    Args:
        message: one sentence: what happened and, where known, what to do.
        where: the file, and the record in it, that is concerned (``"labels.json: annotation 17"``).
    """

    def __init__(self, message: str, *, where: object = None) -> None:
        message = shortened(message)
        super().__init__(message)
        self.message = message
        self.where = None if where is None else shortened(str(where))

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class SchemaError(PoseError):
    """A keypoint schema that contradicts itself or cannot be read."""


class LabelError(PoseError):
    """A label file, or a record of one, that cannot be read or written."""


class CocoError(LabelError):
    """A COCO file, or a record of one, that cannot be understood."""


class MediaError(PoseError):
    """An image or a video that cannot be read."""


class ModelError(PoseError):
    """A model, checkpoint or weights file that is missing, foreign or unsafe."""


class ProjectError(PoseError):
    """A project file that cannot be opened, or an edit that does not fit it."""


class TrainingError(PoseError):
    """A training run that cannot start or cannot go on."""


class Cancelled(PoseError):
    """The user asked for the work to stop; what was done is kept."""


def shortened(text: str, limit: int = _LONGEST) -> str:
    """Text for people: at most ``limit`` characters, the middle left out of a longer one."""
    if len(text) <= limit:
        return text
    head = (limit - 5) * 2 // 3
    return f"{text[:head]} ... {text[len(text) - (limit - 5 - head) :]}"


def quoted(value: object, limit: int = 60) -> str:
    """A value of a file in a message: as Python writes it, and not longer than a person reads."""
    return shortened(repr(value) if not isinstance(value, str) else repr(value[: 4 * limit]), limit)
