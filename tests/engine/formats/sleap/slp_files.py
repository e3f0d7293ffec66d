"""SLEAP files made for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FRAME = [
    ("frame_id", "u8"),
    ("video", "u4"),
    ("frame_idx", "u8"),
    ("instance_id_start", "u8"),
    ("instance_id_end", "u8"),
]
INSTANCE = [
    ("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"), ("track", "i4"),
    ("from_predicted", "i8"), ("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8"),
]  # fmt: skip
POINT = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
BODY = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [1]}]}
MIRROR = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [2]}]}
NODES = ("tail", "ear_a", "ear_b")

# video, frame, then poses of: type, track, from_predicted, score, points (x, y, visible[, score])
Pose = tuple[int, int, int, float, Sequence[tuple[float, ...]]]
SEEN = [(10.0, 20, True), (30, 40, False), (np.nan, np.nan, True)]
GUESSED = [(1.0, 2, True, 0.9), (3, 4, True, 0.5), (np.nan, np.nan, True, np.nan)]


def write_slp(
    path: Path,
    frames: Sequence[tuple[int, int, Sequence[Pose]]],
    videos: Sequence[Any],
    tracks: Sequence[str] = (),
    format_id: float = 1.2,
    name: str = "Skeleton-0",
) -> None:
    frame_rows, instance_rows, points, guesses = [], [], [], []
    for value, (video, index, poses) in enumerate(frames):
        first = len(instance_rows)
        for kind, track, parent, score, listed in poses:
            table = guesses if kind else points
            start = len(table)
            table += [(*p[:3], False, *p[3:]) for p in listed]
            identity = len(instance_rows)
            instance_rows.append((identity, kind, value, 0, track, parent, score, start, len(table)))
        frame_rows.append((value, video, index, first, len(instance_rows)))
    links = [
        {"source": 2, "target": 0, "type": BODY},
        {"source": 2, "target": 1, "type": {"py/id": 1}},
        {"source": 0, "target": 1, "type": MIRROR},
        {"source": 1, "target": 0, "type": {"py/id": 2}},
    ]
    skeleton = {"graph": {"name": name}, "links": links, "nodes": [{"id": 2}, {"id": 0}, {"id": 1}]}
    metadata = {"skeletons": [skeleton], "nodes": [{"name": n} for n in ("ear_a", "ear_b", "tail")]}
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = format_id
        group.attrs["json"] = np.bytes_(json.dumps(metadata).encode())
        file["frames"] = np.array(frame_rows, FRAME)
        file["instances"] = np.array(instance_rows, INSTANCE)
        file["points"] = np.array(points, POINT)
        file["pred_points"] = np.array(guesses, [*POINT, ("score", "f8")])
        file["videos_json"] = np.array([json.dumps(v).encode() for v in videos], "S")
        file["tracks_json"] = np.array([json.dumps([0, t]).encode() for t in tracks], "S") if tracks else np.zeros(0)
