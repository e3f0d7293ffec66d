"""Loading of labels and predictions: which result belongs to which image and category.

Nothing is left out silently. What cannot be compared is listed by reason, with the number of records and the first of
them, and does not count in any figure; assumptions are listed likewise.

=======================================  ====================================================================
a result of an image that is not listed  left out (COCO's own tools refuse the whole file)
of a category that the labels lack       left out; taken as the labels' category if each side has only one
of a category with other keypoints       left out
without keypoints, or another number     left out
with a score that is not a finite number left out
without a score                          counts with score 1
equal to one before it                   counts, as in COCO: it is a false positive
ids that are text on one side only       matched by their text
a label of an image that is not listed   left out
=======================================  ====================================================================
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoAnnotation, CocoDataset, CocoResult, Id, read_results
from engine.formats.coco.document import load_record, read_json_bytes
from engine.formats.datasets import find_kind, read_as_coco
from engine.formats.datasets.coco_style import points_in_parts
from engine.formats.datasets.conversion import read_registered
from engine.formats.datasets.loading import is_coco_style
from engine.schema.builtin import find_schema
from engine.schema.schema import Schema
from engine.train.data.training_set import fitting_categories, schema_of
from engine.utils.skipped import Skipped

AUTO, BY_ID, BY_NAME = "auto", "id", "name"
CATEGORY_BY = (AUTO, BY_ID, BY_NAME)
# What a record contains if a coordinate may not be finite (1e999 is infinite); only such records are parsed twice.
_MAY_BE_ODD = re.compile(rb"NaN|Infinity|null|\d[eE]")


@dataclass
class Evaluation:
    """Labels and predictions with matching ids.

    Attributes:
        labels: the labels that are compared, with all points of an annotation in ``keypoints``.
        annotations: records of labelled poses; results: records of predictions, with image and category ids of the
            labels.
        skipped: what is not compared. assumed: assumptions about what is.
    """

    schema: Schema
    labels: CocoDataset
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    results: list[dict[str, Any]]
    skipped: Skipped = field(default_factory=lambda: Skipped("kinds of records", "kind of records"))
    assumed: Skipped = field(default_factory=Skipped)


class _Groups:
    """Records with the same fault: their number, and the first of them."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, where: str) -> None:
        self._count[reason] += 1
        self._first.setdefault(reason, where)

    def __len__(self) -> int:
        return sum(self._count.values())

    def error(self) -> CocoError:
        """The most frequent fault as an error."""
        reason, count = self._count.most_common(1)[0]
        more = f" ({count} {self._unit}s)" if count > 1 else ""
        return CocoError(f"{reason}{more}", where=self._first[reason])

    def put_into(self, skipped: Skipped) -> None:
        """Add an item for each fault; faults with the same first record share one."""
        by_record: dict[str, list[str]] = {}
        for reason, count in self._count.items():
            unit = self._unit if count == 1 else f"{self._unit}s"
            by_record.setdefault(self._first[reason], []).append(f"{reason} ({count} {unit})")
        for where, reasons in by_record.items():
            skipped.add(where, "; ".join(reasons))


def load(
    annotations: Path | str, results: Path | str, schema: str | Schema = "", category_by: str = AUTO
) -> Evaluation:
    """Read labels and predictions and match their ids.

    Images and categories of a COCO file of predictions are matched by id, or by name if the ids mean something else.

    Args:
        schema: name or file of the labels' schema, or the schema; "" = from their categories.
        category_by: "id", "name" (a COCO file of predictions names its categories, a results list does not), or
            "auto": by name if there are names, else by id, and a single category on each side is the same.

    Raises:
        LabelError, TrainingError: a file cannot be read, or the two do not belong together.
    """
    rejected, assumed, unlabelled = _Groups("result"), _Groups("result"), _Groups("label")
    results_read, positions = _read_results(Path(results), rejected)
    given = None if not schema else schema if isinstance(schema, Schema) else find_schema(schema)
    truth = _labels(annotations, results_read, given, unlabelled)
    chosen = schema_of(truth, Path(annotations)) if given is None else given
    category_ids = {category.id for category in fitting_categories(truth, chosen, Path(annotations))}
    labelled = list(_usable_labels(truth, category_ids, chosen, Path(annotations), unlabelled))
    if not labelled:
        if len(unlabelled):
            raise unlabelled.error()
        raise CocoError("has no annotation with keypoints to compare with", where=annotations)
    matcher = _Matcher(Path(results), truth, category_ids, category_by, results_read)
    rows = []
    seen: set[Hashable] = set()
    for position, result in zip(positions, results_read, strict=True):
        where = f"{results}: result {position}"
        reason = _fault(result, chosen)
        image, category = matcher.image(result), matcher.category(result)
        if not reason and image is None:
            reason = "its image is not in the labels"
        if not reason and category is None:
            reason = matcher.why_no_category(result)
        if reason:
            rejected.add(reason, where)
            continue
        assert image is not None
        assert category is not None
        for remark in matcher.remarks(result, image, category):
            assumed.add(remark, where)
        row = _result(result, image, category)
        key = (image, category, row["score"], tuple(result.keypoints or ()))
        if key in seen:
            assumed.add("is equal to one before it; each counts, as in COCO", where)
        seen.add(key)
        rows.append(row)
    if not rows and len(rejected):
        if results_read and not any(matcher.image(result) is not None for result in results_read):
            raise CocoError(f"none of its images is in {annotations}", where=results)
        raise rejected.error()
    evaluation = Evaluation(
        schema=chosen,
        labels=CocoDataset(truth.images, labelled, truth.categories, truth.header, truth.key_order),
        images=[{"id": image.id} for image in truth.images],
        annotations=[_annotation(label) for label in labelled],
        results=rows,
    )
    rejected.put_into(evaluation.skipped)
    unlabelled.put_into(evaluation.skipped)
    assumed.put_into(evaluation.assumed)
    return evaluation


