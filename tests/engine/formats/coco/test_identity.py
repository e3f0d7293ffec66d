"""Whatever a COCO file holds, a copy holds it too."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from engine.formats.coco import stream
from engine.formats.registry import read_labels, write_labels
from tests.engine.formats.coco.strange_documents import coco_documents


@pytest.mark.parametrize("streamed", [False, True])
@settings(max_examples=100, deadline=None)
@given(document=coco_documents())
def test_a_copy_is_equal(streamed: bool, document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if streamed:
            patch.setattr(stream, "STREAMED_FROM", 0)
            patch.setattr(stream, "_WINDOW", 200)
        path, copy = Path(folder, "labels.json"), Path(folder, "copy.json")
        path.write_text(json.dumps(document), encoding="utf-8")
        with read_labels(path) as labels:
            write_labels(labels, copy)
        result = json.loads(copy.read_bytes())
        assert repr(result) == repr(json.loads(path.read_bytes()))  # with types and order: 1 is not 1.0
