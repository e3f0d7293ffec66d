"""Pose models at work in the accelerator lane. torch is imported in the worker, the first time a model is asked for."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import Cancelled, ModelError, PoseError
from engine.media.reader import FrameReader
from engine.media.source import is_video
from engine.pose import Prediction
from engine.utils.context import Context
from poseapp.app import gc_control
from poseapp.jobs.base import Lane, Progress
from poseapp.jobs.frames.cache import FrameCache, Pixels
from poseapp.project.model import FrameKey

if TYPE_CHECKING:  # at run time only inside the worker
    from engine.inference.pose_model import Item, PoseModel

log = logging.getLogger(__name__)

Boxes = npt.NDArray[np.floating[Any]]
Place = tuple[FrameKey, Path]

TICK_SECONDS = 0.1
"""A cancel, or a drawn box that wants its pose at once, is heard that often, however long a frame takes."""
REPORT_SECONDS = 0.1
"""Results come together that often: whoever shows them need not keep up with each."""
READ_AHEAD = 6
IMAGE_READERS = 4
# Frames are read in their order: few of those that are decoded are wanted twice.
VIDEO_BYTES = 32 * 1024 * 1024
KEPT_MODELS = 2


@dataclass(frozen=True)
class ModelChoice:
    """Which model is wanted.

    Attributes:
        model: id of the model list, or a checkpoint file.
        detector: id or file, "none", or None for the one that belongs to the model.
        device: "auto", "cpu", "cuda" or "mps".
        title: the model's name for people, used in progress texts.
    """

    model: str
    detector: str | None = None
    device: str = "auto"
    title: str = ""

    @property
    def name(self) -> str:
        return self.title or self.model


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What a model says about one frame.

    Attributes:
        key: the frame.
        predictions: poses, best first; empty when nothing was found.
        size: width and height of the image as read, pixels; (0, 0) when it could not be read.
        problem: why there is no result, or None.
    """

    key: FrameKey
    predictions: tuple[Prediction, ...] = ()
    size: tuple[int, int] = (0, 0)
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class _LoadedModel:
    """A model in memory, and the file it came from as it was then."""

    model: PoseModel
    file: Path | None
    modified: int

    @property
    def is_current(self) -> bool:
        """Whether the file is unchanged: a model that was trained again under its name must be loaded again."""
        return _modified(self.file) == self.modified


class ModelHost:
    """Keeps the models that were used last in memory, so that the second run starts at once.

    Belongs to the accelerator lane: only jobs call :meth:`get`. ``description`` and :meth:`holds` may be read from
    anywhere; neither reads the model catalog.
    """

    def __init__(self) -> None:
        self._loaded: OrderedDict[tuple[str, str | None, str], _LoadedModel] = OrderedDict()
        self.description = ""

    def get(self, choice: ModelChoice) -> PoseModel:
        """The model, loaded if it is not in memory or its file has changed.

        Raises:
            ModelError: no such model, an unreadable file, or a device that is not available.
        """
        key = (choice.model, choice.detector, choice.device)
        file = _checkpoint_of(choice.model)
        loaded = self._loaded.get(key)
        if loaded is None or loaded.file != file or not loaded.is_current:
            # Read when torch is loaded: its threads sleep while they wait for each other. Spinning, they bring a
            # processor that is shared with a training run to a halt (measured: 0.2 against 7 images a second).
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            first = "torch" not in sys.modules
            from engine.inference.pose_model import PoseModel

            if first:
                gc_control.freeze_objects()
            self._loaded.pop(key, None)
            while len(self._loaded) >= KEPT_MODELS:  # first free, then load: both may not fit
                self._loaded.popitem(last=False)
            loaded = None  # the old weights must be free before the new ones come
            modified = _modified(file)
            loaded = _LoadedModel(PoseModel.load(choice.model, choice.detector, choice.device), file, modified)
            self._loaded[key] = loaded
        self._loaded.move_to_end(key)
        self.description = _device_text(loaded.model)
        return loaded.model

    def holds(self, choice: ModelChoice) -> bool:
        """Whether a run would start at once."""
        loaded = self._loaded.get((choice.model, choice.detector, choice.device))
        return loaded is not None and loaded.is_current

    def clear(self) -> None:
        """Free the models (their files are about to change, or the memory is needed)."""
        self._loaded.clear()


