"""A whole run: preflight, the pose network, the detector where one is needed, and the files they leave."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from engine.errors import PoseError, TrainingError
from engine.evaluate.model import LABELLED_BOXES, Conditions
from engine.inference.detector import Detector
from engine.inference.device import pick_device
from engine.models.catalog import ModelEntry, find_model
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.metadata import CheckpointInfo
from engine.models.mirroring import MIRRORED, mirror_problem
from engine.networks import build
from engine.schema.schema import Schema
from engine.train import config as defaults
from engine.train.batch_size import StepMemory, free_memory, step_memory, with_sizes
from engine.train.config import AUTO_BATCH, CONFIG_FILE, TaskConfig, TrainConfig, write_config
from engine.train.data.pose_crops import ImageCache
from engine.train.data.rotation import rotation_from
from engine.train.data.sampler import choose_epochs
from engine.train.data.topdown_crops import as_published
from engine.train.data.training_set import TrainingSet
from engine.train.distributed import ProcessGroup
from engine.train.initial_weights import (
    DEFAULT_LEARNING_RATE,
    LEARNING_RATES,
    initial_detector,
    initial_pose_network,
    initial_recipe_network,
    knows_category,
)
from engine.train.preflight import preflight
from engine.train.recipes import find_recipe
from engine.train.reporting import Reporter, TensorBoardWriter
from engine.train.run_folder import BEST, DETECTOR, LAST, RESULTS, StopRequest, recorded, refusal
from engine.train.tasks import detector as boxes
from engine.train.tasks import pose as poses
from engine.train.tasks.task import TrainTask
from engine.train.tasks.topdown import TopDownTask
from engine.train.tasks.topdown_validation import EvaluationProtocol, for_other_points
from engine.train.trainer import Outcome, Trainer, autocast_type
from engine.utils.atomic_write import write_atomically
from engine.utils.command_line import BAD_INPUT
from engine.utils.skipped import Skipped

log = logging.getLogger(__name__)

LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"
GPU_WORKERS = 8
VALIDATION_BATCH = 32
DEFAULT_CACHE_MB = 1024
PATHS = ("train", "images", "extra", "extra_images", "val", "val_images", "val_boxes", "out")
PERSON = ("person",)


@dataclass
class _Run:
    """What the parts of a run share."""

    config: TrainConfig
    initial_pose_network: tuple[nn.Module, CheckpointInfo] | None
    train: TrainingSet
    val: TrainingSet | None
    out: Path
    device: torch.device
    report: Reporter
    stop: StopRequest
    resume: bool
    world: ProcessGroup
    step_bytes: int
    protocol: EvaluationProtocol | None
    skipped: Skipped

    def trainer(self, phase: TrainTask, start: str) -> Trainer:
        workers = self.config.workers
        if workers < 0:
            cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
            workers = 0 if self.device.type == "cpu" else max(1, min(GPU_WORKERS, cores))
        return Trainer(
            phase,
            seed=self.config.seed,
            device=self.device,
            workers=workers,
            report=self.report,
            stop=self.stop,
            provenance=_provenance(self.config, phase, start),
            world=self.world,
            part=(
                1 if phase.what == "pose" or self.config.what != "both" else 2,
                2 if self.config.what == "both" else 1,
            ),
        )

    def record(self) -> None:
        """Write the configuration with what was chosen so far."""
        if self.world.is_main:
            write_config(self.config, self.out / CONFIG_FILE)


def run_training(
    config: TrainConfig,
    report: Reporter,
    *,
    resume: bool = False,
    overwrite: bool = False,
    world: ProcessGroup | None = None,
    skipped: Skipped | None = None,
) -> Outcome:
    """Train what ``config`` asks for into ``config.out``; see ``python -m engine.train --help``.

    Args:
        resume: go on with the run in ``config.out``.
        overwrite: replace the run in ``config.out``; its best model stays until there is a better or a finished one.
        world: the processes that train together, as yet unconnected; None = this one alone. All have the same
            ``config`` and see the same folders.
        skipped: gets the images that could not be read; the run goes on without them.

    Raises:
        PoseError: bad input; the message names the file and the record. Or another process is gone.
        SystemExit: as the first process tells the reason already.
    """
    world = world or ProcessGroup()
    device = _device(config, world)
    world.start(device, config.silence)
    try:
        return _run(config, report, resume, overwrite, world, device, Skipped("images") if skipped is None else skipped)
    except PoseError as error:
        world.tell_failure(error)
        if world.is_told_by_main():
            raise SystemExit(BAD_INPUT) from None
        raise
    finally:
        world.stop()


def _device(config: TrainConfig, world: ProcessGroup) -> torch.device:
    """Where this process trains: each has a graphics card of its own."""
    device = pick_device(config.device)
    if device.type != "cuda":
        return device
    if world.size > 1:
        device = pick_device(f"cuda:{world.local_rank}")
    torch.cuda.set_device(device)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = not config.deterministic  # all batches have one size
    return device


def _run(
    config: TrainConfig,
    report: Reporter,
    resume: bool,
    overwrite: bool,
    world: ProcessGroup,
    device: torch.device,
    skipped: Skipped,
) -> Outcome:
    refused = world.from_main(refusal(Path(config.out), resume=resume, overwrite=overwrite) if world.is_main else "")
    if refused:
        raise TrainingError(refused, where=config.out)
    found = preflight(config)
    if found.errors or found.train is None:
        raise TrainingError(found.errors[0])
    skipped.extend(found.skipped)
    if world.is_main:
        for warning in found.warnings:
            log.warning("%s", warning)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config = _resolved(config)
    # Whatever can be wrong with the start is found before anything of an earlier run is taken away.
    start, protocol, step_bytes = None, None, 0
    if config.what != "detector":
        start = _pose_start(config, found.train.schema)
        need, free = _memory(config, start[1], device)
        config.pose = with_sizes(config.pose, world.size, need, free)
        step_bytes = 0 if need is None else need.of(config.pose.batch)
        if config.pose.topdown.enabled:
            protocol = _protocol(config, start[1], found.val or found.train, found.val is not None, world)
    config.detect = with_sizes(config.detect, world.size, None, None)
    out = Path(config.out)
    with ExitStack() as stack:
        record, earlier = None, {}
        if world.is_main:
            _make_folder(out)
            record = stack.enter_context(recorded(out))
            if not resume:
                earlier = _set_aside(out)
            report.log_to(out / LOG_FILE)
            if config.tensorboard:
                report.show_on(TensorBoardWriter(out / BOARD_FOLDER))
            if found.findings:
                report("findings", texts=found.findings)
        world.barrier()
        stop = stack.enter_context(StopRequest(out))
        shared = out, device, report, stop, resume, world, step_bytes, protocol, skipped
        outcome = _train(_Run(config, start, found.train, found.val, *shared))
        if record is not None:
            if outcome != "interrupted":
                _remove_replaced(out, earlier)
            record.write(outcome)
        return outcome


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot be made ({error.strerror})", where=out) from None


def _pose_start(config: TrainConfig, schema: Schema) -> tuple[nn.Module, CheckpointInfo]:
    if config.recipe and config.model == config.recipe:
        return initial_recipe_network(find_recipe(config.recipe), config.weights, schema)
    return initial_pose_network(config.model, config.weights, schema)


def _memory(
    config: TrainConfig, info: CheckpointInfo, device: torch.device
) -> tuple[StepMemory | None, int | None]:  # fmt: skip
    """What a step of the pose network needs, where that is asked for or may be much; and what there is."""
    phase = config.pose
    if phase.batch != AUTO_BATCH and not phase.topdown.enabled:
        return None, None
    with torch.device("meta"):
        network = build(info.architecture, info.arguments)
    half = autocast_type(phase.precision, device) != torch.float32
    return step_memory(network, info.input_size, half=half, mean=bool(phase.ema)), free_memory(device)


def _train(run: _Run) -> Outcome:
    config, best = run.config, {}
    what = config.what
    if not what:
        what = "both" if _needs_detector(run) else "pose"
        config.what = what  # recorded, so that a resumed run does the same
    run.record()
    outcome: Outcome = "finished"
    if what != "detector":
        outcome, best["pose"] = _train_pose(run)
    if what != "pose" and (outcome != "interrupted" or what == "detector"):
        outcome, best["detector"] = _train_detector(run)
    if run.world.is_main and what == "both" and "detector" in best and (run.out / DETECTOR).is_file():
        for name in (BEST, LAST):
            _name_detector(run.out / name, DETECTOR)
    for others in run.world.gathered(run.skipped.records()):
        for row in others:
            run.skipped.add(row["where"], row["reason"])
    if len(run.skipped):
        run.report("skipped", what=run.skipped.what, count=len(run.skipped), items=run.skipped.records())
    main = best.get("pose") or best.get("detector") or {}
    run.report("done", best=main, detector=best.get("detector"), out=str(run.out), stopped=outcome)
    return outcome


def _train_pose(run: _Run) -> tuple[Outcome, dict[str, Any]]:
    assert run.initial_pose_network is not None
    network, info = run.initial_pose_network
    phase_config = _filled(
        run.config.pose,
        info.architecture,
        len(run.train.instances if run.protocol is None else as_published(run.train).instances),
        steps=defaults.POSE_STEPS,
        passes=defaults.POSE_PASSES,
        views=_views(run, sided=True),
    )
    run.config.pose = phase_config
    run.record()
    detector = _known_detector(run) if run.config.what == "pose" else None
    info = info.replace(categories=list(run.train.categories), detector=detector)
    cache = ImageCache(_cache_bytes(run), skipped=run.skipped)
    phase: TrainTask
    if run.protocol is not None:
        phase = TopDownTask(network, info, phase_config, run.train, run.protocol, cache, run.out)
    else:
        phase = poses.PoseTask(network, info, phase_config, run.train, run.val, cache, run.out)
    return _go(run, phase, run.config.model)


def _cache_bytes(run: _Run) -> int:
    """For decoded images: as configured, else half of this process' share of the memory that is free."""
    if run.config.cache_mb >= 0:
        return run.config.cache_mb << 20
    free = free_memory(torch.device("cpu")) or (2 * DEFAULT_CACHE_MB << 20)
    if run.device.type == "cpu":
        free -= run.step_bytes
    return max(0, free) // 2 // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _protocol(
    config: TrainConfig, info: CheckpointInfo, data: TrainingSet, held_out: bool, world: ProcessGroup
) -> EvaluationProtocol:  # fmt: skip
    """How a top-down model is measured: as the row of its recipe, on the validation set or else on training images."""
    entry = ModelEntry(config.model, "", "pose", info.architecture, None, info.input_size, data.schema.name)
    if config.recipe:
        entry = for_other_points(find_recipe(config.recipe), data.schema)
    folder = config.val_images if config.val and config.val_images else config.images
    conditions = Conditions(
        boxes=config.val_boxes if config.val_boxes and held_out else LABELLED_BOXES,
        flip_test=config.pose.flip_test and config.pose.topdown.flip != 0 and not mirror_problem(data.schema),
        batch=min(config.pose.batch, VALIDATION_BATCH),
    )
    return EvaluationProtocol.of(
        entry,
        data,
        Path(folder) if folder else data.file.parent,
        held_out=held_out,
        conditions=conditions,
        select=config.pose.select,
        world=world,
    )


