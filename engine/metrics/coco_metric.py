"""OKS average precision by the protocol of MMPose's CocoMetric: scoring, suppression, evaluation.

In this order: predictions of an image are sorted by id and duplicates of an id dropped; they are scored from box and
keypoint scores; similar poses are suppressed; COCO's keypoint evaluation follows as in xtcocotools. That differs from
pycocotools in three ways: an instance counts by its labelled points, whatever ``num_keypoints`` is; predictions
without a keypoint score above 0 are left out; and a missing area is 0.53 of the box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoAnnotation, CocoDataset, Id
from engine.metrics.coco_eval import Found, Matches, Truth, match, summary
from engine.metrics.oks import AREA_OF_BOX, extent_xywh
from engine.metrics.oks_nms import HARD_THRESHOLD, NMS
from engine.schema.matching import fits
from engine.schema.schema import Schema, unique_names

Array = npt.NDArray[np.floating]

GIVEN, NO_NMS = "given", "none"
SCORE_MODES = ("bbox_keypoint", "bbox", "keypoint", "bbox_rle", GIVEN)
NMS_MODES = (*NMS, NO_NMS)


@dataclass(frozen=True)
class CocoMetricOptions:
    """How predictions are scored and compared; the defaults are the published protocol.

    Attributes:
        score_mode: "bbox_keypoint": box score times the mean of the keypoint scores above ``keypoint_score_thr``
            (0 if none is). "bbox": the box score. "keypoint": mean of all keypoint scores. "bbox_rle": box score +
            mean + largest keypoint score. "given": the score of the prediction itself.
        nms_mode: "oks_nms", "soft_oks_nms" or "none".
        nms_thr: similarity above which predictions are dropped ("oks_nms"), or width of the decay ("soft_oks_nms").
        use_area: OKS with the annotation's area, else with 0.53 of its box.
    """

    score_mode: str = "bbox_keypoint"
    keypoint_score_thr: float = 0.2
    nms_mode: str = "oks_nms"
    nms_thr: float = HARD_THRESHOLD
    use_area: bool = True

    def __post_init__(self) -> None:
        for name, known in (("score_mode", SCORE_MODES), ("nms_mode", NMS_MODES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if not self.nms_thr > 0:
            raise ValueError(f"nms_thr must be above 0, not {self.nms_thr}")


@dataclass(frozen=True, eq=False)
class PoseResult:
    """One prediction.

    Attributes:
        id: of the annotation or detection it was predicted from; predictions of an image with the same id are
            duplicates.
        keypoints: (K, 3) x, y image pixels, score.
        box_score: 1 for a labelled box.
        box: (4,) x1, y1, x2, y2 that the crop was made from; None = the extent of the points.
        nms_area: square pixels of the crop, that is of the padded box with the aspect ratio of the input; None = the
            extent of the points.
        score: used by the score mode "given".
    """

    id: int | str
    image_id: Id
    keypoints: Array
    box_score: float = 1.0
    box: Array | None = None
    nms_area: float | None = None
    category_id: Id = 1
    score: float = 1.0


class Accumulator:
    """Collects predictions from several batches or processes; the result does not depend on their order.

    Processes that each predict a part hand over their ``results()`` (plain picklable records), and one adds them all.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Id, int | str], PoseResult] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, results: Iterable[PoseResult]) -> None:
        """Of two with the same image and id one stays; which one does not depend on the order."""
        for result in results:
            key = (result.image_id, result.id)
            known = self._found.get(key)
            if known is None or _content(result) < _content(known):
                self._found[key] = result

    def results(self) -> list[PoseResult]:
        """Sorted by image id, then by id: numbers before strings."""
        return [self._found[key] for key in sorted(self._found, key=lambda key: (_rank(key[0]), _rank(key[1])))]


def _content(result: PoseResult) -> tuple[Any, ...]:
    """A sort key for two predictions with the same id, defined also for missing numbers and NaN."""
    values = (result.box_score, result.score, result.nms_area)
    arrays = (result.keypoints, () if result.box is None else result.box)
    return (
        *(_comparable(value) for value in values),
        _rank(result.category_id),
        *(np.asarray(array, np.float64).tobytes() for array in arrays),
    )


def _comparable(value: float | None) -> tuple[int, float]:
    if value is None:
        return 0, 0.0
    return (1, 0.0) if math.isnan(value) else (2, value)


def _rank(id: Id) -> tuple[bool, Id]:
    return (isinstance(id, str), id)


