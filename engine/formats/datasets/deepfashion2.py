"""DeepFashion2's own layout: a folder of JSON files, one a picture, garments as ``item1``, ``item2``, ...

An item has ``category_id`` 1 to 13, ``bounding_box`` [x1, y1, x2, y2] and ``landmarks``, x, y, v of its category's own
points (v = 2 visible, 1 hidden, 0 not labelled). The points of all categories together are 294; each category has its
range, as in the schema's subsets, and zeros elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, CocoImage, Number
from engine.formats.coco.document import load_record, read_json_bytes
from engine.formats.datasets.aic import xywh
from engine.formats.datasets.builder import assemble
from engine.formats.datasets.dataset import KeypointDataset
from engine.formats.datasets.kinds import KINDS, Kind
from engine.schema.schema import Subset
from engine.utils.skipped import Skipped


def is_annotation_folder(folder: Path) -> bool:
    """Whether one of the first JSON files in the folder describes garments."""
    for file in islice(sorted(folder.glob("*.json")), 5):
        try:
            data = load_record(read_json_bytes(file), file)
        except CocoError:
            continue
        if _items(data):
            return True
    return False


class AnnotationFolder:
    """The folder ``annos``. Pictures have the number that is their name, garments are numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kind(self) -> Kind:
        return KINDS["deepfashion2"]

    def read(self, kind: Kind, folder: Path, skipped: Skipped | None = None) -> KeypointDataset:
        """Raises: CocoError naming the file and item that cannot be understood."""
        if kind.name != "deepfashion2":
            raise CocoError(f"is a folder of DeepFashion2, not {kind.name}", where=self._folder)
        files = sorted(self._folder.glob("*.json"))
        images = [CocoImage(_number(file, n), f"{file.stem}.jpg") for n, file in enumerate(files, 1)]
        schema = kind.load_schema()
        categories = [CocoCategory(category_id, subset.name) for category_id, subset in enumerate(schema.subsets, 1)]
        annotations = list(_annotations(list(zip(images, files)), schema.subsets, schema.num_keypoints, skipped))
        if skipped is not None:
            images = [image for image, file in zip(images, files) if str(file) not in skipped]
        return assemble(kind, self._folder, folder, images, annotations, categories, skipped=skipped)


def _number(file: Path, position: int) -> int | str:
    return int(file.stem) if file.stem.isdecimal() else file.stem


def _annotations(
    files: list[tuple[CocoImage, Path]], subsets: tuple[Subset, ...], count: int, skipped: Skipped | None
) -> Iterator[CocoAnnotation]:
    identity = 0
    for image, file in files:
        try:
            items = _items(load_record(read_json_bytes(file), file))
        except CocoError as error:
            if skipped is None:
                raise
            skipped.add_error(error)
            continue
        for name, item in items.items():
            identity += 1
            try:
                annotation = _annotation(identity, image, item, subsets, count, f"{file}: {name}")
            except CocoError as error:
                if skipped is None:
                    raise
                skipped.add_error(error)
                continue
            yield annotation


def _items(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    items = {name: item for name, item in data.items() if name.startswith("item") and isinstance(item, dict)}
    return {name: item for name, item in items.items() if "landmarks" in item or "bounding_box" in item}


def _annotation(
    identity: int, image: CocoImage, item: dict[str, Any], subsets: tuple[Subset, ...], count: int, where: str
) -> CocoAnnotation:
    category = item.get("category_id")
    if not isinstance(category, int) or not 1 <= category <= len(subsets):
        raise CocoError(f"has category_id {category!r}, expected 1 to {len(subsets)}", where=where)
    subset = subsets[category - 1]
    own = _numbers(item.get("landmarks"), 3 * (subset.stop - subset.start), "landmarks", where)
    box = xywh(_numbers(item.get("bounding_box"), 4, "bounding_box", where), where)
    flat: list[Number] = [0] * (3 * count)
    flat[3 * subset.start : 3 * subset.stop] = own
    return CocoAnnotation(
        id=identity,
        image_id=image.id,
        category_id=category,
        keypoints=flat,
        bbox=box,
        area=float(box[2] * box[3]),
        num_keypoints=sum(v > 0 for v in own[2::3]),
    )


def _numbers(value: Any, count: int, name: str, where: str) -> list[Number]:
    if not isinstance(value, list) or len(value) != count:
        content = f"{len(value)} numbers" if isinstance(value, list) else "nothing"
        raise CocoError(f"has {content} in '{name}', expected {count}", where=where)
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in value):
        raise CocoError(f"'{name}' holds something that is no number", where=where)
    return value
