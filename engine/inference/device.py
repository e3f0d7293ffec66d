"""Choosing the device that networks run on."""

from __future__ import annotations

import platform

import torch

from engine.errors import ModelError

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Args:
        name: "auto", "cpu", "cuda", "mps", or one GPU of several as "cuda:1".

    Raises:
        ModelError: unknown, or not available on this computer.
    """
    kind, _, index = name.partition(":")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    if kind not in DEVICES or (index and (kind != "cuda" or not index.isdecimal())):
        raise ModelError(f"there is no device {name!r}; choose one of {', '.join(DEVICES)}")
    if kind == "cuda" and not torch.cuda.is_available():
        why = "this PyTorch has no CUDA support" if torch.version.cuda is None else "no CUDA GPU was found"
        raise ModelError(f"device 'cuda' is not available: {why}; use 'cpu' or 'auto'")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise ModelError(f"device {name!r} is not available: there are {torch.cuda.device_count()} CUDA devices")
    if kind == "mps" and not _has_mps():
        raise ModelError("device 'mps' is not available: it needs a Mac with Apple silicon; use 'cpu' or 'auto'")
    return torch.device(name)


def describe_device(device: torch.device | str) -> str:
    """A line for people: "NVIDIA H200 (CUDA)", "Apple GPU (MPS)", "CPU, 8 threads"."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA)"
    if device.type == "mps":
        return f"{platform.processor() or 'Apple'} GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())
