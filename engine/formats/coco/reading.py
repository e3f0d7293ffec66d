"""How the numbers of an imported COCO file are to be understood, decided once per file and kept with its records.

COCO's third number of a point is a visibility 0, 1 or 2. Tools that write predictions put a score there, COCO-WholeBody
does so for some hands and faces. A list with a fraction among its third numbers and no whole 2 holds scores; so does a
list of floats up to 1 (1.0, 0.0) in a file that has such lists under the same key, or that has nothing but these under
a key of COCO-WholeBody's parts (its faces). Everything else are visibilities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain

import msgspec
import numpy as np

from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, Id, Number
from engine.formats.coco.keypoints import (
    BODY,
    PARTS,
    WHOLE_BODY,
    PointArrays,
    flat_points,
    part_lists,
    to_arrays,
    to_boxes,
)
from engine.formats.coco.parsing import categories_in_pairs
from engine.labels.image_size import GridTransform
from engine.labels.model import Bytes, Flags, Floats


class Reading(msgspec.Struct, frozen=True):
    """What was decided for one file.

    Attributes:
        scores: keys (``keypoints``, ``face_kpts``, ...) under which scores stand as third numbers.
        pairs: categories with two numbers a point; None in files imported by earlier versions, which took every list
            of that length so.
        is_old: imported by an earlier version, which took every third number as a visibility.
    """

    scores: tuple[str, ...] = ()
    pairs: tuple[Id, ...] | None = ()
    is_old: bool = False

    def pairs_of(self, categories: Sequence[CocoCategory]) -> Collection[Id]:
        """For ``parse_annotations``."""
        return {category.id for category in categories} if self.pairs is None else self.pairs

    def score_mask(self, annotation: CocoAnnotation, count: int) -> Flags | None:
        """(K,) which points have a score as third number; None for none of them."""
        if self.is_old or not self.scores:
            return None
        flat = annotation.keypoints or []
        if len(flat) == 3 * count:
            are_scores = "keypoints" in self.scores and are_thirds_scores(flat)
            return np.ones(count, np.bool_) if are_scores else None
        if count != WHOLE_BODY or len(flat) not in (0, 3 * BODY):
            return None
        mask = np.zeros(count, np.bool_)
        for part, (key, (start, stop)) in zip(part_lists(annotation), PARTS.items()):
            if part and key in self.scores and len(part) == 3 * (stop - start):
                mask[start:stop] = are_thirds_scores(part)
        return mask if mask.any() else None

    def is_prediction(self, annotation: CocoAnnotation) -> bool:
        """Whether nobody has accepted an annotation yet: it has a score, or its points have scores for visibilities."""
        if annotation.score is not None:
            return True
        if self.is_old or "keypoints" not in self.scores or not annotation.keypoints:
            return False
        return are_thirds_scores(annotation.keypoints)

    def arrays(
        self, annotations: Sequence[CocoAnnotation], count: int, grids: Sequence[GridTransform | None]
    ) -> PointArrays:
        """Points, visibilities and boxes of annotations as they are in the project; all of them have ``count`` points
        or none.

        Args:
            grids: what brings the labels of each annotation into the picture as it is shown.
        """
        has_masks = bool(self.scores) and not self.is_old
        masks = [self.score_mask(annotation, count) for annotation in annotations] if has_masks else []
        flats = [flat_points(annotation, count) or [] for annotation in annotations]
        are_scores = None
        if any(mask is not None for mask in masks):
            nothing = np.zeros(count, np.bool_)
            are_scores = np.array([nothing if mask is None else mask for mask in masks]).reshape(-1, count)
        points, visibility = to_arrays(flats, count, are_scores)
        boxes, has_box = to_boxes([annotation.bbox for annotation in annotations])
        for position, grid in enumerate(grids):
            if grid is not None:
                points[position] = grid.points(points[position])
                boxes[position] = grid.boxes(boxes[position])
        return PointArrays(points, visibility, boxes, has_box, are_scores)


def point_scores(
    annotation: CocoAnnotation, count: int, visibility: Bytes, are_scores: Flags | None, *, is_prediction: bool
) -> Floats | None:
    """(K,) scores of the points: of a prediction ``keypoint_scores``, else those in place of visibilities, with 1 for
    the points that have a visibility. None if there are no scores.

    Args:
        visibility, are_scores: (K,) of this annotation, see :class:`PointArrays`.
    """
    if is_prediction and annotation.keypoint_scores is not None and len(annotation.keypoint_scores) == count:
        return np.asarray(annotation.keypoint_scores, np.float64)
    if are_scores is None or not are_scores.any():
        return None
    thirds = np.asarray(flat_points(annotation, count), np.float64)[2::3]
    return np.where(are_scores, thirds, (visibility > 0).astype(np.float64))


def instance_score(annotation: CocoAnnotation, scores: Floats | None, visibility: Bytes) -> float | None:
    """The score of a prediction: its own, else the mean of those of its visible points."""
    if annotation.score is not None or scores is None:
        return annotation.score
    visible = scores[visibility > 0]
    return float(visible.mean()) if len(visible) else 0.0


_VISIBILITIES = frozenset({0, 1, 2})
OLD = Reading(pairs=None, is_old=True)


class _Lists(msgspec.Struct, gc=False):
    keypoints: list[int | float] | None = None
    foot_kpts: list[int | float] | None = None
    face_kpts: list[int | float] | None = None
    lefthand_kpts: list[int | float] | None = None
    righthand_kpts: list[int | float] | None = None


_lists = msgspec.json.Decoder(_Lists).decode


def reading_of(blocks: Callable[[], Iterable[Sequence[msgspec.Raw]]], categories: Sequence[CocoCategory]) -> Reading:
    """How the numbers of a file are to be understood.

    Args:
        blocks: gives all of its annotations, block by block, each time it is called.
    """
    scores = _keys_with_scores(chain.from_iterable(blocks()))
    return Reading(tuple(scores), tuple(categories_in_pairs(chain.from_iterable(blocks()), categories)))


def are_thirds_scores(flat: Sequence[Number]) -> bool:
    """Whether the third numbers of a list are scores, in a file that has scores under this key."""
    thirds = flat[2::3]
    if _have_fractions(thirds):
        return True
    return all(type(v) is float and 0 <= v <= 1 for v in thirds) and any(thirds)


def _keys_with_scores(records: Iterable[msgspec.Raw]) -> list[str]:
    with_fractions: set[str] = set()
    with_ones: set[str] = set()  # lists of floats that hold 1.0
    with_visibilities: set[str] = set()  # a 2, or whole numbers above 0
    for raw in records:
        try:
            lists = _lists(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        for key in PARTS:
            flat = getattr(lists, key)
            if not flat or len(flat) % 3:
                continue
            thirds = flat[2::3]
            values = set(thirds)
            if 2 in values and values <= _VISIBILITIES:  # nearly all lists there are
                with_visibilities.add(key)
            elif _have_fractions(thirds):
                with_fractions.add(key)
            elif any(v > 1 or (v and type(v) is int) for v in thirds):
                with_visibilities.add(key)
            elif any(thirds):
                with_ones.add(key)
    # COCO-WholeBody gives 1.0 to every point of a face that is marked. Of a body, 1.0 may well be an occluded point.
    parts_of_ones = with_ones - with_visibilities - {"keypoints"}
    return [key for key in PARTS if key in with_fractions or key in parts_of_ones]


def _have_fractions(thirds: Sequence[Number]) -> bool:
    return any(type(v) is float and v % 1 for v in thirds) and not any(type(v) is int and v > 1 for v in thirds)
