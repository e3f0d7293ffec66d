"""``python -m engine.train``: train a published recipe, or fine-tune a network, and a detector for new objects.

On several graphics cards or computers: ``torchrun --nproc-per-node N -m engine.train ...`` with the same options.
Exit status 0 also when the run was asked to stop (it has saved); 2 for bad input, or when another process vanished.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.errors import PoseError, TrainingError
from engine.train.config import (
    AUTO_BATCH,
    CONFIG_FILE,
    TaskConfig,
    TrainConfig,
    check,
    config_text,
    read_config,
    with_settings,
)
from engine.train.recipes import find_recipe, with_data, with_recipe
from engine.train.reporting import Reporter
from engine.utils.atomic_write import OUT_FILES
from engine.utils.command_line import Parser, add_progress_option, run
from engine.utils.outputs import check_outputs
from engine.utils.process import prepare_process
from engine.utils.skipped import Skipped, add_strict_option


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m engine.train",
        description="Fine-tune on a COCO keypoint file, or train by a published recipe. OUT gets best.safetensors, "
        "last.safetensors, log.jsonl, config.toml, and detector.safetensors for objects that the start detector does "
        "not know.",
        epilog="Ctrl+C, or a file OUT/stop, saves and stops; --resume goes on. On several cards or computers: torchrun "
        "--nproc-per-node N -m engine.train with the same options.",
    )
    add = made.add_argument
    add("--recipe", metavar="ID", help="train as this published model was; all other options change the recipe")
    add("--data", metavar="DIR", help="with --recipe: the data set's folder in its own layout")
    add("--train", metavar="COCO.json", help="annotations to learn from")
    add("--images", metavar="DIR", help="their images (default: the folder of the file)")
    add("--extra", metavar="FILE", help="more annotations of the same points, or of AI Challenger beside COCO")
    add("--extra-images", metavar="DIR", help="their images (default: the folder of the file)")
    add("--val", metavar="COCO.json", help="annotations to validate on (default: a tenth of the images)")
    add("--val-images", metavar="DIR", help="their images (default: as --images)")
    add("--val-boxes", metavar="FILE", help="with --recipe: detected boxes to validate in (default: the labelled ones)")
    add("--model", metavar="ID|FILE", help="start: a model of the list, a checkpoint, or resnet50|101|152")
    add(
        "--weights",
        metavar="FILE|random|published",
        help="other weights for that architecture (recipes: by default those of the classifier the publication began "
        "with; published = the model's own)",
    )
    add("--detector", metavar="ID|FILE", help="start of the detector")
    add("--out", metavar="DIR", help="folder for the results")
    add("--schema", metavar="NAME|FILE", help="the points (default: as the file's category says)")
    add(
        "--what",
        choices=("pose", "detector", "both"),
        help="default: both, unless the start detector knows the objects",
    )
    add("--config", metavar="FILE.toml", help="all settings; options on the command line win")
    add("--set", metavar="NAME=VALUE", action="append", default=[], help="one setting, as pose.optimizer.gamma=0.2")
    add("--print-config", action="store_true", help="only write all settings as TOML to standard output")
    add("--seed", type=int)
    add("--device", help="auto, cpu, cuda or mps")
    add("--workers", type=int, metavar="N", help="threads that prepare batches (default: up to 8 beside a card)")
    add("--deterministic", action="store_true", default=None, help="the same digits each time, also on cards")
    add("--tensorboard", action="store_true", default=None, help="also write OUT/tensorboard")
    add("--resume", action="store_true", help="go on with the run in OUT")
    add(
        "--overwrite",
        action="store_true",
        help="replace the run in OUT; its best model stays there until the new run has one (default: refuse)",
    )
    add_strict_option(made)
    add_progress_option(made)
    _add_schedule(made.add_argument_group("training of the network that is meant: of points, unless --what detector"))
    return made


def _add_schedule(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=int, help="of both networks (default: by the number of labels, or the recipe's)")
    add("--batch", type=_batch, metavar="N|auto", help="instances at once, in each process; auto = as many as fit")
    add("--accumulate", type=int, metavar="N", help="batches a step (recipes: as many as make the published step)")
    add("--lr", type=float, help="peak learning rate")
    add("--auto-scale-lr", action="store_true", help="recipes: in proportion to the instances a step")
    add("--validate-every", type=int, metavar="N", help="epochs")
    add("--precision", choices=("auto", "float32", "bf16", "fp16"), help="auto = fp16 on CUDA (recipes: float32)")
    add("--ema", type=float, metavar="X", help="validate and keep a running mean of the weights, such as 0.9998")
    add("--compile", action=argparse.BooleanOptionalAction, help="torch.compile the network")
    add("--channels-last", action=argparse.BooleanOptionalAction, help="memory layout (default: yes)")
    add(
        "--flip-test",
        action=argparse.BooleanOptionalAction,
        help="recipes: validate with mirrored crops too",
    )


TOP = (
    "train",
    "images",
    "extra",
    "extra_images",
    "val",
    "val_images",
    "val_boxes",
    "model",
    "weights",
    "detector",
    "out",
    "schema",
    "what",
    "seed",
    "device",
    "workers",
    "deterministic",
    "tensorboard",
)
PHASE = ("validate_every", "precision", "ema", "compile", "channels_last", "flip_test")


def main(arguments: Sequence[str]) -> int:
    """Run with these arguments; PoseError for bad input."""
    options = parser().parse_args(arguments)
    kept = Path(options.out or ".") / CONFIG_FILE
    config = _config(options, kept)
    if options.print_config:
        sys.stdout.write(config_text(config))
        return 0
    if not config.out:
        raise TrainingError("say where the results go with --out DIR")
    if not config.train:
        raise TrainingError("say what to train on with --train COCO.json")
    if options.resume and options.overwrite:
        raise TrainingError("--resume goes on with the run in OUT, --overwrite replaces it; give one of them")
    if options.resume and not kept.is_file():
        raise TrainingError("there is no run to resume", where=config.out)
    if not options.resume:  # what is resumed reads its own files
        _check_out(config, options)
    # Of several processes only the first tells how it goes.
    reporter = Reporter(options.progress if os.environ.get("RANK", "0") == "0" else "none")
    skipped = Skipped("images")
    try:
        prepare_process()
        from engine.train.distributed import ProcessGroup  # torch loads here, after the arguments are known to be good
        from engine.train.run import run_training

        world = ProcessGroup.from_environment()
        run_training(config, reporter, resume=options.resume, overwrite=options.overwrite, world=world, skipped=skipped)
    except PoseError as error:
        if options.progress == "json":
            reporter("error", message=str(error))
        raise
    finally:
        reporter.close()
    if os.environ.get("RANK", "0") == "0":
        skipped.report()
    return skipped.status(options.strict)


def _check_out(config: TrainConfig, options: argparse.Namespace) -> None:
    """No file that training reads may be one that it removes or replaces in its folder."""
    names = ("train", "extra", "val", "val_boxes", "model", "weights", "detector", "schema")
    inputs = [(f"--{name.replace('_', '-')}", getattr(config, name)) for name in names]
    if Path(config.out).exists() and not Path(config.out).is_dir():
        raise TrainingError("is not a folder; give another --out", where=config.out)
    for name in OUT_FILES:
        # Its own config.toml may be read as --config: training writes the same settings into it.
        own = [] if name == CONFIG_FILE else [("--config", options.config)]
        check_outputs({"--out": Path(config.out) / name}, [*inputs, *own])


def _config(options: argparse.Namespace, kept: Path) -> TrainConfig:
    """Defaults, over them the recipe, the file, ``--set``, and the options; the last to speak is right."""
    config = TrainConfig()
    if options.recipe:
        config = with_recipe(config, find_recipe(options.recipe))
    if options.config:
        config = read_config(options.config, config)
    elif options.resume and options.out and kept.is_file():
        config = read_config(kept)
    config = with_settings(config, options.set)
    given = {name: value for name in TOP if (value := getattr(options, name)) is not None}
    config = msgspec.structs.replace(config, **given)
    if options.data:
        config = with_data(config, options.data)
    _apply_schedule(config, options)
    check(config)
    return config


def _apply_schedule(config: TrainConfig, options: argparse.Namespace) -> None:
    """``--epochs`` holds for both networks; batch, rate and so on for the one that is meant: the pose network unless
    only the detector is trained."""
    if options.epochs is not None:
        if options.epochs < 1:
            raise TrainingError("--epochs must be at least 1")
        config.pose.epochs = config.detect.epochs = options.epochs
    phase = config.detect if config.what == "detector" else config.pose
    _apply_sizes(phase, options)
    if options.lr is not None:
        if not options.lr > 0:
            raise TrainingError("--lr must be above 0")
        phase.optimizer.lr = options.lr
    if options.auto_scale_lr:
        if not config.recipe:
            raise TrainingError("--auto-scale-lr goes with --recipe, which says for how many instances its rate is")
        phase.optimizer.scale_base = int(find_recipe(config.recipe).recipe["lr_scale_base"])
    for name in PHASE:
        if getattr(options, name) is not None:
            setattr(phase, name, getattr(options, name))


def _apply_sizes(phase: TaskConfig, options: argparse.Namespace) -> None:
    """A batch that is larger than a step makes the step larger; batches a step are as many as are asked for."""
    if options.batch is not None:
        if not options.resume and options.batch > phase.total_batch:
            phase.total_batch = 0
        phase.batch = options.batch
    if options.accumulate is not None:
        if options.accumulate < 1:
            raise TrainingError("--accumulate must be at least 1")
        phase.accumulate = options.accumulate


def _batch(text: str) -> int:
    if text == "auto":
        return AUTO_BATCH
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1, nor auto")
    return int(text)


def entry() -> int:
    """For ``--engine-train`` of the frozen program and for ``python -m``."""
    return run(main)


if __name__ == "__main__":
    raise SystemExit(entry())
