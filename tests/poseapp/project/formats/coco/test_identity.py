"""A COCO file that is imported, moved about, undone and exported is the file that it was."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from poseapp.project import edits
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.store import ProjectStore
from tests.engine.formats.coco.strange_documents import coco_documents


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=coco_documents())
def test_an_untouched_file_comes_back_equal(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "labels.json"), Path(folder, "out.json")
        path.write_text(json.dumps(document), encoding="utf-8")
        with ProjectStore.create(Path(folder, "x.pose")) as store:
            import_coco(store, path)
            export_coco(store, out)
            assert _text(out) == _text(path)
            for key, instance in list(store.all_instances()):
                store.apply(edits.transform_pose(key, instance, [[1, 0, 0.5], [0, 1, 0]], merge_key="all"))
            store.jump_to(0)
            export_coco(store, out)
            assert _text(out) == _text(path)


def _text(path: Path) -> str:
    """Content with types and order: 1 is not 1.0."""
    return repr(json.loads(path.read_bytes()))
