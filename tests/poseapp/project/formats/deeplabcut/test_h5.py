"""DeepLabCut's HDF5 tables, in both layouts of pandas; nothing in them is run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProjectError
from engine.formats.deeplabcut.folder import is_dlc_folder
from engine.formats.deeplabcut.h5 import _words, plain_pickle, read_h5
from poseapp.project.formats.deeplabcut.importer import import_dlc
from poseapp.project.model import FrameKey, State
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore
from tests.engine.media.video_clips import X264, Clip, make

SINGLE = [("me", point, coord) for point in ("snout", "tail") for coord in "xy"]
MULTI = [("me", *who, coord) for who in (("one", "snout"), ("two", "snout"), ("single", "corner")) for coord in "xy"]
FOUND = [("DLC_resnet50", point, coord) for point in ("snout", "tail") for coord in ("x", "y", "likelihood")]
ROWS = ["labeled-data/v/img2.png", "labeled-data\\v\\img10.png"]
NAN = np.nan


def _index(group: Any, name: str, entries: list[tuple[Any, ...]]) -> None:
    """Names along an axis, as pandas writes them: one level plainly, several as levels and places in them."""
    group.attrs[f"{name}_variety"] = np.bytes_(b"multi" if len(entries[0]) > 1 else b"regular")
    if len(entries[0]) == 1:
        group[name] = np.array([entry[0] for entry in entries] if isinstance(entries[0][0], int) else
                               [entry[0].encode() for entry in entries])  # fmt: skip
        return
    group.attrs[f"{name}_nlevels"] = len(entries[0])
    for n, words in enumerate(zip(*entries)):
        level = sorted(set(words))
        group[f"{name}_level{n}"] = np.array([word.encode() for word in level])
        group[f"{name}_label{n}"] = np.array([level.index(word) for word in words], np.int8)


def fixed(path: Path, columns: list[tuple[str, ...]], rows: list[Any], values: list[list[float]]) -> Path:
    """The layout that is the default."""
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_(b"frame")
        group.attrs["nblocks"] = 1
        _index(group, "axis0", columns)
        _index(group, "axis1", [row if isinstance(row, tuple) else (row,) for row in rows])
        _index(group, "block0_items", columns)
        group["block0_values"] = np.array(values, float)
    return path


def appendable(path: Path, columns: list[tuple[str, ...]], rows: list[Any], values: list[list[float]]) -> Path:
    """The layout "table"; columns lie in two blocks by their type, in another order than in the table."""
    first, second = list(range(0, len(columns), 2)), list(range(1, len(columns), 2))
    index = np.array(rows if isinstance(rows[0], int) else [row.encode() for row in rows])
    blocks = [("values_block_0", "<f8", (len(first),)), ("values_block_1", "<f8", (len(second),))]
    table = np.zeros(len(rows), [("index", index.dtype), *blocks])
    table["index"] = index
    whole = np.array(values, float)
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_(b"frame_table")
        for (name, _, _), positions in zip(blocks, (first, second)):
            table[name] = whole[:, positions]
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps([(1, columns)], 0))
        stored = group.create_dataset("table", data=table)
        for (name, _, _), positions in zip(blocks, (first, second)):
            stored.attrs[f"{name}_kind"] = np.bytes_(pickle.dumps([columns[p] for p in positions], 0))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "dlc" / "labeled-data" / "v"
    folder.mkdir(parents=True)
    for name in ("img2", "img10"):
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((20, 30, 3), np.uint8))
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[ProjectStore]:
    with ProjectStore.create(tmp_path / "x.pose") as store:
        yield store


@pytest.mark.parametrize("write", [fixed, appendable])
def test_labels_are_those_of_the_csv(write: Any, project: Path, empty: ProjectStore) -> None:
    values = [[1.5, 2.5, 3, 4], [5, 6, NAN, NAN]]
    report = import_dlc(empty, write(project / "CollectedData_me.h5", SINGLE, ROWS, values))
    assert (report.images, report.annotations, report.problems) == (2, 2, [])
    (category,) = empty.categories()
    assert category.schema.names == ("snout", "tail")
    (first,), (second,) = empty.instances(FrameKey(1, 0)), empty.instances(FrameKey(1, 1))
    assert first.keypoints.tolist() == [[1.5, 2.5], [3, 4]]
    assert second.visibility.tolist() == [2, 0]


@pytest.mark.parametrize("write", [fixed, appendable])
def test_several_animals(write: Any, project: Path, empty: ProjectStore) -> None:
    values = [[1, 2, 3, 4, 9, 9], [NAN, NAN, 5, 6, NAN, NAN]]
    import_dlc(empty, write(project / "CollectedData_me.h5", MULTI, ROWS, values))
    assert [(c.name, c.schema.names) for c in empty.categories()] == [("animal", ("snout",)), ("single", ("corner",))]
    assert [i.keypoints.tolist() for i in empty.instances(FrameKey(1, 0))] == [[[1, 2]], [[3, 4]], [[9, 9]]]


def test_names_of_images_in_three_levels(project: Path, empty: ProjectStore) -> None:
    rows = [("labeled-data", "v", "img2.png"), ("labeled-data", "v", "img10.png")]
    path = fixed(project / "CollectedData_me.h5", SINGLE, rows, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert import_dlc(empty, path).annotations == 2
    assert [frame.name for frame in empty.frames()] == ["labeled-data/v/img2.png", "labeled-data/v/img10.png"]


def test_a_folder_with_h5_alone_is_a_project_and_the_csv_goes_first(project: Path, empty: ProjectStore) -> None:
    fixed(project / "CollectedData_me.h5", SINGLE, ROWS, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert is_dlc_folder(project.parents[1])
    (project / "CollectedData_me.csv").write_text(
        "scorer,me,me\nbodyparts,snout,snout\ncoords,x,y\nlabeled-data/v/img2.png,7,8\n"
    )
    assert import_dlc(empty, project.parents[1]).annotations == 1


@pytest.mark.parametrize("kind", ["fixed", "appendable", "csv"])
def test_an_analysed_video_becomes_predictions(kind: str, tmp_path: Path) -> None:
    make(Clip("mouse.mp4", "libx264", X264, frames=6), tmp_path)
    values = [[n, 2, 0.9, 3, 4, 0.05] for n in range(6)]
    path = tmp_path / "mouseDLC_resnet50_xshuffle1.h5"
    if kind == "csv":
        path = path.with_suffix(".csv")
        heads = [",".join([head, *words]) for head, words in zip(("scorer", "bodyparts", "coords"), zip(*FOUND))]
        path.write_text("\n".join([*heads, *(f"{n}," + ",".join(map(str, row)) for n, row in enumerate(values))]))
    else:
        (fixed if kind == "fixed" else appendable)(path, FOUND, list(range(6)), values)
    with open_any(path) as store:
        assert [media.kind for media in store.media()] == ["video"]
        assert store.frame_count() == 6
        (pose,) = store.instances(FrameKey(1, 4))
        assert (pose.state, pose.source, pose.track) == (State.PREDICTED, "DLC_resnet50", None)
        assert pose.keypoints.tolist() == [[4, 2], [3, 4]]
        assert pose.visibility.tolist() == [2, 0]
        assert pose.scores is not None
        assert np.allclose(pose.scores, [0.9, 0.05])


def test_a_table_without_its_video_is_told(tmp_path: Path, empty: ProjectStore) -> None:
    path = fixed(tmp_path / "goneDLC.h5", FOUND, [0, 1], [[1, 2, 1, 3, 4, 1]] * 2)
    with pytest.raises(ProjectError, match="no video of its name"):
        import_dlc(empty, path)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_a_pickle_that_would_do_something_is_refused(
    project: Path, empty: ProjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = appendable(project / "CollectedData_me.h5", SINGLE, ROWS, [[1, 2, 3, 4], [5, 6, 7, 8]])
    with h5py.File(path, "r+") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps([_Evil()], 0))
    with pytest.raises(ProjectError, match=r"import the \.csv"):
        import_dlc(empty, path)
    assert not (tmp_path / "evil").exists()
    assert empty.frame_count() == 0


def _no_table(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["other"] = np.zeros(3)


def _elsewhere(path: Path) -> None:
    fixed(path, SINGLE, ROWS, [[1, 2, 3, 4], [5, 6, 7, 8]])
    with h5py.File(path, "r+") as file:
        del file["df_with_missing/block0_values"]
        file["df_with_missing/block0_values"] = h5py.ExternalLink("/etc/hostname", "x")


def _wrong_places(path: Path) -> None:
    fixed(path, SINGLE, ROWS, [[1, 2, 3, 4], [5, 6, 7, 8]])
    with h5py.File(path, "r+") as file:
        file["df_with_missing/block0_items_label1"][...] = 99


def _too_few(path: Path) -> None:
    fixed(path, SINGLE, ROWS, [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b"no"), _no_table, _elsewhere, _wrong_places, _too_few]
)
def test_what_is_no_table_is_told(spoil: Any, project: Path, empty: ProjectStore) -> None:
    path = project / "CollectedData_me.h5"
    spoil(path)
    with pytest.raises(ProjectError):
        import_dlc(empty, path)
    assert empty.frame_count() == 0


plain = st.recursive(
    st.one_of(st.text(max_size=20), st.integers(-(10**12), 10**12)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=20,
)


@given(plain, st.integers(0, 5))
def test_plain_values_are_read_as_they_were_written(value: Any, protocol: int) -> None:
    if not isinstance(value, bool):
        assert plain_pickle(pickle.dumps(value, protocol)) == value


@given(st.binary(max_size=60))
def test_anything_else_is_refused_or_plain(data: bytes) -> None:
    try:
        plain_pickle(data)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, StopIteration, RuntimeError):
        return


def test_a_name_whose_text_would_have_no_end_is_refused() -> None:
    name: tuple = ("ha",)
    for _ in range(60):
        name = (name, name)
    assert plain_pickle(pickle.dumps(name, 4)) is not None  # a few bytes
    with pytest.raises(TypeError, match="a name of another type"):
        _words(("scorer", name, "x"))


def test_real_columns_keep_their_order(tmp_path: Path) -> None:
    table = read_h5(appendable(tmp_path / "a.h5", FOUND, [0, 1], [[1, 2, 3, 4, 5, 6]] * 2))
    assert table.columns == FOUND
    assert table.values[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert table.of_video
