"""What a JSON file is that is not a COCO data set: a sentence that names the program and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.errors import quoted

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RESULTS = (
    "is a list of results, not a data set: it has no 'images'; open it together with the COCO file that it belongs to"
)


def is_result(record: bytes) -> bool:
    """Whether a record looks like one line of a COCO results list."""
    keys = _keys(record)
    return "image_id" in keys and bool(keys & {"category_id", "keypoints", "bbox", "score"})


def kind_of_list(entries: Sequence[bytes]) -> str:
    """What a JSON list at top level is, as the message of an error."""
    if not entries:
        return "is an empty list, not a COCO file"
    keys = _keys(entries[0])
    if is_result(entries[0]):
        return _RESULTS
    if "data" in keys and keys & {"annotations", "completions", "predictions"}:
        return "is a Label Studio export in its own format, not COCO; export it from Label Studio as COCO"
    if {"annotation_id", "annotator"} <= keys:
        return "is a Label Studio export (JSON-MIN), not COCO; export it from Label Studio as COCO"
    if keys & {"joints", "joints_vis"} and keys & {"image", "center", "scale"}:
        return "is a list of MPII annotations, not COCO; convert it to COCO first"
    if {"filename", "annotations"} <= keys:
        return "is a list of AlphaTracker or Sloth annotations, not COCO; convert it to COCO first"
    if "keypoint_annotations" in keys:
        return "is a list of AI Challenger annotations; convert it with python -m engine.datasets convert"
    if "raw_index" in keys or {"file_name", "keypoints"} <= keys:
        return "is a list of annotations that is not COCO; convert it to COCO first"
    if not keys:
        return "is a list, not a COCO file: a COCO file is an object with 'images', 'annotations' and 'categories'"
    return f"is a list of unknown records, not a COCO file (the first has {_listed(sorted(keys))})"


def kind_of_object(top: Mapping[str, object], otherwise: str = "") -> str:
    """What a JSON object without ``images`` is, as the message of an error."""
    keys = set(top)
    if {"shapes", "imagePath"} <= keys:
        return "is a labelme or X-AnyLabeling file of one image, not COCO; export it as COCO"
    if "_via_img_metadata" in keys:
        return "is a VGG Image Annotator project, not COCO; export its annotations as COCO"
    if {"items", "categories"} <= keys:
        return "is a Datumaro file, not COCO; export it as COCO Keypoints"
    if "item" in keys and "annotations" in keys:
        return "is a V7 Darwin file, not COCO; export it as COCO"
    if otherwise:
        return otherwise
    return f"is not a COCO file: no 'images' among its keys (it has {_listed(list(top)) or 'nothing'})"


def _keys(record: bytes) -> set[str]:
    try:
        return set(_OBJECT.decode(record))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(quoted(key, 30) for key in keys[:5])
