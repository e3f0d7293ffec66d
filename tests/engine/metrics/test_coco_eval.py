"""The evaluator of our own against pycocotools: the same numbers, not similar ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics.coco_eval import STATS, Found, Matches, Truth, match, summary
from engine.metrics.oks import keypoint_ap


def truth(points: list[Any], labelled: list[Any], area: float = 5000.0, crowd: bool = False) -> Truth:
    n, k = len(points), len(points[0]) if points else 1
    return Truth(
        np.array(points, float).reshape(n, k, 2),
        np.array(labelled, bool).reshape(n, k),
        np.tile([0.0, 0, 100, 100], (n, 1)),
        np.full(n, area),
        np.full(n, crowd),
    )


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int, np.ndarray]:
    """Labels and predictions of a few images: small whole coordinates, so that ties come often."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    images, k = draw(st.integers(1, 4)), draw(st.integers(1, 20))
    spread = draw(st.sampled_from([1, 4, 40]))
    grades = draw(st.sampled_from([1, 3, 1000]))  # one grade: all scores are equal
    categories = draw(st.integers(1, 2))
    labels: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(images):
        positions = rng.integers(0, 3, (4, k, 2)) * 20.0
        for _ in range(rng.integers(0, 5)):
            points = positions[rng.integers(4)] + rng.integers(0, 2, (k, 2))
            seen = rng.choice([0, 1, 2], (k, 1)) * (rng.random() > 0.2)
            side = rng.choice([0, 10, 40, 64, 200], 2)
            labels.append(
                {
                    "image_id": image,
                    "category_id": int(rng.integers(categories)),
                    "keypoints": np.concatenate([points, seen], 1).ravel().tolist(),
                    "bbox": [float(v) for v in (*points.min(0), *side)],
                    "area": float(rng.choice([1.0, 500.0, 1024.0, 5000.0, 9216.0, 40000.0])),
                    "iscrowd": int(rng.random() < 0.2),
                }
            )
        for _ in range(rng.integers(0, 30)):
            points = positions[rng.integers(4)] + rng.integers(-spread, spread + 1, (k, 2))
            side = rng.choice([0, 10, 32, 96, 200], 2)
            results.append(
                {
                    "image_id": image,
                    "category_id": int(rng.integers(categories)),
                    "keypoints": np.concatenate([points, np.ones((k, 1))], 1).ravel().tolist(),
                    "bbox": [0.0, 0.0, float(side[0]), float(side[1])],
                    "score": float(rng.integers(1, grades + 1)) / grades,
                }
            )
    return labels, results, images, rng.uniform(0.02, 0.3, k)


def ours(labels: list[dict[str, Any]], result: list[dict[str, Any]], images: int, sigmas: np.ndarray) -> dict[str, Any]:
    categories: list[Matches] = []
    k = len(sigmas)
    for category in sorted({row["category_id"] for row in labels + result}):
        pairs = []
        for image in range(images):
            known = [r for r in labels if (r["image_id"], r["category_id"]) == (image, category)]
            guess = [r for r in result if (r["image_id"], r["category_id"]) == (image, category)]
            points = np.array([r["keypoints"] for r in known]).reshape(-1, k, 3)
            areas = np.array([r["area"] for r in known])
            pairs.append(
                (
                    Truth(
                        points[..., :2],
                        points[..., 2] > 0,
                        np.array([r["bbox"] for r in known]).reshape(-1, 4),
                        areas,
                        np.array([r["iscrowd"] for r in known], bool),
                    ),
                    Found(
                        np.array([r["keypoints"] for r in guess]).reshape(-1, k, 3)[..., :2],
                        np.array([r["score"] for r in guess]),
                        np.array([r["bbox"][2] * r["bbox"][3] for r in guess]),
                    ),
                )
            )
        categories.append(match(pairs, sigmas))
    return summary(categories)


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_random_scenes_with_ties_crowds_and_unlabelled_people_give_the_reference_numbers(
    scene: tuple[list[dict[str, Any]], list[dict[str, Any]], int, np.ndarray],
) -> None:
    labels, result, images, sigmas = scene
    if not labels and not result:
        return
    expected = keypoint_ap([{"id": image} for image in range(images)], labels, result, sigmas)
    assert ours(labels, result, images, sigmas) == expected


def test_nothing_at_all_is_undefined_and_no_predictions_are_zero() -> None:
    sigmas = np.array([0.1])
    nothing = Found(np.zeros((0, 1, 2)), np.zeros(0), np.zeros(0))
    assert summary([match([], sigmas)]) == dict.fromkeys(STATS, -1.0)
    figures = summary([match([(truth([[[5, 5]]], [[1]]), nothing)], sigmas)])
    assert figures["AP"] == figures["AR"] == figures["APM"] == 0
    assert figures["APL"] == -1


def test_a_crowd_swallows_any_number_of_predictions() -> None:
    sigmas = np.array([0.1])
    one = truth([[[5, 5]]], [[1]])
    crowd = truth([[[50, 50]]], [[0]], crowd=True)
    both = Truth(*(np.concatenate([a, b]) for a, b in zip(vars(one).values(), vars(crowd).values(), strict=True)))
    result = Found(np.array([[[60.0, 60]], [[70, 70]], [[5, 5]]]), np.array([0.9, 0.8, 0.7]), np.full(3, 5000.0))
    assert summary([match([(both, result)], sigmas)])["AP"] == pytest.approx(1)


def test_only_the_twenty_best_predictions_of_an_image_count() -> None:
    sigmas = np.array([0.1])
    points = np.concatenate([np.full((20, 1, 2), 1000.0), np.full((1, 1, 2), 5.0)])
    result = Found(points, np.linspace(1, 0.5, 21), np.full(21, 5000.0))
    assert summary([match([(truth([[[5, 5]]], [[1]]), result)], sigmas)])["AR"] == 0
