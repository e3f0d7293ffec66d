"""A whole training run, in the order in which it happens. Start reading at :func:`train`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.errors import PoseError, TrainingError
from engine.evaluate.model import LABELLED_BOXES, Conditions
from engine.inference.device import pick_device
from engine.models.catalog import ModelEntry, find_model
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.metadata import CheckpointInfo
from engine.models.mirroring import MIRRORED, mirror_problem
from engine.networks import variant_ids
from engine.schema.schema import Schema
from engine.train.batch_size import StepMemory, free_memory
from engine.train.config import CONFIG_FILE, TrainConfig, check_out, write_config
from engine.train.data.pose_crops import ImageCache
from engine.train.data.training_set import TrainingSet
from engine.train.distributed import ProcessGroup
from engine.train.initial_weights import initial_detector, initial_pose_network, initial_recipe_network
from engine.train.preflight import preflight
from engine.train.recipes import find_recipe
from engine.train.reporting import ProgressListener, Reporter, TensorBoardWriter
from engine.train.resolve import pose_step_memory, resolve, with_absolute_paths, with_tasks
from engine.train.run_folder import BEST, DETECTOR, LAST, LOG_FILE, RunRecord, StopRequest, open_run_folder, refusal
from engine.train.tasks.detector import DetectorTask
from engine.train.tasks.pose import PoseTask
from engine.train.tasks.task import TrainTask
from engine.train.tasks.topdown import TopDownTask
from engine.train.tasks.topdown_validation import EvaluationProtocol, for_other_points
from engine.train.trainer import Outcome, Trainer
from engine.utils.atomic_write import write_atomically
from engine.utils.command_line import BAD_INPUT
from engine.utils.context import Context
from engine.utils.skipped import Skipped, SkippedItem

log = logging.getLogger(__name__)

TASKS = {"pose": ("pose",), "detector": ("detector",), "both": ("pose", "detector")}
TENSORBOARD_FOLDER = "tensorboard"
GPU_WORKERS = 8
VALIDATION_BATCH = 32
DEFAULT_CACHE_MB = 1024

InitialNetwork = tuple[nn.Module, CheckpointInfo]


@dataclass(frozen=True)
class TrainResult:
    """What a run left.

    Attributes:
        out: the run's folder.
        outcome: "finished", "early" (no longer improving) or "interrupted" (asked to stop; ``resume`` goes on).
        best: checkpoint of the best epoch of the pose network, or of the detector where only that was trained.
        metrics: validation figures of that epoch by name; they begin with "train_" where no images were set aside.
        detector, detector_metrics: the same for the detector; None and {} where none was trained.
        skipped: images that could not be read.
    """

    out: Path
    outcome: Outcome
    best: Path
    metrics: dict[str, float]
    detector: Path | None = None
    detector_metrics: dict[str, float] = field(default_factory=dict)
    skipped: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True)
class _Data:
    """What is trained on and validated on, and what is wrong with it, in sentences."""

    train: TrainingSet
    val: TrainingSet | None
    findings: list[str]


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    report: Reporter | None = None,
    context: Context | None = None,
    group: ProcessGroup | None = None,
    skipped: Skipped | None = None,
) -> TrainResult:
    """Train what ``config`` asks for into ``config.out``; see ``python -m engine.train --help``.

    Args:
        resume: go on with the run in ``config.out``.
        overwrite: replace the run in ``config.out``; its best model stays until there is a better or a finished one.
        report: gets the events; None = nothing is printed.
        context: gets steps done and steps in all of the network being trained. Cancelling it saves and stops.
        group: the processes that train together, not yet connected; None = this one alone. All have the same
            ``config`` and see the same folders.
        skipped: gets the images that could not be read; the run goes on without them.

    Raises:
        PoseError: bad input; the message names the file and the record. Or another process is gone.
        SystemExit: in other processes than the first, if the first one reports the error.
    """
    if not config.out:
        raise TrainingError("name a folder for the results (out)")
    if not resume:
        check_out(config)
    group = group or ProcessGroup()
    reporter = report or Reporter("none")
    device = _prepare_device(config, group)
    group.start(device, config.silence)
    try:
        return _train(
            config,
            device,
            group,
            reporter,
            context,
            Skipped("images") if skipped is None else skipped,
            resume=resume,
            overwrite=overwrite,
        )
    except PoseError as error:
        group.tell_failure(error)
        if group.is_told_by_main():
            raise SystemExit(BAD_INPUT) from None
        raise
    finally:
        group.stop()
        if report is None:
            reporter.close()


def _train(
    config: TrainConfig,
    device: torch.device,
    group: ProcessGroup,
    report: Reporter,
    context: Context | None,
    skipped: Skipped,
    *,
    resume: bool,
    overwrite: bool,
) -> TrainResult:
    # Whatever can be wrong is found before anything of an earlier run is removed.
    out = Path(config.out).absolute()
    _refuse_occupied(out, group, resume=resume, overwrite=overwrite)
    data = _read_data(config, skipped, warn=group.is_main)
    if config.threads:
        torch.set_num_threads(config.threads)
    config = with_tasks(with_absolute_paths(config), data.train, device)
    torch.manual_seed(config.seed)
    pose = _initial_pose_network(config, data.train.schema) if "pose" in TASKS[config.what] else None
    detector = initial_detector(config.detector, data.train.categories) if "detector" in TASKS[config.what] else None
    memory = None if pose is None else pose_step_memory(config.pose, pose[1], device)
    config = resolve(
        config,
        data.train,
        pose=pose and pose[1],
        detector=detector and detector[1],
        memory=memory,
        processes=group.size,
        device=device,
    )
    protocol = None
    if pose is not None and config.pose.topdown.enabled:
        protocol = _evaluation_protocol(config, pose[1], data, group)

    outcome: Outcome = "finished"
    best: dict[str, dict[str, Any]] = {}
    with _open_run(config, report, context, data.findings, group, resume=resume) as (record, stop):
        for part, what in enumerate(TASKS[config.what], 1):
            task: TrainTask
            cache_bytes = _cache_bytes(config, device, memory)
            if what == "pose":
                assert pose is not None
                task = _pose_task(config, pose, data, protocol, ImageCache(cache_bytes, skipped=skipped), group)
            else:
                assert detector is not None
                task = DetectorTask(*detector, config.detect, data.train, data.val, cache_bytes, out, skipped)
            trainer = Trainer(
                task,
                seed=config.seed,
                device=device,
                workers=_workers(config, device),
                report=report,
                stop=stop,
                provenance=_provenance(config, task),
                group=group,
                part=(part, len(TASKS[config.what])),
            )
            if resume and _has_state(task, group):
                trainer.resume()
            outcome = trainer.run()
            best[what] = trainer.state.best
            if outcome == "interrupted":
                break
        if record is not None and "pose" in best and "detector" in best and (out / DETECTOR).is_file():
            for name in (BEST, LAST):
                _set_detector(out / name, DETECTOR)
        _report_end(report, out, best, outcome, skipped, group)
        if record is not None:
            record.finish(outcome)
    return _result(out, outcome, best, skipped)


# Before training.


def _prepare_device(config: TrainConfig, group: ProcessGroup) -> torch.device:
    """Where this process trains; on several GPUs each process has its own."""
    device = pick_device(config.device)
    if device.type != "cuda":
        return device
    if group.size > 1:
        device = pick_device(f"cuda:{group.local_rank}")
    torch.cuda.set_device(device)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = not config.deterministic  # all batches have one size
    return device


def _refuse_occupied(out: Path, group: ProcessGroup, *, resume: bool, overwrite: bool) -> None:
    reason = group.from_main(refusal(out, resume=resume, overwrite=overwrite) if group.is_main else "")
    if reason:
        raise TrainingError(reason, where=out)


def _read_data(config: TrainConfig, skipped: Skipped, *, warn: bool) -> _Data:
    checked = preflight(config, variant_ids())
    if checked.errors or checked.train is None:
        raise TrainingError(checked.errors[0])
    skipped.extend(checked.skipped)
    if warn:
        for warning in checked.warnings:
            log.warning("%s", warning)
    return _Data(checked.train, checked.val, checked.findings)


def _initial_pose_network(config: TrainConfig, schema: Schema) -> InitialNetwork:
    if config.recipe and config.model == config.recipe:
        return initial_recipe_network(find_recipe(config.recipe), config.weights, schema)
    return initial_pose_network(config.model, config.weights, schema)


def _evaluation_protocol(
    config: TrainConfig, info: CheckpointInfo, data: _Data, group: ProcessGroup
) -> EvaluationProtocol:
    """How a top-down model is measured: as its recipe says, on the validation set or else on training images."""
    measured = data.val or data.train
    entry = ModelEntry(config.model, "", "pose", info.architecture, None, info.input_size, measured.schema.name)
    if config.recipe:
        entry = for_other_points(find_recipe(config.recipe), measured.schema)
    folder = config.val_images if config.val and config.val_images else config.images
    flip_test = config.pose.flip_test and config.pose.topdown.flip != 0 and not mirror_problem(measured.schema)
    conditions = Conditions(
        boxes=config.val_boxes if config.val_boxes and data.val is not None else LABELLED_BOXES,
        flip_test=flip_test,
        batch=min(config.pose.batch, VALIDATION_BATCH),
    )
    return EvaluationProtocol.of(
        entry,
        measured,
        Path(folder) if folder else measured.file.parent,
        validation_part=data.val is not None,
        conditions=conditions,
        select=config.pose.select,
        group=group,
    )


# The run's folder and its tasks.


@contextmanager
def _open_run(
    config: TrainConfig,
    report: Reporter,
    context: Context | None,
    findings: list[str],
    group: ProcessGroup,
    *,
    resume: bool,
) -> Iterator[tuple[RunRecord | None, StopRequest]]:
    """Lock the folder and write the configuration and the log into it; only the first process does, and has the record
    of the run. All of them listen for a request to stop."""
    out = Path(config.out)
    with open_run_folder(out, resume=resume) if group.is_main else nullcontext() as record:
        if record is not None:
            report.log_to(out / LOG_FILE)
            if config.tensorboard:
                report.add_listener(TensorBoardWriter(out / TENSORBOARD_FOLDER))
            if context is not None:
                report.add_listener(ProgressListener(context))
            if findings:
                report("findings", texts=findings)
            write_config(config, out / CONFIG_FILE)
        group.barrier()
        with StopRequest(out, context) as stop:
            yield record, stop


def _pose_task(
    config: TrainConfig,
    initial: InitialNetwork,
    data: _Data,
    protocol: EvaluationProtocol | None,
    cache: ImageCache,
    group: ProcessGroup,
) -> TrainTask:
    network, info = initial
    out = Path(config.out)
    detector = _detector_of_model(config, group) if config.what == "pose" else None
    info = info.replace(categories=list(data.train.categories), detector=detector)
    if protocol is not None:
        return TopDownTask(network, info, config.pose, data.train, protocol, cache, out)
    return PoseTask(network, info, config.pose, data.train, data.val, cache, out)


def _detector_of_model(config: TrainConfig, group: ProcessGroup) -> str | None:
    """The detector that the pose checkpoint names; a file of the user's own is copied beside the checkpoint."""
    if not config.detector:
        return None
    entry = find_model(config.detector)
    if entry.source == "embedded" or entry.file is None:
        return entry.id
    if group.is_main:
        write_atomically(Path(config.out) / DETECTOR, entry.file.read_bytes())
    return DETECTOR


