"""The one family of errors a user may see.

Every message says what happened, to which file or record, and what to do about it. Command-line programs print the
message on one line and leave with status 2; the window shows it in a corner. Anything outside this family is a defect
of the program.
"""

from __future__ import annotations


class PoseError(Exception):
    """Something the user can act on.

    Args:
        message: one sentence: what happened and, where known, what to do.
        where: the file, and the record in it, that is concerned (``"labels.json: annotation 17"``).
    """

    def __init__(self, message: str, *, where: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = None if where is None else str(where)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class SchemaError(PoseError):
    """A keypoint schema that contradicts itself or cannot be read."""


class CocoError(PoseError):
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
