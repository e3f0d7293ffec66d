"""Label files whose images and videos have names that no file system takes are opened; their media are missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.utils.context import Context
from poseapp.project.opening import open_any, open_with_report, preview_labels

LONG = "x" * 5000


@pytest.mark.parametrize("name", [LONG, f"{LONG}/a.png", f"/{LONG}", "a/" * 2000 + "b.png"])
def test_a_name_that_is_too_long(tmp_path: Path, name: str) -> None:
    document = {
        "images": [{"id": 1, "file_name": name}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}],
        "categories": [{"id": 1, "name": "eye", "keypoints": ["eye"]}],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document))
    shape = '<points label="eye" points="1,2" occluded="0"/>'
    xml = tmp_path / "job.xml"
    xml.write_text(
        f'<annotations><version>1.1</version><meta/><image id="0" name="{name}">{shape}</image></annotations>'
    )
    with open_any(path) as store:
        home = store.path
        assert store.summary().labelled == 1
        preview_labels(store, xml, Context())
    for file in (path, xml):
        store, _ = open_with_report([home, file])
        store.close()
