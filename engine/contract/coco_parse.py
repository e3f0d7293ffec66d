"""Records of a COCO file as typed values: a quick way for what tools usually write, a patient one for the rest.

The patient way takes what is found in the wild: ids as strings, numbers as strings, booleans for visibilities,
keypoints as K lists of three, two numbers a point, null, ``NaN``. What cannot be told raises an error that names the
record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from engine.contract.coco_document import load_record
from engine.contract.coco_records import CocoAnnotation, CocoCategory, CocoImage, CocoResult, Id, Number
from engine.contract.errors import CocoError
from engine.contract.sides import guess_swaps

_HUGE = 1 << 1023  # whole numbers from here on do not fit a float
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


def parse_annotations(
    records: Sequence[msgspec.Raw | bytes], categories: Sequence[CocoCategory], where: object, start: int = 0
) -> Iterator[CocoAnnotation]:
    """Annotations of records, in order.

    Args:
        categories: tell how many points an annotation should have, and its category where there is but one.
        start: position of the first record in the file, for messages and for records without an id.

    Raises:
        CocoError: naming file, position and id of the record that cannot be understood.
    """
    points = {category.id: len(category.keypoints) for category in categories}
    only = categories[0].id if len(categories) == 1 else 1 if not categories else None
    for position, raw in enumerate(records, start):
        text = bytes(raw)
        try:
            a = _annotation(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield _slow_annotation(text, position, only, points, where)
            continue
        flat, box, track = a.keypoints, a.bbox, a.track_id
        if flat is not None and (len(flat) % 3 or len(flat) == 2 * points.get(a.category_id, 0)):
            yield _slow_annotation(text, position, only, points, where)
            continue
        if box is not None and len(box) != 4:
            box = None
        if track is None and len(a.attributes):
            track = _track(_plain(a.attributes))
        yield CocoAnnotation(
            a.id,
            a.image_id,
            a.category_id,
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


def parse_images(records: Iterable[msgspec.Raw | bytes], where: object) -> Iterator[CocoImage]:
    """Images of records.

    Raises:
        CocoError: a record without an id, or without anything that could be a file name.
    """
    for position, raw in enumerate(records):
        text = bytes(raw)
        try:
            i = _image(text)
            yield CocoImage(i.id, i.file_name, max(i.width, 0), max(i.height, 0), text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield _slow_image(text, position, where)


def parse_categories(records: Iterable[msgspec.Raw | bytes], where: object) -> Iterator[CocoCategory]:
    """Categories of records, limbs counted from 0.

    Raises:
        CocoError: a record without an id.
    """
    for position, raw in enumerate(records):
        text = bytes(raw)
        try:
            c = _category(text)
            identity, name, names, pairs = c.id, c.name, c.keypoints or [], c.skeleton or []
        except (msgspec.DecodeError, UnicodeDecodeError):
            identity, name, names, pairs = _slow_category(text, position, where)
        yield CocoCategory(identity, name, names, zero_based(pairs, names), text)


def parse_results(
    records: Iterable[msgspec.Raw | bytes],
    where: object,
    unreadable: Callable[[int, CocoError], object] | None = None,
) -> Iterator[CocoResult]:
    """Lines of a results list. A line without a score has 1; one whose score is no finite number has NaN.

    Args:
        unreadable: called with the position of a line that cannot be understood, which is left out; None = raise.

    Raises:
        CocoError: a line without ``image_id``, or with numbers that are none, and ``unreadable`` is None.
    """
    for position, raw in enumerate(records):
        text = bytes(raw)
        try:
            r = _result(text)
            yield CocoResult(r.image_id, r.category_id, r.bbox, r.score, r.keypoints, text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            try:
                found = _slow_result(text, position, where)
            except CocoError as error:
                if unreadable is None:
                    raise
                unreadable(position, error)
                continue
            yield found


def zero_based(pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> list[tuple[int, int]]:
    """Limbs counted from 0, those that lead outside the points left out.

    COCO counts from 1, many tools from 0. A 0 among the numbers, or the number of points, tells which. Where neither
    stands there, the way of counting under which more limbs have a mirrored partner is taken, else that of COCO.
    """
    if not pairs:
        return []
    count = len(names)
    numbers = {n for pair in pairs for n in pair}
    if 0 in numbers:
        base = 0
    elif count in numbers or not count:
        base = 1
    else:
        base = 0 if _mirrored(pairs, names, 0) > _mirrored(pairs, names, 1) else 1
    moved = [(a - base, b - base) for a, b in pairs]
    return [(a, b) for a, b in moved if 0 <= a < count and 0 <= b < count]


def _mirrored(pairs: Sequence[tuple[int, int]], names: Sequence[str], base: int) -> int:
    """How many limbs have a left/right counterpart (or are their own) if positions count from ``base``."""
    swaps = guess_swaps(names)
    index = {name: i for i, name in enumerate(names)}
    other = [index[swaps.get(name, name)] for name in names]
    moved = {frozenset((a - base, b - base)) for a, b in pairs}
    inside = [limb for limb in moved if all(0 <= i < len(names) for i in limb)]
    return sum(any(names[i] in swaps for i in limb) and frozenset(other[i] for i in limb) in moved for limb in inside)


def _slow_annotation(raw: bytes, position: int, only: Id | None, points: dict[Id, int], file: object) -> CocoAnnotation:
    data = load_record(raw, f"{file}: annotation {position}")
    identity = _identity(data.get("id"))
    where = f"{file}: annotation {position}" + ("" if identity is None else f" (id {identity})")
    image_id = _identity(data.get("image_id"))
    if image_id is None:
        raise CocoError("has no image_id", where=where)
    category_id = _identity(data.get("category_id"))
    if category_id is None:
        category_id = only
    if category_id is None:
        raise CocoError("has no category_id, and the file has several categories", where=where)
    scores = data.get("keypoint_scores")
    count = _number(data.get("num_keypoints"))
    area, score = _number(data.get("area")), _number(data.get("score"))
    track = _identity(data.get("track_id"))
    return CocoAnnotation(
        id=-1 - position if identity is None else identity,
        image_id=image_id,
        category_id=category_id,
        keypoints=flat_keypoints(data.get("keypoints"), points.get(category_id, 0), where),
        bbox=_box(data.get("bbox")),
        area=None if area is None else float(area),
        iscrowd=int(bool(_number(data.get("iscrowd")))),
        num_keypoints=None if count is None else int(count),
        score=None if score is None else float(score),
        keypoint_scores=[_number(s) or 0 for s in scores] if isinstance(scores, list) else None,
        track_id=_track(data.get("attributes")) if track is None else track,
        raw=raw,
    )


def flat_keypoints(value: Any, count: int, where: object) -> list[Number] | None:
    """Flat x, y, v from whatever way a file writes points: flat, in rows, by twos.

    Args:
        count: points of the category, 0 while unknown.

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
    step = 2 if len(value) == 2 * count or (len(value) % 3 and len(value) % 2 == 0) else 3
    if len(value) % step:
        raise CocoError(f"'keypoints' has {len(value)} numbers, which is not three a point", where=where)
    return [n for i in range(0, len(value), step) for n in _triple(value[i : i + step], where)]


