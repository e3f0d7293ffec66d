"""SLEAP's "Analysis CSV": a row for each pose of one video, with columns ``NODE.x``, ``NODE.y``, ``NODE.score``."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from engine.errors import LabelError, PoseError
from engine.formats.base import BaseFormat
from engine.formats.category_schema import schema_of_names
from engine.formats.named_poses import coordinate
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.sleap.categories import ANIMAL
from engine.formats.text_files import head_of
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, VIDEO, VISIBLE, Instance
from engine.labels.reader import LabelReader
from engine.media.video_finder import video_of_stem
from engine.utils.context import ERROR, Context
from engine.utils.files import check_regular
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

HEAD = ("track", "frame_idx", "instance.score")
_PARTS = ("x", "y", "score")
_STEP = 1000
_MAX_FRAME = 100_000_000
_NAME = re.compile(r"(?:.+\.\d{3}_)?(.+?)(?:\.analysis)?\.csv", re.IGNORECASE)


class SleapAnalysisCsvFormat(BaseFormat):
    """Poses of one video, ``LABELS.000_VIDEO.analysis.csv``; a pose without scores is a label."""

    name = "sleap_analysis_csv"
    title = "SLEAP analysis as CSV"
    suffixes: tuple[str, ...] = (".csv",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        return CERTAIN if head_of(path, 64).removeprefix(b"\xef\xbb\xbf").startswith(",".join(HEAD).encode()) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        try:
            check_regular(path)
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file)
                nodes = _nodes(next(reader, []), path)
                builder = LabelsBuilder()
                media = builder.media(VIDEO, video_of_table(path), stored_pixels=True)
                category = builder.category(ANIMAL, schema_of_names(nodes, ANIMAL))
                for row_index, row in enumerate(reader):
                    if row_index % _STEP == 0:
                        context.progress(row_index)
                    if row:
                        _read_row(row, len(nodes), builder, media, category, f"line {reader.line_num}", context)
        except OSError as error:
            raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None
        except (csv.Error, UnicodeDecodeError) as error:
            raise LabelError(f"is not a table of text ({error})", where=path) from None
        except PoseError:
            raise
        return builder.build(path)


def _nodes(header: Sequence[str], path: Path) -> list[str]:
    columns = header[len(HEAD) :]
    nodes = [column.removesuffix(".x")[:MAX_NAME] for column in columns[:: len(_PARTS)]]
    expected = [f"{column.removesuffix('.x')}.{part}" for column in columns[:: len(_PARTS)] for part in _PARTS]
    if tuple(header[: len(HEAD)]) != HEAD or list(columns) != expected or not 0 < len(nodes) <= MAX_KEYPOINTS:
        raise LabelError("is not an analysis table of SLEAP: its columns are others", where=path)
    return nodes


def _read_row(
    row: Sequence[str], count: int, builder: LabelsBuilder, media: int, category: int, where: str, context: Context
) -> None:
    index = coordinate(row[1]) if len(row) > 1 else None
    if len(row) != len(HEAD) + count * len(_PARTS) or index is None or not 0 <= index <= _MAX_FRAME or index % 1:
        context.report(where, "Row without the cells of the header, or without a frame", "left out", severity=ERROR)
        return
    cells = [coordinate(cell) if cell else None for cell in row[len(HEAD) :]]
    if any(value is None and cell.lower() not in ("", "nan") for value, cell in zip(cells, row[len(HEAD) :])):
        context.report(where, "Row with a cell that is not a number", "left out", severity=ERROR)
        return
    values = np.array([np.nan if cell is None else cell for cell in cells]).reshape(count, len(_PARTS))
    present = np.isfinite(values[:, :2]).all(axis=1)
    if not present.any():
        context.report(where, "Pose without a keypoint", "left out")
        return
    score, has_scores = coordinate(row[2]) if row[2] else None, bool(np.isfinite(values[:, 2]).any())
    is_prediction = score is not None or has_scores
    builder.add(
        Instance(
            builder.frame("", media, int(index)),
            category,
            np.where(present[:, None], values[:, :2], 0.0),
            np.where(present, VISIBLE, ABSENT).astype(np.uint8),
            np.clip(np.nan_to_num(values[:, 2]), 0.0, 1.0) if has_scores else None,
            score=None if score is None else min(max(score, 0.0), 1.0),
            track=builder.track(row[0], row[0][:MAX_NAME]) if row[0] else None,
            is_prediction=is_prediction,
            source="sleap" if is_prediction else "",
            key=where,
        )
    )


def video_of_table(path: Path) -> str:
    """The video of a table, by the name that SLEAP gives the table: beside it, else with the suffix ``.mp4``."""
    match = _NAME.fullmatch(path.name)
    return video_of_stem(path.parent, match[1] if match else path.stem)


register_format(SleapAnalysisCsvFormat())
