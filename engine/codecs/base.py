"""The interface of every codec, and the registry that finds one by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from engine.errors import ModelError, TrainingError

Array = npt.NDArray[np.float32]
Outputs: TypeAlias = Tensor | Mapping[str, Tensor]
"""What a codec reads: the tensor of a network with one output, else its outputs by name; (B, ...) each."""
Target: TypeAlias = Array | Mapping[str, Array]
"""What a codec asks a network to learn, in the form of :data:`Outputs`, for one crop: (K, ...) each."""

VISIBILITY = "visibility"
"""The output, next to those that a codec reads, in which a network gives probabilities of being visible (B, K)."""
ENTRY_POINTS = "poseapp.codecs"
"""Entry-point group of other packages: each entry is a module that calls :func:`register_codec`."""
WEIGHTS = "weights"
"""The training target (B, K) that says how much each keypoint counts; 0 = not at all."""


@dataclass(frozen=True)
class Codec:
    """Keypoints in a crop <-> the outputs of a network, in one object, so that training and prediction cannot disagree.

    Shapes: B crops, K keypoints. Keypoints are crop pixels (x, y), pixel centers at integers.

    A codec that can be trained needs ``encode``, ``decode``, ``flip_back`` and ``loss``; the rest has defaults. Its
    parameters are the fields of the dataclass: numbers, booleans and texts with a default each.

    Attributes:
        name: what checkpoints call it; ``aliases`` are older names that are still read.
        output_names: names of the network's outputs, in order, as in ONNX files.
        has_published_loss: ``published_loss`` exists, so that recipes can train it.
        input_size: width and height of the crop.
    """

    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    output_names: ClassVar[tuple[str, ...]] = ("output",)
    has_published_loss: ClassVar[bool] = False

    input_size: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, without the input size, which the checkpoint stores separately."""
        return {"name": self.name, **{key: value for key, value in asdict(self).items() if key != "input_size"}}

    # -- prediction ---------------------------------------------------------------------------------------------------

    def split(self, outputs: Outputs, channels: slice) -> tuple[Outputs, Tensor | None]:
        """Separate what the codec reads from the visibility, both reduced to the keypoints of the schema.

        Args:
            outputs: as the network gives them.
            channels: the network's keypoints that are those of the schema; ``slice(None)`` = all.

        Returns:
            outputs for the other methods, and (B, K) probabilities of being visible where the network gives them.
        """
        visibility = None
        if isinstance(outputs, Mapping):
            if VISIBILITY in outputs:
                visibility = outputs[VISIBILITY][:, channels]
                outputs = {name: value for name, value in outputs.items() if name != VISIBILITY}
            if len(outputs) == 1:
                outputs = next(iter(outputs.values()))
        return (outputs if channels == slice(None) else self.select(outputs, channels)), visibility

    def select(self, outputs: Outputs, channels: slice) -> Outputs:
        """The outputs of some keypoints; by default they are counted by the second axis of every output."""
        if isinstance(outputs, Tensor):
            return outputs[:, channels]
        return {name: value[:, channels] for name, value in outputs.items()}

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Network outputs of a batch -> keypoints (B, K, 2) float32 and scores (B, K) in 0..1."""
        raise NotImplementedError

    def flip_back(self, outputs: Outputs, flip_indices: Tensor) -> Outputs:
        """Outputs for mirrored crops -> outputs as if the crops had not been mirrored.

        Args:
            flip_indices: (K,) ``Schema.flip_indices``.
        """
        raise NotImplementedError

    def combine(self, direct: Outputs, mirrored: Outputs, flip_indices: Tensor) -> Outputs:
        """Flip test: the mean of the outputs for crops and for mirrored crops, in the geometry of the crops."""
        return _mean(direct, self.flip_back(mirrored, flip_indices))

    @property
    def separation(self) -> float:
        """Crop pixels below which two candidates of a keypoint are the same place."""
        return 1.0

    def candidates(self, outputs: Outputs, count: int) -> tuple[Tensor, Tensor]:
        """Possible positions of each keypoint, best first: (B, K, C, 2) crop pixels and scores (B, K, C) in 0..1.

        C is ``count`` at most; a score of 0 means that there is no such candidate. By default the decoded position is
        the only one.
        """
        points, scores = self.decode(outputs)
        return points[:, :, None], scores[:, :, None]

    def expected(self, outputs: Outputs, points: Tensor, fixed: Tensor) -> Tensor | None:
        """Where a network that tells people apart expects the keypoints of the person who has the fixed ones.

        Args:
            points: (B, K, 2) crop pixels; only those that ``fixed`` (B, K) marks are read.

        Returns:
            (B, K, 2) crop pixels; None for networks that expect one person per crop.
        """
        return None

    # -- training -----------------------------------------------------------------------------------------------------

    def encode(self, keypoints: npt.ArrayLike, visible: npt.ArrayLike) -> tuple[Target, Array]:
        """Training target of one crop.

        Args:
            keypoints: (K, 2).
            visible: (K,), above 0 where the keypoint is labelled.

        Returns:
            the target, and weights (K,) float32: 0 where it must not count.

        Raises:
            TrainingError: models with this codec cannot be trained.
        """
        raise TrainingError(f"models with the codec {self.name!r} cannot be trained; start from one and use 'gaussian'")

    def encode_batch(self, keypoints: npt.ArrayLike, visible: npt.ArrayLike) -> dict[str, Array]:
        """Training targets of a batch, by the names under which ``loss`` gets them.

        Args:
            keypoints: (B, K, 2).
            visible: (B, K).

        Returns:
            :data:`WEIGHTS` (B, K), and by default the targets of ``encode``, stacked: by their names, or "target".
        """
        encoded = [self.encode(*pair) for pair in zip(np.asarray(keypoints), np.asarray(visible), strict=True)]
        targets = [target if isinstance(target, Mapping) else {"target": target} for target, _ in encoded]
        stacked = {name: np.stack([target[name] for target in targets]) for name in targets[0]}
        return {**stacked, WEIGHTS: np.stack([weights for _, weights in encoded])}

    def loss(self, outputs: Outputs, targets: Mapping[str, Tensor], foreground_weight: float = 0.0) -> Tensor:
        """Scalar loss for fine-tuning; a batch in which no keypoint counts gives 0 with a gradient.

        Args:
            targets: of ``encode_batch``, on the device of the outputs.
            foreground_weight: extra weight of what shows a keypoint over empty background, for outputs that are mostly
                background; others ignore it.
        """
        raise NotImplementedError

    def published_loss(self, outputs: Outputs, targets: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss as the publication of the codec has it, a mean over all keypoints."""
        raise NotImplementedError


