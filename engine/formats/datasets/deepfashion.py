"""DeepFashion's landmark lists (Fashion Landmark Detection benchmark): text tables, one clothing item a line.

``list_landmarks.txt``: the number of lines, a line of column names, then image, clothes type (1 upper, 2 lower, 3
full), variation, and per landmark visibility (0 visible, 1 hidden, 2 cut off), x, y. Boxes stand in ``list_bbox.txt``
beside it (image, x1, y1, x2, y2), the parts of the benchmark in ``list_eval_partition.txt`` (image, train|val|test).
COCO's v is 2, 1, 0; cut off landmarks have no place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, CocoImage, Number
from engine.formats.datasets.aic import xywh
from engine.formats.datasets.builder import assemble
from engine.formats.datasets.dataset import KeypointDataset
from engine.formats.datasets.kinds import KINDS, Kind
from engine.utils.files import MAX_LABEL_BYTES, read_text
from engine.utils.skipped import Skipped

LANDMARKS, BOXES, PARTITION = "list_landmarks", "list_bbox", "list_eval_partition"
_KINDS = {1: "deepfashion_upper", 2: "deepfashion_lower", 3: "deepfashion_full"}
_COCO_VISIBILITY: dict[Number, int] = {0: 2, 1: 1, 2: 0}


@dataclass(frozen=True)
class _Row:
    line: int
    image: str
    clothes: int
    numbers: list[float]


class LandmarkLists:
    """The tables of a benchmark. Pictures are numbered from 1 in the order of the landmark list."""

    def __init__(self, file: Path, split: str = "") -> None:
        self._file = file
        self._split = split

    def kind(self) -> Kind:
        """Raises: CocoError where the list has several types of clothes."""
        kinds = {_KINDS[row.clothes] for row in self._rows()}
        if len(kinds) == 1:
            return KINDS[kinds.pop()]
        if not kinds:
            raise CocoError("lists no landmarks", where=self._file)
        raise CocoError(
            f"lists several types of clothes; say which with --kind {' or '.join(sorted(kinds))}", where=self._file
        )

    def read(self, kind: Kind, folder: Path, skipped: Skipped | None = None) -> KeypointDataset:
        """Raises: CocoError naming the line that cannot be understood, or the list that is missing."""
        if kind.name not in _KINDS.values():
            raise CocoError(f"is a landmark list of DeepFashion, not {kind.name}", where=self._file)
        boxes, chosen = self._boxes(skipped), self._chosen()
        rows = [
            row
            for row in self._rows(skipped)
            if _KINDS[row.clothes] == kind.name and (chosen is None or chosen.get(row.image) == self._split)
        ]
        ids = {image: image_id for image_id, image in enumerate(dict.fromkeys(row.image for row in rows), 1)}
        images = [CocoImage(image_id, image) for image, image_id in ids.items()]
        category = CocoCategory(1, kind.load_schema().category)
        annotations = self._annotations(kind, rows, ids, boxes, skipped)
        return assemble(kind, self._file, folder, images, annotations, [category], skipped=skipped)

    def _annotations(
        self,
        kind: Kind,
        rows: list[_Row],
        images: dict[str, int],
        boxes: dict[str, list[Number]],
        skipped: Skipped | None,
    ) -> Iterator[CocoAnnotation]:
        count = kind.load_schema().num_keypoints
        for identity, row in enumerate(rows, 1):
            try:
                flat = _flat(row.numbers, count, f"{self._file}: line {row.line}")
            except CocoError as error:
                if skipped is None:
                    raise
                skipped.add_error(error)
                continue
            box = boxes.get(row.image)
            yield CocoAnnotation(
                id=identity,
                image_id=images[row.image],
                category_id=1,
                keypoints=flat,
                bbox=box,
                area=None if box is None else float(box[2] * box[3]),
                num_keypoints=sum(v > 0 for v in flat[2::3]),
            )

    def _rows(self, skipped: Skipped | None = None) -> Iterator[_Row]:
        for line, cells in _table(self._file):
            try:
                row = _row(line, cells, f"{self._file}: line {line}")
            except CocoError as error:
                if skipped is None:
                    raise
                skipped.add_error(error)
                continue
            yield row

    def _boxes(self, skipped: Skipped | None = None) -> dict[str, list[Number]]:
        file = self._beside(BOXES)
        if not file.is_file():
            raise CocoError(f"the boxes belong to it; put {file.name} beside it", where=self._file)
        boxes: dict[str, list[Number]] = {}
        for line, cells in _table(file):
            try:
                boxes[cells[0]] = _box(cells, f"{file}: line {line}")
            except CocoError as error:
                if skipped is None:
                    raise
                skipped.add_error(error)
        return boxes

    def _chosen(self) -> dict[str, str] | None:
        """Part of the benchmark by image; None where all are wanted."""
        if not self._split:
            return None
        name = self._beside(PARTITION).name
        folders = (self._file.parent, self._file.parent.parent / "Eval", self._file.parent.parent)
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is None:
            raise CocoError(f"its split is told by {name}, which is not there", where=self._file)
        chosen = {cells[0]: cells[1] for _, cells in _table(file) if len(cells) > 1}
        if self._split not in chosen.values():
            known = ", ".join(sorted(set(chosen.values())))
            raise CocoError(f"has no part {self._split!r}; there are {known}", where=file)
        return chosen

    def _beside(self, name: str) -> Path:
        return self._file.with_name(self._file.name.replace(LANDMARKS, name))


def _row(line: int, cells: list[str], where: str) -> _Row:
    try:
        row = _Row(line, cells[0], int(cells[1]), [float(cell) for cell in cells[3:]])
    except (ValueError, IndexError):
        raise CocoError("is no line of a landmark list", where=where) from None
    if row.clothes not in _KINDS:
        raise CocoError(f"has clothes type {row.clothes}, which is none of 1, 2, 3", where=where)
    return row


def _box(cells: list[str], where: str) -> list[Number]:
    try:
        x1, y1, x2, y2 = (float(cell) for cell in cells[1:5])
    except ValueError:
        raise CocoError("is no line of a list of boxes", where=where) from None
    return xywh((x1, y1, x2, y2), where)


def _flat(values: list[float], count: int, where: str) -> list[Number]:
    if len(values) < 3 * count:
        raise CocoError(f"has {len(values)} landmark numbers, expected {3 * count}", where=where)
    flat: list[Number] = []
    for i in range(0, 3 * count, 3):
        state, x, y = values[i : i + 3]
        v = _COCO_VISIBILITY.get(state)
        if v is None:
            raise CocoError(f"has visibility {state:g}, which is none of 0, 1, 2", where=where)
        flat += (x, y, v) if v else (0, 0, 0)
    return flat


def _table(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line behind the two that head a list."""
    try:
        text = read_text(file, MAX_LABEL_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CocoError(f"cannot be read ({reason})", where=file) from None
    for line, content in enumerate(text.splitlines(), 1):
        cells = content.split()
        if cells and line > 2:
            yield line, cells
