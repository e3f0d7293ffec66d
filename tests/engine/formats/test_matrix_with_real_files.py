"""Real files of other programs: their counts are those that plain json, xml, csv and h5py give, and what is written
from them in every format comes back, or is said to be lost."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from engine.formats import hdf5
from engine.formats.registry import find_format, format_named, formats
from engine.labels import VIDEO, LabelReader, Labels
from engine.labels.splitting import FramesSubset
from tests.engine.formats.test_matrix import _OF_VIDEOS, check

Counts = tuple[int, int]
"""Records, and keypoints with a place in the image."""

_LISTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
_MOST_INSTANCES = 25
_MOST_FRAMES = 8


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def count_coco(path: Path) -> Counts:
    annotations = _json(path)["annotations"]
    points = [v > 0 for a in annotations for name in _LISTS for v in (a.get(name) or [])[2::3]]
    return len(annotations), sum(points)


def count_coco_boxes(path: Path) -> Counts:
    content = _json(path)
    return len(content["annotations"] if isinstance(content, dict) else content), 0


def count_confident_points(path: Path) -> Counts:
    """UBody has a list of three numbers a keypoint, with confidences for visibilities: none is 0."""
    annotations = _json(path)["annotations"]
    return len(annotations), sum(len(annotation["keypoints"]) for annotation in annotations)


def count_cvat(path: Path) -> Counts:
    """Skeletons, boxes and points of images."""
    shapes = [shape for image in ElementTree.parse(path).getroot().iter("image") for shape in image]
    points = [point for shape in shapes for point in shape.iter("points")]
    return len([s for s in shapes if s.tag in ("skeleton", "box", "points")]), sum(
        len(point.get("points", "").split(";")) for point in points if point.get("outside") != "1"
    )


def count_dlc(path: Path) -> Counts:
    """Individuals with a keypoint, and keypoints."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    head = next(n for n, row in enumerate(rows) if row[0] == "coords")
    individuals = next((row for row in rows if row[0] == "individuals"), ["one"] * len(rows[head]))
    individuals += [""] * len(rows[head])
    x_columns = [n for n, name in enumerate(rows[head]) if name == "x"]
    rows = [row for row in rows[head + 1 :] if row]
    points = [
        (n, individuals[column]) for n, row in enumerate(rows) for column in x_columns if any(row[column : column + 1])
    ]
    return len(set(points)), len(points)


def count_jabs(path: Path) -> Counts:
    with h5py.File(path) as file:
        is_present = file["poseest/confidence"][()] > 0
    mice = is_present.reshape(len(is_present), -1, 12).any(axis=2)
    return int(mice.sum()), int(is_present.sum())


def count_label_studio(path: Path) -> Counts:
    regions = [r for task in _json(path) for a in task["annotations"] for r in a["result"]]
    return 1, sum(region["type"] == "keypointlabels" for region in regions)


def count_mpii(path: Path) -> Counts:
    people = _json(path)
    return len(people), sum(v > 0 for person in people for v in person["joints_vis"])


def count_nwb(path: Path) -> Counts:
    with h5py.File(path) as file:
        series = [
            s["data"][()]
            for s in file["processing/behavior/PoseEstimation"].values()
            if isinstance(s, h5py.Group) and "data" in s
        ]
    return len(series[0]), sum(int(np.isfinite(points[:, :2]).all(axis=1).sum()) for points in series)


def count_slp(path: Path) -> Counts:
    with h5py.File(path) as file:
        tables = [file["points"][()], file["pred_points"][()]]
        instances = len(file["instances"])
    return instances, sum(int((np.isfinite(t["x"]) & np.isfinite(t["y"])).sum()) for t in tables)


def count_slp_with_replaced(path: Path) -> Counts:
    """Without the predictions that a label replaced, which the reader leaves out and reports."""
    with h5py.File(path) as file:
        instances, tables = file["instances"][()], [file["points"][()], file["pred_points"][()]]
    replaced = {int(n) for n in instances["from_predicted"] if n >= 0}
    rows = [
        tables[i["instance_type"]][i["point_id_start"] : i["point_id_end"]]
        for n, i in enumerate(instances)
        if n not in replaced
    ]
    return len(rows), sum(int((np.isfinite(row["x"]) & np.isfinite(row["y"])).sum()) for row in rows)


def count_analysis(path: Path) -> Counts:
    with h5py.File(path) as file:
        present = np.isfinite(file["tracks"][()]).all(axis=1)
    return int(present.any(axis=1).sum()), int(present.sum())


def count_datumaro(path: Path) -> Counts:
    annotations = [annotation for item in _json(path)["items"] for annotation in item["annotations"]]
    return len(annotations), sum(v > 0 for annotation in annotations for v in annotation["points"][2::3])


