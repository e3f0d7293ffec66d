"""COCO documents with the liberties that files in the wild take, for properties."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ("a.png", "b.png", "sub/a.png", "ä.png", "a\u0308.png", "A.PNG", "a%20b.png", "a.jpg")
"""File names of images: equal base names, composed and decomposed umlauts, letter case, escapes."""

_ids = st.one_of(st.integers(0, 6), st.integers(0, 6).map(str), st.just(2**40))
_numbers = st.one_of(st.integers(-9, 9), st.sampled_from([0.5, 1.0, -2.25, 1e-7]))
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)
_extra = st.dictionaries(st.sampled_from(["license", "note", "mine", "caption"]), _values, max_size=2)
_coordinates = st.one_of(st.integers(-5, 60), st.sampled_from([0.5, 12.25, 3.0, -0.0, 1e-9]))


@st.composite
def _images(draw: st.DrawFn) -> dict[str, Any]:
    size = draw(st.sampled_from([{}, {"width": 40, "height": 30}, {"height": 30.0, "width": 40.0}]))
    return {"id": draw(_ids), "file_name": draw(st.sampled_from(NAMES)), **size, **draw(_extra)}


@st.composite
def _annotations(draw: st.DrawFn, keypoint_count: int) -> dict[str, Any]:
    record: dict[str, Any] = {"id": draw(_ids), "image_id": draw(_ids), "category_id": draw(_ids)}
    content = draw(st.sampled_from(["points", "points", "points", "box", "crowd", "nothing"]))
    if content == "points":
        points = draw(st.lists(st.tuples(_coordinates, _coordinates), min_size=keypoint_count, max_size=keypoint_count))
        seen = draw(st.lists(st.sampled_from([0, 1, 2, 2.0]), min_size=keypoint_count, max_size=keypoint_count))
        record["keypoints"] = [value for point, v in zip(points, seen) for value in (*point, v)]
        if draw(st.booleans()):
            record["num_keypoints"] = sum(v > 0 for v in seen)
    if content == "crowd":
        record |= {"iscrowd": 1, "segmentation": {"counts": "abc", "size": [30, 40]}}
    if content != "nothing" and draw(st.booleans()):
        record["bbox"] = [draw(_coordinates), draw(_coordinates), 5, 7.5]
    if draw(st.booleans()):
        record["track_id"] = draw(_ids)
    return {**record, **draw(_extra)}


@st.composite
def _categories(draw: st.DrawFn, keypoint_count: int) -> dict[str, Any]:
    names = [f"p{n}" for n in range(keypoint_count)]
    points = draw(st.sampled_from([{}, {"keypoints": names, "skeleton": [[1, 2]]}, {"keypoints": names[::-1]}]))
    return {"id": draw(_ids), "name": draw(st.sampled_from(["cat", "dog"])), **points, **draw(_extra)}


@st.composite
def coco_documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document of a few images, annotations and categories: ids as numbers and as text, ids that two records have or
    that lead nowhere, equal names, records without points, fields of other programs, sections in any order."""
    keypoint_count = draw(st.integers(2, 3))
    sections: dict[str, Any] = {
        "images": draw(st.lists(_images(), max_size=4)),
        "annotations": draw(st.lists(_annotations(keypoint_count), max_size=5)),
        "categories": draw(st.lists(_categories(keypoint_count), max_size=3)),
    }
    if draw(st.booleans()):
        sections["info"] = draw(_values)
    order = draw(st.permutations(list(sections)))
    return {name: sections[name] for name in order}