def _read_results(file: Path, rejected: _Groups) -> tuple[list[CocoResult], list[int]]:
    """The readable results, and their positions in the file."""
    unreadable: dict[int, CocoError] = {}
    results = read_results(file, lambda position, error: unreadable.setdefault(position, error))
    for position, error in unreadable.items():
        rejected.add(error.message, f"{file}: result {position}")
    positions = [n for n in range(len(results) + len(unreadable)) if n not in unreadable]
    return _joined(results, file), positions


def _usable_labels(
    truth: CocoDataset, category_ids: set[Id], schema: Schema, file: Path, rejected: _Groups
) -> Iterable[CocoAnnotation]:
    listed = {image.id for image in truth.images}
    names = {category.id: category.name for category in truth.categories}
    for label in truth.annotations:
        reason = ""
        if label.category_id not in names:
            reason = "its category is not in the file"
        elif label.category_id not in category_ids:
            if label.keypoints:
                reason = f"category {names[label.category_id]!r} has other keypoints than {schema.name!r}"
        elif not label.keypoints:
            continue
        elif len(label.keypoints) != 3 * schema.num_keypoints:
            reason = f"has {len(label.keypoints)} numbers in 'keypoints' instead of {3 * schema.num_keypoints}"
        elif label.image_id not in listed:
            reason = "its image is not in the file"
        if reason:
            rejected.add(reason, f"{file}: annotation {label.id}")
        elif label.category_id in category_ids:
            yield label


def _fault(result: CocoResult, schema: Schema) -> str:
    """Why a result cannot be compared; "" if it can."""
    if not result.keypoints:
        return "has no keypoints"
    if len(result.keypoints) != 3 * schema.num_keypoints:
        expected = f"{3 * schema.num_keypoints} for {schema.name!r}"
        return f"has {len(result.keypoints)} numbers in 'keypoints' instead of {expected}"
    if not math.isfinite(result.score):
        return "its score is not a finite number"
    return ""


class _Matcher:
    """Maps the ids of predictions to those of the labels."""

    def __init__(
        self, file: Path, truth: CocoDataset, category_ids: set[Id], category_by: str, results: Iterable[CocoResult]
    ) -> None:
        self._images = {image.id for image in truth.images}
        self._image_text = _by_text(self._images)
        self._categories = {category.id: category.name for category in truth.categories}
        self._kept = category_ids
        self._only = next(iter(category_ids)) if len(category_ids) == 1 else None
        self._by_name: dict[Id, Id] | None = None
        self._image_of: dict[Id, Id | None] = {}
        guess = CocoDataset.read(file, lambda *_: None) if read_json_bytes(file).lstrip()[:1] == b"{" else None
        if guess is not None:
            self._image_of = _images_by_name(guess, truth)
            if category_by != BY_ID and guess.categories:
                ids = {category.name: category.id for category in truth.categories if category.id in category_ids}
                self._by_name = {c.id: ids[c.name] for c in guess.categories if c.name in ids}
        elif category_by == BY_NAME:
            raise CocoError("is a results list, which has no names of categories; use --category-by id", where=file)
        self._category_text = _by_text(category_ids)
        theirs = {result.category_id for result in results if result.keypoints and _names_category(result)}
        matched = {id for id in theirs if self._match(id) is not None}
        # A single category on each side, with another id or name.
        is_one = category_by == AUTO and self._only is not None and len(theirs) == 1 and not matched
        self._instead = next(iter(theirs)) if is_one else None

    def image(self, result: CocoResult) -> Id | None:
        """The label's image; None if it has none."""
        identity = result.image_id
        if identity in self._image_of:
            return self._image_of[identity]
        if identity in self._images:
            return identity
        return self._image_text.get(str(identity))

    def category(self, result: CocoResult) -> Id | None:
        """The label's category; None if it is not compared."""
        if not _names_category(result):
            return self._only
        matched = self._match(result.category_id)
        return self._only if matched is None and result.category_id == self._instead else matched

    def _match(self, identity: Id) -> Id | None:
        if self._by_name is not None:
            return self._by_name.get(identity)
        return identity if identity in self._kept else self._category_text.get(str(identity))

    def why_no_category(self, result: CocoResult) -> str:
        if not _names_category(result):
            return "has no category_id, and the labels have several categories"
        name = self._categories.get(result.category_id)
        if name is not None and self._by_name is None:
            return f"category {result.category_id!r} ({name}) has other keypoints than the labels that are compared"
        return f"category {result.category_id!r} is not in the labels"

    def remarks(self, result: CocoResult, image: Id, category: Id) -> Iterable[str]:
        """Assumptions about a result that is compared."""
        if b'"score"' not in result.raw:
            yield "has no score; 1 is assumed"
        if not _names_category(result):
            yield f"has no category_id; {category!r} ({self._categories[category]}) is assumed"
        elif result.category_id == self._instead:
            yield (
                f"category {result.category_id!r} is taken as category {category!r} ({self._categories[category]}), "
                "the only one that is compared; --category-by id compares ids alone"
            )
        if result.image_id not in self._image_of and image != result.image_id:
            yield "its image_id is matched with the labels' by its text"
        if _has_odd_numbers(result):
            yield "has coordinates that are not finite numbers; these points count as wrong"