def count_sleap_json(path: Path) -> Counts:
    instances = [instance for frame in _json(path)["labels"] for instance in frame["_instances"]]
    return len(instances), sum(len(instance["_points"]) for instance in instances)


def count_analysis_csv(path: Path) -> Counts:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return len(rows), sum(bool(x) for row in rows for x in row[3::3])


def count_alphatracker(path: Path) -> Counts:
    entries = [entry for image in _json(path) for entry in image["annotations"]]
    return sum(entry["class"] != "point" for entry in entries), sum(entry["class"] == "point" for entry in entries)


def count_darwin(path: Path) -> Counts:
    annotations = [a for file in path.rglob("*.json") for a in _json(file)["annotations"]]
    nodes = [node for a in annotations for node in a.get("skeleton", {}).get("nodes", ())]
    return sum("skeleton" in a or "keypoint" in a for a in annotations), len(nodes) + sum(
        "keypoint" in a for a in annotations
    )


def count_yolo(path: Path) -> Counts:
    rows = [row.split() for file in path.parent.rglob("labels/**/*.txt") for row in file.read_text().splitlines()]
    return len(rows), 3 * len(rows)  # of three keypoints each, all of them on the image


FILES: dict[str, Callable[[Path], Counts]] = {
    "annolid/dino_kpseg_coco_tiny/annotations/train.json": count_coco,
    "annolid/two_mice_pose_tracking_tiny/annotations/sequence.json": count_coco,
    "cvat-xml-estop/annotations.xml": count_cvat,
    "datumaro-cvat/annotations/person_keypoints_train.json": count_coco,
    "datumaro-oep/annotations/person_keypoints_val.json": count_coco,
    "datumaro-skeleton/annotations/default.json": count_datumaro,
    "dlc-sleaptests/labeled-data/video/CollectedData_LM.csv": count_dlc,
    "dlc-sleaptests/labeled-data/video/dlc_testdata.csv": count_dlc,
    "dlc-sleaptests/labeled-data/video/dlc_testdata_v2.csv": count_dlc,
    "dlc-sleaptests/labeled-data/video/madlc_testdata.csv": count_dlc,
    "dlc-sleaptests/labeled-data/video/maudlc_testdata_v2.csv": count_dlc,
    "jabs/sample_pose_est_v2.h5": count_jabs,
    "jabs/sample_pose_est_v3.h5": count_jabs,
    "jabs/sample_pose_est_v5.h5": count_jabs,
    "labelstudio/test_export_coco/data.json": count_label_studio,
    "labelstudio/test_export_yolo/data_keypoints.json": count_label_studio,
    "labelstudio/test_import_coco/coco_import_input.json": count_coco_boxes,
    "lightning-pose/CollectedData.csv": count_dlc,
    "mmpose-animalkingdom/test_animalkingdom.json": count_coco,
    "mmpose-ap10k/test_ap10k.json": count_coco,
    "mmpose-cocowholebody/test_coco_wholebody.json": count_coco,
    "mmpose-crowdpose/test_crowdpose.json": count_coco,
    "mmpose-f300w/test_300w.json": count_coco,
    "mmpose-freihand/test_freihand.json": count_coco,
    "mmpose-humanart/test_humanart.json": count_coco,
    "mmpose-jhmdb/test_jhmdb_sub1.json": count_coco,
    "mmpose-mpii/test_mpii.json": count_mpii,
    "mmpose-onehand10k/test_onehand10k.json": count_coco,
    "mmpose-posetrack18/annotations/test_posetrack18_human_detections.json": count_coco_boxes,
    "mmpose-posetrack18/annotations/test_posetrack18_val.json": count_coco,
    "mmpose-ubody/ubody3d_train.json": count_confident_points,
    "mmpose-wflw/test_wflw.json": count_coco,
    "ndx-pose/0.1.1_poseestimation_nodes_edges.nwb": count_nwb,
    "ndx-pose/0.3.0_poseestimation_one_camera.nwb": count_nwb,
    "ndx-pose/0.3.0_poseestimation_two_cameras.nwb": count_nwb,
    "sleap/alphatracker/at_testdata.json": count_alphatracker,
    "sleap/csv_format/minimal_instance.000_centered_pair_low_quality.analysis.csv": count_analysis_csv,
    "sleap/json_format_v2/minimal_instance.json": count_sleap_json,
    "sleap/hdf5_format_v1/centered_pair_predictions.slp": count_slp,
    "sleap/hdf5_format_v1/small_robot.000_small_robot_3_frame.analysis.h5": count_analysis,
    "sleap/models/minimal_instance.UNet.bottomup/labels_pr.val.slp": count_slp,
    "sleap/siv_format_v1/small_robot_siv.slp": count_slp,
    "sleap/slp_hdf5/minimal_instance.slp": count_slp,
    "sleap/tracks/clip.2node.slp": count_slp,
    "sleap/tracks/clip.predictions.slp": count_slp,
    "sleap/tracks/clip.slp": count_slp,
    "v7-darwin/import/image_annotations_split_in_two_files/annotations-tag_skeleton_mask_line": count_darwin,
    "v7-darwin/import/image_annotations_split_in_two_files/annotations-keypoint_ellipse_polygon_bbox": count_darwin,
    "yolo-datumaro/yolov8_pose/data.yaml": count_yolo,
    "yolo-datumaro/yolov8_pose_two_values_per_point/data.yaml": count_yolo,
    "annolid/dino_kpseg_coco_tiny/annotations/val.json": count_coco,
    "annolid/two_mice_pose_tracking_tiny/annotations/train.json": count_coco,
    "annolid/two_mice_pose_tracking_tiny/annotations/val.json": count_coco,
    "datumaro-cvat/annotations/person_keypoints_val.json": count_coco,
    "dlc-sleaptests/labeled-data/video/madlc_testdata_v2.csv": count_dlc,
    "dlc-sleaptests/labeled-data/video/maudlc_testdata.csv": count_dlc,
    "mmpose-posetrack18/annotations/val/003418_mpii_test.json": count_coco,
    "mmpose-posetrack18/annotations/val/009473_mpii_test.json": count_coco,
    "mmpose-posetrack18/annotations/val/012834_mpii_test.json": count_coco,
    "sleap/hdf5_format_v1/centered_pair_predictions.h5": count_slp,
    "sleap/models/minimal_instance.UNet.centroid/labels_pr.val.slp": count_slp,
    "sleap/models/minimal_robot.UNet.single_instance/labels_gt.val.slp": count_slp,
    "sleap/siv_format_v2/small_robot_siv_caching.slp": count_slp,
    "sleap/slp_hdf5/dance.mp4.labels.slp": count_slp_with_replaced,
    "sleap/slp_hdf5/small_robot_minimal.slp": count_slp,
    "v7-darwin/import/coco_annotations/output.json": count_coco,
}  # fmt: skip
WRITABLE = [format.name for format in formats() if format.can_write]