def _train_detector(run: _Run) -> tuple[Outcome, dict[str, Any]]:
    network, info = initial_detector(run.config.detector, run.train.categories)
    phase_config = _filled(
        run.config.detect,
        info.architecture,
        sum(len(image.boxes) > 0 for image in run.train.images),
        steps=defaults.DETECTOR_STEPS,
        passes=defaults.DETECTOR_PASSES,
        views=_views(run, sided=False),
    )
    run.config.detect = phase_config
    run.record()
    phase = boxes.DetectorTask(network, info, phase_config, run.train, run.val, _cache_bytes(run), run.out, run.skipped)
    return _go(run, phase, run.config.detector)


def _go(run: _Run, phase: TrainTask, start: str) -> tuple[Outcome, dict[str, Any]]:
    trainer = run.trainer(phase, start)
    if run.resume:
        there = run.world.gathered(phase.state_file.is_file())
        if all(there):
            trainer.resume()
        elif any(there):
            raise TrainingError("only some of the processes find the state of the run", where=phase.state_file)
    outcome = trainer.run()
    return outcome, trainer.place.best


def _needs_detector(run: _Run) -> bool:
    """Whether the start detector must learn these categories: it has no such class, or means something else by it."""
    categories = run.train.categories
    if not knows_category(run.config.detector, categories):
        return True
    if categories == PERSON:
        return False
    return not boxes.finds_objects(Detector.load(run.config.detector, run.device), run.train)


