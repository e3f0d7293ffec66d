"""``python -m engine.export``: what is written runs elsewhere and gives the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.codecs import codec_from_dict
from engine.errors import ModelError
from engine.export import main
from engine.models.checkpoint import load_network

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.slow
def test_heatmaps_come_out_for_any_number_of_crops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnxruntime

    out = tmp_path / "m.onnx"
    assert main(["movenet_lightning", "--out", str(out)]) == 0
    assert "largest difference from the network" in capsys.readouterr().out
    runtime = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert json.loads(runtime.get_modelmeta().custom_metadata_map["poseapp"])["architecture"] == "movenet"
    for count in (1, 4):
        heatmap = runtime.run(["heatmap"], {"crops": np.zeros((count, 3, 192, 192), np.float32)})[0]
        assert heatmap.shape == (count, 17, 48, 48)
    assert not list(tmp_path.glob(".m.onnx*"))


@pytest.mark.slow
def test_keypoints_come_out_with_decode(tmp_path: Path) -> None:
    import onnxruntime

    out = tmp_path / "m.onnx"
    assert main(["movenet_lightning", "--out", str(out), "--decode"]) == 0
    network, info = load_network("movenet_lightning")
    from engine.inference.backends.autotune import calibration_crops

    crops = calibration_crops(info)[:3].contiguous()
    with torch.inference_mode():
        points, scores = codec_from_dict(info.codec, info.input_size).decode(network(crops))
    runtime = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    found_points, found_scores = runtime.run(["keypoints", "scores"], {"crops": crops.numpy()})
    assert np.abs(found_scores - scores.numpy()).max() < 1e-4
    assert np.median(np.abs(found_points - points.numpy())) < 0.01


def test_bad_calls_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"end in \.onnx"):
        main(["movenet_lightning", "--out", str(tmp_path / "m.pt")])
    with pytest.raises(ModelError, match="detector"):
        main(["efficientdet_lite0", "--out", str(tmp_path / "m.onnx")])
    assert list(tmp_path.iterdir()) == []
