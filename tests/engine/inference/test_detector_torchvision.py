"""torchvision's detectors: built from the table, fed images, read like any other detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.inference.detector import Detector
from engine.models.catalog import list_models
from engine.models.mmpose_weights import published_info
from engine.networks import build
from engine.networks.torchvision_detectors import NAMES, torchvision_categories

ROWS = [entry for entry in list_models("detector") if entry.source == "published"]


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Random, but the same for all tests: the smallest of them."""
    torch.manual_seed(0)
    return build("torchvision_detector", {"name": "ssdlite320_mobilenet_v3_large"}).state_dict()


@pytest.mark.slow
def test_the_table_has_every_one() -> None:
    assert [entry.arguments["name"] for entry in ROWS] == list(NAMES)
    for entry in ROWS:
        assert entry.url.endswith(f"-{entry.digest}.pth")
        assert torchvision_categories(entry.arguments)[1] == "person"
        assert published_info(entry).categories.count("person") == 1


@pytest.mark.slow
def test_a_downloaded_file_is_loaded_and_finds_boxes_in_the_image(
    weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = next(entry for entry in ROWS if entry.id == "ssdlite320_mobilenet_v3_large")
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path))
    assert row.weights_file is not None
    # Published files of frozen normalisation have no counters.
    state = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / row.weights_file.name)
    detector = Detector.load(row.id, "cpu")
    assert detector.knows("person")
    image = np.random.default_rng(0).integers(0, 255, (90, 140, 3), np.uint8)
    (result,) = detector.detect([image], score_threshold=0.0, max_detections=7)
    assert 0 < len(result) <= 7
    assert (np.diff(result.scores) <= 0).all()
    assert result.boxes.min() >= 0
    assert result.boxes[:, 2].max() <= 140
    assert result.boxes[:, 3].max() <= 90
    person = detector.categories.index("person")
    (people,) = detector.detect([image], score_threshold=0.0, categories=["person"])
    assert (people.labels == person).all()
    (none,) = detector.detect([image], score_threshold=1.1)
    assert len(none) == 0
