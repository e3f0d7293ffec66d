"""SLEAP files in every layout of skeletons, with negative frames, suggestions, tracks, and videos of one name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.errors import ProjectError
from engine.formats.hdf5 import check_table, try_in_a_process
from engine.formats.sleap.skeletons import read_skeletons
from engine.media.video_finder import find_videos
from engine.schema.builtin import find_schema
from poseapp.project.formats.sleap.importer import import_sleap
from poseapp.project.label_update.sources import track_names
from poseapp.project.store import ProjectStore
from tests.engine.formats.sleap.slp_files import BODY, MIRROR, write_slp

h5py = pytest.importorskip("h5py")


@pytest.fixture
def sequence(tmp_path: Path) -> dict[str, Any]:
    for n in range(4):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((20, 30, 3), 40 * n, np.uint8))
    return {"backend": {"filename": "", "filenames": [f"{n}.png" for n in range(4)]}}


def node(name: str) -> dict[str, Any]:
    return {"py/object": "sleap.skeleton.Node", "py/state": {"py/tuple": [name, 1.0]}}


NUMBERS = {
    "nodes": [{"id": 2}, {"id": 0}, {"id": 1}],
    "links": [
        {"source": 2, "target": 0, "type": BODY},
        {"source": 2, "target": 1, "type": {"py/id": 1}},
        {"source": 0, "target": 1, "type": MIRROR},
        {"source": 1, "target": 0, "type": {"py/id": 2}},
    ],
}
OBJECTS = {
    "links": [
        {"source": node("tail"), "target": node("ear_a"), "type": BODY},
        {"source": {"py/id": 1}, "target": node("ear_b"), "type": {"py/id": 3}},
        {"source": {"py/id": 2}, "target": {"py/id": 4}, "type": MIRROR},
        {"source": {"py/id": 4}, "target": {"py/id": 2}, "type": {"py/id": 5}},
    ],
    "nodes": [{"id": {"py/id": 1}}, {"id": {"py/id": 2}}, {"id": {"py/id": 4}}],
}


@pytest.mark.parametrize("graph", [NUMBERS, OBJECTS])
@pytest.mark.parametrize("wrapped", [False, True])
def test_skeletons_of_every_layout(graph: dict[str, Any], wrapped: bool) -> None:
    entry = {"nx_graph": graph, "description": None} if wrapped else graph
    names = [{"name": name} for name in ("ear_a", "ear_b", "tail")]
    (skeleton,) = read_skeletons({"nodes": names, "skeletons": [entry]})
    assert skeleton.nodes == ["tail", "ear_a", "ear_b"]
    assert skeleton.edges == [(0, 1), (0, 2)]
    assert skeleton.symmetries == [(1, 2), (2, 1)]


def test_points_are_brought_to_the_order_of_a_known_schema(tmp_path: Path, sequence: dict[str, Any]) -> None:
    names = find_schema("coco").names
    shuffled = [*names[5:], *names[:5]]
    file = tmp_path / "a.slp"
    points = [(float(names.index(name)), 2.0, True) for name in shuffled]
    write_slp(file, [(0, 0, [(0, -1, -1, np.nan, points)])], [sequence])
    set_nodes(file, shuffled)
    with ProjectStore.create(tmp_path / "p.pose") as store:
        import_sleap(store, file)
        (category,) = store.categories()
        assert category.schema.names == names
        ((_, pose),) = store.all_instances()
        assert pose.keypoints[:, 0].tolist() == list(range(len(names)))


def set_nodes(file: Path, names: list[str]) -> None:
    with h5py.File(file, "r+") as slp:
        metadata = json.loads(slp["metadata"].attrs["json"])
        metadata["nodes"] = [{"name": name, "weight": 1.0} for name in names]
        metadata["skeletons"][0]["nodes"] = [{"id": n} for n in range(len(names))]
        metadata["skeletons"][0]["links"] = []
        slp["metadata"].attrs["json"] = json.dumps(metadata)


def test_negative_frames_suggestions_and_names_of_tracks_are_kept(tmp_path: Path, sequence: dict[str, Any]) -> None:
    file = tmp_path / "a.slp"
    seen = [(1.0, 2.0, True)] * 3
    write_slp(file, [(0, 0, [(0, 0, -1, np.nan, seen)]), (0, 1, [])], [sequence], ["mouse"])
    with h5py.File(file, "r+") as slp:
        kind = [("video_id", "u4"), ("frame_idx", "u8")]
        slp["negative_frames"] = np.array([(0, 1), (0, 0), (0, 99)], kind)
        lines = [json.dumps({"video": "0", "frame_idx": n, "group": 0}) for n in (0, 2)]
        if "suggestions_json" in slp:
            del slp["suggestions_json"]
        slp["suggestions_json"] = lines
    with ProjectStore.create(tmp_path / "p.pose") as store:
        report = import_sleap(store, file)
        states = [frame.state for frame in store.frames()]
        assert [state.negative for state in states] == [False, True, False, False]
        assert [state.flagged for state in states] == [False, False, True, False]
        assert list(track_names(store.database).values()) == ["mouse"]
        assert store.tracks() == list(track_names(store.database))
    messages = "\n".join(report.problems)
    assert "Negative frame has labels" in messages
    assert "Negative frame not found" in messages
    assert "Frames suggested for labelling are flagged: 1" in messages


def test_two_videos_of_one_base_name_are_not_taken_for_one(tmp_path: Path) -> None:
    home = tmp_path / "s1"
    home.mkdir()
    (home / "cam.mp4").write_bytes(b"x")
    names = ["C:\\data\\s1\\cam.mp4", "C:\\data\\s2\\cam.mp4"]
    result, ambiguous = find_videos(names, home / "a.slp")
    assert (result, ambiguous) == ({names[0]: home / "cam.mp4"}, [names[1]])
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "cam.mp4").write_bytes(b"x")
    result, ambiguous = find_videos(names, other / "a.slp")
    assert (result, ambiguous) == ({names[0]: home / "cam.mp4"}, [names[1]])
    (home / "cam.mp4").unlink()
    result, ambiguous = find_videos(names, other / "a.slp")
    assert (result, sorted(ambiguous)) == ({}, names)
    assert find_videos(names[:1], other / "a.slp") == ({names[0]: other / "cam.mp4"}, [])


@pytest.mark.slow
def test_a_file_that_makes_hdf5_run_for_ever_is_refused(shared: Path) -> None:
    file = shared / "field" / "inputs" / "fuzz_slp2_hang" / "159.slp"
    if not file.exists():
        pytest.skip("the input is not here")
    with pytest.raises(ProjectError, match="cannot read it to its end"):
        try_in_a_process(file, "sleap")


def test_tables_that_claim_more_than_they_hold_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        table = file.create_dataset("frames", (60_000_000,), "f8", compression="gzip", chunks=(1_000_000,))
        with pytest.raises(ProjectError, match="claims a size that cannot be real"):
            check_table(table, "frames", tmp_path / "a.h5")
        check_table(file.create_dataset("few", (10,), "f8"), "few", tmp_path / "a.h5")


def test_records_that_share_their_instances_are_refused(tmp_path: Path, sequence: dict[str, Any]) -> None:
    file = tmp_path / "a.slp"
    seen = [(1.0, 2.0, True)] * 3
    write_slp(file, [(0, n, [(0, -1, -1, np.nan, seen)]) for n in range(2)], [sequence])
    with h5py.File(file, "r+") as slp:
        frames = slp["frames"][()]
        frames["instance_id_start"] = 0
        frames["instance_id_end"] = 2
        slp["frames"][...] = frames
    with ProjectStore.create(tmp_path / "p.pose") as store, pytest.raises(ProjectError, match="share their instances"):
        import_sleap(store, file)


def test_stopping_while_a_file_is_tried_stops_at_once(tmp_path: Path, sequence: dict[str, Any]) -> None:
    file = tmp_path / "a.slp"
    write_slp(file, [(0, 0, [(0, -1, -1, np.nan, [(1.0, 2.0, True)] * 3)])], [sequence])

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_in_a_process(file, "sleap", stop)
