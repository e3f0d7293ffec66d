"""Published weights give the published numbers: files of their layout, filled by a recipe, through the command line."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import ModelError
from engine.formats.coco.dataset import CocoDataset, make_image, read_results
from engine.geometry import published_affine, warp_fixed_point, xyxy_to_xywh
from engine.inference.pose_estimator import PoseEstimator
from engine.models.catalog import list_models
from engine.models.checkpoint import load_network
from engine.predict.__main__ import main as predict

RUNS = {
    "res50_coco_256x192": "coco_res50_256x192",
    "res50_df_upper_256x192": "deepfashion_upper_res50_256x192",
    "w32_wholebody_256x192": "wholebody_hrnetw32_256x192",
    "w48udp_df_upper_asconfig": "deepfashion_upper_hrnetw48udp_256x192",
    "w48udp_df_upper_intended": "deepfashion_upper_hrnetw48udp-intended_256x192",
}
PUBLISHED = [entry for entry in list_models("pose") if entry.source == "published"]


def filled(architecture: str, parity: Path, old_names: bool) -> dict[str, Tensor]:
    """The tensors of a published file, made by the recipe from their names."""
    listing = json.loads((parity / f"{architecture}.json").read_text())["keys"]
    sys.path.insert(0, str(parity))
    try:
        from recipe import make_tensor
    finally:
        sys.path.remove(str(parity))
    names = {name for name, *_ in listing}
    state = {name: torch.from_numpy(np.array(make_tensor(name, tuple(shape), names))) for name, shape, *_ in listing}
    if old_names:
        state = {re.sub(r"^head\.", "keypoint_head.", name): tensor for name, tensor in state.items()}
    return state


@pytest.fixture(scope="module")
def weights_of(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Makes files as they are published, each once."""
    folder = tmp_path_factory.mktemp("published")

    def make(architecture: str, old_names: bool = False) -> Path:
        file = folder / f"{architecture}-{old_names}.pth"
        if not file.exists():
            state = filled(architecture, shared / "parity", old_names)
            torch.save({"meta": {"epoch": 210}, "state_dict": state}, file)
        return file

    yield make
    shutil.rmtree(folder)


@pytest.fixture
def parity(shared: Path) -> Path:
    folder = shared / "parity"
    if not (folder / "recipe.py").exists():
        pytest.skip("no reference numbers")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("run_name", RUNS)
def test_keypoints_and_heatmaps_equal_the_published_ones(
    run_name: str, parity: Path, weights_of: Callable[..., Path], tmp_path: Path
) -> None:
    run = json.loads((parity / f"{run_name}.json").read_text())
    with np.load(parity / f"{run_name}.npz") as file:
        reference = dict(file)
    weights = weights_of(run["arch"], old_names="res50" in run_name)
    cases = run["cases"]
    boxes: list[dict[str, Any]] = []
    images = []
    for index, case in enumerate(cases, 1):
        height, width = cv2.imread(str(parity / "images" / case["image"])).shape[:2]
        images.append(make_image(index, case["image"], width, height))
        xywh = xyxy_to_xywh(case["bbox_xyxy"]).tolist()
        boxes.append({"image_id": index, "category_id": 1, "bbox": xywh, "score": 1.0})
    CocoDataset(images=images).write(tmp_path / "images.json")
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    predict([
        str(parity / "images"), "--annotations", str(tmp_path / "images.json"),
        "--boxes", str(tmp_path / "boxes.json"), "--model", RUNS[run_name], "--weights", str(weights),
        "--format", "results", "--out", str(tmp_path / "out.json"), "--device", "cpu", "--progress", "none",
        "--flip-test",
    ])  # fmt: skip
    results = {result.image_id: result for result in read_results(tmp_path / "out.json")}
    network, info = load_network(RUNS[run_name], weights)
    estimator = PoseEstimator(network, info)  # without the flip test, and without loading the weights once more
    for index, case in enumerate(cases, 1):
        image = cv2.cvtColor(cv2.imread(str(parity / "images" / case["image"])), cv2.COLOR_BGR2RGB)
        ((alone,),) = estimator.predict([np.asarray(image, np.uint8)], [[case["bbox_xyxy"]]])
        for flip, match in (
            ("noflip", np.asarray(alone.keypoints)),
            ("flip", np.array(results[index].keypoints).reshape(-1, 3)),
        ):
            stable = reference[f"{case['id']}_{flip}_stable"]
            expected = reference[f"{case['id']}_{flip}_kpts"]
            assert np.abs(match[:, :2] - expected)[stable].max() < 0.02, f"{flip} {case['id']}"
            assert np.abs(match[:, 2] - reference[f"{case['id']}_{flip}_scores"]).max() < 1e-4
    mean, std = (torch.tensor(info.normalization[key]) for key in ("mean", "std"))
    for case in cases:
        image = cv2.cvtColor(cv2.imread(str(parity / "images" / case["image"])), cv2.COLOR_BGR2RGB)
        udp = info.conventions.get("crop") == "udp"
        _, _, affine = published_affine(case["bbox_xyxy"], 1.25, info.input_size, udp=udp)
        crop = torch.from_numpy(warp_fixed_point(np.asarray(image, np.uint8), affine, info.input_size))
        with torch.inference_mode():
            maps = network(((crop - mean) / std).permute(2, 0, 1)[None])[0, :4].numpy()
        if f"{case['id']}_hm4" in reference:
            assert np.abs(maps - reference[f"{case['id']}_hm4"]).max() < 1e-4


