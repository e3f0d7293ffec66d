"""The flip test: what comes of the mirrored crop is brought back to the points that it is about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.inference.pose_estimator import PoseEstimator
from engine.models.metadata import CheckpointInfo
from engine.schema.schema import schema_from_dict

SIZE = 64
BOX = np.array([[0.0, 0.0, 64.0, 64.0]])


class Halves(nn.Module):
    """Says of the first point how bright the left half of the crop is, of the second how bright the right half is, and
    of the third always the same. The peaks lie in the middle of these halves, and of the crop."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        cells = SIZE // 4
        left, right = x[..., : SIZE // 2].mean((1, 2, 3)), x[..., SIZE // 2 :].mean((1, 2, 3))
        maps = torch.zeros(len(x), 3, cells, cells)
        maps[:, 0, 8, 4], maps[:, 1, 8, 12], maps[:, 2, 8, 8] = left, right, 0.25
        return {"heatmap": maps, "visibility": torch.stack([left, right, torch.full_like(left, 0.125)], 1)}


def estimator(network: nn.Module, conventions: dict[str, Any] | None = None, **schema: Any) -> PoseEstimator:
    points = [
        {"name": "left_eye", "swap": "right_eye"},
        {"name": "right_eye", "swap": "left_eye"},
        {"name": "nose", "side": "middle"},
    ]
    created = schema_from_dict({"name": "face", "keypoints": points, **schema})
    info = CheckpointInfo(
        "pose",
        "halves",
        schema=created.to_dict(),
        codec={"name": "msra", "sigma": 2.0},
        input_size=(SIZE, SIZE),
        box_padding=1.0,
        conventions=conventions or {},
    )
    return PoseEstimator(network, info)


@pytest.fixture
def picture() -> np.ndarray:
    """A bright left half: four fifths of white, beside one fifth."""
    image = np.full((SIZE, SIZE, 3), 51, np.uint8)
    image[:, : SIZE // 2] = 204
    return image


def test_the_visibility_of_the_mirrored_crop_is_that_of_the_partner(picture: np.ndarray) -> None:
    ((result,),) = estimator(Halves()).predict([picture], [BOX], flip_test=True)
    assert result.visibility is not None
    assert result.visibility.tolist() == pytest.approx([0.8, 0.2, 0.125], abs=0.02)


def test_the_scores_of_the_mirrored_crop_are_those_of_the_partner(picture: np.ndarray) -> None:
    plain = estimator(Halves()).predict([picture], [BOX])[0][0]
    both = estimator(Halves()).predict([picture], [BOX], flip_test=True)[0][0]
    assert plain.keypoints[:, 2].tolist() == pytest.approx([0.8, 0.2, 0.25], abs=0.02)
    # A peak in one cell and its mirror image lie a cell apart at most; the places stay those of their side.
    assert both.keypoints[0, 0] < SIZE / 2 < both.keypoints[1, 0]
    assert both.keypoints[0, 2] > both.keypoints[1, 2]


class Steady(nn.Module):
    """The same for every crop: three peaks on the middle line, of different heights."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        cells = SIZE // 4
        heights = torch.tensor([1.0, 0.5, 0.0]).expand(len(x), 3)
        maps = torch.zeros(len(x), 3, cells, cells)
        maps[:, :, 8, cells // 2 - 1 : cells // 2 + 1] = heights[..., None]
        return {"heatmap": maps, "visibility": heights}


def test_weights_that_were_trained_with_another_flip_map_are_read_with_it(picture: np.ndarray) -> None:
    """Under the map of the source the nose takes the channel of the left eye."""
    upstream = {"upstream_flip": [{"name": "nose", "takes": "left_eye"}]}
    ours = estimator(Steady(), **upstream)
    theirs = estimator(Steady(), {"flip": "upstream"}, **upstream)
    ((own,),) = ours.predict([picture], [BOX], flip_test=True)
    ((other,),) = theirs.predict([picture], [BOX], flip_test=True)
    assert own.visibility is not None
    assert other.visibility is not None
    assert own.visibility.tolist() == pytest.approx([0.75, 0.75, 0.0])
    assert other.visibility.tolist() == pytest.approx([0.75, 0.75, 0.5])
    assert other.keypoints[2, 2] == pytest.approx(0.5)
    assert own.keypoints[2, 2] == pytest.approx(0.0)
