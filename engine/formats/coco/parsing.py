"""Records of a COCO file as typed values: a quick way for what tools usually write, a patient one for the rest.

The patient way takes what is found in the wild: ids as strings, numbers as strings, booleans for visibilities,
keypoints as K lists of three, two numbers a point, null, ``NaN``. A record that cannot be understood raises an error
that names it, or is given to the caller's ``unreadable`` and left out.

An annotation whose ``category_id`` is the text of a number while the categories have numbers (or the other way round)
gets the id that the category has; see :mod:`engine.formats.coco.category_match`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine.errors import CocoError, quoted, shortened
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.document import load_record
from engine.formats.coco.records import CocoAnnotation, CocoCategory, CocoImage, CocoResult, Id, Number
from engine.formats.coco.skeleton import zero_based

_HUGE = 1 << 1023  # whole numbers from here on do not fit a float
_LARGEST_ID = 1 << 63
_LARGEST_SIDE = 1 << 31  # pixels; what lies above is no size of a picture
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)
_NAME_KEYS = ("file_name", "filename", "path", "coco_url", "url", "name")


class _Annotation(msgspec.Struct, gc=False):
    id: int | str
    image_id: int | str
    category_id: int | str
    keypoints: list[int | float] | None = None
    bbox: list[int | float] | None = None
    area: float | None = None
    iscrowd: int = 0
    num_keypoints: int | None = None
    score: float | None = None
    keypoint_scores: list[int | float] | None = None
    track_id: int | str | None = None
    attributes: msgspec.Raw = msgspec.Raw(b"")


class _Image(msgspec.Struct, gc=False):
    id: int | str
    file_name: str
    width: int = 0
    height: int = 0


class _Category(msgspec.Struct):
    id: int | str
    name: str
    keypoints: list[str] | None = None
    skeleton: list[tuple[int, int]] | None = None


class _Result(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int | str = 1
    bbox: list[int | float] | None = None
    score: float = 1.0
    keypoints: list[int | float] | None = None


_annotation = msgspec.json.Decoder(_Annotation).decode
_image = msgspec.json.Decoder(_Image).decode
_category = msgspec.json.Decoder(_Category).decode
_result = msgspec.json.Decoder(_Result).decode


Unreadable = Callable[[int, CocoError], object]
"""Called with the position of a record that cannot be understood, and why; the record is then left out."""


def parse_annotations(
    records: Sequence[msgspec.Raw | bytes],
    categories: Sequence[CocoCategory],
    where: object,
    start: int = 0,
    *,
    pairs: Collection[Id] | None = None,
    unreadable: Unreadable | None = None,
) -> Iterator[CocoAnnotation]:
    """Annotations of records, in order.

    Args:
        categories: tell how many points an annotation should have, and its category where there is but one.
        start: position of the first record in the file, for messages and for records without an id.
        pairs: categories whose points have two numbers, x and y, where the length of the list does not tell; left out,
            it is found from these records, see :func:`categories_in_pairs`.
        unreadable: takes the records that cannot be understood, which are left out; None = raise.

    Raises:
        CocoError: naming file, position and id of the record that cannot be understood, and ``unreadable`` is None.
    """
    if pairs is None:
        pairs = categories_in_pairs(records, categories)
    points = {category.id: len(category.keypoints) for category in categories}
    matcher = IdMatcher(points)
    only = categories[0].id if len(categories) == 1 else 1 if not categories else None
    for position, raw in enumerate(records, start):
        text = bytes(raw)
        try:
            a = _annotation(text)
            category = a.category_id if a.category_id in points else matcher.match(a.category_id)
            flat, box, track = a.keypoints, a.bbox, a.track_id
            is_pairs = flat is not None and category in pairs and len(flat) == 2 * points.get(category, 0)
            is_odd = flat is not None and (len(flat) % 3 != 0 or is_pairs or not _are_small(flat))
            is_odd = is_odd or not (_is_small_id(a.id) and _is_small_id(a.image_id))
            is_odd = is_odd or (box is not None and not _are_small(box))
        except _ERRORS:
            is_odd = True
        if is_odd:
            try:
                yield _slow_annotation(text, position, only, matcher, {i: points.get(i, 0) for i in pairs}, where)
            except CocoError as error:
                _reject(position, error, unreadable)
            continue
        if box is not None and len(box) != 4:
            box = None
        if track is None and len(a.attributes):
            track = _track(_decoded(a.attributes))
        yield CocoAnnotation(
            a.id,
            a.image_id,
            category,
            flat,
            box,
            a.area,
            a.iscrowd,
            a.num_keypoints,
            a.score,
            a.keypoint_scores,
            track,
            text,
        )


def parse_images(
    records: Iterable[msgspec.Raw | bytes], where: object, *, unreadable: Unreadable | None = None
) -> Iterator[CocoImage]:
    """Images of records. ``unreadable`` as for :func:`parse_annotations`.

    Raises:
        CocoError: a record without an id, or without anything that could be a file name.
    """
    for position, raw in enumerate(records):
        text = bytes(raw)
        try:
            i = _image(text)
            if _is_small_id(i.id):
                yield CocoImage(i.id, _file_name(i.file_name), _side(i.width), _side(i.height), text)
                continue
        except _ERRORS:
            pass
        try:
            yield _slow_image(text, position, where)
        except CocoError as error:
            _reject(position, error, unreadable)


def parse_categories(
    records: Iterable[msgspec.Raw | bytes], where: object, *, unreadable: Unreadable | None = None
) -> Iterator[CocoCategory]:
    """Categories of records, limbs counted from 0. ``unreadable`` as for :func:`parse_annotations`.

    Raises:
        CocoError: a record without an id.
    """
    for position, raw in enumerate(records):
        text = bytes(raw)
        try:
            c = _category(text)
            identity, name, names, pairs = c.id, c.name, c.keypoints or [], c.skeleton or []
            is_odd = not _is_small_id(c.id)
        except _ERRORS:
            is_odd = True
        if is_odd:
            try:
                identity, name, names, pairs = _slow_category(text, position, where)
            except CocoError as error:
                _reject(position, error, unreadable)
                continue
        yield CocoCategory(identity, name, names, zero_based(pairs, names), text)


def parse_results(
    records: Iterable[msgspec.Raw | bytes], where: object, unreadable: Unreadable | None = None
) -> Iterator[CocoResult]:
    """Lines of a results list. A line without a score has 1; one whose score is no finite number has NaN.

    Args:
        unreadable: as for :func:`parse_annotations`.

    Raises:
        CocoError: a line without ``image_id``, or with numbers that are none, and ``unreadable`` is None.
    """
    for position, raw in enumerate(records):
        text = bytes(raw)
        try:
            r = _result(text)
            is_odd = r.keypoints is not None and not _are_small(r.keypoints)
        except _ERRORS:
            is_odd = True
        if not is_odd:
            yield CocoResult(r.image_id, r.category_id, r.bbox, r.score, r.keypoints, text)
            continue
        try:
            result = _slow_result(text, position, where)
        except CocoError as error:
            _reject(position, error, unreadable)
            continue
        yield result


def _reject(position: int, error: CocoError, unreadable: Unreadable | None) -> None:
    if unreadable is None:
        raise error
    unreadable(position, error)


class _Points(msgspec.Struct, gc=False):
    category_id: int | str | None = None
    keypoints: list[int | float] | None = None


_points = msgspec.json.Decoder(_Points).decode


def categories_in_pairs(records: Iterable[msgspec.Raw | bytes], categories: Sequence[CocoCategory]) -> frozenset[Id]:
    """Categories whose lists of points hold x and y only, where the length of a list fits both ways of writing.

    Six numbers are three points of two, or two points of three. All lists of the category decide: it is in pairs if
    none has three numbers for every point, all that are not empty have two, and at most half of the lists could hold a
    visibility (0, 1, 2, or a score up to 1) at every third place.
    """
    counts = {c.id: len(c.keypoints) for c in categories if len(c.keypoints) % 3 == 0 and c.keypoints}
    if not counts:
        return frozenset()
    matcher = IdMatcher({category.id for category in categories})
    votes: dict[Id, list[int]] = {identity: [0, 0] for identity in counts}  # in pairs, or else
    only = categories[0].id if len(categories) == 1 else None
    for raw in records:
        try:
            points = _points(raw)
        except _ERRORS:
            continue
        identity = only if points.category_id is None else matcher.match(points.category_id)
        if not points.keypoints or identity not in counts or identity is None:
            continue
        if len(points.keypoints) == 2 * counts[identity]:
            votes[identity][_could_be_thirds(points.keypoints[2::3])] += 1
        else:
            counts.pop(identity)
            if not counts:
                break
    return frozenset(i for i in counts if votes[i][0] > votes[i][1])


def _could_be_thirds(numbers: Iterable[Number]) -> bool:
    return all(0 <= n <= 1 or n == 2 for n in numbers)


def _slow_annotation(
    raw: bytes, position: int, only: Id | None, matcher: IdMatcher, pairs: Mapping[Id, int], file: object
) -> CocoAnnotation:
    data = load_record(raw, f"{file}: annotation {position}")
    identity = _identity(data.get("id"))
    where = f"{file}: annotation {position}" + ("" if identity is None else f" (id {shortened(str(identity), 40)})")
    image_id = _identity(data.get("image_id"))
    if image_id is None:
        raise CocoError("has no image_id", where=where)
    category_id = _identity(data.get("category_id"))
    category_id = only if category_id is None else matcher.match(category_id)
    if category_id is None:
        raise CocoError("has no category_id, and the file has several categories", where=where)
    scores = data.get("keypoint_scores")
    count = _number(data.get("num_keypoints"))
    area, score = _number(data.get("area")), _number(data.get("score"))
    track = _identity(data.get("track_id"))
    flat = flat_keypoints(data.get("keypoints"), where, pairs=pairs.get(category_id, 0))
    return CocoAnnotation(
        id=-1 - position if identity is None else identity,
        image_id=image_id,
        category_id=category_id,
        keypoints=flat,
        bbox=_box(data.get("bbox")),
        area=None if area is None else float(area),
        iscrowd=int(bool(_number(data.get("iscrowd")))),
        num_keypoints=None if count is None else int(count),
        score=None if score is None else float(score),
        keypoint_scores=[_number(s) or 0 for s in scores] if isinstance(scores, list) else None,
        track_id=_track(data.get("attributes")) if track is None else track,
        raw=raw,
        unreadable_points=_unreadable_points(data.get("keypoints"), flat),
    )


def _unreadable_points(value: Any, flat: Sequence[Number] | None) -> int:
    """Points of three numbers that are marked as labelled but have no finite coordinates."""
    if not flat or not isinstance(value, list):
        return 0
    rows = value if isinstance(value[0], list) else [value[i : i + 3] for i in range(0, len(value), 3)]
    if len(rows) != len(flat) // 3:  # two numbers a point: there NaN is the way to say absent
        return 0
    return sum(
        len(row) == 3 and (_number(row[2]) or 0) > 0 and (_number(row[0]) is None or _number(row[1]) is None)
        for row in rows
    )


def flat_keypoints(value: Any, where: object, *, pairs: int = 0) -> list[Number] | None:
    """Flat x, y, v from whatever way a file writes points: flat, in rows, by twos.

    Args:
        pairs: number of points of which a list has two numbers each, where its length fits three as well; 0 = none.

    Raises:
        CocoError: numbers that are none, or a length that fits neither two nor three a point.
    """
    if value is None or value == []:
        return None if value is None else []
    if not isinstance(value, list):
        raise CocoError("'keypoints' is not a list", where=where)
    if all(isinstance(row, list) for row in value):
        return [n for row in value for n in _triple(row, where)]
    if any(isinstance(item, list | dict) for item in value):
        raise CocoError("'keypoints' mixes numbers and lists", where=where)
    step = 2 if len(value) % 2 == 0 and (len(value) % 3 or len(value) == 2 * pairs) else 3
    if len(value) % step:
        raise CocoError(f"'keypoints' has {len(value)} numbers, which is not three a point", where=where)
    return [n for i in range(0, len(value), step) for n in _triple(value[i : i + step], where)]


def _triple(row: list[Any], where: object) -> tuple[Number, Number, Number]:
    """x, y, v of one point; absent where a coordinate is missing or not finite."""
    if len(row) not in (2, 3):
        raise CocoError(f"a point of 'keypoints' has {len(row)} numbers, expected 3", where=where)
    values = [_number(item) for item in row]
    for item, value in zip(row, values):
        if value is None and isinstance(item, str | dict) and str(item).strip().lower() not in ("", "nan", "none"):
            raise CocoError(f"'keypoints' contains {quoted(item)}, which is not a number", where=where)
    x, y = values[0], values[1]
    if x is None or y is None:
        return 0, 0, 0
    if len(row) == 2:
        return (x, y, 2) if x or y else (0, 0, 0)
    return x, y, values[2] or 0


def _slow_image(raw: bytes, position: int, file: object) -> CocoImage:
    where = f"{file}: image {position}"
    data = load_record(raw, where)
    identity = _identity(data.get("id"))
    if identity is None:
        raise CocoError("has no id", where=where)
    names = (data.get(key) for key in _NAME_KEYS)
    name = next((n for n in names if isinstance(n, str) and n), identity if isinstance(identity, str) else "")
    if not name:
        raise CocoError("has no file_name", where=f"{where} (id {shortened(str(identity), 40)})")
    width, height = (_side(_number(data.get(key)) or 0) for key in ("width", "height"))
    return CocoImage(identity, _file_name(name), width, height, raw)


def _slow_category(raw: bytes, position: int, file: object) -> tuple[Id, str, list[str], list[tuple[int, int]]]:
    where = f"{file}: category {position}"
    data = load_record(raw, where)
    identity = _identity(data.get("id"))
    if identity is None:
        raise CocoError("has no id", where=where)
    name = data.get("name")
    points = data.get("keypoints")
    if isinstance(points, dict):
        points = list(points.values()) if all(isinstance(v, str) for v in points.values()) else list(points)
    points = points if isinstance(points, list) else []
    names = [_text(str(p.get("name", "") if isinstance(p, dict) else p)) for p in points]
    pairs: list[tuple[int, int]] = []
    limbs = data.get("skeleton")
    for limb in limbs if isinstance(limbs, list) else []:
        pair = _limb(limb, names)
        if pair is not None:
            pairs.append(pair)
    return identity, _text(str(identity if name is None else name)), names, pairs


def _limb(limb: Any, names: Sequence[str]) -> tuple[int, int] | None:
    """A pair of numbers; a limb given by names counts from 1 like the rest of COCO. None for anything else."""
    ends = limb.replace("-", ",").replace(" ", ",").split(",") if isinstance(limb, str) else limb
    if not isinstance(ends, list):
        return None
    ends = [end for end in ends if end != ""]
    if len(ends) != 2:
        return None
    if all(isinstance(end, str) and end in names for end in ends):
        return names.index(ends[0]) + 1, names.index(ends[1]) + 1
    a, b = _number(ends[0]), _number(ends[1])
    return None if a is None or b is None else (int(a), int(b))


def _slow_result(raw: bytes, position: int, file: object) -> CocoResult:
    where = f"{file}: result {position}"
    data = load_record(raw, where)
    image_id = _identity(data.get("image_id"))
    if image_id is None:
        raise CocoError("has no image_id", where=where)
    category, score = _identity(data.get("category_id")), _number(data.get("score", 1.0))
    return CocoResult(
        image_id=image_id,
        category_id=1 if category is None else category,
        bbox=_box(data.get("bbox")),
        score=math.nan if score is None else float(score),
        keypoints=flat_keypoints(data.get("keypoints"), where),
        raw=raw,
    )


def _identity(value: Any) -> Id | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return int(value) if abs(value) < _LARGEST_ID and value == int(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_ID else _digits(value)
    return _text(value) if isinstance(value, str) and value else None


def _is_small_id(value: Id) -> bool:
    return isinstance(value, str) or -_LARGEST_ID < value < _LARGEST_ID


def _are_small(values: Sequence[Number]) -> bool:
    """Whether all of them fit a float."""
    try:
        math.fsum(values)
    except (OverflowError, ValueError):
        return all(_number(n) is not None for n in values)
    return True


def _digits(value: int) -> str:
    """A whole number of any length as text; Python refuses to write those of thousands of digits in decimal."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def _side(value: Number) -> int:
    """Width or height, 0 where it is none."""
    return int(value) if 0 < value < _LARGEST_SIDE else 0


def _number(value: Any) -> Number | None:
    """A finite number, also from a boolean or text; None for anything else."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if math.isfinite(value) and value == int(value) else value
    if isinstance(value, int):
        return value if abs(value) < _HUGE else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _box(value: Any) -> list[Number] | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    values = [_number(item) for item in value]
    return None if any(n is None for n in values) else [n for n in values if n is not None]


def _track(attributes: Any) -> Id | None:
    if not isinstance(attributes, dict):
        return None
    candidates = (_identity(attributes.get(key)) for key in ("track_id", "object_id"))
    return next((track for track in candidates if track is not None), None)


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _ERRORS:
        return None


def _file_name(name: str) -> str:
    """A name as ``os.fsdecode`` gives it: lone surrogates for bytes that are not UTF-8 stay, for they name the file;
    any other lone surrogate names none."""
    if name.isascii() and "\0" not in name:
        return name
    name = name.replace("\0", "\ufffd")  # no file name holds one
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _text(name)
    return name


def _text(value: str) -> str:
    """Text that can be written anywhere: lone surrogates, which JSON can carry, become question marks."""
    return value.encode("utf-8", "replace").decode("utf-8")