def _checkpoint_of(model: str) -> Path | None:
    from engine.models.catalog import find_model

    try:
        return find_model(model).file
    except ModelError:  # loading it says why
        return None


def _modified(file: Path | None) -> int:
    """Time of change of a file in ns, 0 if there is none."""
    try:
        return 0 if file is None else file.stat().st_mtime_ns
    except OSError:
        return 0


def _device_text(model: PoseModel) -> str:
    from engine.inference.device import describe_device

    return str(describe_device(model.device))


class PredictJob:
    """Runs a model over frames. Yields one :class:`FrameResult` a frame.

    A frame that cannot be read is told in its result and the job goes on.

    Args:
        host: keeps the model between runs.
        items: frames and their files, in the order in which they are wanted.
        choice: the model.
        boxes: per frame (N,4) xyxy in image pixels to estimate poses in; frames without an entry go through the
            detector.
        score_threshold: poses below it are left out; poses in given boxes are all kept.
        flip_test: average with the mirrored image: slower, a little more exact.
        detect_every: the detector looks at every so many frames of a video; boxes between are carried over.
        cache: decoded frames to use before reading files.
    """

    lane = Lane.ACCELERATOR

    def __init__(
        self,
        host: ModelHost,
        items: Iterable[Place],
        choice: ModelChoice,
        *,
        boxes: Mapping[FrameKey, Boxes] | None = None,
        score_threshold: float = 0.0,
        flip_test: bool = False,
        detect_every: int = 1,
        cache: FrameCache | None = None,
    ) -> None:
        self._host = host
        self._items = list(items)
        self.choice = choice
        self._boxes = dict(boxes or {})
        self._threshold = score_threshold
        self._flip_test = flip_test
        self._detect_every = detect_every
        self._cache = cache
        self.title = f"{choice.name} on {len(self._items)} {'image' if len(self._items) == 1 else 'images'}"

    def run(self, context: Context) -> Iterator[Progress]:
        total = len(self._items)
        if not self._host.holds(self.choice):
            yield Progress(0, total, f"Loading {self.choice.name}")
        model = self._host.get(self.choice)
        yield Progress(0, total, f"Running {self.choice.name}")
        done = 0
        ready: list[FrameResult] = []
        due = 0.0
        with closing(self._results(model)) as results:
            for result in results:
                if result is not None:
                    ready.append(result)
                if time.monotonic() < due and done + len(ready) < total:
                    if result is None:
                        yield Progress(done, total)
                    continue
                # Together, so that they are taken up together.
                for each in ready:
                    done += 1
                    yield Progress(done, total, result=each)
                if not ready:
                    yield Progress(done, total)
                ready, due = [], time.monotonic() + REPORT_SECONDS

    def _results(self, model: PoseModel) -> Generator[FrameResult | None]:
        """One for each frame, in order, and None now and then: time to hear that the job is cancelled."""
        problems: dict[FrameKey, str] = {}
        left = threading.Event()
        with FrameReader(cache_bytes=VIDEO_BYTES, ahead=READ_AHEAD) as reader:
            items = self._stream_items(reader, problems, left)
            if len(self._items) == 1:  # all of the processor for each network in turn
                yield self._alone(model, next(items), problems)
                return
            readers = 1 if model.device.type == "cpu" else IMAGE_READERS
            options = {"readers": readers, "detect_every": self._detect_every}
            with closing(model.stream_with_ticks(items, TICK_SECONDS, self._flip_test, **options)) as stream:
                try:
                    for result in stream:
                        yield None if result is None else self._result(*result, problems)
                finally:
                    left.set()

    def _alone(self, model: PoseModel, item: Item[FrameKey], problems: dict[FrameKey, str]) -> FrameResult:
        image = item.read()
        boxes = None if item.boxes is None else [item.boxes]
        (poses,) = model.run([image], boxes, self._flip_test)
        return self._result(item, image, poses, problems)

    def _result(
        self, item: Item[FrameKey], image: Pixels, poses: Sequence[Prediction], problems: dict[FrameKey, str]
    ) -> FrameResult:
        if item.key in problems:
            return FrameResult(item.key, problem=problems.pop(item.key))
        confident = tuple(p for p in poses if item.boxes is not None or p.score >= self._threshold)
        return FrameResult(item.key, confident, (image.shape[1], image.shape[0]))

    def _stream_items(
        self, reader: FrameReader, problems: dict[FrameKey, str], left: threading.Event
    ) -> Iterator[Item[FrameKey]]:
        from engine.inference.pose_model import Item

        for position in self._items:
            key, path = position
            given = self._boxes.get(key)
            yield Item(
                key,
                partial(_read, position, self._cache, reader, problems, left.is_set),
                None if given is None else np.asarray(given, np.float32).reshape(-1, 4),
                sequence=path if is_video(path) else None,
                frame=key.index,
                anywhere=not is_video(path),
            )


