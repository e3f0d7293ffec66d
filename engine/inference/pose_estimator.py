"""Images and boxes -> poses: crop, network, decode, and back into the image (top-down)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

ImageArray = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]

DEFAULT_MODEL = "movenet_thunder"


@dataclass(frozen=True)
class _Crops:
    """The boxes of several images, one crop each.

    Attributes:
        owners: (N,) index of the image of each box.
        boxes: (N, 4) float32 x1 y1 x2 y2, box_scores: (N,).
        affines: (N, 2, 3) from image pixels to crop pixels, for the pixels.
        inverses: (N, 2, 3) from decoded keypoints to image pixels.
    """

    owners: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    box_scores: Float64Array
    affines: Float64Array
    inverses: Float64Array

    def __len__(self) -> int:
        return len(self.owners)


class PoseEstimator:
    """A pose network with its cropping, normalization and decoding. Holds no state between calls.

    Attributes:
        info: what the checkpoint says.
        schema: the keypoints it finds.
        category: name of the category of its poses.
        device: where the network runs.
        backend: what runs it: "torch", "onnxruntime", ... (``engine.inference.backends``).
        codec: how its outputs are decoded.
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
        self._flip_indices = torch.from_numpy(indices.copy()).to(self.device)
        self.flip_test_problem = flip_test_problem(info)
        self._channels = slice(*info.conventions.get("channels", (None, None)))
        self._published_pixels = info.conventions.get("pixels") == "published"
        self._udp = info.conventions.get("crop") == "udp"
        self._mean = torch.tensor(info.normalization["mean"], device=self.device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(info.normalization["std"], device=self.device).reshape(1, 3, 1, 1)

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
            backend: "torch", "onnxruntime", "openvino" or "auto" (``engine.inference.backends``); GPUs take only
                "torch" and "auto".

        Raises:
            ModelError: no such model, not a pose model, weights that do not fit, or the device is not available.
        """
        device = pick_device(device) if isinstance(device, str) else device
        network, info = load_network(id_or_path, weights, device)
        if info.task != "pose":
            raise ModelError("is a detector; --model wants a pose model", where=id_or_path)
        estimator = cls(network, info, device)
        if device.type == "cpu":
            estimator._use(backend, network)
        elif backend not in ("auto", "torch"):
            raise ModelError(f"the backend {backend!r} runs on the CPU; give --device cpu with it")
        elif device.type == "cuda":
            # TensorFloat-32 rounds products to 10 bits: faster, and off by more than published figures allow.
            torch.backends.cudnn.allow_tf32 = backend == "auto"
            torch.backends.cudnn.benchmark = True
        return estimator

    def _use(self, backend: str, network: nn.Module) -> None:
        from engine.inference.backends.autotune import load_runner

        with torch.inference_mode():
            runner = load_runner(backend, network, self.info)
        self._run_network, self.backend = runner, runner.name

    def predict(
        self,
        images: Sequence[ImageArray],
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
            batch: crops in one pass of the network; the crops of several images share a batch.

        Returns:
            For each image one prediction per box, in the order of the boxes; ``score`` is box score times mean keypoint
            score.

        Raises:
            ValueError: ``boxes`` and ``images`` differ in number.
        """
        crops = self._crops(images, boxes, box_scores)
        predictions: list[list[Prediction]] = [[] for _ in images]
        if not len(crops):
            return predictions
        with_flip = flip_test and not self.flip_test_problem
        cut = self._cutter(images, crops)
        with torch.inference_mode():
            parts = [
                self._estimate(cut(slice(start, start + batch)), with_flip) for start in range(0, len(crops), batch)
            ]
            crop_points, scores = (torch.cat([part[i] for part in parts]).cpu().numpy() for i in (0, 1))
            visible_parts = [part[2] for part in parts if part[2] is not None]
            visibility = torch.cat(visible_parts).cpu().numpy() if visible_parts else None
        points = apply_affine(crop_points, crops.inverses)
        for i, owner in enumerate(crops.owners.tolist()):
            keypoints = np.concatenate([points[i], scores[i][:, None]], 1).astype(np.float32)
            box_score = float(crops.box_scores[i])
            predictions[owner].append(
                Prediction(
                    keypoints,
                    crops.boxes[i],
                    box_score * float(scores[i].mean()),
                    box_score,
                    self.category,
                    None if visibility is None else visibility[i],
                )
            )
        return predictions

    def outputs(self, image: ImageArray, box: npt.ArrayLike) -> tuple[Outputs, Tensor | None, Float64Array]:
        """The network's outputs for one box, before decoding.

        Returns:
            the outputs for the codec; (1, K) probabilities of being visible where the network gives them; and the
            (2, 3) affine from decoded keypoints to the image.
        """
        crops = self._crops([image], [np.asarray(box, np.float64).reshape(1, 4)], None)
        return *self._forward(self._normalized(self._cutter([image], crops)(slice(None)))), crops.inverses[0]

    # -- crops --------------------------------------------------------------------------------------------------------

    def _crops(
        self,
        images: Sequence[ImageArray],
        boxes: Sequence[npt.ArrayLike],
        box_scores: Sequence[npt.ArrayLike] | None,
    ) -> _Crops:
        if len(images) != len(boxes):
            raise ValueError(f"{len(images)} images, but boxes for {len(boxes)}")
        rows = [np.asarray(given, np.float64).reshape(-1, 4) for given in boxes]
        counts = [len(part) for part in rows]
        all_boxes = np.concatenate([np.zeros((0, 4)), *rows])
        if box_scores is None:
            scores = np.ones(len(all_boxes))
        else:
            scores = np.concatenate([np.zeros(0), *(np.asarray(given, np.float64).reshape(-1) for given in box_scores)])
        owners = np.repeat(np.arange(len(images)), counts)
        return _Crops(owners, all_boxes.astype(np.float32), scores, *self._affines(all_boxes))

    def _affines(self, boxes: Float64Array) -> tuple[Float64Array, Float64Array]:
        """(N, 4) -> affines into the crops, for pixels, and out of the crops, for decoded keypoints; (N, 2, 3)."""
        size, padding = self.info.input_size, self.info.box_padding
        if self._published_pixels:
            return published_affines(boxes, padding, size, udp=self._udp)
        centers, scales = box_to_center_scale(boxes, padding, size[0] / size[1])
        affines = (udp_affine if self._udp else crop_affine)(centers, scales, size)
        # The way back measures the crop by its whole width in both geometries: UDP's decoder allows for the rest.
        return affines, invert_affine(crop_affine(centers, scales, size))

    def _cutter(self, images: Sequence[ImageArray], crops: _Crops) -> Callable[[slice], Tensor]:
        """A function that cuts a part of the crops: (B, 3, H, W) uint8 on the device.

        On a GPU the images are taken there once and cut there, for every model with the arithmetic of the published
        ones; elsewhere OpenCV cuts them.
        """
        size = self.info.input_size
        if self._cuts_on_device:
            packed = pack_images(images, self.device)
            return lambda part: cut_crops(packed, crops.owners[part], crops.affines[part], size)
        warped = warp_fixed_point if self._published_pixels else warp

        def cut(part: slice) -> Tensor:
            pairs = zip(crops.owners[part].tolist(), crops.affines[part], strict=True)
            pixels = np.stack([warped(images[owner], affine, size) for owner, affine in pairs])
            # A transposed HWC batch is channels-last already, the fastest layout on CPUs and on CUDA.
            return torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)

        return cut

    # -- network ------------------------------------------------------------------------------------------------------

    def _normalized(self, pixels: Tensor) -> Tensor:
        return (pixels.float() - self._mean) / self._std

    def _estimate(self, pixels: Tensor, flip_test: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, 3, H, W) uint8 -> keypoints (B, K, 2) in crop pixels, scores (B, K), and probabilities (B, K) of being
        visible where the network gives them."""
        x = self._normalized(pixels)
        outputs, visibility = self._forward(x)
        if flip_test:
            mirrored, mirrored_visibility = self._forward(x.flip(-1))
            outputs = self.codec.combine(outputs, mirrored, self._flip_indices)
            if visibility is not None and mirrored_visibility is not None:
                visibility = (visibility + mirrored_visibility[:, self._flip_indices]) / 2
        return *self.codec.decode(outputs), visibility

    def _forward(self, x: Tensor) -> tuple[Outputs, Tensor | None]:
        return self.codec.split(self._run_network(x), self._channels)