def _names_category(result: CocoResult) -> bool:
    return b'"category_id"' in result.raw


def _has_odd_numbers(result: CocoResult) -> bool:
    """Whether a coordinate is NaN, infinite or null in the file; such points are read as 0, 0."""
    # The search takes longer than reading the record, and few records have a coordinate 0.
    if not result.keypoints or 0 not in result.keypoints or _MAY_BE_ODD.search(result.raw) is None:
        return False
    values = load_record(result.raw, "result").get("keypoints")
    flat: list[Any] = []
    for value in values if isinstance(values, list) else []:
        flat += value if isinstance(value, list) else [value]
    return any(value is None or (isinstance(value, float) and not math.isfinite(value)) for value in flat)


def _by_text(ids: Iterable[Id]) -> dict[str, Id]:
    """Ids by their text, without those whose text is not unique."""
    counts = Counter(map(str, ids))
    return {str(identity): identity for identity in ids if counts[str(identity)] == 1}


def _images_by_name(guess: CocoDataset, truth: CocoDataset) -> dict[Id, Id | None]:
    """Image ids of a COCO file of predictions -> ids of the labels, None for images the labels do not have.

    Empty if the ids mean the same images, or if no name of one file is in the other.
    """
    name_of = {image.id: image.file_name for image in truth.images}
    if all(name_of.get(image.id) == image.file_name for image in guess.images):
        return {}
    by_name = {name: identity for identity, name in name_of.items()}
    base_names = Counter(_base_name(name) for name in name_of.values())
    by_base = {_base_name(name): identity for identity, name in name_of.items() if base_names[_base_name(name)] == 1}
    theirs = Counter(_base_name(image.file_name) for image in guess.images)
    image_of: dict[Id, Id | None] = {}
    for image in guess.images:
        base = _base_name(image.file_name)
        # A file name identifies an image only if it occurs once in each of the files.
        image_of[image.id] = by_name.get(image.file_name, by_base.get(base) if theirs[base] == 1 else None)
    return image_of if any(identity is not None for identity in image_of.values()) else {}


def _base_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _labels(file: Path | str, results: list[CocoResult], schema: Schema | None, rejected: _Groups) -> CocoDataset:
    """A COCO file unchanged if its categories have as many keypoints as the predictions, else converted from its
    format."""
    registered = read_registered(file)
    if registered is not None:
        return registered
    count = next((len(result.keypoints) // 3 for result in results if result.keypoints), 0)
    if is_coco_style(file):
        faults: list[CocoError] = []
        plain = CocoDataset.read(file, lambda _, error: faults.append(error))
        if not count or any(len(category.keypoints) == count for category in plain.categories):
            for error in faults:
                rejected.add(error.message, str(error.where))
            return plain
    try:
        return read_as_coco(file, names=() if schema is None else schema.names)
    except CocoError:
        return CocoDataset.read(file)


def _joined(results: list[CocoResult], file: Path) -> list[CocoResult]:
    """Results with the whole body in several lists, as MMPose writes them, with one list."""
    if not any(b'"face_kpts"' in result.raw for result in results[:1]):
        return results
    points = points_in_parts(find_kind("coco_wholebody"))
    joined = []
    for position, result in enumerate(results):
        try:
            joined.append(msgspec.structs.replace(result, keypoints=points(result, f"{file}: result {position}")))  # type: ignore[arg-type]
        except CocoError:  # a part of another length: the record has too few points and is left out for that
            joined.append(result)
    return joined


def _annotation(record: CocoAnnotation) -> dict[str, Any]:
    return {
        "image_id": record.image_id,
        "category_id": record.category_id,
        "keypoints": record.keypoints,
        "bbox": record.bbox,
        "area": record.area,
        "iscrowd": record.iscrowd,
    }


def _result(record: CocoResult, image: Id, category: Id) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "keypoints": record.keypoints,
        "bbox": record.bbox,
        "score": record.score,
        "box_score": _box_score(record),
    }


def _box_score(record: CocoResult) -> float | None:
    """The score of the box alone, if the file has it."""
    if b'box_score"' not in record.raw:
        return None
    fields = load_record(record.raw, f"result of image {record.image_id!r}")
    value = fields.get("box_score", fields.get("bbox_score"))
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
