"""What a check of labels is, what it sees and what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from engine.labels.model import ABSENT, UNKNOWN, Category, Floats, Frame, Instance
from engine.labels.reader import LabelReader
from engine.schema.schema import Schema
from engine.utils.context import WARNING

Flags = npt.NDArray[np.bool_]
_RECORD = re.compile(rb'[{,]\s*"id"\s*:\s*"?([^",}\s]+)')


@dataclass(frozen=True)
class Finding:
    """Something that is probably wrong with labels.

    Attributes:
        check: id of the check. severity: of :mod:`engine.utils.context`: INFO, WARNING or ERROR.
        message: one sentence without the record: "nose lies outside the image (640 x 480 pixels)".
        where: the record, for people: "photo.jpg, annotation 17".
        frame: position of the frame in ``labels.frames()``; UNKNOWN if the labels do not list it.
        instance: position of the instance in ``labels.instances()``; None if the whole frame is concerned.
        keypoints: positions of the keypoints that are concerned.
        fix: what :meth:`Check.fix` would do about it ("Mark as absent"); "" if a person has to look.
    """

    check: str
    severity: str
    message: str
    where: str
    frame: int
    instance: int | None = None
    keypoints: tuple[int, ...] = ()
    fix: str = ""


@dataclass(frozen=True, eq=False)
class CheckedInstance:
    """An instance, with what a check asks of it most.

    Attributes:
        position: in ``labels.instances()``.
        label: the instance itself.
        category: its category, None if the labels do not list it.
    """

    position: int
    label: Instance
    category: Category | None

    @property
    def record(self) -> str:
        """How messages call the instance: "annotation 17" of a COCO file, else by its key or its position from 1."""
        id = _RECORD.search(self.label.raw)
        if id is not None:
            return f"annotation {id[1].decode('utf-8', 'replace')}"
        key = self.label.key or str(self.position + 1)
        return f"instance {key}" if key.isdecimal() else key

    @cached_property
    def schema(self) -> Schema | None:
        """The keypoints by name; None if the category has none, or the instance has another number of them."""
        schema = None if self.category is None else self.category.schema
        points = self.label.keypoints
        return None if schema is None or points is None or len(points) != schema.num_keypoints else schema

    @property
    def points(self) -> Floats:
        """(K, 2) x, y in image pixels, numbers of absent keypoints mean nothing; (0, 2) without keypoints."""
        return np.zeros((0, 2)) if self.label.keypoints is None else self.label.keypoints

    @cached_property
    def is_labelled(self) -> Flags:
        """(K,) which keypoints are present (occluded or visible) and have coordinates."""
        if self.label.keypoints is None or self.label.visibility is None:
            return np.zeros(len(self.points), np.bool_)
        labelled: Flags = (self.label.visibility != ABSENT) & np.isfinite(self.label.keypoints).all(axis=1)
        return labelled

    def name_of(self, keypoint: int) -> str:
        """The name of a keypoint, or its position from 1 where it has none."""
        return f"keypoint {keypoint + 1}" if self.schema is None else self.schema.names[keypoint]

    def names_of(self, keypoints: Iterable[int]) -> str:
        """Names of keypoints for a sentence: "nose, left_eye and 3 more"."""
        names = [self.name_of(int(keypoint)) for keypoint in keypoints]
        return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


@dataclass(frozen=True, eq=False)
class CheckedFrame:
    """One frame with all of its instances.

    Attributes:
        position: in ``labels.frames()``; UNKNOWN for the instances of frames that the labels do not list.
        frame: the frame itself.
        instances: in the order of the labels.
        find_image: gives the image file, None if it is missing; the attribute itself is None where nobody knows where
            images are, and for frames of videos.
        is_video: it is a frame of a video.
    """

    position: int
    frame: Frame
    instances: Sequence[CheckedInstance] = ()
    find_image: Callable[[], Path | None] | None = field(default=None, repr=False)
    is_video: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels as the labels say, None if they do not."""
        return (self.frame.width, self.frame.height) if self.frame.width > 0 and self.frame.height > 0 else None

    @property
    def is_listed(self) -> bool:
        """Whether the labels list the frame."""
        return self.position != UNKNOWN


class Check:
    """A check of labels. A subclass sets the attributes and writes :meth:`check_frame`; see docs/extending/check.md.

    One object checks one set of labels, so it may keep what it learns.

    Attributes:
        id: for ``--only``: lower-case letters, digits, "_". Scripts and projects keep it, so it never changes.
        title: what is wrong, for people: "Keypoint outside the image".
        help: one or two sentences: why it matters and what to do about it.
        severity: of its findings.
        needs_images: whether it looks at image files; it is left out where nobody knows where they are.
        at_import: whether it runs on everything that is imported: a mistake of the file, not of one label.
        of_files: whether it looks at what only files have (records, sizes); projects are not checked for it.
        fix_title: what :meth:`fix` does, for a button: "Mark as absent"; "" for a check without a fix.
        fix_order: fixes of lower numbers come first; those that move labels to another size come last.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    severity: ClassVar[str] = WARNING
    needs_images: ClassVar[bool] = False
    at_import: ClassVar[bool] = False
    of_files: ClassVar[bool] = False
    fix_title: ClassVar[str] = ""
    fix_order: ClassVar[int] = 0

    def learn(self, frame: CheckedFrame) -> None:
        """Called for every frame with instances before anything is checked: for what is usual in these labels.
        Instances of one frame may come in several calls."""

    def check_labels(self, labels: LabelReader) -> Iterator[Finding]:
        """What is wrong with the labels as a whole (their categories, their videos); called once, after learning."""
        return iter(())

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        """What is wrong in a frame."""
        return iter(())

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance | None:
        """The instance without the mistake; None to remove it.

        Called after the check, for instances with a finding that has a :attr:`Finding.fix`, and for all instances of a
        frame with such a finding. ``frame.instances`` is empty then.
        """
        return instance.label

    def fix_frame(self, frame: CheckedFrame) -> Frame:
        """The record of a frame without the mistake; for frames with a finding that has a fix."""
        return frame.frame

    def merged_frame(self, position: int) -> int | None:
        """The position of the frame that takes the instances of this one, which is then left out; None to keep it."""
        return None

    def fix_category(self, position: int, category: Category) -> Category:
        """A category without the mistake."""
        return category

    def moved_media(self) -> frozenset[int]:
        """Positions of the videos whose labels :meth:`fix` moves from the stored to the shown pixels."""
        return frozenset()

    def finding(
        self,
        frame: CheckedFrame,
        message: str,
        instance: CheckedInstance | None = None,
        keypoints: Iterable[int] = (),
        *,
        fixable: bool = True,
    ) -> Finding:
        """A finding of this check.

        Args:
            fixable: whether :meth:`fix` can do something about it, if the check has a fix at all.
        """
        where = frame.frame.name or (f"frame {frame.frame.index}" if frame.is_listed else "")
        if instance is not None:
            where = f"{where}, {instance.record}" if where else instance.record
        return Finding(
            self.id,
            self.severity,
            message,
            where,
            frame.position,
            None if instance is None else instance.position,
            tuple(int(keypoint) for keypoint in keypoints),
            self.fix_title if fixable else "",
        )

    def finding_of_labels(self, message: str, where: str, *, fixable: bool = True) -> Finding:
        """A finding about the labels as a whole, or about a category or a video."""
        return Finding(self.id, self.severity, message, where, UNKNOWN, fix=self.fix_title if fixable else "")
