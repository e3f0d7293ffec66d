"""Rows that nobody here has written: left out, or an error in plain words; nothing is removed because of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ProjectError
from engine.media.alignment.fingerprint import Fingerprint
from engine.media.video.index.index import index_folder, index_path
from poseapp.project.relink.frame_images import kept_pictures
from poseapp.project.relink.video_cache import cache_folder, tend_cache
from poseapp.project.schema.part_colors import part_colors, set_part_color
from poseapp.project.store import ProjectStore
from poseapp.project.tables.media_state import MediaState, decode, encode


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    with ProjectStore.create(tmp_path / "p.pose") as created:
        yield created


def test_a_color_that_is_none_is_left_out(store: ProjectStore) -> None:
    set_part_color(store, "face", 0x00FF00)
    store.database.run("INSERT INTO meta VALUES ('part_color/hand', 'green'), ('part_color/foot', -1)")
    assert part_colors(store) == (("face", 0x00FF00),)


def test_a_picture_that_is_none_is_left_out(store: ProjectStore) -> None:
    good = np.arange(16, dtype=np.uint8).reshape(4, 4)
    rows = [zlib.compress(good.tobytes()), 5, b"", b"abc", zlib.compress(b""), zlib.compress(b"12345")]
    store.database.many("INSERT INTO frame_picture VALUES ('k', ?, ?)", enumerate(rows))
    result = kept_pictures(store, "k")
    assert list(result) == [0]
    assert np.array_equal(result[0], good)


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"", encode(MediaState("a", "", ((-3, 4, 4),))), encode(MediaState("a", "", ((1 << 40, 4, 4),)))],
)
def test_a_damaged_history_of_a_file_is_told_and_changes_nothing(store: ProjectStore, data: bytes) -> None:
    with pytest.raises(ProjectError, match="damaged"):
        decode(data)
    media = store.add_media("video", store.path.with_name("film.mp4"))
    with store.database.write():
        store.database.run("INSERT INTO step VALUES (1, 'x', 0, '')")
        store.database.run("INSERT INTO step_media VALUES (1, ?, 1, ?, ?)", (media.id, data, data))
        store.database.set_meta("position", 1)
    folder = cache_folder(store.path)
    folder.mkdir()
    (folder / "ab.videoindex").touch()
    with pytest.raises(ProjectError, match="damaged"):
        store.undo()
    assert store.history_length() == (1, 1)
    tend_cache(store)
    assert (folder / "ab.videoindex").exists()


def test_no_file_elsewhere_is_named_by_a_fingerprint(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    home = store.path.parent
    monkeypatch.setenv("POSEAPP_CACHE", str(home / "cache"))
    strange = index_path(index_folder(), "../x")
    index_folder().mkdir(parents=True)
    strange.touch()
    text = Fingerprint("../x", 1, (4, 4), 0, np.zeros((8, 12, 12), np.uint8)).to_text()
    store.database.run("INSERT INTO fingerprint VALUES (1, ?)", (text,))
    tend_cache(store)
    assert not (home / "x.videoindex").exists()
