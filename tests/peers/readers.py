"""Reads the files of run.py with the readers that this environment has. Needs nothing of poseapp.

python readers.py FOLDER RESULTS.json
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Pose = list[Any]
"""K points: [x, y], or None for an absent one."""

PRECISION = 0.02
NAMES = ("nose", "left_ear", "right_ear", "tail")


def rows(array: Any) -> Pose:
    return [[float(x), float(y)] if math.isfinite(x) and math.isfinite(y) else None for x, y in array]


def triples(flat: Any) -> Pose:
    flat = list(flat)
    return [[flat[n], flat[n + 1]] if flat[n + 2] else None for n in range(0, len(flat), 3)]


def pycocotools(folder: Path) -> list[Pose]:
    from pycocotools.coco import COCO

    coco = COCO(str(folder / "labels.json"))
    return [triples(annotation["keypoints"]) for annotation in coco.loadAnns(coco.getAnnIds())]


def sleap_io(path: str, kind: str = "file") -> Callable[[Path], list[Pose]]:
    def read(folder: Path) -> list[Pose]:
        import sleap_io as sio

        labels = getattr(sio, f"load_{kind}")(str(folder / path))
        if isinstance(labels, dict):
            labels = next(iter(labels.values()))
        also_occluded = {} if kind in ("dlc", "coco") else {"invisible_as_nan": False}
        poses = []
        for frame in labels:
            for instance in frame.instances:
                points = dict(zip(instance.skeleton.node_names, rows(instance.numpy(**also_occluded)), strict=True))
                poses.append([points.get(name) for name in NAMES])
        return poses

    return read


def movement(path: str, source: str) -> Callable[[Path], list[Pose]]:
    def read(folder: Path) -> list[Pose]:
        from movement.io import load_poses

        if source == "DeepLabCut":
            data = load_poses.from_dlc_file(folder / path)
        else:
            data = load_poses.from_sleap_file(folder / path)
        individual = "individuals" if "individuals" in data.dims else "individual"
        keypoint = "keypoints" if "keypoints" in data.dims else "keypoint"
        position = data.position.transpose("time", individual, keypoint, "space")
        poses = [rows(points) for frame in position.values for points in frame]
        return [pose for pose in poses if any(pose)]

    return read


def supervision_coco(folder: Path) -> list[Pose]:
    import supervision

    data = supervision.DetectionDataset.from_coco(str(folder / "images"), str(folder / "labels.json"))
    return [
        [[float(x1), float(y1)], [float(x2), float(y2)]]
        for _, _, detections in data
        for x1, y1, x2, y2 in detections.xyxy
    ]


def datumaro(path: str, format: str) -> Callable[[Path], list[Pose]]:
    def read(folder: Path) -> list[Pose]:
        from datumaro import Dataset

        data = Dataset.import_from(str(folder / path), format)
        poses = []
        for item in data:
            for annotation in item.annotations:
                if hasattr(annotation, "elements"):  # a skeleton
                    points = {e.label: e for e in annotation.elements}
                    flat = [p for label in sorted(points) for p in
                            (*points[label].points, int(points[label].visibility[0]))]  # fmt: skip
                    poses.append(triples(flat))
                elif format == "cvat":  # this reader knows no skeletons, only all of their points
                    poses.append([list(map(float, annotation.points))])
                elif hasattr(annotation, "visibility"):
                    flat = [v for n, state in enumerate(annotation.visibility) for v in
                            (*annotation.points[2 * n : 2 * n + 2], int(state))]  # fmt: skip
                    poses.append(triples(flat))
        return poses

    return read


def ultralytics(folder: Path) -> list[Pose]:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(folder / "yolo" / "data.yaml"), autodownload=False)
    dataset = YOLODataset(img_path=data["train"], data=data, task="pose", augment=False)
    poses = []
    for label in dataset.labels:
        height, width = label["shape"]
        for points in label["keypoints"]:
            poses.append([[float(x) * width, float(y) * height] if v else None for x, y, v in points])
    return poses


def labelme(folder: Path) -> list[Pose]:
    from labelme._label_file import LabelFile

    poses: dict[tuple[str, Any], dict[str, Any]] = {}
    for path in sorted((folder / "labelme").rglob("*.json")):
        for shape in LabelFile(str(path)).shapes:
            if shape["shape_type"] == "point":
                poses.setdefault((path.name, shape["group_id"]), {})[shape["label"]] = list(shape["points"][0])
    return [[pose.get(name) for name in NAMES] for pose in poses.values()]


def napari_deeplabcut(folder: Path) -> list[Pose]:
    import numpy as np
    from napari_deeplabcut.core.io import read_hdf

    (points, attributes, _), *_ = read_hdf(str(folder / "CollectedData_poseapp.h5"))
    properties = attributes["properties"]
    poses: dict[tuple[int, str], dict[str, Any]] = {}
    for (frame, y, x), who, name in zip(points, properties["id"], properties["label"]):
        if np.isfinite([x, y]).all():
            poses.setdefault((int(frame), who), {})[name] = [float(x), float(y)]
    return [[pose.get(name) for name in NAMES] for pose in poses.values()]


def pandas_hdf(folder: Path) -> list[Pose]:
    """As DeepLabCut itself reads its labels."""
    import pandas

    table = pandas.read_hdf(folder / "CollectedData_poseapp.h5")
    individuals = table.columns.get_level_values("individuals").unique()
    names = table.columns.get_level_values("bodyparts").unique()
    poses = []
    for _, row in table.iterrows():
        for who in individuals:
            scorer = table.columns.get_level_values("scorer")[0]
            pose = rows([(row[scorer, who, name, "x"], row[scorer, who, name, "y"]) for name in names])
            if any(pose):
                poses.append(pose)
    return poses


READERS: dict[str, dict[str, tuple[str, str, Callable[[Path], list[Pose]]]]] = {
    "pycocotools": {"coco": ("labels.json", "images", pycocotools)},
    "sleap-io": {
        "coco": ("labels.json", "images", sleap_io("labels.json", "coco")),
        "deeplabcut_csv": (
            "images/CollectedData_poseapp.csv",
            "images",
            sleap_io("images/CollectedData_poseapp.csv", "dlc"),
        ),
        "sleap": ("labels.slp", "images", sleap_io("labels.slp")),
        "sleap_video": ("clip.slp", "video", sleap_io("clip.slp")),
        "sleap_analysis": ("clip.analysis.h5", "video", sleap_io("clip.analysis.h5", "analysis_h5")),
        "nwb": ("clip.nwb", "seen", sleap_io("clip.nwb", "nwb")),
    },
    "movement": {
        "deeplabcut_video": ("clip.h5", "video", movement("clip.h5", "DeepLabCut")),
        "sleap_video": ("clip.slp", "seen", movement("clip.slp", "SLEAP")),
        "sleap_analysis": ("clip.analysis.h5", "video", movement("clip.analysis.h5", "SLEAP")),
    },
    "supervision": {"coco": ("labels.json", "boxes", supervision_coco)},
    "datumaro": {
        "coco": ("labels.json", "images", datumaro("datumaro_coco", "coco_person_keypoints")),
        "cvat": ("annotations.xml", "points", datumaro("annotations.xml", "cvat")),
    },
    "ultralytics": {"yolo": ("yolo", "images", ultralytics)},
    "labelme": {"labelme": ("labelme", "images", labelme)},
    "napari-deeplabcut": {"deeplabcut": ("CollectedData_poseapp.h5", "images", napari_deeplabcut)},
    "tables": {"deeplabcut": ("CollectedData_poseapp.h5", "images", pandas_hdf)},
}


def compare(poses: list[Pose], expected: list[Pose]) -> str:
    """ "equal (6 poses)", or what differs."""
    if len(poses) != len(expected):
        return f"{len(poses)} poses, expected {len(expected)}"
    free = list(poses)
    for pose in expected:
        match = next((other for other in free if _is_equal(pose, other)), None)
        if match is None:
            return f"a pose differs: {pose} is not in {free[:1]}"
        free.remove(match)
    return f"equal ({len(expected)} {'poses' if len(expected[0]) > 1 else 'points'})"


def _is_equal(one: Pose, other: Pose) -> bool:
    return len(one) == len(other) and all(
        (a is None) == (b is None) and (a is None or b is None or max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= PRECISION)
        for a, b in zip(one, other)
    )


def main(folder: Path, output: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    document = json.loads((folder / "labels.json").read_text())
    expected["boxes"] = {
        "poses": [[[x, y], [x + w, y + h]] for x, y, w, h in (a["bbox"] for a in document["annotations"])]
    }
    expected["seen"] = {
        "poses": expected["video"]["seen"]
    }  # movement and sleap-io (NWB) take occluded points for missing
    expected["points"] = {"poses": [[point] for pose in expected["images"]["all"] for point in pose]}
    coco = folder / "datumaro_coco" / "annotations"
    coco.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder / "images", coco.parent / "images" / "default", dirs_exist_ok=True)
    (coco / "person_keypoints_default.json").write_text(json.dumps(document))
    results: dict[str, dict[str, str]] = {}
    for reader, files in READERS.items():
        try:
            version = importlib.metadata.version(reader)
        except importlib.metadata.PackageNotFoundError:
            sys.stdout.write(f"not in this environment: {reader}\n")
            continue
        cells = results[f"{reader} {version}"] = {}
        for name, (path, source, read) in files.items():
            if not (folder / path).exists():
                continue
            try:
                cells[name] = compare(read(folder), expected[source]["poses"])
            except Exception as error:  # whatever another program raises is the result
                traceback.print_exc()
                cells[name] = f"fails: {type(error).__name__}: {str(error)[:200]}"
    output.write_text(json.dumps({reader: cells for reader, cells in results.items() if cells}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