def _workers(config: TrainConfig, device: torch.device) -> int:
    if config.workers >= 0:
        return config.workers
    if device.type == "cpu":
        return 0
    cores = (os.cpu_count() or 1) // _processes_of_this_computer()
    return max(1, min(GPU_WORKERS, cores))


def _cache_bytes(config: TrainConfig, device: torch.device, step: StepMemory | None) -> int:
    """For decoded images: as configured, else half of this process' share of the free memory."""
    if config.cache_mb >= 0:
        return config.cache_mb << 20
    free = free_memory(torch.device("cpu")) or (2 * DEFAULT_CACHE_MB << 20)
    if device.type == "cpu" and step is not None:
        free -= step.of(config.pose.batch)
    return max(0, free) // 2 // _processes_of_this_computer()


def _processes_of_this_computer() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _has_state(task: TrainTask, group: ProcessGroup) -> bool:
    exists = group.gathered(task.state_file.is_file())
    if any(exists) and not all(exists):
        raise TrainingError("only some of the processes find the state of the run", where=task.state_file)
    return all(exists)


def _provenance(config: TrainConfig, task: TrainTask) -> dict[str, Any]:
    start = config.model if task.what == "pose" else config.detector
    return {
        "title": Path(config.out).name,
        "start": start if not Path(start).exists() else Path(start).name,
        "trained_on": Path(config.train).name,
        "train_instances": task.train_count,
        "val_instances": task.val_count,
        **({"recipe": config.recipe} if config.recipe else {}),
        MIRRORED: task.config.mirrors,
        "metrics_on": "validation images" if task.val_count else "training images",
        "seed": config.seed,
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "torch": str(torch.__version__),
    }


