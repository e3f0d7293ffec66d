"""The training loop: epochs of steps, validation, checkpoints, exact resume.

    trainer = Trainer(task, seed=0, device=device, workers=2, report=reporter, stop=stop, provenance={})
    if resume: trainer.resume()
    outcome = trainer.run()

``task.state_file`` holds all that a run needs to go on: network, optimizer, gradient scaler, random state and
:class:`TrainState`. It is written after each epoch, and in the middle of one when the run is asked to stop.

Several processes (:mod:`engine.train.distributed`) take their shares of each step and have the same weights throughout.
Statistics of batch normalization are each process' own within an epoch, like those of a single batch; they are averaged
before validation and saving. The first process writes the files.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.errors import MediaError, TrainingError
from engine.models.checkpoint import save_checkpoint
from engine.train.data.prefetch import prepared
from engine.train.data.sampler import epoch_batches
from engine.train.distributed import ProcessGroup, data_parallel
from engine.train.optimizer import WeightAverage, build_optimizer, learning_rate, set_learning_rate
from engine.train.reporting import Reporter
from engine.train.run_folder import StopRequest
from engine.train.tasks.task import Batch, TrainTask, Validation
from engine.utils.atomic_write import write_atomically

Outcome = Literal["finished", "early", "interrupted"]

MAX_LISTED_IDS = 16


@dataclass
class TrainState:
    """How far a run has come. Saved with these names.

    Attributes:
        epoch: complete epochs. step: steps done of the next one, loss_sum: the sum of their losses.
        lowest: lowest validation error so far.
        since_best: validations since the last one that counted as best.
        best: epoch, val_loss and metrics of the weights in ``task.best_file``.
        seconds: time spent in training steps.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    lowest: float = math.inf
    since_best: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Trainer:
    """Trains the network of one task.

    Args:
        task: network, data and loss; ``task.config`` is resolved: epochs, steps and rates are above 0.
        seed: of the order of samples and of every random change.
        device: where the network is trained.
        workers: threads that prepare batches; 0 = none.
        report: gets the events.
        stop: true once the run is to stop.
        provenance: goes into the checkpoints.
        group: the processes that train together; None = this one alone.
        part: number of this task in the run, from 1, and how many tasks the run has.
    """

    def __init__(
        self,
        task: TrainTask,
        *,
        seed: int,
        device: torch.device,
        workers: int,
        report: Reporter,
        stop: StopRequest,
        provenance: Mapping[str, Any],
        group: ProcessGroup | None = None,
        part: tuple[int, int] = (1, 1),
    ) -> None:
        self.task = task
        self.state = TrainState()
        self._part = part
        self._group = group or ProcessGroup()
        self._seed = seed
        self._device = device
        self._workers = workers
        self._report = report
        self._stop = stop
        self._provenance = provenance
        config = task.config
        task.network.to(device)
        self._optimizer = build_optimizer(task.network.parameters(), config.optimizer)
        self._dtype = autocast_type(config.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._average = WeightAverage(task.network, config.ema) if config.ema else None
        self._total_steps = config.epochs * config.steps_per_epoch
        self._batches_per_step = max(1, config.step_size // (max(1, config.batch) * self._group.size))
        if config.compile:
            task.network.compile()
        self._objective: nn.Module = Objective(task)
        if self._group.size > 1:
            self._objective = data_parallel(self._objective, device)
        self._any_process_stops = False

    def run(self) -> Outcome:
        """Train to the end, until asked to stop ("interrupted"), or until patience is spent ("early").

        Raises:
            TrainingError: the loss is not a number, or another process is gone; then the state is saved first.
        """
        try:
            return self._run()
        except RuntimeError as error:
            lost_process = self._group.reason(error)
            if lost_process is None:
                raise
            if self._group.is_main:
                self._write_state()
            raise lost_process from None

    def _run(self) -> Outcome:
        config = self.task.config
        self._report_start()
        while self.state.epoch < config.epochs:
            if config.patience and self.state.since_best >= config.patience:
                return "early"
            if not self._train_epoch():
                self._save_interrupted()
                return "interrupted"
            self._finish_epoch()
        return "finished"

    # One epoch.

    def _train_epoch(self) -> bool:
        """Do the remaining steps of the current epoch; False if a stop was asked for."""
        state, config = self.state, self.task.config
        self._set_training_mode()
        started, first_step = time.perf_counter(), state.step
        with closing(prepared(self._make_batch, self._remaining_batches(), self._workers)) as batches:
            for step_batches in _chunks(batches, self._batches_per_step):
                if self._should_stop():
                    return False
                step = state.epoch * config.steps_per_epoch + state.step
                rate = learning_rate(step, self._total_steps, config.optimizer, config.steps_per_epoch)
                loss = self._train_step(step_batches, rate)
                state.loss_sum += loss
                state.step += 1
                self._report_step(loss, rate, (time.perf_counter() - started) / (state.step - first_step))
        state.seconds += time.perf_counter() - started
        return True

    def _finish_epoch(self) -> None:
        """Validate if it is due, save, report."""
        state, config = self.state, self.task.config
        self._average_buffers()
        epoch = state.epoch + 1
        is_due = epoch % config.validate_every == 0 or epoch == config.epochs
        validation = self._validate() if is_due else None
        train_loss = state.loss_sum / config.steps_per_epoch
        state.epoch, state.step, state.loss_sum = epoch, 0, 0.0
        is_best = validation is not None and self._note_validation(validation)
        metrics = {} if validation is None else validation.metrics
        self._save(metrics, is_best=is_best)
        self._report(
            "epoch",
            what=self.task.what,
            epoch=epoch,
            train_loss=train_loss,
            val_loss=math.nan if validation is None else validation.loss,
            metrics=metrics,
            best=is_best,
            lr=self._optimizer.param_groups[0]["lr"],
            seconds=round(state.seconds, 1),
        )

    def _validate(self) -> Validation:
        """The same result in all processes, whichever of them measured it."""
        self.task.network.eval()
        validation: Validation | None = None
        if self.task.validates_together or self._group.is_main:
            with torch.inference_mode(), self._averaged_weights():
                validation = self.task.validate()
        validation = self._group.from_main(validation)
        assert validation is not None
        return validation

    def _note_validation(self, validation: Validation) -> bool:
        """Whether the epoch is the best so far, or as good as the best within the uncertainty of the measurement."""
        state = self.state
        is_best = validation.error <= min(state.lowest, validation.error) * (1 + validation.slack)
        state.lowest = min(state.lowest, validation.error)
        state.since_best = 0 if is_best else state.since_best + 1
        if is_best:
            state.best = {"epoch": state.epoch, "val_loss": validation.loss, **validation.metrics}
        return is_best

    # One step.

    def _train_step(self, batches: Sequence[Batch], rate: float) -> float:
        """One update of the weights from this process' batches; the mean loss over all processes."""
        config = self.task.config
        set_learning_rate(self._optimizer, rate)
        self._optimizer.zero_grad(set_to_none=True)
        mean_loss = 0.0
        for index, batch in enumerate(batches):
            is_last = index == len(batches) - 1
            mean_loss += self._add_gradients(batch, len(batches), is_last=is_last) / len(batches)
        if config.optimizer.grad_norm:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.task.network.parameters(), config.optimizer.grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._average is not None:
            self._average.update()
        return mean_loss

    def _add_gradients(self, batch: Batch, batches_per_step: int, *, is_last: bool) -> float:
        """Forward and backward pass of one batch; its loss over all processes, which exchange gradients with the last
        batch of a step only."""
        tensors = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.tensors.items()}
        skips_exchange = isinstance(self._objective, DistributedDataParallel) and not is_last
        with self._objective.no_sync() if skips_exchange else nullcontext():
            with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
                loss = self._objective(tensors)
            mean_loss = self._mean_over_processes(loss.detach(), batch)
            self._scaler.scale(loss / batches_per_step).backward()
        return mean_loss

    def _mean_over_processes(self, loss: Tensor, batch: Batch) -> float:
        """The mean loss; with it the processes also agree whether to stop.

        Raises:
            TrainingError: in all processes, if the loss of one of them is not a finite number.
        """
        own = mean = float(loss)
        if self._group.size > 1:
            sums = torch.tensor([own, float(bool(self._stop))], dtype=torch.float64, device=self._device)
            total, stopping = self._group.summed(sums).tolist()
            mean, self._any_process_stops = total / self._group.size, stopping > 0
        if not math.isfinite(mean):
            own_ids = [] if math.isfinite(own) else batch.ids
            ids = [id for process_ids in self._group.gathered(own_ids) for id in process_ids]
            raise TrainingError(
                f"the loss is no longer a number (epoch {self.state.epoch + 1}, step {self.state.step + 1}); "
                f"look at the annotations {_listed(ids)}, or lower the learning rate"
            )
        return mean

    def _should_stop(self) -> bool:
        """Several processes stop after the same step: they agreed on it with the loss of the last one."""
        return self._any_process_stops if self._group.size > 1 else bool(self._stop)

    def _set_training_mode(self) -> None:
        self.task.network.train()
        if self.task.config.freeze_norms:
            for module in self.task.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    # Data.

    def _remaining_batches(self) -> Iterator[list[tuple[int, np.random.Generator]]]:
        """(sample index, its random generator) for each sample of this process' batches in the rest of the epoch."""
        config, state, group = self.task.config, self.state, self._group
        return epoch_batches(
            self.task.train_count,
            config.steps_per_epoch,
            config.step_size,
            self._seed,
            state.epoch,
            state.step,
            batch=config.step_size // (self._batches_per_step * group.size),
            rank=group.rank,
            processes=group.size,
        )

    def _make_batch(self, samples: list[tuple[int, np.random.Generator]]) -> Batch:
        batch = self.task.collate([self._sample(index, rng) for index, rng in samples])
        if self._device.type != "cuda":
            return batch
        # From pinned memory the copy to the GPU runs beside the computation.
        return Batch({name: tensor.pin_memory() for name, tensor in batch.tensors.items()}, batch.ids)

    def _sample(self, index: int, rng: np.random.Generator) -> Any:
        """A sample; if its image cannot be read, the next one whose image can. That depends on nothing but the files,
        so a resumed run has the same samples.

        Raises:
            TrainingError: no image can be read.
        """
        count = self.task.train_count
        for offset in range(count):
            try:
                return self.task.sample((index + offset) % count, rng)
            except MediaError as error:
                last_error = error
        raise TrainingError(
            f"no training image can be read; the last one: {last_error.message}", where=last_error.where
        )

    # Checkpoints and state.

    def _averaged_weights(self) -> AbstractContextManager[None]:
        """Within the block the network has the moving average of its weights, if there is one."""
        return nullcontext() if self._average is None else self._average.applied()

    def _average_buffers(self) -> None:
        self._group.averaged([b for b in self.task.network.buffers() if b.is_floating_point()])

    def _save_interrupted(self) -> None:
        self._average_buffers()
        self._save(self.state.best, is_best=not self.task.best_file.exists())

    def _save(self, metrics: Mapping[str, Any], *, is_best: bool) -> None:
        if not self._group.is_main:
            return
        task = self.task
        provenance = {**self._provenance, "epoch": self.state.epoch, "steps_of_next_epoch": self.state.step}
        info = task.describe({name: value for name, value in metrics.items() if name != "epoch"}, provenance)
        with self._averaged_weights():
            weights = task.network.state_dict()
            save_checkpoint(task.last_file, weights, info)
            if is_best:
                save_checkpoint(task.best_file, weights, info)
        self._write_state()
        self._report("saved", what=task.what, file=str(task.best_file if is_best else task.last_file))

    def _write_state(self) -> None:
        """The keys are those of version 0.1, so that its runs can be resumed."""
        buffer = io.BytesIO()
        torch.save(
            {
                "fingerprint": self.task.fingerprint,
                "place": asdict(self.state),
                "network": self.task.network.state_dict(),
                "optimiser": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "mean": None if self._average is None else self._average.state(),
                "torch_rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all() if self._device.type == "cuda" else [],
            },
            buffer,
        )
        write_atomically(self.task.state_file, buffer.getvalue())

    def resume(self) -> None:
        """Go on from ``task.state_file``.

        Raises:
            TrainingError: the file is missing or damaged, or the data or the network are not those of the run.
        """
        file = self.task.state_file
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
        except OSError as error:
            raise TrainingError(f"nothing to resume ({error.strerror})", where=file) from None
        except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            raise TrainingError("the saved state is damaged; start a new run in another folder", where=file) from None
        if saved["fingerprint"] != self.task.fingerprint:
            raise TrainingError(
                "annotations, schema or model are not those of the run to resume; train into another folder",
                where=file,
            )
        self.state = TrainState(**saved["place"])
        self.task.network.load_state_dict(saved["network"])
        self._optimizer.load_state_dict(saved["optimiser"])
        self._scaler.load_state_dict(saved["scaler"])
        if self._average is not None and saved.get("mean"):
            self._average.load(saved["mean"])
        torch.set_rng_state(saved["torch_rng"])
        if self._device.type == "cuda" and len(saved["cuda_rng"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(saved["cuda_rng"])

    # Events.

    def _report_start(self) -> None:
        task, config = self.task, self.task.config
        self._report(
            "start",
            what=task.what,
            part=self._part[0],
            parts=self._part[1],
            epochs=config.epochs,
            steps_per_epoch=config.steps_per_epoch,
            device=str(self._device),
            train_instances=task.train_count,
            val_instances=task.val_count,
            batch=config.batch,
            total_batch=config.step_size,
            processes=self._group.size,
            mirrored_copies=config.mirrors,
            rotation=config.topdown.rotation if config.topdown.enabled else config.augment.rotation,
            resumed_at=self.state.epoch * config.steps_per_epoch + self.state.step,
        )

    def _report_step(self, loss: float, rate: float, seconds_per_step: float) -> None:
        config = self.task.config
        steps_done = self.state.epoch * config.steps_per_epoch + self.state.step
        self._report(
            "step",
            what=self.task.what,
            epoch=self.state.epoch + 1,
            step=steps_done,
            total_steps=self._total_steps,
            loss=loss,
            lr=rate,
            images_per_second=round(config.step_size / seconds_per_step, 2),
            seconds_left=round((self._total_steps - steps_done) * seconds_per_step, 1),
        )


class Objective(nn.Module):
    """The loss of a task as a module: what ``DistributedDataParallel`` wraps is a module."""

    def __init__(self, task: TrainTask) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        return self._loss(tensors)


def autocast_type(precision: str, device: torch.device) -> torch.dtype:
    """Number type of the forward pass; "auto" is 16 bits on CUDA."""
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" else "float32"
    return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _chunks(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of ``size`` batches."""
    iterator = iter(batches)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _listed(ids: Sequence[int | str]) -> str:
    shown = ", ".join(str(id) for id in dict.fromkeys(ids[:MAX_LISTED_IDS]))
    return shown + (", ..." if len(ids) > MAX_LISTED_IDS else "")
