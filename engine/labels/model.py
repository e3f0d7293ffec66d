"""What labels are, whatever file they come from: media, frames, categories, instances.

Records refer to each other by position: ``instance.frame`` is the position of its frame in ``labels.frames()``,
``instance.category`` the position in ``labels.categories``, ``frame.media`` that in ``labels.media``; :data:`UNKNOWN`
where the file names something that it does not list.

Conventions: x to the right, y down, in image pixels; pixel centers at integers. Boxes are x1, y1, x2, y2.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema

UNKNOWN = -1
"""The position of what a file refers to but does not list."""

ABSENT, OCCLUDED, VISIBLE = 0, 1, 2
"""Visibilities of a keypoint, as in COCO."""

IMAGES, VIDEO = "images", "video"
"""Types of media."""

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


class Media(msgspec.Struct, frozen=True):
    """A set of images, or one video.

    Attributes:
        type: IMAGES or VIDEO.
        path: of the video as the file writes it; of images "", or the folder that their names begin at.
        stored_pixels: labels of this video are in its stored pixels, which may not be square, and not in the pixels
            that are shown (see :func:`engine.media.video.frame_size.opencv_grid`).
        name: what messages call it; "" = by its path.
    """

    type: str = IMAGES
    path: str = ""
    stored_pixels: bool = False
    name: str = ""


class Frame(msgspec.Struct, frozen=True):
    """One image, or one frame of a video.

    Attributes:
        name: of the image as the file writes it; may be "" for a frame of a video.
        media: position of its media.
        index: number of the frame in its video, from 0; of an image its position among those of its media.
        width, height: in pixels, 0 where the file does not say.
        is_negative: a person has said that there is nothing to label.
        is_flagged: suggested for labelling.
        raw: the record as the file writes it, b"" without one; see :attr:`LabelReader.raw_format`.
        edited: names of the attributes that were changed since the record was read, see :meth:`replace`.
    """

    name: str
    media: int = 0
    index: int = 0
    width: int = 0
    height: int = 0
    is_negative: bool = False
    is_flagged: bool = False
    raw: bytes = b""
    edited: frozenset[str] = frozenset()

    def replace(self, **changes: Any) -> Frame:
        """This frame with some attributes changed. Writers of its own format change just these in the record."""
        return msgspec.structs.replace(self, **changes, edited=self.edited | changes.keys())


class Category(msgspec.Struct, frozen=True):
    """A kind of object.

    Attributes:
        schema: its keypoints; None if its instances are boxes and regions only.
        id: as the file writes it; None if it does not.
        raw, edited: as in :class:`Frame`.
    """

    name: str
    schema: Schema | None = None
    id: int | str | None = None
    raw: bytes = b""
    edited: frozenset[str] = frozenset()

    def replace(self, **changes: Any) -> Category:
        """This category with some attributes changed. Writers of its own format change just these in the record."""
        return msgspec.structs.replace(self, **changes, edited=self.edited | changes.keys())


class Instance(msgspec.Struct, frozen=True, eq=False):
    """One object in one frame.

    Attributes:
        frame, category: positions, UNKNOWN if the file does not list them.
        keypoints: (K, 2) float64; numbers of absent points mean nothing. None if the record has no usable points.
        visibility: (K,) uint8: ABSENT, OCCLUDED or VISIBLE. None where ``keypoints`` is.
        scores: (K,) float64 of a model, or None.
        box: (4,) float64 x1, y1, x2, y2, or None.
        score: of a model, or None.
        track: number of its identity, see :attr:`LabelReader.tracks`; None without.
        area: square pixels of its region, None if the file does not say.
        is_prediction: made by a model, and no person has accepted it.
        is_crowd: a region with many objects, none of them marked alone.
        source: name of the model or person that made it; "" if the file does not say.
        key: identifies the record within its file, also in a later version of the file; "" if nothing does.
        raw: as in :class:`Frame`.
        edited: names of the attributes that were changed since the record was read, see :meth:`replace`.
    """

    frame: int
    category: int
    keypoints: Floats | None = None
    visibility: Bytes | None = None
    scores: Floats | None = None
    box: Floats | None = None
    score: float | None = None
    track: int | None = None
    area: float | None = None
    is_prediction: bool = False
    is_crowd: bool = False
    source: str = ""
    key: str = ""
    raw: bytes = b""
    edited: frozenset[str] = frozenset()

    @property
    def is_pose(self) -> bool:
        """Whether it is one object with keypoints (perhaps all absent) in a frame that the file lists.

        The rest are crowds, regions, and records that refer to something that the file does not list.
        """
        return self.frame >= 0 and self.category >= 0 and self.keypoints is not None and not self.is_crowd

    def replace(self, **changes: Any) -> Instance:
        """This instance with some attributes changed. Writers of its own format change just these in the record."""
        return msgspec.structs.replace(self, **changes, edited=self.edited | changes.keys())
