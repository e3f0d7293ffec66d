"""Images and boxes -> poses: crop, network, decode, and back into the image (top-down)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.codecs import Outputs, codec_from_dict
from engine.errors import ModelError
from engine.geometry import (
    apply_affine,
    box_to_center_scale,
    crop_affine,
    invert_affine,
    udp_affine,
    warp,
    warp_fixed_point,
)
from engine.inference.device import pick_device
from engine.inference.gpu_crops import cut_crops, pack_images, published_affines
from engine.models.checkpoint import load_network
from engine.models.metadata import CheckpointInfo
from engine.models.mirroring import flip_test_problem
from engine.pose import Prediction
from engine.schema.schema import Schema, schema_from_dict

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

DEFAULT_MODEL = "movenet_thunder"


@dataclass(frozen=True)
class _Task:
    """One box of one image."""

    image: int
    box: npt.NDArray[np.float32]
    box_score: float
    affine: npt.NDArray[np.float64]
    """From image pixels to crop pixels, for the pixels."""
    back: npt.NDArray[np.float64]
    """From decoded points to image pixels."""


class Predictor:
    """A pose network with its cropping, normalisation and decoding. Holds no state between calls.

    Attributes:
        info: what the checkpoint says.
        schema: the keypoints it finds.
        device: where the network runs.
        backend: what runs it: "torch", "onnxruntime", ... (``engine.inference.backends``).
        codec: how its outputs are read.
        detector_id: the detector that goes with it, as the checkpoint names it; None when there is none.
        flip_test_problem: why the flip test would make this model worse, "" where it may help.
    """

    def __init__(self, network: nn.Module, info: CheckpointInfo, device: torch.device | str = "cpu") -> None:
        if info.task != "pose" or info.schema is None:
            raise ModelError(f"a {info.task} model finds no keypoints (architecture {info.architecture!r})")
        self.info = info
        self.device = torch.device(device)
        self.schema: Schema = schema_from_dict(info.schema, where="the model's schema")
        self.detector_id = info.detector
        self.category = self.schema.category or (info.categories[0] if info.categories else "person")
        self.codec = codec_from_dict(info.codec, info.input_size)
        self._network = network.to(self.device).eval()
        self._run_network: Callable[[Tensor], Outputs] = self._network
        self.backend = "torch"
        # Where transfers cost more than arithmetic, everything from the pixels to the keypoints stays on the device.
        self._cuts_on_device = self.device.type == "cuda"
        upstream = info.conventions.get("flip") == "upstream"
        indices = self.schema.upstream_flip_indices if upstream else self.schema.flip_indices
        self._flip = torch.from_numpy(indices.copy()).to(self.device)
        self.flip_test_problem = flip_test_problem(info)
        self._channels = slice(*info.conventions.get("channels", (None, None)))
        self._published_pixels = info.conventions.get("pixels") == "published"
        self._udp = info.conventions.get("crop") == "udp"
        self._mean = torch.tensor(info.normalisation["mean"], device=self.device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalisation["std"], device=self.device).reshape(1, 3, 1, 1)

    @classmethod
    def load(
        cls,
        id_or_path: str | Path = DEFAULT_MODEL,
        device: str | torch.device = "auto",
        weights: str | Path | None = None,
        backend: str = "torch",
    ) -> Self:
        """Load by id of the model table or from a checkpoint file.

        Args:
            weights: other weights for the same architecture.
            backend: "torch", "onnxruntime", "openvino" or "auto" (``engine.inference.backends``); graphics cards only
                take "torch" and "auto".

        Raises:
            ModelError: no such model, not a pose model, weights that do not fit, or the device is not available.
        """
        chosen = pick_device(device) if isinstance(device, str) else device
        network, info = load_network(id_or_path, weights, chosen)
        if info.task != "pose":
            raise ModelError("is a detector; --model wants a pose model", where=id_or_path)
        predictor = cls(network, info, chosen)
        if chosen.type == "cpu":
            predictor._use(backend, network)
        elif backend not in ("auto", "torch"):
            raise ModelError(f"the backend {backend!r} runs on the processor; give --device cpu with it")
        elif chosen.type == "cuda":
            # TensorFloat-32 rounds products to 10 bits: faster, and off by more than published figures allow.
            torch.backends.cudnn.allow_tf32 = backend == "auto"
            torch.backends.cudnn.benchmark = True
        return predictor

    def _use(self, backend: str, network: nn.Module) -> None:
        from engine.inference.backends.autotune import load_runner

        with torch.inference_mode():
            runner = load_runner(backend, network, self.info)
        self._run_network, self.backend = runner, runner.name

    def predict(
        self,
        images: Sequence[Image],
        boxes: Sequence[npt.ArrayLike],
        box_scores: Sequence[npt.ArrayLike] | None = None,
        *,
        flip_test: bool = False,
        batch: int = 16,
    ) -> list[list[Prediction]]:
        """Estimate the pose in every box.

        Args:
            images: RGB uint8 (H, W, 3), any sizes.
            boxes: for each image (N, 4) x1 y1 x2 y2, image pixels, used as given: they may reach beyond the image.
            box_scores: for each image (N,); default 1.
            flip_test: average with the mirrored crops: twice the work, often a little more accurate. Left out where
                ``flip_test_problem`` says why.
            batch: crops in one pass of the network; the crops of many images share a batch.

        Returns:
            For each image one prediction a box, in the order of the boxes; ``score`` is box score times mean keypoint
            score.

        Raises:
            ValueError: ``boxes`` and ``images`` differ in number.
        """
        flip_test = flip_test and not self.flip_test_problem
        if self._cuts_on_device:
            return self._predict_on_device(images, boxes, box_scores, flip_test, batch)
        tasks = list(self._tasks(images, boxes, box_scores))
        found: list[list[Prediction]] = [[] for _ in images]
        for start in range(0, len(tasks), batch):
            part = tasks[start : start + batch]
            crops = np.stack([self._cut(images[task.image], task.affine) for task in part])
            points, scores, visible = self._run(crops, flip_test)
            points = apply_affine(points, np.stack([task.back for task in part]))
            for i, task in enumerate(part):
                seen = None if visible is None else visible[i]
                found[task.image].append(self._prediction(task, points[i], scores[i], seen))
        return found

    def outputs(self, image: Image, box: npt.ArrayLike) -> tuple[Outputs, Tensor | None, npt.NDArray[np.float64]]:
        """What the network says of one box, before decoding; (1, K) probabilities of being visible where it tells; and
        the (2, 3) affine from decoded points to the image."""
        affines, backs = self._affines(np.asarray(box, np.float64).reshape(1, 4))
        crop = self._cut(image, affines[0])
        pixels = torch.from_numpy(crop[None]).to(self.device).permute(0, 3, 1, 2)
        return *self._forward((pixels.float() - self._mean) / self._std), backs[0]

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in crop pixels and scores (B, K), as the model's codec reads them."""
        return self.codec.decode(outputs)

    def _predict_on_device(
        self,
        images: Sequence[Image],
        boxes: Sequence[npt.ArrayLike],
        box_scores: Sequence[npt.ArrayLike] | None,
        flip_test: bool,
        batch: int,
    ) -> list[list[Prediction]]:
        """As :meth:`predict`, without a step for each person before the results are there: crops are cut, read and
        taken back into the image on the device. Pixels are those of the published networks for every model."""
        tasks = list(self._tasks(images, boxes, box_scores))
        found: list[list[Prediction]] = [[] for _ in images]
        if not tasks:
            return found
        owners = np.array([task.image for task in tasks])
        affines = np.stack([task.affine for task in tasks])
        backs = torch.from_numpy(np.stack([task.back for task in tasks])).to(self.device)
        packed = pack_images(images, self.device)
        parts: list[tuple[Tensor, Tensor, Tensor | None]] = []
        with torch.inference_mode():
            for start in range(0, len(tasks), batch):
                part = slice(start, start + batch)
                crops = cut_crops(packed, owners[part], affines[part], self.info.input_size)
                points, scores, visible = self._estimate(crops, flip_test)
                back = backs[part].to(torch.float32 if self.device.type == "mps" else torch.float64)
                points = points.to(back.dtype) @ back[..., :2].mT + back[:, None, :, 2]
                parts.append((points, scores, visible))
            all_points, all_scores = (torch.cat([part[i] for part in parts]).cpu().numpy() for i in (0, 1))
            seen = [part[2] for part in parts if part[2] is not None]
            all_visible = torch.cat(seen).cpu().numpy() if seen else None
        for i, task in enumerate(tasks):
            visible_here = None if all_visible is None else all_visible[i]
            found[task.image].append(self._prediction(task, all_points[i], all_scores[i], visible_here))
        return found

    def _cut(self, image: Image, affine: npt.NDArray[np.float64]) -> Image:
        cut = warp_fixed_point if self._published_pixels else warp
        return cut(image, affine, self.info.input_size)

    def _tasks(
        self, images: Sequence[Image], boxes: Sequence[npt.ArrayLike], box_scores: Sequence[npt.ArrayLike] | None
    ) -> Iterator[_Task]:
        for i, (_, given) in enumerate(zip(images, boxes, strict=True)):
            rows = np.asarray(given, np.float64).reshape(-1, 4)
            weights = np.ones(len(rows)) if box_scores is None else np.asarray(box_scores[i], np.float64).reshape(-1)
            affines, backs = self._affines(rows)
            for row, weight, affine, back in zip(rows, weights, affines, backs, strict=True):
                yield _Task(i, row.astype(np.float32), float(weight), affine, back)

    def _affines(self, boxes: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(N, 4) -> affines into the crops, for their pixels, and out of the crops, for decoded points; (N, 2, 3)."""
        size, padding = self.info.input_size, self.info.box_padding
        if self._published_pixels:
            return published_affines(boxes, padding, size, udp=self._udp)
        centers, scales = box_to_center_scale(boxes, padding, size[0] / size[1])
        affines = (udp_affine if self._udp else crop_affine)(centers, scales, size)
        # The way back measures the crop by its whole width in both geometries: UDP's decoder has put the rest right.
        return affines, invert_affine(crop_affine(centers, scales, size))

    def _run(self, crops: Image, flip_test: bool) -> tuple[Floats, Floats, Floats | None]:
        """(B, H, W, 3) uint8 -> keypoints (B, K, 2) in crop pixels, scores (B, K), probabilities (B, K) of being
        visible where the network tells."""
        with torch.inference_mode():
            # A transposed HWC batch is channels-last already, the fastest layout on processors and on CUDA.
            pixels = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)
            points, scores, visible = self._estimate(pixels, flip_test)
            return points.cpu().numpy(), scores.cpu().numpy(), None if visible is None else visible.cpu().numpy()

    def _estimate(self, pixels: Tensor, flip_test: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, 3, H, W) uint8 on the device -> as :meth:`_run`, left on the device."""
        x: Tensor = (pixels.float() - self._mean) / self._std
        outputs, visible = self._forward(x)
        if flip_test:
            mirrored, mirrored_visible = self._forward(x.flip(-1))
            outputs = self.codec.combine(outputs, mirrored, self._flip)
            if visible is not None and mirrored_visible is not None:
                visible = (visible + mirrored_visible[:, self._flip]) / 2
        points, scores = self.codec.decode(outputs)
        return points, scores, visible

    def _forward(self, x: Tensor) -> tuple[Outputs, Tensor | None]:
        return self.codec.split(self._run_network(x), self._channels)

    def _prediction(self, task: _Task, points: Floats, scores: Floats, visible: Floats | None) -> Prediction:
        keypoints = np.concatenate([points, scores[:, None]], 1).astype(np.float32)
        score = task.box_score * float(scores.mean())
        return Prediction(keypoints, task.box, score, task.box_score, self.category, visible)
