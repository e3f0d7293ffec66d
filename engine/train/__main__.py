"""``python -m engine.train``: fine-tune a pose network, and a detector for what the known ones cannot find.

Exit status 0 also when the run was asked to stop (it has saved); 2 for bad input.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.cli import Parser, add_progress_option, run
from engine.contract.errors import PoseError, TrainingError
from engine.train.config import CONFIG_FILE, TrainConfig, check, read_config
from engine.train.process import prepare_process
from engine.train.report import Reporter


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m engine.train",
        description="Fine-tune on a COCO keypoint file. OUT gets best.safetensors, last.safetensors, log.jsonl, "
        "config.toml, and detector.safetensors for objects that the start detector does not know.",
        epilog="Ctrl+C, or a file OUT/stop, saves and stops; --resume goes on.",
    )
    add = made.add_argument
    add("--train", metavar="COCO.json", help="annotations to learn from")
    add("--images", metavar="DIR", help="their images (default: the folder of the file)")
    add("--val", metavar="COCO.json", help="annotations to validate on (default: a tenth of the images)")
    add("--val-images", metavar="DIR", help="their images (default: as --images)")
    add("--model", metavar="ID|FILE", help="start: a model of the list, a checkpoint, or resnet50|101|152")
    add("--weights", metavar="FILE|random", help="other weights for that architecture")
    add("--detector", metavar="ID|FILE", help="start of the detector")
    add("--out", metavar="DIR", help="folder for the results")
    add("--schema", metavar="NAME|FILE", help="the points (default: as the file's category says)")
    add(
        "--what",
        choices=("pose", "detector", "both"),
        help="default: both, unless the start detector knows the objects",
    )
    add("--config", metavar="FILE.toml", help="all settings; options on the command line win")
    add("--epochs", type=int, help="default: by the number of labels")
    add("--batch", type=int, help="instances a step")
    add("--lr", type=float, help="peak learning rate")
    add("--seed", type=int)
    add("--device", help="auto, cpu, cuda or mps")
    add("--resume", action="store_true", help="go on with the run in OUT")
    add_progress_option(made)
    return made


TOP = (
    "train",
    "images",
    "val",
    "val_images",
    "model",
    "weights",
    "detector",
    "out",
    "schema",
    "what",
    "seed",
    "device",
)


def main(arguments: Sequence[str]) -> int:
    """Run with these arguments; PoseError for bad input."""
    options = parser().parse_args(arguments)
    config = TrainConfig()
    kept = Path(options.out or ".") / CONFIG_FILE
    if options.config:
        config = read_config(options.config)
    elif options.resume and options.out and kept.is_file():
        config = read_config(kept)
    given = {name: value for name in TOP if (value := getattr(options, name)) is not None}
    config = msgspec.structs.replace(config, **given)
    _apply_schedule(config, options.epochs, options.batch, options.lr)
    if not config.out:
        raise TrainingError("say where the results go with --out DIR")
    if not config.train:
        raise TrainingError("say what to train on with --train COCO.json")
    check(config)
    if options.resume and not kept.is_file():
        raise TrainingError("there is no run to resume", where=config.out)
    reporter = Reporter(options.progress)
    try:
        prepare_process()
        from engine.train.run import run_training  # torch loads here, after the arguments are known to be good

        run_training(config, reporter, resume=options.resume)
    except PoseError as error:
        if options.progress == "json":
            reporter("error", message=str(error))
        raise
    finally:
        reporter.close()
    return 0


def _apply_schedule(config: TrainConfig, epochs: int | None, batch: int | None, lr: float | None) -> None:
    """``--epochs`` holds for both networks; batch and rate for the one that is meant: the pose network unless only the
    detector is trained."""
    if epochs is not None:
        if epochs < 1:
            raise TrainingError("--epochs must be at least 1")
        config.pose.epochs = config.detect.epochs = epochs
    phase = config.detect if config.what == "detector" else config.pose
    if batch is not None:
        phase.batch = batch
    if lr is not None:
        if not lr > 0:
            raise TrainingError("--lr must be above 0")
        phase.optimiser.lr = lr


def entry() -> int:
    """For ``--engine-train`` of the frozen program and for ``python -m``."""
    return run(main)


if __name__ == "__main__":
    raise SystemExit(entry())
