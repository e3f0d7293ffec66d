"""Detector and pose network as one model."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import MediaError, ModelError
from engine.inference.detector import Detector
from engine.inference.pose_estimator import PoseEstimator
from engine.inference.pose_model import Item, PoseModel, oks_nms
from engine.media.images import read_image
from engine.pose import Prediction


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return PoseModel.load("movenet_lightning", device="cpu")


@pytest.fixture(scope="module")
def photographs(resources_dir: Path) -> list[np.ndarray]:
    return [read_image(resources_dir / "sample" / name) for name in ("astronaut.jpg", "camera.png", "grace_hopper.jpg")]


def test_one_person_on_each_sample_photograph(model: PoseModel, photographs: list[np.ndarray]) -> None:
    results = model.run(photographs)
    assert [len(group) for group in results] == [1, 1, 1]
    for image, (result,) in zip(photographs, results, strict=True):
        x, y, score = result.keypoints[model.schema.index["nose"]]
        assert score > 0.3
        assert 0 < x < image.shape[1]
        assert 0 < y < image.shape[0] / 2
        assert result.box_score > 0.3
        assert result.score < result.box_score


def test_given_boxes_are_kept_in_order_even_when_they_are_alike(
    model: PoseModel, photographs: list[np.ndarray]
) -> None:
    box = [10, 8, 365, 511]
    (result,) = model.run(photographs[:1], boxes=[[box, box, [0, 0, 200, 200]]], box_scores=[[0.2, 0.9, 0.5]])
    assert [round(p.box_score, 3) for p in result] == [0.2, 0.9, 0.5]
    assert result[0].box.tolist() == box


def test_without_a_detector_the_whole_image_is_the_box(photographs: list[np.ndarray]) -> None:
    model = PoseModel.load("movenet_lightning", "none", "cpu")
    (result,) = model.run(photographs[:1])
    assert len(result) == 1
    assert result[0].box.tolist() == [0, 0, 512, 512]
    assert result[0].box_score == 1


def test_the_detector_is_loaded_when_it_is_needed(model: PoseModel, photographs: list[np.ndarray]) -> None:
    fresh = PoseModel(model.estimator, "no_such_detector")
    assert len(fresh.run(photographs[:1], boxes=[[[0, 0, 100, 100]]])[0]) == 1
    with pytest.raises(ModelError, match="no_such_detector"):
        fresh.run(photographs[:1])
    with pytest.raises(ModelError, match="has no detector"):
        PoseModel(model.estimator, None).run(photographs[:1])


def test_a_detector_that_does_not_know_the_category_is_refused(model: PoseModel) -> None:
    estimator = PoseEstimator(model.estimator._network, model.estimator.info)
    estimator.category = "unicorn"
    with pytest.raises(ModelError, match="does not know 'unicorn'"):
        PoseModel(estimator, model.detector).detector_categories()
    one_class = Detector(model.detector._network, dataclasses.replace(model.detector.info, categories=["", "horse"]))
    assert PoseModel(estimator, one_class).detector_categories() == ["horse"]


def test_wrong_kinds_of_models_are_refused_when_loading() -> None:
    with pytest.raises(ModelError, match="--detector wants a detector"):
        PoseModel.load("movenet_lightning", "movenet_lightning", "cpu")
    with pytest.raises(ModelError, match="--model wants a pose model"):
        PoseModel.load("efficientdet_lite0", device="cpu")
    with pytest.raises(ModelError, match="nothing_like_it"):
        PoseModel.load("movenet_lightning", "nothing_like_it", "cpu")


@pytest.mark.slow
def test_a_stream_gives_what_single_runs_give(model: PoseModel, photographs: list[np.ndarray]) -> None:
    boxes = np.array([[10, 8, 365, 511]], float)
    items = [Item(i, lambda image=image: image) for i, image in enumerate(photographs)]
    items.insert(1, Item(9, lambda: photographs[0], boxes, np.array([0.5])))
    streamed = list(model.stream(items, batch=3, detector_batch=3))
    assert [item.key for item, _, _ in streamed] == [0, 9, 1, 2]
    assert streamed[1][2][0].box_score == 0.5
    singles = model.run(photographs)
    for (_, image, result), alone in zip([streamed[0], *streamed[2:]], singles, strict=True):
        assert image.dtype == np.uint8
        assert np.median(np.abs(result[0].keypoints - alone[0].keypoints)) < 0.01


def test_a_broken_image_ends_the_stream_with_its_error_and_no_thread(model: PoseModel, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(MediaError, match=r"broken\.png"):
        list(model.stream([Item(0, lambda: read_image(path))]))
    assert not [t for t in threading.enumerate() if t.name.startswith("read-images")]


def test_leaving_a_stream_early_leaves_no_thread(model: PoseModel, photographs: list[np.ndarray]) -> None:
    stream = model.stream([Item(i, lambda: photographs[0]) for i in range(20)])
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read-images")]


def test_of_poses_alike_the_best_stays() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 100, (17, 2)), np.ones((17, 1))], 1).astype(np.float32)
    box = np.array([0, 0, 100, 100], np.float32)
    other = points + np.array([60, 0, 0], np.float32)
    poses = [
        Prediction(points + np.float32(0.5), box, 0.4),
        Prediction(other, box + np.array([60, 0, 60, 0], np.float32), 0.6),
        Prediction(points, box, 0.9),
    ]
    remaining = oks_nms(poses, np.full(17, 0.07))
    assert [pose.score for pose in remaining] == [0.9, 0.6]
    assert oks_nms([], np.full(17, 0.07)) == []


def test_boxes_are_carried_over_in_a_sequence(model: PoseModel, photographs: list[np.ndarray]) -> None:
    calls: list[int] = []
    original = model.find_boxes

    def counted(images: list[np.ndarray], threshold: float | None) -> list:
        calls.append(len(images))
        return original(images, threshold)

    items = [Item(i, lambda: photographs[0], sequence="film", frame=i) for i in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "find_boxes", counted)
        streamed = list(model.stream(items, detect_every=4))
    assert sum(calls) == 2
    assert all(np.allclose(result[0].keypoints, streamed[0][2][0].keypoints, atol=0.01) for _, _, result in streamed)


def test_a_stream_tells_when_nothing_has_come(model: PoseModel, photographs: list[np.ndarray]) -> None:
    heard = threading.Event()

    def read() -> np.ndarray:
        heard.wait(30)
        return photographs[0]

    stream = model.stream_with_ticks([Item(0, read)], 0.01)
    assert next(stream) is None
    heard.set()
    assert [result[0].key for result in stream if result is not None] == [0]


def test_the_number_of_workers_is_afterwards_what_it_was(model: PoseModel, photographs: list[np.ndarray]) -> None:
    before = torch.get_num_threads()
    assert len(list(model.stream([Item(0, lambda: photographs[0])]))) == 1
    assert torch.get_num_threads() == before
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert results == [before]


def test_with_little_memory_batches_get_smaller(
    model: PoseModel, photographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = model.estimator.predict
    limit = 2

    def cramped(*arguments: Any, batch: int, **options: Any) -> Any:
        sizes.append(batch)
        if batch > limit:
            raise torch.OutOfMemoryError("no room")
        return original(*arguments, batch=batch, **options)

    monkeypatch.setattr(model.estimator, "predict", cramped)
    boxes = np.array([[10.0, 8, 365, 511]] * 8)
    ((_, _, result),) = model.stream([Item(0, lambda: photographs[0], boxes)], batch=8)
    assert len(result) == 8
    assert sizes == [8, 4, 2]
    limit = 0
    with pytest.raises(ModelError, match="not enough free memory"):
        list(model.stream([Item(0, lambda: photographs[0], boxes)], batch=2))