@dataclass(frozen=True)
class _Views:
    """Chosen for training copies: the largest rotation in degrees and the probability of a mirror."""

    rotation: float
    flip: float


def _views(run: _Run, *, sided: bool) -> _Views:
    """How far the labels allow copies to be turned, and whether to be mirrored.

    Args:
        sided: what is learned has a left and a right (keypoints have, boxes have not).
    """
    can_mirror = not mirror_problem(run.train.schema)
    rotation = rotation_from(run.train, mirrored=can_mirror)
    return _Views(rotation, 0.5 if can_mirror or not sided else 0.0)


def _filled(given: TaskConfig, architecture: str, count: int, *, steps: int, passes: int, views: _Views) -> TaskConfig:
    """The configuration with everything chosen that was left open."""
    if count == 0:
        raise TrainingError("no annotation has a box to learn from")
    epochs, per_epoch = choose_epochs(
        given.epochs, given.steps_per_epoch, given.step_size, count, steps=steps, passes=passes,
        least=1 if given.topdown.enabled else defaults.STEPS_PER_EPOCH,
    )  # fmt: skip
    optimizer, augment, topdown = given.optimizer, given.augment, given.topdown
    rate = optimizer.lr or LEARNING_RATES.get(architecture, DEFAULT_LEARNING_RATE)
    return msgspec.structs.replace(
        given,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        optimizer=msgspec.structs.replace(optimizer, lr=rate),
        augment=msgspec.structs.replace(
            augment,
            rotation=views.rotation if augment.rotation < 0 else augment.rotation,
            flip=views.flip if augment.flip < 0 else augment.flip,
        ),
        topdown=msgspec.structs.replace(topdown, flip=views.flip if topdown.flip < 0 else topdown.flip),
    )


