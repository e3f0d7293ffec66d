"""SLEAP's analysis tables: labels and predictions, the video by name, rows that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import LabelError
from engine.formats import find_format, read_labels
from engine.formats.sleap.analysis_csv import video_of_table
from engine.labels import ABSENT, VISIBLE
from engine.utils.context import Context

HEADER = "track,frame_idx,instance.score,A.x,A.y,A.score,B.x,B.y,B.score\n"


def test_rows_are_poses(tmp_path: Path) -> None:
    path = tmp_path / "labels.000_clip.analysis.csv"
    path.write_text(HEADER + "Anna,3,0.5,1,2,0.25,,,\n,3,nan,5.5,6,,7,8,\n")
    assert find_format(path).name == "sleap_analysis_csv"
    labels = read_labels(path)
    assert labels.media[0].path == "clip.mp4"
    assert [frame.index for frame in labels.frames()] == [3]
    first, second = labels.instances()
    assert first.visibility is not None
    assert (first.is_prediction, first.score, first.visibility.tolist()) == (True, 0.5, [VISIBLE, ABSENT])
    assert first.track is not None
    assert labels.tracks[first.track] == "Anna"
    assert second.keypoints is not None
    assert (second.is_prediction, second.track, second.keypoints.tolist()) == (False, None, [[5.5, 6], [7, 8]])


@pytest.mark.parametrize("row", ["a,1,0.5,1,2,3", "a,1.5,,1,2,,3,4,", "a,,,1,2,,3,4,", "a,1,,x,2,,3,4,", "a,1,,,,,,,"])
def test_rows_that_cannot_be_used_are_told(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}{row}\n,2,,1,2,,3,4,\n")
    context = Context()
    assert read_labels(path, context=context).num_instances() == 1
    (sentence,) = context.findings.sentences()
    assert "line 2" in str(sentence)


@pytest.mark.parametrize("header", ["A.x,A.y\n", "A.x,A.y,A.score,B.x\n", "A.y,A.x,A.score\n", "\n"])
def test_another_header_is_an_error(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"track,frame_idx,instance.score,{header}")
    with pytest.raises(LabelError, match="columns"):
        read_labels(path)


def test_the_video_is_that_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "clip.avi").touch()
    assert video_of_table(tmp_path / "labels.v001.000_clip.analysis.csv") == "clip.avi"
    assert video_of_table(tmp_path / "other.csv") == "other.mp4"