def in_float32(outputs: Outputs) -> Outputs:
    """The outputs of a network in single precision, which losses need; autocast leaves them in half."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return {name: value.float() for name, value in outputs.items()}


def _mean(a: Outputs, b: Outputs) -> Outputs:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return (a + b) / 2
    assert isinstance(a, Mapping)
    assert isinstance(b, Mapping)
    return {key: (a[key] + b[key]) / 2 for key in a}


CODECS: dict[str, type[Codec]] = {}
"""The registered codecs by name; :func:`codecs` sees to it that all are there."""
AnyCodec = TypeVar("AnyCodec", bound=type[Codec])


def register_codec(codec: AnyCodec) -> AnyCodec:
    """Class decorator: make a codec available under its name.

    Raises:
        ValueError: it has no name, or the name is taken.
    """
    if not codec.name or codec.name in CODECS:
        raise ValueError(f"a codec needs a name of its own, not {codec.name!r}")
    CODECS[codec.name] = codec
    return codec


def unregister_codec(name: str) -> None:
    """Forget a codec; nothing happens if there is none of this name."""
    CODECS.pop(name, None)


def codecs() -> list[type[Codec]]:
    """All codecs, by name."""
    _discover()
    return [CODECS[name] for name in sorted(CODECS)]


@cache
def _discover() -> None:
    """Import every module of this package, and those of other packages, so that they register their codecs."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        importlib.import_module(module.name)
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()


def codec_from_dict(data: Mapping[str, Any], input_size: tuple[int, int], *, where: object = None) -> Codec:
    """The codec that a checkpoint names; the inverse of ``Codec.to_dict``.

    Args:
        data: ``{"name": ..., parameters}``; parameters left out have their defaults.
        input_size: width and height of the network's input.

    Raises:
        ModelError: unknown name, unknown parameter, or a value of the wrong type.
    """
    name = data.get("name")
    codec = next((codec for codec in codecs() if name in (codec.name, *codec.aliases)), None)
    if codec is None:
        known = ", ".join(sorted(CODECS))
        raise ModelError(f"unknown codec {name!r}; this version has {known}", where=where)
    defaults = {field.name: field.default for field in fields(codec) if field.name != "input_size"}
    values = {key: value for key, value in data.items() if key != "name"}
    for key, value in values.items():
        if key not in defaults:
            raise ModelError(f"codec {codec.name!r} has no parameter {key!r}", where=where)
        values[key] = _converted(value, type(defaults[key]), f"codec {codec.name!r}: {key}", where)
    try:
        return codec(input_size=(int(input_size[0]), int(input_size[1])), **values)
    except ModelError as error:
        raise ModelError(error.message, where=where) from None


def _converted(value: Any, expected: type, what: str, where: object) -> Any:
    """``value`` if it has the type of a parameter's default; whole numbers are accepted as floats."""
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ModelError(f"{what} must be a {expected.__name__}, not {value!r}", where=where)
    return value


def codecs_of_recipes() -> list[str]:
    """Names of the codecs that recipes can train."""
    return [codec.name for codec in codecs() if codec.has_published_loss]
