"""Names of images that a label file brings into a project say the folders that they are in."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from engine.formats.registry import read_labels
from poseapp.project.importing import import_labels
from poseapp.project.store import ProjectStore


def test_images_in_several_folders_are_named_from_the_folder_that_holds_them(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    names = ["train/a.png", "val/a.png"]
    for name in names:
        (folder / name).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / name), np.zeros((4, 6, 3), np.uint8))
    images = [{"id": n, "file_name": name, "width": 6, "height": 4} for n, name in enumerate(names)]
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    with ProjectStore.create(tmp_path / "p.pose") as store:
        for _ in range(2):  # the second time changes nothing
            with read_labels(path) as labels:
                import_labels(store, labels)
            (media,) = store.media()
            assert (Path(media.path), [frame.name for frame in store.frames(media.id)]) == (folder, names)