def _known_detector(run: _Run) -> str | None:
    """What the pose checkpoint calls its detector; a file of the user's own is copied beside it."""
    if not run.config.detector:
        return None
    entry = find_model(run.config.detector)
    if entry.source == "embedded" or entry.file is None:
        return entry.id
    if not run.world.is_main:
        return DETECTOR
    write_atomically(run.out / DETECTOR, entry.file.read_bytes())
    return DETECTOR


def _resolved(config: TrainConfig) -> TrainConfig:
    """A copy with paths that hold wherever it is read from."""
    paths = {name: str(Path(value).absolute()) for name in PATHS
             if (value := getattr(config, name))}  # fmt: skip
    files = {name: str(Path(value).absolute()) for name in ("model", "detector", "schema", "weights")
             if (value := getattr(config, name)) and Path(value).exists()}  # fmt: skip
    return msgspec.structs.replace(config, **paths, **files)


def _set_aside(out: Path) -> dict[str, int]:
    """Make room for a new run where an earlier one is to be replaced: its states and log go, its models stay until new
    ones take their places.

    Returns:
        The models that stay, with the time at which they were written.
    """
    models = {}
    for name in (LOG_FILE, *RESULTS):
        file = out / name
        if name in (BEST, DETECTOR) and file.is_file():
            models[name] = file.stat().st_mtime_ns
        else:
            file.unlink(missing_ok=True)
    return models


def _remove_replaced(out: Path, earlier: dict[str, int]) -> None:
    """Take away models of the replaced run that the finished one did not write anew (a detector it does not need)."""
    new = any((out / n).is_file() and (out / n).stat().st_mtime_ns != earlier.get(n) for n in (BEST, DETECTOR))
    for name, written in earlier.items():
        if new and (out / name).is_file() and (out / name).stat().st_mtime_ns == written:
            (out / name).unlink()


def _name_detector(file: Path, detector: str) -> None:
    if not file.is_file():
        return
    info, state = load_checkpoint(file)
    if info.detector != detector:
        save_checkpoint(file, state, info.replace(detector=detector))


def _provenance(config: TrainConfig, phase: TrainTask, start: str) -> dict[str, Any]:
    return {
        "title": Path(config.out).name,
        "start": start if not Path(start).exists() else Path(start).name,
        "trained_on": Path(config.train).name,
        "train_instances": phase.train_count,
        "val_instances": phase.val_count,
        **({"recipe": config.recipe} if config.recipe else {}),
        MIRRORED: phase.config.mirrors,
        "metrics_on": "validation images" if phase.val_count else "training images",
        "seed": config.seed,
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "torch": str(torch.__version__),
    }
