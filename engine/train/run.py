"""A whole run: preflight, the pose network, the detector where one is needed, and the files they leave."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.checkpoint_info import CheckpointInfo
from engine.contract.errors import TrainingError
from engine.detector import Detector
from engine.device import pick_device
from engine.train import config as defaults
from engine.train import detector as boxes
from engine.train import pose as poses
from engine.train.augment import rotation_for
from engine.train.config import CONFIG_FILE, PhaseConfig, TrainConfig, write_config
from engine.train.dataset import ImageCache
from engine.train.files import write_atomically
from engine.train.instances import TrainingSet
from engine.train.loop import Outcome, Trainer
from engine.train.order import choose_epochs
from engine.train.phase import Phase
from engine.train.preflight import preflight
from engine.train.report import Reporter
from engine.train.start import DEFAULT_LEARNING_RATE, LEARNING_RATES, detector_start, knows_category, pose_start
from engine.train.stop import StopRequest
from engine.zoo import find_model

log = logging.getLogger(__name__)

LOG_FILE = "log.jsonl"
GPU_WORKERS = 4
PERSON = ("person",)


@dataclass
class _Run:
    """What the parts of a run share."""

    config: TrainConfig
    pose_start: tuple[nn.Module, CheckpointInfo] | None
    train: TrainingSet
    val: TrainingSet | None
    out: Path
    device: torch.device
    report: Reporter
    stop: StopRequest
    resume: bool

    def trainer(self, phase: Phase, start: str) -> Trainer:
        workers = self.config.workers
        if workers < 0:
            workers = 0 if self.device.type == "cpu" else GPU_WORKERS
        return Trainer(
            phase,
            seed=self.config.seed,
            device=self.device,
            workers=workers,
            report=self.report,
            stop=self.stop,
            provenance=_provenance(self.config, phase, start),
        )


def run_training(config: TrainConfig, report: Reporter, *, resume: bool = False) -> Outcome:
    """Train what ``config`` asks for into ``config.out``; see ``python -m engine.train --help``.

    Raises:
        PoseError: bad input; the message names the file and the record.
    """
    device = pick_device(config.device)
    found = preflight(config)
    if found.errors or found.train is None:
        raise TrainingError(found.errors[0])
    for warning in found.warnings:
        log.warning("%s", warning)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config = _resolved(config)
    # Whatever can be wrong with the start is found before anything of an earlier run is taken away.
    start = None if config.what == "detector" else pose_start(config.model, config.weights, found.train.schema)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        _clear(out)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # all batches have one size
    report.log_to(out / LOG_FILE)
    with StopRequest(out) as stop:
        run = _Run(config, start, found.train, found.val, out, device, report, stop, resume)
        return _train(run)


def _train(run: _Run) -> Outcome:
    config, best = run.config, {}
    what = config.what
    if not what:
        what = "both" if _needs_detector(run) else "pose"
        config.what = what  # recorded, so that a resumed run does the same
    write_config(config, run.out / CONFIG_FILE)
    outcome: Outcome = "finished"
    if what != "detector":
        outcome, best["pose"] = _train_pose(run)
    if what != "pose" and (outcome != "interrupted" or what == "detector"):
        outcome, best["detector"] = _train_detector(run)
    if what == "both" and (run.out / boxes.BEST).is_file():
        for name in (poses.BEST, poses.LAST):
            _name_detector(run.out / name, boxes.BEST)
    main = best.get("pose") or best.get("detector") or {}
    run.report("done", best=main, detector=best.get("detector"), out=str(run.out), stopped=outcome)
    return outcome


def _train_pose(run: _Run) -> tuple[Outcome, dict[str, Any]]:
    assert run.pose_start is not None
    network, info = run.pose_start
    phase_config = _filled(
        run.config.pose,
        info.architecture,
        len(run.train.instances),
        steps=defaults.POSE_STEPS,
        passes=defaults.POSE_PASSES,
        turns=rotation_for(run.train.categories[0]),
    )
    run.config.pose = phase_config
    write_config(run.config, run.out / CONFIG_FILE)
    detector = _known_detector(run) if run.config.what == "pose" else None
    info = info.replace(categories=list(run.train.categories), detector=detector)
    cache = ImageCache(run.config.cache_mb << 20)
    phase = poses.PosePhase(network, info, phase_config, run.train, run.val, cache, run.out)
    return _go(run, phase, run.config.model)


def _train_detector(run: _Run) -> tuple[Outcome, dict[str, Any]]:
    network, info = detector_start(run.config.detector, run.train.categories)
    phase_config = _filled(
        run.config.detect,
        info.architecture,
        sum(len(image.boxes) > 0 for image in run.train.images),
        steps=defaults.DETECTOR_STEPS,
        passes=defaults.DETECTOR_PASSES,
        turns=rotation_for(run.train.categories[0]),
    )
    run.config.detect = phase_config
    write_config(run.config, run.out / CONFIG_FILE)
    phase = boxes.DetectorPhase(network, info, phase_config, run.train, run.val, run.config.cache_mb << 20, run.out)
    return _go(run, phase, run.config.detector)


def _go(run: _Run, phase: Phase, start: str) -> tuple[Outcome, dict[str, Any]]:
    trainer = run.trainer(phase, start)
    if run.resume and phase.state_file.is_file():
        trainer.resume()
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


def _filled(given: PhaseConfig, architecture: str, count: int, *, steps: int, passes: int, turns: float) -> PhaseConfig:
    """The configuration with everything chosen that was left open."""
    if count == 0:
        raise TrainingError("no annotation has a box to learn from")
    epochs, per_epoch = choose_epochs(
        given.epochs, given.steps_per_epoch, given.batch, count, steps=steps, passes=passes,
        least=defaults.STEPS_PER_EPOCH,
    )  # fmt: skip
    optimiser, augment = given.optimiser, given.augment
    rate = optimiser.lr or LEARNING_RATES.get(architecture, DEFAULT_LEARNING_RATE)
    return msgspec.structs.replace(
        given,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        optimiser=msgspec.structs.replace(optimiser, lr=rate),
        augment=msgspec.structs.replace(augment, rotation=turns if augment.rotation < 0 else augment.rotation),
    )


def _known_detector(run: _Run) -> str:
    """What the pose checkpoint calls its detector; a file of the user's own is copied beside it."""
    entry = find_model(run.config.detector)
    if entry.source == "embedded" or entry.file is None:
        return entry.id
    write_atomically(run.out / boxes.BEST, entry.file.read_bytes())
    return boxes.BEST


