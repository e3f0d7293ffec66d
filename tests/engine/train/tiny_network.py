"""A pose network that learns to see colored dots within seconds, and ``engine.train`` with it, also under torchrun.

python tests/engine/train/tiny_network.py [--die-at STEP RANK] OPTIONS_OF_ENGINE_TRAIN...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from engine.models.checkpoint import save_checkpoint
from engine.models.metadata import CheckpointInfo
from engine.networks import register_network
from engine.schema.schema import Schema

NAME = "tiny_pose"
SIZE = (48, 64)


class TinyPose(nn.Module):
    """(B, 3, H, W) -> (B, K, H/4, W/4), with batch normalisation."""

    def __init__(self, num_keypoints: int = 4) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.backbone = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU()),
        )
        self.head = nn.Conv2d(16, num_keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.backbone(x))
        return result

    def load_trunk_from(self, state: Mapping[str, Tensor]) -> None:
        self.backbone.load_state_dict({k[9:]: v for k, v in state.items() if k.startswith("backbone.")})


def write_start(file: Path, schema: Schema) -> Path:
    """A checkpoint of fresh weights."""
    torch.manual_seed(3)
    network = TinyPose(schema.num_keypoints)
    info = CheckpointInfo(
        "pose",
        NAME,
        arguments={"num_keypoints": schema.num_keypoints},
        schema=schema.to_dict(),
        codec={"name": "msra", "sigma": 1.5},
        input_size=SIZE,
        normalization={"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
        categories=[schema.category],
    )
    save_checkpoint(file, network.state_dict(), info)
    return file


def _die_at(step: int, rank: int) -> None:
    """This process kills itself after that step, as the system would."""
    from engine.train import trainer

    if int(os.environ.get("RANK", "0")) != rank:
        return
    original = trainer.Trainer._report_step

    def reporting(self: Any, *values: Any) -> None:
        original(self, *values)
        if self.state.epoch * self.task.config.steps_per_epoch + self.state.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.Trainer._report_step = reporting  # type: ignore[method-assign]


def main(arguments: list[str]) -> int:
    register_network(NAME)(TinyPose)
    from engine.train.__main__ import main as train
    from engine.utils import command_line

    if arguments[0] == "--die-at":
        _die_at(int(arguments[1]), int(arguments[2]))
        arguments = arguments[3:]
    return command_line.run(train, arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
