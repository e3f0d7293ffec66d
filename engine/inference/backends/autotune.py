"""Which backend to use: measured on this machine at first use, among those that give the same keypoints.

Every candidate runs on crops of the bundled photographs (rotated, shifted, mirrored), and its decoded keypoints are
compared with those of single-precision torch. It may be used when their object keypoint similarity is at least
``MIN_OKS`` and their scores differ by at most ``MAX_SCORE_DIFFERENCE``, both on average.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.codecs import Outputs, codec_from_dict
from engine.errors import ModelError, PoseError
from engine.geometry import compose_affine, crop_affine, warp
from engine.inference.backends import RUNNERS, Runner, make_runner
from engine.media.images import list_images, read_image
from engine.models.metadata import CheckpointInfo
from engine.schema.schema import schema_from_dict
from engine.utils.files import replacing
from resources import resource_path

log = logging.getLogger(__name__)

MIN_OKS = 0.995
MAX_SCORE_DIFFERENCE = 0.01
BATCHES = (1, 8)
REPEATS = 5
CROPS = 24


def cache_folder() -> Path:
    """Where ONNX files and measurements are kept: ``$POSEAPP_CACHE`` or the platform's cache folder."""
    import platformdirs

    chosen = os.environ.get("POSEAPP_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("poseapp", appauthor=False)) / "backends"


def key_of(network: nn.Module, info: CheckpointInfo) -> str:
    """A name for these weights, from the architecture and the bytes of every tensor."""
    digest = hashlib.sha256(json.dumps([info.architecture, info.arguments, info.conventions], sort_keys=True).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return f"{info.architecture}-{digest.hexdigest()[:16]}"


def load_runner(backend: str, network: nn.Module, info: CheckpointInfo) -> Runner:
    """The runner of a named backend, or of the best one for "auto".

    Raises:
        ModelError: unknown or not installed; never for "auto", which falls back to torch.
    """
    if backend in ("torch", "torch-bf16"):
        return make_runner(backend, network, info, Path())
    key = key_of(network, info)
    file = cache_folder() / f"{key}.onnx"
    if backend != "auto":
        return make_runner(backend, network, info, file)
    name = choose(network, info, key)
    try:
        return make_runner(name, network, info, file)
    except PoseError as error:
        log.warning("%s; torch is used", error)
        return make_runner("torch", network, info, file)


def choose(network: nn.Module, info: CheckpointInfo, key: str | None = None) -> str:
    """The name of the fastest runner that gives the same keypoints; measured once for machine, versions and weights."""
    key = key or key_of(network, info)
    record = cache_folder() / f"{key}.{machine()}.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))["chosen"]
        if known in RUNNERS:
            return str(known)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    measured = measure(network, info, cache_folder() / f"{key}.onnx")
    usable = {name: row for name, row in measured.items() if row.get("same")}
    chosen = min(usable, key=lambda name: float(usable[name]["seconds"]), default="torch")
    _remember(record, {"chosen": chosen, "measured": measured})
    log.info("backend %s chosen for this machine: %s", chosen, measured)
    return chosen


def measure(network: nn.Module, info: CheckpointInfo, onnx_file: Path) -> dict[str, dict[str, Any]]:
    """For every runner seconds per crop (mean over BATCHES), similarity of the poses, and "same"; or its "error"."""
    crops = calibration_crops(info)
    decode = _decoder(info)
    reference: tuple[Tensor, Tensor] | None = None
    rows: dict[str, dict[str, Any]] = {}
    for name in RUNNERS:
        try:
            runner = make_runner(name, network, info, onnx_file)
            with torch.inference_mode():
                points, scores = decode(runner(crops))
                if reference is None:
                    reference = points, scores
                oks, score_difference = similarity(reference, (points, scores), info)
                seconds = [_seconds(runner, crops[:batch]) / batch for batch in BATCHES]
        except ModelError as error:
            rows[name] = {"error": error.message}
            continue
        except RuntimeError as error:  # an instruction or operator that this CPU or version lacks
            rows[name] = {"error": str(error).splitlines()[0][:160]}
            continue
        rows[name] = {
            "seconds": sum(seconds) / len(seconds),
            "seconds_by_batch": dict(zip(map(str, BATCHES), seconds, strict=True)),
            "oks": oks,
            "score_shift": score_difference,
            "same": oks >= MIN_OKS and score_difference <= MAX_SCORE_DIFFERENCE,
        }
    return rows


def similarity(
    reference: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], info: CheckpointInfo
) -> tuple[float, float]:
    """Mean object keypoint similarity of two sets of decoded crops, and the mean difference of their scores.

    Only the half of the keypoints with the higher scores in ``reference`` counts: the positions of others are noise.
    """
    assert info.schema is not None
    variances = torch.from_numpy((2 * schema_from_dict(info.schema).sigmas) ** 2).float()
    width, height = info.input_size
    area = width * height / info.box_padding**2
    squares = ((reference[0] - other[0]) ** 2).sum(-1)
    counts = reference[1] >= torch.quantile(reference[1], 0.5)
    oks = torch.exp(-squares / (2 * area * variances))[counts].mean()
    return float(oks), float((reference[1] - other[1]).abs().mean())


def calibration_crops(info: CheckpointInfo) -> Tensor:
    """(CROPS, 3, H, W) float32, normalized: the bundled photographs, whole and in parts, rotated and mirrored."""
    rng = np.random.default_rng(0)
    photographs = [read_image(path) for path in list_images(resource_path("sample"))]
    width, height = info.input_size
    crops = []
    for index in range(CROPS):
        image = photographs[index % len(photographs)]
        side = min(image.shape[:2])
        scale = side * rng.uniform(0.5, 1.1)
        center = np.array([image.shape[1], image.shape[0]]) / 2 + rng.uniform(-0.15, 0.15, 2) * side
        affine = crop_affine(center, (scale * width / height, scale), (width, height), rng.uniform(-20, 20))
        if index % 2:
            affine = compose_affine([[-1, 0, width - 1], [0, 1, 0]], affine)
        crops.append(warp(image, affine, (width, height)))
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(info.normalization[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    return (pixels - mean) / std


def machine() -> str:
    """A short name for what a measurement depends on: CPU, threads, versions."""
    versions = [torch.__version__]
    for package in ("onnxruntime", "openvino"):
        try:
            from importlib.metadata import version

            versions.append(version(package))
        except ImportError:
            versions.append("")
    parts = [platform.machine(), _cpu_name(), str(torch.get_num_threads()), *versions]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _decoder(info: CheckpointInfo) -> Callable[[Outputs], tuple[Tensor, Tensor]]:
    codec = codec_from_dict(info.codec, info.input_size)
    channels = slice(*info.conventions.get("channels", (None, None)))

    def decode(outputs: Outputs) -> tuple[Tensor, Tensor]:
        return codec.decode(codec.split(outputs, channels)[0])

    return decode


def _seconds(runner: Runner, crops: Tensor) -> float:
    runner(crops)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        runner(crops)
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def _remember(record: Path, content: Mapping[str, Any]) -> None:
    """Write a measurement; one that cannot be written is made again next time."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with replacing(record, sync=False) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    except OSError as error:
        log.warning("the measured backend cannot be remembered (%s)", error.strerror)
