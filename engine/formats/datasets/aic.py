"""AI Challenger's own annotation list: one entry a picture, people by name.

Each entry has ``image_id`` (the picture's name without ``.jpg``), ``human_annotations`` {person: [x1, y1, x2, y2]} and
``keypoint_annotations`` {person: 14 times x, y, v}, v = 1 visible, 2 hidden, 3 not labelled. COCO's v is 2, 1, 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, CocoImage, Number
from engine.formats.datasets.builder import assemble
from engine.formats.datasets.dataset import KeypointDataset
from engine.formats.datasets.kinds import KINDS, Kind
from engine.utils.skipped import Skipped

_COCO_VISIBILITY: dict[Number, int] = {1: 2, 2: 1, 3: 0}
_FARTHEST = 1e30  # pixels


class _Entry(msgspec.Struct):
    image_id: str
    keypoint_annotations: dict[str, list[int | float]]
    human_annotations: dict[str, list[int | float]]


_entry = msgspec.json.Decoder(_Entry).decode


class AicList:
    """The list, split into entries. Pictures and people are numbered from 1 in the order of the file."""

    def __init__(self, file: Path, entries: Sequence[msgspec.Raw]) -> None:
        self._file = file
        self._entries = entries

    def kind(self) -> Kind:
        return KINDS["aic"]

    def read(self, kind: Kind, folder: Path, skipped: Skipped | None = None) -> KeypointDataset:
        """Raises: CocoError naming the entry that cannot be understood."""
        if kind.name != "aic":
            raise CocoError(f"is a list of AI Challenger, not {kind.name}", where=self._file)
        parsed = (self._parsed(position, raw, skipped) for position, raw in enumerate(self._entries))
        entries = [entry for entry in parsed if entry is not None]
        images = [CocoImage(image_id, f"{entry.image_id}.jpg") for image_id, entry in enumerate(entries, 1)]
        category = CocoCategory(1, kind.load_schema().category)
        return assemble(
            kind, self._file, folder, images, self._annotations(entries, skipped), [category], skipped=skipped
        )

    def _parsed(self, position: int, raw: msgspec.Raw, skipped: Skipped | None) -> _Entry | None:
        try:
            return _entry(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            fault = CocoError(f"is no entry of AI Challenger: {error}", where=f"{self._file}: entry {position}")
        if skipped is None:
            raise fault
        skipped.add_error(fault)
        return None

    def _annotations(self, entries: Sequence[_Entry], skipped: Skipped | None) -> Iterator[CocoAnnotation]:
        identity = 0
        for image, entry in enumerate(entries, 1):
            for person in entry.keypoint_annotations:
                identity += 1
                try:
                    annotation = self._annotation(identity, image, entry, person)
                except CocoError as error:
                    if skipped is None:
                        raise
                    skipped.add_error(error)
                    continue
                yield annotation

    def _annotation(self, identity: int, image: int, entry: _Entry, person: str) -> CocoAnnotation:
        where = f"{self._file}: {entry.image_id}, {person}"
        corners = entry.human_annotations.get(person)
        if corners is not None and len(corners) != 4:
            raise CocoError(f"has a box of {len(corners)} numbers, expected 4", where=where)
        flat = _flat(entry.keypoint_annotations[person], where)
        return CocoAnnotation(
            id=identity,
            image_id=image,
            category_id=1,
            keypoints=flat,
            bbox=None if corners is None else xywh(corners, where),
            num_keypoints=sum(v > 0 for v in flat[2::3]),
        )


def xywh(corners: Sequence[Number], where: str) -> list[Number]:
    """x, y, width, height of x1, y1, x2, y2.

    Raises:
        CocoError: numbers that are not finite, or too large for a picture.
    """
    if not all(abs(corner) < _FARTHEST for corner in corners):
        raise CocoError("has a box with a number that is too large", where=where)
    x1, y1, x2, y2 = corners
    return [x1, y1, x2 - x1, y2 - y1]


def _flat(values: Sequence[Number], where: str) -> list[Number]:
    if len(values) != 42:
        raise CocoError(f"has {len(values)} keypoint numbers, expected 42", where=where)
    flat: list[Number] = []
    for x, y, state in zip(values[0::3], values[1::3], values[2::3]):
        v = _COCO_VISIBILITY.get(state)
        if v is None:
            raise CocoError(f"has visibility {str(state)[:12]}, which is none of 1, 2, 3", where=where)
        flat += (x, y, v) if v else (0, 0, 0)
    return flat
