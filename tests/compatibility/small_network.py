"""``engine.train`` with a pose network of a few kilobytes: python small_network.py OPTIONS_OF_ENGINE_TRAIN..."""

from __future__ import annotations

import runpy

from torch import Tensor, nn

from engine.networks import register_network

NAME = "small_pose"


class SmallPose(nn.Module):
    """(B, 3, H, W) -> (B, K, H/4, W/4)."""

    def __init__(self, num_keypoints: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
        )
        self.head = nn.Conv2d(8, num_keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.head(self.backbone(x))
        return heatmaps


if __name__ == "__main__":
    register_network(NAME)(SmallPose)
    runpy.run_module("engine.train", run_name="__main__", alter_sys=True)