@pytest.fixture(params=sorted(FILES))
def real_file(request: pytest.FixtureRequest, shared: Path) -> tuple[Path, Callable[[Path], Counts]]:
    return shared / "data/formats" / request.param, FILES[request.param]


def test_counts_are_those_of_the_file(real_file: tuple[Path, Callable[[Path], Counts]]) -> None:
    path, count = real_file
    with find_format(path).read(path) as labels:
        instances = list(labels.instances())
        points = sum(int((i.visibility > 0).sum()) for i in instances if i.visibility is not None)
        assert (len(instances), points) == count(path)


@pytest.mark.slow
def test_what_a_format_keeps_comes_back_and_what_it_does_not_is_said(
    real_file: tuple[Path, Callable[[Path], Counts]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = real_file
    monkeypatch.setattr(hdf5.subprocess, "Popen", _refuse)  # our own files need no trial in another process
    with find_format(path).read(path) as labels:
        first = _first_of(labels)
    wrong: list[str] = []
    for name in WRITABLE:
        folder = tmp_path / name
        folder.mkdir()
        if name in _OF_VIDEOS and any(media.type != VIDEO for media in first.media):
            continue  # images are numbered frames there; the writer says so
        wrong += [f"{name}: {line}" for line in check(first, format_named(name), folder, video_images=False)]
    assert not wrong, "\n".join(wrong)


def _refuse(*_: object, **__: object) -> None:
    raise OSError


def _first_of(labels: LabelReader) -> LabelReader:
    """A few frames with instances, in memory, so that all formats can be tried."""
    counts = Counter(instance.frame for instance in labels.instances() if instance.frame >= 0)
    chosen: list[int] = []
    for frame, count in counts.items():
        if chosen and (len(chosen) == _MOST_FRAMES or sum(counts[n] for n in chosen) + count > _MOST_INSTANCES):
            break
        chosen.append(frame)
    subset = FramesSubset(labels, chosen)
    result = Labels(
        subset.frames(), subset.instances(), labels.categories, labels.media,
        path=labels.path, image_folder=labels.image_folder, tracks=labels.tracks,
    )  # fmt: skip
    result.raw_format, result.header = labels.raw_format, labels.header
    return result
