"""Images, annotations and categories of a COCO file, and one line of a results list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import CocoError
from engine.formats.coco.document import encode_json, patch_record
from engine.schema.schema import Schema, schema_from_names, unique_names

Id = int | str
Number = int | float


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """One picture. ``width`` and ``height`` are 0 where the file does not tell.

    ``raw`` is the record as it stands in the file and is what is written; b"" for a record made here.
    """

    id: Id
    file_name: str
    width: int = 0
    height: int = 0
    raw: bytes = b""

    def encoded(self) -> bytes:
        if self.raw:
            return self.raw
        fields: dict[str, Any] = {"id": self.id, "file_name": self.file_name}
        if self.width and self.height:
            fields |= {"width": self.width, "height": self.height}
        return encode_json(fields)


class CocoAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One instance.

    Attributes:
        id, image_id, category_id: numbers or strings, as in the file.
        keypoints: flat x, y, v of every point, 3K numbers as in the file (integers stay integers), or None. Points
            whose numbers are not finite read as 0, 0, 0; two numbers a point become three with v = 2.
        bbox: x, y, width, height in image pixels, or None.
        area: square pixels, or None.
        iscrowd: 1 for a region with many, of which no single one is marked.
        num_keypoints: as the file says, right or not; None where it does not.
        score: of a model, or None. keypoint_scores: K scores of a model, or None.
        track_id: identity across images, also where it stands under ``attributes``.
        raw: the record as it stands in the file, written back unchanged; b"" for a record made here.
        unreadable_points: points that the file marks as labelled but whose coordinates are no finite numbers.
    """

    id: Id
    image_id: Id
    category_id: Id
    keypoints: list[Number] | None = None
    bbox: list[Number] | None = None
    area: float | None = None
    iscrowd: int = 0
    num_keypoints: int | None = None
    score: float | None = None
    keypoint_scores: list[Number] | None = None
    track_id: Id | None = None
    raw: bytes = b""
    unreadable_points: int = 0

    def encoded(self) -> bytes:
        return self.raw or encode_json(self._fields())

    def patched(self, remove: Sequence[str] = (), **changes: Any) -> CocoAnnotation:
        """This annotation with some fields changed; its other keys, known or not, stay as they were written."""
        raw = patch_record(self.encoded(), changes, remove)
        known = {key: value for key, value in changes.items() if key in self.__struct_fields__}
        known |= {key: None for key in remove if key in ("score", "keypoint_scores", "track_id", "bbox", "area")}
        return msgspec.structs.replace(self, raw=raw, **known)

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": self.id, "image_id": self.image_id, "category_id": self.category_id}
        if self.keypoints is not None:
            fields["keypoints"] = self.keypoints
            given = self.num_keypoints
            fields["num_keypoints"] = sum(v > 0 for v in self.keypoints[2::3]) if given is None else given
        for key in ("bbox", "area"):
            if getattr(self, key) is not None:
                fields[key] = getattr(self, key)
        fields["iscrowd"] = self.iscrowd
        for key in ("score", "keypoint_scores", "track_id"):
            if getattr(self, key) is not None:
                fields[key] = getattr(self, key)
        return fields


class CocoCategory(msgspec.Struct, frozen=True):
    """A kind of object. ``skeleton`` holds pairs of positions counted from 0, whatever the file counts from."""

    id: Id
    name: str
    keypoints: list[str] = []
    skeleton: list[tuple[int, int]] = []
    raw: bytes = b""

    def encoded(self) -> bytes:
        if self.raw:
            return self.raw
        fields: dict[str, Any] = {"id": self.id, "name": self.name, "supercategory": self.name}
        if self.keypoints:
            fields["keypoints"] = self.keypoints
            fields["skeleton"] = [[a + 1, b + 1] for a, b in self.skeleton]
        return encode_json(fields)

    def schema(self) -> Schema:
        """A schema from names and skeleton. Names that are empty or stand twice get a number behind them.

        Raises:
            SchemaError: the category names no keypoints.
        """
        names = unique_names(self.keypoints)
        pairs = [(a, b) for a, b in self.skeleton if 0 <= a < len(names) and 0 <= b < len(names)]
        return schema_from_names(self.name or f"category {self.id}", names, pairs, category=self.name)


class CocoResult(msgspec.Struct, frozen=True, gc=False):
    """One line of a COCO results list: a box (xywh, image pixels), a pose (flat x, y, score) or both."""

    image_id: Id
    category_id: Id = 1
    bbox: list[Number] | None = None
    score: float = 1.0
    keypoints: list[Number] | None = None
    raw: bytes = b""

    def encoded(self) -> bytes:
        if self.raw:
            return self.raw
        fields: dict[str, Any] = {"image_id": self.image_id, "category_id": self.category_id}
        for key in ("bbox", "keypoints"):
            if getattr(self, key) is not None:
                fields[key] = getattr(self, key)
        return encode_json({**fields, "score": self.score})


def make_image(id: Id, file_name: str, width: int = 0, height: int = 0) -> CocoImage:
    """An image record."""
    return CocoImage(id, file_name, int(width), int(height))


def make_annotation(
    id: Id,
    image_id: Id,
    category_id: Id,
    keypoints: npt.ArrayLike | None = None,
    bbox_xywh: npt.ArrayLike | None = None,
    *,
    area: float | None = None,
    iscrowd: int = 0,
    score: float | None = None,
    keypoint_scores: npt.ArrayLike | None = None,
    track_id: Id | None = None,
) -> CocoAnnotation:
    """An annotation record.

    Args:
        keypoints: (K, 3) x, y in image pixels and visibility 0, 1 or 2.
        bbox_xywh: x, y, width, height in image pixels.
        area: square pixels; that of the box where left out.
        keypoint_scores: (K,).

    Raises:
        CocoError: numbers that are not finite, or arrays of another shape.
    """
    where = f"annotation {id}"
    flat: list[Number] | None = None
    if keypoints is not None:
        points = _finite(keypoints, (-1, 3), where, "keypoints")
        flat = points.ravel().tolist()
        flat[2::3] = map(_whole, flat[2::3])
    box: list[Number] | None = None
    if bbox_xywh is not None:
        box = list(_finite(bbox_xywh, (4,), where, "bbox").tolist())
        area = float(box[2] * box[3]) if area is None else float(area)
    scores = None if keypoint_scores is None else _finite(keypoint_scores, (-1,), where, "keypoint_scores").tolist()
    return CocoAnnotation(
        id=id,
        image_id=image_id,
        category_id=category_id,
        keypoints=flat,
        bbox=box,
        area=area,
        iscrowd=int(iscrowd),
        num_keypoints=None if flat is None else int(np.count_nonzero(points[:, 2] > 0)),
        score=None if score is None else float(score),
        keypoint_scores=scores,
        track_id=track_id,
    )


def make_category(id: Id, schema: Schema, name: str = "") -> CocoCategory:
    """A category record of a schema; ``name`` is the schema's category where left out."""
    limbs = [(int(a), int(b)) for a, b in schema.limb_indices]
    return CocoCategory(id, name or schema.category or schema.name, list(schema.names), limbs)


def _finite(values: npt.ArrayLike, shape: tuple[int, ...], where: str, what: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    try:
        array = array.reshape(shape)
    except ValueError:
        raise CocoError(f"{what} has shape {array.shape}, expected {shape}", where=where) from None
    if not np.isfinite(array).all():
        raise CocoError(f"{what} contains a number that is not finite", where=where)
    return array


def _whole(value: float) -> Number:
    return int(value) if value == int(value) else value
