"""Devices are chosen honestly: what is not there is refused by name."""

from __future__ import annotations

import pytest
import torch

from engine.errors import ModelError
from engine.inference.device import describe_device, pick_device


def test_auto_takes_the_best_there_is() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto").type == best
    assert pick_device("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is available here")
def test_absent_cuda_is_refused_with_the_reason() -> None:
    with pytest.raises(ModelError, match=r"'cuda' is not available: .*CUDA"):
        pick_device("cuda")


@pytest.mark.parametrize("name", ["tpu", "cpu:1", "cuda:x", ""])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="there is no device"):
        pick_device(name)


def test_the_cpu_is_described_with_its_threads() -> None:
    assert describe_device("cpu").startswith("CPU, ")