def _resolved(config: TrainConfig) -> TrainConfig:
    """A copy with paths that hold wherever it is read from."""
    paths = {name: str(Path(value).absolute()) for name in ("train", "images", "val", "val_images", "out")
             if (value := getattr(config, name))}  # fmt: skip
    files = {name: str(Path(value).absolute()) for name in ("model", "detector", "schema", "weights")
             if (value := getattr(config, name)) and Path(value).exists()}  # fmt: skip
    return msgspec.structs.replace(config, **paths, **files)


def _clear(out: Path) -> None:
    """Take away what an earlier run into the same folder left; another start must not be mixed with it."""
    for name in (LOG_FILE, poses.BEST, poses.LAST, poses.STATE, boxes.BEST, boxes.LAST, boxes.STATE):
        (out / name).unlink(missing_ok=True)


def _name_detector(file: Path, detector: str) -> None:
    if not file.is_file():
        return
    info, state = load_checkpoint(file)
    if info.detector != detector:
        save_checkpoint(file, state, info.replace(detector=detector))


def _provenance(config: TrainConfig, phase: Phase, start: str) -> dict[str, Any]:
    return {
        "title": Path(config.out).name,
        "start": start if not Path(start).exists() else Path(start).name,
        "trained_on": Path(config.train).name,
        "train_instances": phase.train_count,
        "val_instances": phase.val_count,
        "metrics_on": "validation images" if phase.val_count else "training images",
        "seed": config.seed,
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "torch": str(torch.__version__),
    }
