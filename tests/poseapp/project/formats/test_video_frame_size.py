"""Points of programs that show stored pixels, on a video whose pixels are twice as wide as high."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.schema.schema import schema_from_names
from poseapp.project.exports.tables import export_dlc
from poseapp.project.formats.sleap.importer import import_sleap
from poseapp.project.formats.videos import import_video
from poseapp.project.model import FrameKey
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore
from tests.engine.formats.sleap.slp_files import write_slp
from tests.engine.media.video_clips import X264, Clip, make
from tests.poseapp.project.track_project import put

NAMES = ("nose", "left_ear", "right_ear", "tail")
WIDE = Clip("mouse.mp4", "libx264", X264, frames=4, aspect=Fraction(2))
WIDE_ON_ITS_SIDE = Clip("mouse.mp4", "libx264", X264, frames=4, aspect=Fraction(2), turn=90)


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "scale"), [(WIDE, (2, 1)), (WIDE_ON_ITS_SIDE, (1, 2))])
def test_points_of_sleap_are_put_on_the_same_thing_in_the_shown_frame(
    tmp_path: Path, clip: Clip, scale: tuple[int, int]
) -> None:
    path = make(clip, tmp_path)
    points = [(10.0, 20, True), (30, 40, True), (np.nan, np.nan, True)]
    guesses = [(50.0, 20, True, 0.9), (3, 4, True, 0.5), (np.nan, np.nan, True, np.nan)]
    poses = [(0, -1, -1, 0.0, points), (1, -1, -1, 0.7, guesses)]
    write_slp(tmp_path / "a.slp", [(0, 2, poses)], [{"backend": {"filename": path.name}}])
    with ProjectStore.create(tmp_path / "p.pose") as store:
        import_sleap(store, tmp_path / "a.slp")
        label, guess = store.instances(FrameKey(1, 2))
        expected = [[(x + 0.5) * scale[0] - 0.5, (y + 0.5) * scale[1] - 0.5] for x, y in ((10, 20), (30, 40))]
        assert label.keypoints[:2].tolist() == expected
        assert guess.keypoints[0].tolist() == [50.5 * scale[0] - 0.5, 20.5 * scale[1] - 0.5]
        assert label.visibility.tolist() == [2, 2, 0]


def test_a_table_of_deeplabcut_goes_out_in_stored_pixels_and_comes_back_to_the_same_place(tmp_path: Path) -> None:
    path = make(WIDE, tmp_path)
    with ProjectStore.create(tmp_path / "first.pose") as store:
        store.add_category("mouse", schema_from_names("mouse", NAMES))
        index = import_video(store, path).id
        put(store, FrameKey(index, 1), 100.5)
        report = export_dlc(store, tmp_path / "mouseDLC.csv", index)
        assert not report.problems
        written = store.instances(FrameKey(index, 1))[0]
    row = (tmp_path / "mouseDLC.csv").read_text().splitlines()[4].split(",")
    assert row[:3] == ["1", "50.0", "20.0"]
    with open_any(tmp_path / "mouseDLC.csv") as store:
        (read,) = store.instances(FrameKey(1, 1))
        assert read.keypoints.tolist() == written.keypoints.tolist()


def test_a_table_is_written_without_the_video_and_says_what_its_pixels_are(tmp_path: Path) -> None:
    path = make(WIDE, tmp_path)
    with ProjectStore.create(tmp_path / "first.pose") as store:
        store.add_category("mouse", schema_from_names("mouse", NAMES))
        index = import_video(store, path).id
        put(store, FrameKey(index, 1), 100.5)
        path.unlink()
        report = export_dlc(store, tmp_path / "mouseDLC.csv", index)
    assert len(report.problems) == 1
    assert "does not exist" in report.problems[0]