def _triple(row: list[Any], where: object) -> tuple[Number, Number, Number]:
    """x, y, v of one point; absent where a coordinate is missing or not finite."""
    if len(row) not in (2, 3):
        raise CocoError(f"a point of 'keypoints' has {len(row)} numbers, wanted 3", where=where)
    numbers = [_number(item) for item in row]
    for item, number in zip(row, numbers):
        if number is None and isinstance(item, str | dict) and str(item).strip().lower() not in ("", "nan", "none"):
            raise CocoError(f"'keypoints' holds {item!r}, which is not a number", where=where)
    x, y = numbers[0], numbers[1]
    if x is None or y is None:
        return 0, 0, 0
    if len(row) == 2:
        return (x, y, 2) if x or y else (0, 0, 0)
    return x, y, numbers[2] or 0


def _slow_image(raw: bytes, position: int, file: object) -> CocoImage:
    where = f"{file}: image {position}"
    data = load_record(raw, where)
    identity = _identity(data.get("id"))
    if identity is None:
        raise CocoError("has no id", where=where)
    names = (data.get(key) for key in _NAME_KEYS)
    name = next((n for n in names if isinstance(n, str) and n), identity if isinstance(identity, str) else "")
    if not name:
        raise CocoError("has no file_name", where=f"{where} (id {identity})")
    width, height = (int(_number(data.get(key)) or 0) for key in ("width", "height"))
    return CocoImage(identity, _file_name(name), max(width, 0), max(height, 0), raw)


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
        keypoints=flat_keypoints(data.get("keypoints"), 0, where),
        raw=raw,
    )


def _identity(value: Any) -> Id | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    return _text(value) if isinstance(value, str) and value else None


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
    numbers = [_number(item) for item in value]
    return None if any(n is None for n in numbers) else [n for n in numbers if n is not None]


def _track(attributes: Any) -> Id | None:
    if not isinstance(attributes, dict):
        return None
    found = (_identity(attributes.get(key)) for key in ("track_id", "object_id"))
    return next((track for track in found if track is not None), None)


def _plain(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None


def _file_name(name: str) -> str:
    """A name as ``os.fsdecode`` gives it: lone surrogates for bytes that are not UTF-8 stay, for they name the file;
    any other lone surrogate names none."""
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _text(name)
    return name


def _text(value: str) -> str:
    """Text that can be written anywhere: lone surrogates, which JSON can carry, become question marks."""
    return value.encode("utf-8", "replace").decode("utf-8")
