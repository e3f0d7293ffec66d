"""Projects, snapshots, indices and exports with names as long as a file system takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import PoseError, ProjectError
from engine.utils.file_names import byte_length
from poseapp.project import edits
from poseapp.project.exports.labelled_frames import export_labelled_frames
from poseapp.project.exports.tables import export_csv
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.model import FrameState
from poseapp.project.opening import open_any
from poseapp.project.relink.video_cache import cache_folder
from poseapp.project.storage.snapshots import list_snapshots, take_snapshot
from poseapp.project.store import ProjectStore

characters = pytest.mark.parametrize("character", ["a", "é", "鼠", "🐭"])


def _name(character: str, size: int, suffix: str) -> str:
    """A name of exactly ``size`` bytes."""
    room = size - len(suffix)
    count = room // len(character.encode())
    name = character * count + "x" * (room - count * len(character.encode())) + suffix
    assert byte_length(name) == size
    return name


@characters
@pytest.mark.parametrize("size", [200, 230, 239, 245, 247])
def test_a_project_with_a_long_name_can_be_used(character: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / _name(character, size, ".pose")
    with ProjectStore.create(path):
        take_snapshot(path, character * 100)
    with ProjectStore.open(path):
        assert len(list_snapshots(path)) == 1
    cache_folder(path).mkdir()
    with ProjectStore.open(path, read_only=True):
        pass


@characters
@pytest.mark.parametrize("size", [248, 252, 255])
def test_a_project_name_too_long_for_sqlite_is_refused_and_nothing_is_made(
    character: str, size: int, tmp_path: Path
) -> None:
    path = tmp_path / _name(character, size, ".pose")
    with pytest.raises(ProjectError, match=f"too long: {size} bytes, at most 247"):
        ProjectStore.create(path)
    assert list(tmp_path.iterdir()) == []
    short = tmp_path / "short.pose"
    ProjectStore.create(short).close()
    short.rename(path)
    with pytest.raises(ProjectError, match=f"too long: {size} bytes, at most 247"):
        ProjectStore.open(path)
    assert path.is_file()


def test_two_projects_with_the_same_long_beginning_have_folders_of_their_own(tmp_path: Path) -> None:
    one, two = (tmp_path / f"{'m' * 240}{end}.pose" for end in "12")
    for project in (one, two):
        ProjectStore.create(project).close()
        take_snapshot(project, "start")
    assert cache_folder(one) != cache_folder(two)
    assert len(list_snapshots(one)) == len(list_snapshots(two)) == 1


@characters
@pytest.mark.parametrize("size", [200, 230, 250, 255])
def test_images_and_folders_with_long_names_are_opened_and_exported(character: str, size: int, tmp_path: Path) -> None:
    folder = tmp_path / _name(character, size, "")
    folder.mkdir()
    for suffix in ("1.png", "2.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / _name(character, size, suffix))
    out = tmp_path / "out"
    out.mkdir()
    with open_any(folder) as store:
        assert store.path.parent == folder
        assert byte_length(store.path.name) <= 247
        frames = list(store.frames())
        assert len(frames) == 2
        store.apply(edits.set_frame_state(frames[0].key, FrameState(), negative=True))
        export_coco(store, out / _name("b", size, ".json"))
        export_csv(store, out / _name("b", size, ".csv"))
        for _ in export_labelled_frames(store, out / _name("c", size, "")):
            pass
    with open_any(folder) as again:  # the same project, not another one
        assert len(list(again.frames())) == 2
    assert len(list(folder.glob("*.pose"))) == 1


def test_a_name_beyond_the_file_system_is_a_message(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    too_long = tmp_path / ("x" * 300)
    with pytest.raises(ProjectError, match="does not exist"):
        open_any(too_long)
    with open_any(tmp_path / "a.png") as store:
        for export in (export_coco, export_csv):
            with pytest.raises(PoseError, match=r"(?i)too long"):
                export(store, too_long)


def test_a_folder_too_deep_for_sqlite_gets_its_project_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poseapp.project.opening.user_data_dir", lambda name: str(tmp_path / "data"))
    folder = tmp_path / ("a" * 250) / ("b" * 250)
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    with open_any(folder) as store:
        assert store.path.is_relative_to(tmp_path / "data")
        first = store.path
    with open_any(folder) as store:
        assert store.path == first
    with pytest.raises(ProjectError, match="path of its folder is too long"):
        ProjectStore.create(folder / "p.pose")
    assert [path.name for path in folder.iterdir()] == ["a.png"]
