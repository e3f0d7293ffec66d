"""The registry of label formats, with a toy format that one class defines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats.registry import (
    CERTAIN,
    NO,
    LabelFormat,
    ReadOptions,
    WriteOptions,
    find_format,
    format_for_writing,
    formats,
    read_labels,
    register_format,
    unregister_format,
    write_labels,
)
from engine.labels import VISIBLE, Category, Feature, Frame, Instance, LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context


class ToyFormat:
    """A line for each nose: image, x, y."""

    name, title, suffixes = "toy", "Toy noses", (".toy",)
    can_read = can_write = True
    keeps = frozenset({Feature.EMPTY_FRAMES})

    def sniff(self, path: Path) -> float:
        return CERTAIN if path.is_file() and path.read_bytes()[:4] == b"TOY\n" else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        schema = schema_from_names("toy", ["nose"], category="mouse")
        return Labels(
            frames=[Frame(name) for name, _, _ in rows],
            instances=[
                Instance(n, 0, np.array([[float(x), float(y)]]), np.array([VISIBLE], np.uint8))
                for n, (_, x, y) in enumerate(rows)
            ],
            categories=[Category("mouse", schema)],
            path=path,
        )

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        names = [frame.name for frame in labels.frames()]
        points = [(names[i.frame], *i.keypoints[0]) for i in labels.instances() if i.keypoints is not None]
        path.write_text("TOY\n" + "".join(f"{name},{x},{y}\n" for name, x, y in points))


@pytest.fixture
def toy() -> Iterator[LabelFormat]:
    yield register_format(ToyFormat())
    unregister_format("toy")


def test_a_registered_format_is_found_by_the_content(toy: LabelFormat, tmp_path: Path) -> None:
    path = tmp_path / "noses.txt"
    path.write_text("TOY\na.png,3,4\n")
    assert find_format(path) is toy
    assert toy in formats()


def test_labels_come_back_as_they_were_written(toy: LabelFormat, tmp_path: Path) -> None:
    path, copy = tmp_path / "noses.toy", tmp_path / "copy.toy"
    path.write_text("TOY\na.png,3.0,4.0\nb.png,5.0,6.5\n")
    write_labels(read_labels(path), copy)
    assert copy.read_text() == path.read_text()


def test_a_name_goes_before_the_content(toy: LabelFormat, tmp_path: Path) -> None:
    path = tmp_path / "labels.toy"
    path.write_text("TOY\n")
    assert find_format(path, "TOY") is toy
    with pytest.raises(LabelError, match="no label format is called 'toi'"):
        find_format(path, "toi")


def test_content_that_no_format_knows_is_refused_with_the_known_names(toy: LabelFormat, tmp_path: Path) -> None:
    path = tmp_path / "labels.bin"
    path.write_bytes(b"\0\1\2")
    with pytest.raises(LabelError, match=r"say which with --from .*toy"):
        find_format(path)
    with pytest.raises(LabelError, match="does not exist"):
        find_format(tmp_path / "missing.toy")


def test_the_suffix_says_in_which_format_to_write(toy: LabelFormat, tmp_path: Path) -> None:
    assert format_for_writing(tmp_path / "out.toy") is toy
    with pytest.raises(LabelError, match=r"--to: .*toy"):
        format_for_writing(tmp_path / "out.unknown")


def test_a_name_that_no_option_could_take_is_refused() -> None:
    class Named(ToyFormat):
        name = "Toy Format"

    with pytest.raises(LabelError, match="cannot be called"):
        register_format(Named())


def test_every_format_has_the_attributes_that_menus_and_help_need() -> None:
    for format in formats():
        assert isinstance(format, LabelFormat)
        assert format.title
        assert format.can_read or format.can_write
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in format.suffixes)