def score_of(result: PoseResult, options: CocoMetricOptions) -> float:
    """The score that a prediction is ranked by, see :class:`CocoMetricOptions`."""
    scores = np.asarray(result.keypoints, np.float64)[:, 2]
    if options.score_mode == GIVEN:
        return float(result.score)
    if options.score_mode == "bbox":
        return float(result.box_score)
    if options.score_mode == "keypoint":
        return float(scores.mean())
    if options.score_mode == "bbox_rle":
        return float(result.box_score + scores.mean() + scores.max())
    sure = scores[scores > options.keypoint_score_thr]
    return float(result.box_score * sure.mean()) if sure.size else 0.0


@dataclass(frozen=True, eq=False)
class Scored:
    """Predictions of one image after suppression, in its order: points (N, K, 3), scores (N,)."""

    results: list[PoseResult]
    scores: Array
    points: Array


def select(results: Iterable[PoseResult], sigmas: Array, options: CocoMetricOptions | None = None) -> dict[Id, Scored]:
    """By image id the predictions left after scoring and suppression.

    Like MMPose, suppression does not look at categories.
    """
    options = options or CocoMetricOptions()
    by_image: dict[Id, list[PoseResult]] = {}
    for result in results:
        by_image.setdefault(result.image_id, []).append(result)
    return {image: _select_of_image(by_image[image], sigmas, options) for image in sorted(by_image, key=_rank)}


def _select_of_image(results: list[PoseResult], sigmas: Array, options: CocoMetricOptions) -> Scored:
    once: dict[int | str, PoseResult] = {}
    for result in results:
        once.setdefault(result.id, result)
    chosen = [once[id] for id in sorted(once, key=_rank)]
    scores = np.array([score_of(result, options) for result in chosen], np.float64)
    points = np.stack([np.asarray(result.keypoints, np.float64) for result in chosen])
    if options.nms_mode != NO_NMS:
        areas = np.array([_nms_area(result) for result in chosen])
        indices = NMS[options.nms_mode](points[..., :2], scores, areas, sigmas, options.nms_thr)
        chosen, scores, points = [chosen[i] for i in indices], scores[indices], points[indices]
    return Scored(chosen, scores, points)


def _nms_area(result: PoseResult) -> float:
    if result.nms_area is not None:
        return float(result.nms_area)
    return float(extent_areas(np.asarray(result.keypoints, np.float64)[None])[0])


@dataclass
class TruthSet:
    """Labels by image and category, ready to be compared with any number of sets of predictions.

    Attributes:
        images: ids in the order that breaks ties between equal scores.
        categories: ids; each is evaluated by itself and the figures are averaged, as in COCO.
        num_keypoints: of the schema.
    """

    images: list[Id]
    categories: list[Id]
    num_keypoints: int
    _truths: dict[tuple[Id, Id], Truth] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: CocoDataset, schema: Schema, *, use_area: bool = True, where: object = None) -> TruthSet:
        """All annotations with the schema's keypoints, crowds too. A missing box or area is derived from the keypoints.

        Raises:
            CocoError: none has the schema's keypoints.
        """
        named = [c.id for c in dataset.categories if fits(schema, unique_names(c.keypoints))]
        counted = {c.id for c in dataset.categories if len(c.keypoints) in (0, schema.num_keypoints)}
        categories = sorted(set(named) or counted, key=_rank)
        grouped: dict[tuple[Id, Id], list[CocoAnnotation]] = {}
        for annotation in dataset.annotations:
            has_points = annotation.keypoints and len(annotation.keypoints) == 3 * schema.num_keypoints
            if has_points and annotation.category_id in categories:
                grouped.setdefault((annotation.image_id, annotation.category_id), []).append(annotation)
        if not grouped:
            raise CocoError(f"has no annotation with the {schema.num_keypoints} keypoints of {schema.name!r}",
                            where=where)  # fmt: skip
        truths = {key: _truth(group, use_area) for key, group in grouped.items()}
        images = sorted({image.id for image in dataset.images}, key=_rank)
        return cls(images, categories, schema.num_keypoints, truths)

    def at(self, image: Id, category: Id) -> Truth:
        """Labels of an image and category; empty if there are none."""
        truth = self._truths.get((image, category))
        return truth or Truth(
            np.zeros((0, self.num_keypoints, 2)), np.zeros((0, self.num_keypoints), bool),
            np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool),
        )  # fmt: skip


def _truth(annotations: Sequence[CocoAnnotation], use_area: bool) -> Truth:
    points = np.array([annotation.keypoints for annotation in annotations], np.float64).reshape(len(annotations), -1, 3)
    labelled = points[..., 2] > 0
    boxes = np.array([
        annotation.bbox if annotation.bbox else extent_xywh(row[seen, :2])
        for annotation, row, seen in zip(annotations, points, labelled, strict=True)
    ], np.float64)  # fmt: skip
    of_box = boxes[:, 3] * boxes[:, 2] * AREA_OF_BOX
    given = [annotation.area if use_area else None for annotation in annotations]
    areas = np.array([own if area is None else area for area, own in zip(given, of_box, strict=True)], np.float64)
    crowd = np.array([bool(annotation.iscrowd) for annotation in annotations])
    return Truth(points[..., :2], labelled, boxes, areas, crowd)


