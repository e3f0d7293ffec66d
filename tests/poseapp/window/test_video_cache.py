"""The indices of a project's videos lie beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.media.alignment.fingerprint import Fingerprint
from engine.media.video.index.folder import index_home
from engine.media.video.index.index import content_key, index_folder, index_path
from engine.media.video.reader import VideoReader
from poseapp.project.opening import open_any
from poseapp.project.relink.remap import NewFile, relink_video
from poseapp.project.relink.video_cache import cache_folder, project_cache, tend_cache
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import X264, Clip, make


@pytest.fixture
def film(tmp_path: Path) -> Path:
    with open_any(make(Clip("film.mp4", "libx264", X264, frames=30), tmp_path)) as store:
        return store.path


def test_a_video_is_indexed_beside_its_project(film: Path) -> None:
    folder = cache_folder(film)
    key = content_key(film.with_name("film.mp4"))
    assert [file.name for file in folder.iterdir()] == [f"{key}.videoindex"]
    with VideoReader(film.with_name("film.mp4"), cache=project_cache(film)) as video:
        assert video.frame_count == 30


def test_it_is_the_users_cache_where_the_folder_cannot_be(tmp_path: Path) -> None:
    video = make(Clip("film.mp4", "libx264", X264, frames=8), tmp_path)
    cache_folder(tmp_path / "film.pose").write_text("in the way")
    with open_any(video) as store:
        assert project_cache(store.path) == index_folder()
        assert store.frame_count() == 8
        tend_cache(store)
    assert cache_folder(tmp_path / "film.pose").read_text() == "in the way"


def test_strange_and_half_written_indices_go_and_those_of_undo_stay(film: Path, tmp_path: Path) -> None:
    folder = cache_folder(film)
    other = make(Clip("other.mp4", "libx264", X264, frames=12), tmp_path)
    with VideoReader(other, cache=folder) as video, ProjectStore.open(film) as store:
        (media,) = store.media()
        mark = Fingerprint(video.index.key, 12, video.size, 366, np.zeros((8, 12, 12), np.uint8))
        relink_video(store, media.id, NewFile(other, mark.to_text(), 12, video.size))
        (folder / "0123.videoindex").write_bytes(b"of another project")
        (folder / "4567.videoindexab.part").write_bytes(b"half")
        tend_cache(store)
        assert len(list(folder.iterdir())) == 2
        store.undo()
        tend_cache(store)
        assert len(list(folder.iterdir())) == 2


def test_what_the_users_cache_knows_is_brought_over(film: Path) -> None:
    folder = cache_folder(film)
    (index,) = folder.iterdir()
    index_folder().mkdir(parents=True, exist_ok=True)
    shutil.move(index, index_path(index_folder(), index.stem))
    folder.rmdir()
    with ProjectStore.open(film, read_only=True) as store:
        tend_cache(store)
    assert [file.name for file in folder.iterdir()] == [index.name]


def test_a_project_without_videos_has_no_folder(tmp_path: Path) -> None:
    with ProjectStore.create(tmp_path / "pictures.pose") as store:
        tend_cache(store)
        assert not cache_folder(store.path).exists()


def test_the_window_uses_it_while_the_project_is_open(window: MainWindow, film: Path, qtbot: QtBot) -> None:
    shutil.rmtree(cache_folder(film))
    shutil.rmtree(index_folder(), ignore_errors=True)
    window.open_paths([film])
    qtbot.waitUntil(lambda: window.canvas.image_size == (160, 96) and not window.runner.active(), timeout=8000)
    assert index_home() == cache_folder(film)
    qtbot.waitUntil(lambda: len(list(cache_folder(film).glob("*.videoindex"))) == 1, timeout=5000)
    assert not list(index_folder().glob("*.videoindex"))
    window.session.close()
    assert index_home() == index_folder()
