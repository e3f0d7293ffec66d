"""Labels that were made on pictures of another size or orientation than those that are here, found at import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from engine.errors import PoseError
from engine.labels.image_size import Grid, GridTransform, Size, classify, is_unsettled, transform_of
from engine.media.image_headers import ImageHeader, read_header_of
from engine.utils.context import Findings

_SAMPLE = 20_000  # images whose headers are read in any case; of more, some are looked at first


class LabelSize(StrEnum):
    """What is done with labels that were made on pictures of another size or orientation."""

    ASK = "ask"
    """Stop the import with :class:`LabelSizesDiffer`, before anything is written."""
    FIT = "fit"
    """Turn and scale them, so that they lie on the pictures as these are shown. Export turns and scales them back."""
    KEEP = "keep"
    """Take the numbers as they are, and say so."""


class LabelSizesDiffer(PoseError):
    """Labels would have to be turned or scaled; a person is to say whether. Nothing has been imported.

    Attributes:
        images: how many images it concerns. example: the first of them, as a sentence.
    """

    def __init__(self, images: int, example: str, where: object) -> None:
        many = f"the labels of {images:,} images were" if images > 1 else "the labels of an image were"
        super().__init__(f"{many} made on pictures of another size or orientation: {example}", where=where)
        self.images = images
        self.example = example


@dataclass
class SizeCheck:
    """Attributes:
    shown: width and height of the pictures as they are shown, by position.
    grids: what brings the labels into these, by position; only where turning or scaling would help.
    counts: how many images relate in each way. first: an example of each.
    """

    shown: dict[int, Size] = field(default_factory=dict)
    grids: dict[int, GridTransform] = field(default_factory=dict)
    counts: Counter[Grid] = field(default_factory=Counter)
    first: dict[Grid, str] = field(default_factory=dict)

    @property
    def example(self) -> str:
        """The first image whose labels can be turned or scaled."""
        movable = (Grid.TURNED, Grid.SCALED, Grid.TURNED_SCALED, Grid.SAME)
        return next((self.first[grid] for grid in movable if grid in self.first), "")


def check_sizes(paths: Sequence[Path | None], records: Sequence[Size]) -> SizeCheck:
    """Compare the sizes in label records with the headers of the images.

    Args:
        paths: of the images, None for one that is missing. records: width and height that the labels were made in.
    """
    step = max(1, len(paths) // _SAMPLE)
    check = _check(paths, records, range(0, len(paths), step))
    if step > 1 and set(check.counts) - {Grid.SAME, Grid.UNKNOWN}:
        check = _check(paths, records, range(len(paths)))
    return check


def report_sizes(check: SizeCheck, label_size: LabelSize, problems: Findings) -> None:
    """Say how many labels were made on images of another size, and what was done with them."""
    words = {
        Grid.TURNED: "Labels made on the picture before it is turned upright",
        Grid.SCALED: "Labels made on a picture of another size",
        Grid.TURNED_SCALED: "Labels made on a picture of another size, before it is turned upright",
    }
    done = "they were fitted to it" if label_size is LabelSize.FIT else "they were left as they are"
    for grid, sentence in words.items():
        if check.counts[grid]:
            problems.add(f"{sentence}; {done}", check.first[grid], check.counts[grid])
    if check.counts[Grid.CONTRADICTORY]:
        sentence = "The size in the labels contradicts the picture; labels were left as they are"
        problems.add(sentence, check.first[Grid.CONTRADICTORY], check.counts[Grid.CONTRADICTORY])


def _check(paths: Sequence[Path | None], records: Sequence[Size], indices: range) -> SizeCheck:
    check = SizeCheck()
    headers: dict[int, ImageHeader] = {}
    stored_grid = upright_grid = False
    for index in indices:
        path = paths[index]
        header = None if path is None else read_header_of(path)
        if header is None:
            continue
        headers[index] = header
        check.shown[index] = header.size
        stored = (header.width, header.height)
        grid = classify(records[index], stored, header.orientation)
        check.counts[grid] += 1
        stored_grid |= grid in (Grid.TURNED, Grid.TURNED_SCALED)
        upright_grid |= grid is Grid.SAME and header.orientation >= 5 and stored != header.size
        if grid not in (Grid.SAME, Grid.UNKNOWN):
            check.first.setdefault(grid, _sentence(path, records[index], header))
    # The maker of the file showed its pictures as stored: then it did so with those whose size does not tell, too.
    turns_all = stored_grid and not upright_grid
    for index, header in headers.items():
        stored = (header.width, header.height)
        grid_transform = transform_of(records[index], stored, header.orientation, unsettled=turns_all)
        if grid_transform is not None:
            check.grids[index] = grid_transform
            if is_unsettled(records[index], stored, header.orientation):
                check.first.setdefault(Grid.SAME, _sentence(paths[index], records[index], header))
    return check


def _sentence(path: Path | None, record: Size, header: ImageHeader) -> str:
    turned = ", turned by its EXIF orientation" if header.orientation != 1 else ""
    width, height = header.size
    name = "" if path is None else path.name
    return f"{name} is {width} x {height}{turned}, its labels were made in {record[0]} x {record[1]}"