AreasOf = Callable[[Scored], Array]


def box_areas(chosen: Scored) -> Array:
    """(N,) square pixels of the boxes that were predicted from, else of the extents of the points."""
    areas = extent_areas(chosen.points)
    for index, result in enumerate(chosen.results):
        if result.box is not None:
            x1, y1, x2, y2 = (float(value) for value in result.box)
            areas[index] = (x2 - x1) * (y2 - y1)
    return areas


def extent_areas(points: Array) -> Array:
    """(N,) square pixels of the bounding boxes of (N, K, 2 or 3) points."""
    xy = points[..., :2]
    areas: Array = np.prod(xy.max(axis=1) - xy.min(axis=1), axis=-1)
    return areas


def measure(
    truth: TruthSet,
    chosen: Mapping[Id, Scored],
    sigmas: Array,
    part: slice | npt.NDArray[np.integer] | None = None,
    areas_of: AreasOf = box_areas,
) -> dict[str, float]:
    """AP and AR (:data:`engine.metrics.coco_eval.STATS`) of selected predictions.

    Args:
        sigmas: (K,) of all keypoints. part: use only these keypoints; None = all.
        areas_of: areas of predictions, which decide the area range of those that match nothing.

    Raises:
        CocoError: a prediction is of an image that the labels do not list.
    """
    span = slice(None) if part is None else part
    known = set(truth.images)
    unknown = next((image for image in chosen if image not in known), None)
    if unknown is not None:
        raise CocoError(f"a prediction is of image {unknown!r}, which the annotations do not list")
    chosen_sigmas = np.asarray(sigmas, np.float64)[span]
    categories: list[Matches] = []
    for category in truth.categories:
        pairs = []
        for image in truth.images:
            pair = (_with_points(truth.at(image, category), span), _found(chosen.get(image), category, span, areas_of))
            if len(pair[0].areas) or len(pair[1].scores):
                pairs.append(pair)
        categories.append(match(pairs, chosen_sigmas))
    return summary(categories)


def _with_points(truth: Truth, span: slice | npt.NDArray[np.integer]) -> Truth:
    return Truth(truth.points[:, span], truth.labelled[:, span], truth.boxes, truth.areas, truth.crowd)


def _found(chosen: Scored | None, category: Id, span: slice | npt.NDArray[np.integer], areas_of: AreasOf) -> Found:
    if chosen is None:
        return Found(np.zeros((0, 1, 2)), np.zeros(0), np.zeros(0))
    points = chosen.points[:, span]
    own = np.array([result.category_id == category for result in chosen.results])
    indices = np.flatnonzero(own & (points[..., 2] > 0).any(axis=1))
    return Found(points[indices][..., :2], chosen.scores[indices], areas_of(chosen)[indices])


def evaluate_coco(
    dataset: CocoDataset,
    results: Iterable[PoseResult],
    schema: Schema,
    options: CocoMetricOptions | None = None,
) -> dict[str, float]:
    """COCO keypoint AP and AR, as fractions; -1 if there is nothing to find.

    Args:
        dataset: the labels, with all points of an annotation in ``keypoints``.
        results: predictions with ids of the data set's images and categories.
        schema: gives the keypoints and their sigmas.

    Raises:
        CocoError: no annotation has the schema's keypoints, or a prediction has another number of them, or is of an
            unlisted image.
    """
    options = options or CocoMetricOptions()
    truth = TruthSet.of(dataset, schema, use_area=options.use_area)
    sigmas = np.asarray(schema.sigmas, np.float64)
    return measure(truth, select(checked(results, schema), sigmas, options), sigmas)


def checked(results: Iterable[PoseResult], schema: Schema) -> list[PoseResult]:
    """The predictions, all with the schema's number of keypoints and finite numbers.

    Raises:
        CocoError: for the first that is different.
    """
    predictions = list(results)
    for result in predictions:
        where = f"prediction {result.id!r} of image {result.image_id!r}"
        if np.shape(result.keypoints) != (schema.num_keypoints, 3):
            raise CocoError(
                f"has {len(result.keypoints)} keypoints instead of the {schema.num_keypoints} of {schema.name!r}",
                where=where,
            )
        if not (np.isfinite(result.keypoints).all() and np.isfinite(result.box_score) and np.isfinite(result.score)):
            raise CocoError("has numbers that are not finite", where=where)
    return predictions