@pytest.mark.slow
def test_the_visibility_head_says_how_likely_each_point_is_seen(parity: Path, weights_of: Callable[..., Path]) -> None:
    estimator = PoseEstimator.load("coco_res50vis_256x192", "cpu", weights_of("resnet50_vis_k17"))
    image = np.full((200, 150, 3), 128, np.uint8)
    for flip_test in (False, True):
        ((result,),) = estimator.predict([image], [[[10, 10, 140, 190]]], flip_test=flip_test)
        assert result.visibility is not None
        assert result.visibility.shape == (17,)
        assert ((result.visibility > 0) & (result.visibility < 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.id)
def test_every_row_builds_its_network_and_its_schema(entry: Any) -> None:
    from engine.codecs import codec_from_dict
    from engine.models.mmpose_weights import published_info
    from engine.networks import build
    from engine.schema.schema import schema_from_dict

    info = published_info(entry)
    assert info.schema is not None
    schema = schema_from_dict(info.schema)
    codec = codec_from_dict(info.codec, info.input_size)
    with torch.device("meta"):
        network = build(info.architecture, info.arguments)
        crop = torch.zeros(1, 3, entry.input_size[1], entry.input_size[0])
        outputs = network(crop)
    maps = outputs if isinstance(outputs, Tensor) else outputs["heatmap"]
    assert tuple(maps.shape[2:][::-1]) == codec.heatmap_size
    start, stop = info.conventions.get("channels", (0, maps.shape[1]))
    assert stop - start == schema.num_keypoints
    assert maps.shape[1] >= stop
    assert entry.recipe["gpus"] * entry.recipe["batch_per_gpu"] > 0


@pytest.mark.slow
def test_a_garment_network_finds_the_points_of_its_garment(parity: Path, weights_of: Callable[..., Path]) -> None:
    vest = PoseEstimator.load("deepfashion2_vest_res50_256x192", "cpu", weights_of("resnet50_k294"))
    assert vest.category == "vest"
    image = np.random.default_rng(0).integers(0, 255, (200, 150, 3), np.uint8)
    for flip_test in (False, True):
        ((result,),) = vest.predict([image], [[[10, 10, 140, 190]]], flip_test=flip_test)
        assert result.keypoints.shape == (15, 3)


def test_weights_of_another_network_are_refused_by_the_first_tensor(
    parity: Path, weights_of: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match=r"does not fit PoseResNet.*conv1"):
        load_network("coco_res50_256x192", weights_of("hrnet_w32_k133"))


def test_a_row_without_its_file_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match=r"engine\.zoo download coco_res50_256x192.*--weights FILE.*put td-hm_res50"):
        load_network("coco_res50_256x192")
    with pytest.raises(ModelError, match="no address"):
        load_network("coco_res101_384x288")
