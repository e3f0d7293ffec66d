"""Labels with their mistakes mended, for the fixes that checks know.

with read_labels("labels.json") as labels:
    fixed = FixedLabels(labels, image_of=images_of(labels))
    write_labels(fixed, "fixed.json")
    print(fixed.applied)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import checks
from engine.labels.checks.running import ImageOfFrame, checked_frame, run_instances
from engine.labels.model import UNKNOWN, Category, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class FixedLabels(LabelReader):
    """Labels as they are after fixes. The checks run when this is made; then labels are mended as they are read.

    Args:
        labels: stay open.
        chosen: the checks; None = all that have a fix.
        image_of: where images are; without it, checks that need images are left out.

    Attributes:
        findings: what was found, by the check's id. applied: how many of these were mended, by the check's id.

    Raises:
        Cancelled: the context was cancelled.
    """

    def __init__(
        self,
        labels: LabelReader,
        chosen: Iterable[type[Check]] | None = None,
        *,
        image_of: ImageOfFrame | None = None,
        context: Context | None = None,
    ) -> None:
        classes = [check for check in (checks() if chosen is None else chosen) if check.fix_title]
        self._labels, self._image_of = labels, image_of
        self._checks: list[Check] = sorted((check() for check in classes), key=lambda check: check.fix_order)
        self._instances: dict[str, set[int]] = {check.id: set() for check in self._checks}
        self._fixed_frames: dict[str, set[int]] = {check.id: set() for check in self._checks}
        self._categories: set[str] = set()
        self.findings: list[Finding] = []
        self.applied: Counter[str] = Counter()
        self._find(context)
        self._settle_frames()
        self.path, self.image_folder, self.tracks = labels.path, labels.image_folder, labels.tracks
        self.raw_format, self.header = labels.raw_format, labels.header
        self.categories: Sequence[Category] = self._fixed_categories()
        self.media: Sequence[Media] = self._fixed_media()

    def _find(self, context: Context | None) -> None:
        for finding in run_instances(self._labels, self._checks, image_of=self._image_of, context=context):
            self.findings.append(finding)
            if not finding.fix:
                continue
            self.applied[finding.check] += 1
            if finding.instance is not None:
                self._instances[finding.check].add(finding.instance)
            elif finding.frame != UNKNOWN:
                self._fixed_frames[finding.check].add(finding.frame)
            else:
                self._categories.add(finding.check)

    def _settle_frames(self) -> None:
        """Where each frame is in the result; merged ones where the other is."""
        self._original = list(self._labels.frames())
        merged: dict[int, int] = {}
        for check in self._checks:
            for position in self._fixed_frames[check.id]:
                target = check.merged_frame(position)
                if target is not None:
                    merged.setdefault(position, target)
        self._kept = [position for position in range(len(self._original)) if position not in merged]
        self._new_position = {position: n for n, position in enumerate(self._kept)}
        self._new_position |= {position: self._new_position[target] for position, target in merged.items()}
        self._merged = frozenset(merged)

    def _fixed_categories(self) -> list[Category]:
        categories = list(self._labels.categories)
        for check in self._checks:
            if check.id in self._categories:
                categories = [check.fix_category(n, category) for n, category in enumerate(categories)]
        return categories

    def _fixed_media(self) -> list[Media]:
        moved = {position for check in self._checks for position in check.moved_media()}
        return [
            msgspec.structs.replace(media, stored_pixels=False) if position in moved else media
            for position, media in enumerate(self._labels.media)
        ]

    def frames(self) -> Iterator[Frame]:
        for position, frame in enumerate(self._original):
            if position in self._merged:
                continue
            for check in self._checks:
                if position in self._fixed_frames[check.id]:
                    frame = check.fix_frame(replace(self._checked(position), frame=frame))
            yield frame

    def instances(self) -> Iterator[Instance]:
        has_moved = bool(self._merged)
        for position, instance in enumerate(self._labels.instances()):
            fixed: Instance | None = instance
            for check in self._checks:
                is_concerned = position in self._instances[check.id] or instance.frame in self._fixed_frames[check.id]
                if is_concerned and fixed is not None:
                    fixed = check.fix(self._checked(instance.frame), self._checked_instance(position, fixed))
            if fixed is None:
                continue
            frame = self._new_position.get(fixed.frame, UNKNOWN)
            if has_moved and frame != fixed.frame:
                # A merged record names another image; others only stand at another position.
                is_merged = instance.frame in self._merged
                fixed = fixed.replace(frame=frame) if is_merged else msgspec.structs.replace(fixed, frame=frame)
            yield fixed

    def _checked(self, position: int) -> CheckedFrame:
        return checked_frame(self._labels, self._original, position, (), image_of=self._image_of)

    def _checked_instance(self, position: int, instance: Instance) -> CheckedInstance:
        category = self._labels.categories[instance.category] if instance.category >= 0 else None
        return CheckedInstance(position, instance, category)

    def num_instances(self) -> int:
        return self._labels.num_instances()

    def source_file(self, frame: int) -> Path:
        return self._labels.source_file(self._old_position(frame))

    def embedded_image(self, frame: int) -> bytes | None:
        return self._labels.embedded_image(self._old_position(frame))

    def _old_position(self, frame: int) -> int:
        return self._kept[frame]

    def close(self) -> None:
        self._labels.close()