# After training.


def _set_detector(checkpoint: Path, detector: str) -> None:
    """Name the detector in the description of a pose checkpoint."""
    if not checkpoint.is_file():
        return
    info, weights = load_checkpoint(checkpoint)
    if info.detector != detector:
        save_checkpoint(checkpoint, weights, info.replace(detector=detector))


def _report_end(
    report: Reporter,
    out: Path,
    best: dict[str, dict[str, Any]],
    outcome: Outcome,
    skipped: Skipped,
    group: ProcessGroup,
) -> None:
    for records in group.gathered(skipped.records()):
        for record in records:
            skipped.add(record["where"], record["reason"])
    if len(skipped):
        report("skipped", what=skipped.what, count=len(skipped), items=skipped.records())
    main = best.get("pose") or best.get("detector") or {}
    report("done", best=main, detector=best.get("detector"), out=str(out), stopped=outcome)


def _result(out: Path, outcome: Outcome, best: dict[str, dict[str, Any]], skipped: Skipped) -> TrainResult:
    def metrics_of(what: str) -> dict[str, float]:
        ignored = ("epoch", "val_loss")
        return {name: value for name, value in best.get(what, {}).items() if name not in ignored}

    main = "pose" if "pose" in best else "detector"
    return TrainResult(
        out=out,
        outcome=outcome,
        best=out / (BEST if main == "pose" else DETECTOR),
        metrics=metrics_of(main),
        detector=out / DETECTOR if "detector" in best else None,
        detector_metrics=metrics_of("detector"),
        skipped=tuple(skipped),
    )
