"""What differs between labels and the same labels after they were written and read: in terms of label features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from engine.errors import LabelError
from engine.formats.archives.contents import FOLDER
from engine.formats.registry import find_format
from engine.labels import ABSENT, IMAGES, VIDEO, Feature, Frame, Instance, LabelReader
from engine.media.image_finder import plain_name
from engine.utils.context import Context

DEFAULT_PRECISION = 0.01
"""Pixels that a coordinate may move by; a format may state another one as its attribute ``precision``."""


_SEEN = 0.1
"""Likelihood from which a keypoint is there, in tables that have numbers for all of them."""

_SCALED = 40.0
"""Pixels, for points of videos whose pixels are not square that became images."""


@dataclass(frozen=True)
class Difference:
    """Attributes:
    feature: what a format must not promise to keep if it has this difference; None: no format may have it.
    """

    feature: Feature | None
    where: str
    what: str


@dataclass
class Record:
    """An instance with what it refers to."""

    instance: Instance
    category: str
    names: tuple[str, ...]
    track: object


@dataclass
class Side:
    """Labels, read once.

    Attributes:
        frames: in the order of the labels.
        keys: identity of each frame: video and index, or name of the image.
        records: by position of the frame.
    """

    frames: list[Frame] = field(default_factory=list)
    media: list[tuple[str, str]] = field(default_factory=list)
    stored: list[bool] = field(default_factory=list)
    keys: list[tuple[str, str, int]] = field(default_factory=list)
    records: dict[int, list[Record]] = field(default_factory=lambda: defaultdict(list))
    tracks: dict[object, str] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)
    strays: int = 0

    def add(self, labels: LabelReader) -> None:
        """Add a file; a written export may have several."""
        known = {key: position for position, key in reversed(list(enumerate(self.keys)))}  # of earlier files
        positions: list[int] = []
        for frame in labels.frames():
            media = labels.media[frame.media] if frame.media >= 0 else None
            type, path = (media.type, plain_name(media.path)) if media is not None else (IMAGES, "")
            name = plain_name(frame.name)
            key = (VIDEO, PurePosixPath(path).name, frame.index) if type == VIDEO else (IMAGES, name, 0)
            positions.append(known.get(key, len(self.frames)))
            if key not in known:
                self.frames.append(frame)
                self.media.append((type, path))
                self.stored.append(media is not None and media.stored_pixels)
                self.keys.append(key)
        self.categories += [category.name for category in labels.categories if category.name not in self.categories]
        for instance in labels.instances():
            if instance.frame < 0:
                self.strays += 1
                continue
            category = labels.categories[instance.category] if instance.category >= 0 else None
            schema = None if category is None else category.schema
            position = positions[instance.frame]
            track = None if instance.track is None else (*self.media[position], instance.track)
            names = () if schema is None else schema.names
            self.records[position].append(Record(instance, "" if category is None else category.name, names, track))
            if track is not None and instance.track in labels.tracks:
                self.tracks[track] = labels.tracks[instance.track]


def side_of(labels: LabelReader) -> Side:
    side = Side()
    side.add(labels)
    return side


def read_back(folder: Path, context: Context) -> Side | None:
    """All labels that were written into a folder; None if no format can read them."""
    side = Side()
    has_read = False
    for path in _label_paths(folder):
        try:
            format = find_format(path)
        except LabelError:
            continue
        with format.read(path, context) as labels:
            side.add(labels)
        has_read = True
    return side if has_read else None


def _label_paths(folder: Path) -> Iterator[Path]:
    """Folders that are label files as a whole, and files outside of them."""
    stack = [folder]
    while stack:
        current = stack.pop()
        if _is_whole(current):
            yield current
            if getattr(find_format(current), "reads_subfolders", False):
                continue
            stack += sorted(child for child in current.iterdir() if child.is_dir() and _is_whole(child))
            continue
        yield from sorted(path for path in current.iterdir() if path.is_file() and not path.name.startswith("."))
        stack += sorted(path for path in current.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_whole(folder: Path) -> bool:
    try:
        return find_format(folder).name != FOLDER
    except LabelError:
        return False


def differences(
    before: Side, after: Side, precision: float = DEFAULT_PRECISION, *, names_categories: bool = True
) -> list[Difference]:
    """All differences, one for each record and feature.

    Args:
        names_categories: False for formats that know no names of categories; only that they stay apart is compared.
    """
    if not names_categories:
        after = _with_names_of(before, after)
    result: list[Difference] = []
    tracks = _TrackMatch()
    frames = _match_frames(before, after)
    for position, frame in enumerate(before.frames):
        where = before.keys[position][1] + (f"#{frame.index}" if before.media[position][0] == VIDEO else "")
        other = frames[position]
        records = before.records.get(position, [])
        if other is None:
            if not records:
                result.append(Difference(Feature.EMPTY_FRAMES, where, "frame is missing"))
            result += [_missing(record, where, before) for record in records]
            continue
        result += _frame_differences(frame, after.frames[other], before.media[position], after.media[other], where)
        is_scaled = before.stored[position] and after.media[other][0] != VIDEO  # to the pixels of the image
        allowed = _SCALED if is_scaled else precision
        result += _record_differences(records, after.records.get(other, []), where, allowed, tracks, before)
    taken = {other for other in frames if other is not None}
    for position, key in enumerate(after.keys):
        count = len(after.records.get(position, []))
        if position not in taken and (count or key[0] != VIDEO):  # tables of videos have a row for every frame
            result.append(Difference(None, str(key), f"frame that was not there, with {count} instances"))
    result += tracks.differences(before, after)
    for name in before.categories:
        if name and name not in after.categories:
            result.append(Difference(Feature.SEVERAL_CATEGORIES, name, "category is missing"))
    return result


def _with_names_of(before: Side, after: Side) -> Side:
    """Records with the names that their categories have in the other labels: the first one with these keypoints."""
    by_names: dict[tuple[str, ...], str] = {}
    for records in before.records.values():
        for record in records:
            by_names.setdefault(tuple(sorted(record.names)), record.category)
    renamed = {
        position: [
            replace(record, category=by_names.get(tuple(sorted(record.names)), record.category)) for record in records
        ]
        for position, records in after.records.items()
    }
    records_of: dict[int, list[Record]] = defaultdict(list, renamed)
    return replace(after, records=records_of, categories=before.categories)


def _match_frames(before: Side, after: Side) -> list[int | None]:
    by_key: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for position, key in enumerate(after.keys):
        by_key[key].append(position)
    images: dict[str, list[int]] = defaultdict(list)  # by the last part of the name
    for position, (type, name, _) in enumerate(after.keys):
        if type == IMAGES:
            images[PurePosixPath(name).name].append(position)
    taken: set[int] = set()

    def take(candidates: Sequence[int]) -> int | None:
        free = [position for position in candidates if position not in taken]
        if free:
            taken.add(free[0])
            return free[0]
        return None

    videos = _video_names(before, after)
    matches = [
        take(by_key.get((type, videos.get(name, name) if type == VIDEO else name, index), []))
        for type, name, index in before.keys
    ]
    flat: dict[str, list[int]] = defaultdict(list)  # folders of the name joined, as formats with one level have them
    for position, (type, name, _) in enumerate(after.keys):
        if type == IMAGES:
            flat[_flat(name)].append(position)
    for position, (type, name, _) in enumerate(before.keys):
        if matches[position] is None and type == IMAGES:
            matches[position] = take(flat.get(_flat(name), []))
    for position, (type, name, index) in enumerate(before.keys):
        if matches[position] is not None:
            continue
        if type == VIDEO:  # written as an image, whose name ends in the number of the frame
            stem = PurePosixPath(name).stem
            candidates = [p for n, ps in images.items() if _is_frame_name(n, stem, index) for p in ps]
        else:
            last = PurePosixPath(name).name
            candidates = sorted(images.get(last, []), key=lambda p: -len(_common_tail(after.keys[p][1], name))) or [
                p for n, ps in images.items() if PurePosixPath(n).stem == PurePosixPath(last).stem for p in ps
            ]
        matches[position] = take(candidates)
    # names that had to be changed because two were equal: by order
    for position, (type, name, _) in enumerate(before.keys):
        if matches[position] is None and type == IMAGES:
            stem = PurePosixPath(name).stem
            matches[position] = take([p for n, ps in images.items() if n.startswith(f"{stem}_") for p in ps])
    return matches


def _video_names(before: Side, after: Side) -> dict[str, str]:
    """Names of the videos in labels of a format that names a video by its own file only: in the order of both."""
    names, others = (
        list(dict.fromkeys(name for type, name, _ in side.keys if type == VIDEO)) for side in (before, after)
    )
    if set(names) & set(others) or len(names) != len(others):
        return {}
    return dict(zip(names, others, strict=True))


def _is_frame_name(name: str, stem: str, index: int) -> bool:
    own = PurePosixPath(name).stem
    digits = own[len(own.rstrip("0123456789")) :]
    return bool(digits) and int(digits) == index and own.startswith((stem, "img"))


def _flat(name: str) -> str:
    return "_".join(part for part in PurePosixPath(name).parts if part != "img")  # of Supervisely


def _common_tail(one: str, other: str) -> list[str]:
    tail = []
    for a, b in zip(reversed(PurePosixPath(one).parts), reversed(PurePosixPath(other).parts), strict=False):
        if a != b:
            break
        tail.append(a)
    return tail


def _missing(record: Record, where: str, side: Side) -> Difference:
    feature: Feature | None = None
    if not record.instance.is_pose:
        feature = Feature.CROWDS
    elif side.categories and record.category != side.categories[0]:
        feature = Feature.SEVERAL_CATEGORIES
    return Difference(feature, f"{where}: {record.instance.key}", "instance is missing")


def _frame_differences(
    one: Frame, other: Frame, media: tuple[str, str], other_media: tuple[str, str], where: str
) -> Iterator[Difference]:
    if media[0] == VIDEO and other_media[0] != VIDEO:
        yield Difference(Feature.VIDEO_FRAMES, where, "frame of a video became an image")
    if (one.is_negative, one.is_flagged) != (other.is_negative, other.is_flagged):
        yield Difference(Feature.FRAME_MARKS, where, "marks of the frame changed")
    if one.width and other.width and (one.width, one.height) != (other.width, other.height):
        yield Difference(None, where, f"size {one.width} x {one.height} became {other.width} x {other.height}")


def _record_differences(
    before: list[Record], after: list[Record], where: str, precision: float, tracks: _TrackMatch, side: Side
) -> Iterator[Difference]:
    free = list(after)
    limit = max(3 * precision, 1.0)
    pairs = sorted(
        ((_distance(record, other), n, m) for n, record in enumerate(before) for m, other in enumerate(after)),
        # poses first, so that no pose is taken for a record without keypoints
        key=lambda pair: (not before[pair[1]].instance.is_pose, pair[0]),
    )
    partner: dict[int, int] = {}
    for distance, n, m in pairs:
        if distance <= limit and n not in partner and m not in partner.values():
            partner[n] = m
    for n, record in enumerate(before):
        if n not in partner:
            yield _missing(record, where, side)
            continue
        best = after[partner[n]]
        free = [other for other in free if other is not best]
        record_name = f"{where}: {record.instance.key}"
        for feature, what in _instance_differences(record, best, precision):
            yield Difference(feature, record_name, what)
        tracks.add(record.track, best.track, record_name)
    for other in free:
        yield Difference(None, where, f"instance {other.instance.key} that was not there")


def _distance(one: Record, other: Record) -> float:
    """How far two records are from being the same; 0 = may be the same."""
    a, b = one.instance, other.instance
    if _has_points(a) != _has_points(b):
        return 1e6
    extra = 0.0 if one.category == other.category else 0.4
    if a.box is not None and b.box is not None:
        extra += min(0.4, float(np.abs(a.box - b.box).max()) * 1e-3)
    if a.keypoints is None or b.keypoints is None or not _has_points(a) or not _has_points(b):
        if a.box is None or b.box is None:
            return extra
        return extra + float(np.abs(a.box - b.box).max())
    order = _order(one.names, other.names)
    if order is None:
        return 1e6
    assert a.visibility is not None
    assert b.visibility is not None
    both = (a.visibility != ABSENT) & (b.visibility[order] != ABSENT)
    one_only = int(((a.visibility != ABSENT) != (b.visibility[order] != ABSENT)).sum())
    apart = float(np.abs(a.keypoints - b.keypoints[order])[both].max()) if both.any() else 0.0
    return apart + min(0.4, one_only * 0.01) + extra


def _has_points(instance: Instance) -> bool:
    return instance.visibility is not None and bool((instance.visibility != ABSENT).any())


def _order(names: tuple[str, ...], others: tuple[str, ...]) -> list[int] | None:
    """Where each keypoint is in the other record."""
    if names == others:
        return list(range(len(names)))
    if set(names) <= set(others):
        return [others.index(name) for name in names]
    return list(range(len(names))) if len(names) == len(others) else None


def _instance_differences(one: Record, other: Record, precision: float) -> Iterator[tuple[Feature | None, str]]:
    a, b = one.instance, other.instance
    if one.category != other.category:
        yield Feature.SEVERAL_CATEGORIES, f"category {one.category!r} became {other.category!r}"
    if a.is_pose != b.is_pose:
        yield Feature.CROWDS, "is no crowd any more" if a.is_crowd else "is a pose or not"
    if a.keypoints is not None and a.visibility is not None and b.keypoints is not None and b.visibility is not None:
        if one.names != other.names and set(one.names) - set(other.names):
            yield None, f"keypoints {one.names[:3]} became {other.names[:3]}"
        order = _order(one.names, other.names)
        assert order is not None
        visibility, points = b.visibility[order], b.keypoints[order]
        expected = a.visibility != ABSENT
        if a.is_prediction and a.scores is not None:  # readers of DeepLabCut take such points for absent
            expected = expected & ((a.scores >= _SEEN) | (visibility != ABSENT))
        if not np.array_equal(expected, visibility != ABSENT):
            yield None, f"other keypoints are there: {a.visibility} became {visibility}"
        elif not np.array_equal(a.visibility[visibility != ABSENT], visibility[visibility != ABSENT]):
            yield Feature.OCCLUSION, "occlusion changed"
        both = (a.visibility != ABSENT) & (visibility != ABSENT)
        apart = np.abs(a.keypoints - points)[both]
        scale = np.maximum(1.0, np.abs(a.keypoints)[both] * 1e-4)
        if (apart > precision * scale).any():
            yield None, f"keypoints moved by {apart.max():g} pixels"
    if a.box is not None and (b.box is None or (np.abs(a.box - b.box) > precision * 2).any()):
        yield Feature.BOXES, f"box {a.box} became {b.box}"
    of_points = a.scores is not None and b.scores is not None and b.score is not None  # then it is their mean
    if a.score is not None and not of_points and (b.score is None or abs(a.score - b.score) > 1e-4):
        yield Feature.SCORES, f"score {a.score} became {b.score}"
    if a.is_prediction != b.is_prediction:
        yield Feature.SCORES, f"prediction {a.is_prediction} became {b.is_prediction}"
    if a.scores is not None and a.visibility is not None:
        present = a.visibility != ABSENT
        order = _order(one.names, other.names)
        if b.scores is None:
            if present.any() and not np.isnan(a.scores[present]).all():
                yield Feature.SCORES, "scores of keypoints are missing"
        elif not np.allclose(
            a.scores[present].clip(0, 1), b.scores[order][present].clip(0, 1), atol=1e-4, equal_nan=True
        ):
            yield Feature.SCORES, "scores of keypoints changed"


class _TrackMatch:
    """Whether tracks are the same, whatever their numbers."""

    def __init__(self) -> None:
        self._pairs: dict[object, dict[object, str]] = defaultdict(dict)
        self._lost: list[str] = []

    def add(self, one: object, other: object, where: str) -> None:
        if one is None:
            return
        if other is None:
            self._lost.append(where)
        else:
            self._pairs[one].setdefault(other, where)

    def differences(self, before: Side, after: Side) -> Iterator[Difference]:
        for where in self._lost:
            yield Difference(Feature.TRACKS, where, "track is missing")
        back: dict[object, object] = {}
        for one, others in self._pairs.items():
            if len(others) > 1:
                yield Difference(
                    Feature.TRACKS, next(iter(others.values())), f"track {one} became {len(others)} tracks"
                )
            for other, where in others.items():
                if back.setdefault(other, one) != one:
                    yield Difference(Feature.TRACKS, where, f"tracks {one} and {back[other]} became one")
                elif before.tracks.get(one, "") and before.tracks[one] != after.tracks.get(other):
                    yield Difference(
                        Feature.TRACK_NAMES, where, f"track {before.tracks[one]!r} became {after.tracks.get(other)!r}"
                    )
