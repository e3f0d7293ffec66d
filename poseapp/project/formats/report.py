"""What an import did, and what a person should know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.utils.context import ERROR, INFO, WARNING, Findings, ProgressCallback, Remark
from poseapp.project.formats.label_sizes import LabelSize

__all__ = ["ERROR", "INFO", "WARNING", "ImportReport", "LabelOffer", "Problems", "ProgressCallback", "Remark"]

Problems = Findings


@dataclass(frozen=True)
class LabelOffer:
    """Label files that are not taken in before a person has said so.

    Attributes:
        paths: the label files, or folders of them, as they would be opened.
        text: what is new in them, as a sentence.
        digest: content of a file that changed; for :meth:`SourceTable.decline`.
        counts: what an import would do, as pairs of a text and a number of records.
        conflicts: a sentence for each pose that the file and a person have changed.
        remarks: what was odd about the file, as sentences.
        label_size: how labels of another size would be taken.
        has_news: there is more in the file than the poses that the project has.
    """

    paths: tuple[Path, ...]
    text: str
    digest: bytes = b""
    counts: tuple[tuple[str, int], ...] = ()
    conflicts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    label_size: LabelSize = LabelSize.KEEP
    has_news: bool = True


@dataclass
class ImportReport:
    """What an import brought in.

    Attributes:
        images, annotations: how many came in.
        problems: what was odd about them, as sentences.
        notes: what is good to know, as sentences: a file that is unchanged since its last import.
        left_out: labels that wait for an image or a video that is missing.
        records: key of the record in the file, and instance, of each pose; by label file.
        tracks: number of each track, by its name in the file.
        offers: label files of which a person must say whether they are taken in.
        fitted: images whose labels were turned or scaled.
        stored: id of the report in the project (:mod:`poseapp.project.import_reports`); 0 for none.
    """

    images: int = 0
    annotations: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0
    records: dict[Path, list[tuple[str, int]]] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)
    offers: list[LabelOffer] = field(default_factory=list)
    fitted: int = 0
    stored: int = 0

    def join(self, other: ImportReport) -> None:
        """Add what another import brought in to the same project."""
        self.images += other.images
        self.annotations += other.annotations
        self.problems += other.problems
        self.notes += other.notes
        self.left_out += other.left_out
        self.offers += other.offers