class BoxPredictJob:
    """Estimates the pose in one box that a person has drawn. Submit it as urgent.

    Yields one :class:`FrameResult` with one pose.

    Args:
        host: keeps the model between runs.
        key: the frame.
        image: its pixels when they are at hand, else its file.
        box: x1, y1, x2, y2 in image pixels.
        choice: the model; its detector is not used.
    """

    lane = Lane.ACCELERATOR

    def __init__(
        self,
        host: ModelHost,
        key: FrameKey,
        image: Pixels | Path,
        box: Sequence[float],
        choice: ModelChoice,
        *,
        flip_test: bool = True,
    ) -> None:
        self.title = f"{choice.name} in the box"
        self.choice = choice
        self._host, self._key, self._image, self._flip_test = host, key, image, flip_test
        self._box = np.asarray(box, np.float32).reshape(1, 4)

    def run(self, context: Context) -> Iterator[Progress]:
        if not self._host.holds(self.choice):
            yield Progress(0, 1, f"Loading {self.choice.name}")
        model = self._host.get(self.choice)
        image = self._read() if isinstance(self._image, Path) else self._image
        (poses,) = model.run([image], boxes=[self._box], flip_test=self._flip_test)
        result = FrameResult(self._key, tuple(poses), (image.shape[1], image.shape[0]))
        yield Progress(1, 1, f"Running {self.choice.name}", result)

    def _read(self) -> Pixels:
        assert isinstance(self._image, Path)
        with FrameReader() as reader:
            return reader.read(self._image, self._key.index)


class WarmUpJob:
    """Loads a model before it is needed, so that the first drawn box need not wait."""

    lane = Lane.ACCELERATOR

    def __init__(self, host: ModelHost, choice: ModelChoice) -> None:
        self.title = f"Loading {choice.name}"
        self._host, self._choice = host, choice

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 1, self.title)
        self._host.get(self._choice)
        yield Progress(1, 1)


def _read(
    position: Place,
    cache: FrameCache | None,
    reader: FrameReader,
    problems: dict[FrameKey, str],
    stop: Callable[[], bool],
) -> Pixels:
    """The picture. Why one cannot be read is noted by its key, and it is read as a black point."""
    key, path = position
    pixels = None if cache is None else cache.get(position)
    if pixels is not None:
        return pixels
    try:
        return reader.read(path, key.index, stop=stop)
    except Cancelled:
        raise
    except PoseError as error:
        problems[key] = str(error)
    except OSError as error:
        problems[key] = f"{path}: {error.strerror or error}"
    return np.zeros((1, 1, 3), np.uint8)
