"""What programs that follow DeepLabCut write: Lightning Pose, ensembles; and crops of analysed videos."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats.registry import find_format, read_labels, write_labels
from engine.labels import VISIBLE, Category, Frame, Instance, LabelReader, Labels
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

TABLE = "scorer,me,me\nbodyparts,a,a\ncoords,x,y\n"
ANALYSED = "scorer,net,net,net\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,1,2,0.9\n"


def points(labels: LabelReader) -> list[tuple[int, list[list[float]]]]:
    return [(i.frame, i.keypoints.tolist()) for i in labels.instances() if i.keypoints is not None]


def test_a_folder_with_one_table_for_all_videos(tmp_path: Path) -> None:
    (tmp_path / "labeled-data" / "v1").mkdir(parents=True)
    (tmp_path / "CollectedData.csv").write_text(TABLE + "labeled-data/v1/img0.png,1,2\n")
    assert find_format(tmp_path).name == "deeplabcut"
    for name in ("", "lightning_pose"):
        with read_labels(tmp_path, format=name) as labels:
            assert [frame.name for frame in labels.frames()] == ["labeled-data/v1/img0.png"]
            assert points(labels) == [(0, [[1, 2]])]


def test_a_table_for_each_camera_and_an_image_in_two_tables(tmp_path: Path) -> None:
    (tmp_path / "labeled-data" / "top").mkdir(parents=True)
    (tmp_path / "CollectedData_bot.csv").write_text(TABLE + "labeled-data/bot/img0.png,1,2\n")
    (tmp_path / "CollectedData_new.csv").write_text(TABLE + "labeled-data/bot/img0.png,5,6\n")
    (tmp_path / "CollectedData_top.csv").write_text(TABLE + "labeled-data/top/img0.png,3,4\n")
    context = Context()
    with read_labels(tmp_path, context=context) as labels:
        assert points(labels) == [(0, [[1, 2]]), (1, [[3, 4]])]
    (sentence,) = context.findings.sentences()
    assert "another table" in sentence
    assert "CollectedData_new.csv" in sentence


def test_predictions_of_images_with_their_set(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(
        "scorer,net,net,net,set\nbodyparts,a,a,a,\ncoords,x,y,likelihood,\n"
        "labeled-data/v/img0.png,1,2,0.75,train\nlabeled-data/v/img1.png,3,4,0.5,val\n"
    )
    with read_labels(path) as labels:
        assert [(i.frame, i.is_prediction, i.score) for i in labels.instances()] == [(0, True, 0.75), (1, True, 0.5)]


def test_statistics_of_an_ensemble_are_told_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text(
        "scorer,e,e,e,e,e\nbodyparts,a,a,a,a,a\ncoords,x,y,likelihood,x_ens_var,y_posterior_var\n0,1,2,0.9,7,8\n"
    )
    context = Context()
    with read_labels(path, context=context) as labels:
        assert points(labels) == [(0, [[1, 2]])]
    assert "Column of statistics" in str(context.findings.sentences())


@pytest.mark.parametrize("protocol", [2, 4])
def test_points_of_a_cropped_video_are_moved_into_the_frame(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "vDLC_net_el.csv").write_text(ANALYSED)
    meta = {
        "data": {"fps": 30.0, "cropping": True, "training set fraction": 0.95, "cropping_parameters": [10, 90, 20, 80]}
    }
    (tmp_path / "vDLC_net_meta.pickle").write_bytes(pickle.dumps(meta, protocol))
    context = Context()
    with read_labels(tmp_path / "vDLC_net_el.csv", context=context) as labels:
        assert points(labels) == [(0, [[11, 22]])]
    assert "Only a part of the video was analysed" in str(context.findings.sentences())


def test_metadata_go_before_the_configuration_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "config.yaml").write_text("cropping: true\nx1: 5\nx2: 50\ny1: 6\ny2: 60\n")
    path = tmp_path / "videos" / "vDLC_net.csv"
    path.write_text(ANALYSED)
    with read_labels(path) as labels:
        assert points(labels) == [(0, [[6, 8]])]
    meta = {"data": {"cropping": False, "cropping_parameters": [5, 50, 6, 60]}}
    path.with_name("vDLC_net_meta.pickle").write_bytes(pickle.dumps(meta))
    with read_labels(path) as labels:
        assert points(labels) == [(0, [[1, 2]])]


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("open('trap', 'w')",)


def test_metadata_are_never_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "vDLC_net.csv"
    path.write_text(ANALYSED)
    for data in (pickle.dumps({"cropping": _Trap()}), b"\x80\x04\x95", b"", b"junk"):
        (tmp_path / "vDLC_net_meta.pickle").write_bytes(data)
        with read_labels(path) as labels:
            assert points(labels) == [(0, [[1, 2]])]
    assert not (tmp_path / "trap").exists()


def test_the_video_of_predictions_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "video_preds").mkdir()
    (tmp_path / "videos" / "v.mp4").write_bytes(b"")
    (tmp_path / "videos" / "v_short.mp4").write_bytes(b"")
    (tmp_path / "video_preds" / "v.csv").write_text(ANALYSED)
    with read_labels(tmp_path / "video_preds" / "v.csv") as labels:
        assert [media.path for media in labels.media] == [str(tmp_path / "videos" / "v.mp4")]


def test_a_lightning_pose_data_set_is_written_and_read_back(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["a", "b"], category="mouse")
    present = np.full(2, VISIBLE, np.uint8)
    instances = [
        Instance(0, 0, np.array([[1.0, 2], [3, 4]]), present),
        Instance(1, 0, np.array([[5.0, 6], [7, 8]]), present),
        Instance(1, 0, np.array([[9.0, 9], [9, 9]]), present),
    ]
    labels = Labels([Frame("v/0.png"), Frame("v/1.png", 0, 1)], instances, [Category("mouse", schema)])
    context = Context()
    write_labels(labels, tmp_path / "set", format="lightning_pose", context=context)
    assert "Second animal in an image" in str(context.findings.sentences())
    assert (tmp_path / "set" / "CollectedData.csv").read_text().splitlines()[3:] == [
        "labeled-data/v/0.png,1.0,2.0,3.0,4.0", "labeled-data/v/1.png,5.0,6.0,7.0,8.0",
    ]  # fmt: skip
    with read_labels(tmp_path / "set") as again:
        assert points(again) == [(0, [[1, 2], [3, 4]]), (1, [[5, 6], [7, 8]])]
    with pytest.raises(LabelError, match="no labelled poses"):
        write_labels(Labels([], [], [Category("mouse", schema)]), tmp_path / "none", format="lightning_pose")
