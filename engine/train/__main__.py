"""``python -m engine.train``: fine-tune a pose network, and a detector for new objects, or train a published recipe.

On several GPUs or computers: ``torchrun --nproc-per-node N -m engine.train ...`` with the same options. Exit status: 0,
also if the run was asked to stop (it has saved); 2 for bad input, or if another process is gone.
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
    check_out,
    config_text,
    read_config,
    with_settings,
)
from engine.train.recipes import find_recipe, with_data, with_recipe
from engine.train.reporting import Reporter
from engine.utils.command_line import Parser, add_progress_option, run
from engine.utils.process import prepare_process
from engine.utils.skipped import Skipped, add_strict_option


def parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m engine.train",
        description="Fine-tune on labelled images, or train a published recipe. OUT gets best.safetensors, "
        "last.safetensors, log.jsonl, config.toml, and detector.safetensors for objects that the initial detector does "
        "not find.",
        epilog="Ctrl+C, or a file OUT/stop, saves and stops; --resume goes on. On several GPUs or computers: torchrun "
        "--nproc-per-node N -m engine.train with the same options.",
    )
    add = parser.add_argument
    add("--recipe", metavar="ID", help="train like this published model; all other options change the recipe")
    add("--data", metavar="DIR", help="with --recipe: folder of the data set in its original layout")
    add("--train", metavar="LABELS", help="labels to train on, a COCO file or any other format that is read")
    add("--images", metavar="DIR", help="their images (default: the folder of the labels)")
    add("--extra", metavar="LABELS", help="a second data set of the same keypoints, or AI Challenger beside COCO")
    add("--extra-images", metavar="DIR", help="its images (default: the folder of the labels)")
    add("--val", metavar="LABELS", help="labels to validate on (default: a tenth of the images)")
    add("--val-images", metavar="DIR", help="their images (default: as --images)")
    add("--val-boxes", metavar="FILE", help="with --recipe: detected boxes to validate in (default: the labelled ones)")
    add("--model", metavar="ID|FILE", help="model to start from: an id, a checkpoint, or resnet50|101|152")
    add(
        "--weights",
        metavar="FILE|random|published",
        help="other initial weights for that architecture (recipes start from the classifier that the publication "
        "started from; published = the weights of the published model)",
    )
    add("--detector", metavar="ID|FILE", help="detector to start from")
    add("--out", metavar="DIR", help="folder for the results")
    add("--schema", metavar="NAME|FILE", help="the keypoints (default: those of the labels' category)")
    add(
        "--what",
        choices=("pose", "detector", "both"),
        help="networks to train (default: pose, and detector if the initial one does not find the objects)",
    )
    add("--config", metavar="FILE.toml", help="a file with settings; options on the command line take precedence")
    add("--set", metavar="NAME=VALUE", action="append", default=[], help="one setting: pose.optimizer.gamma=0.2")
    add("--print-config", action="store_true", help="only print all settings as TOML")
    add("--seed", type=int)
    add("--device", help="auto, cpu, cuda or mps")
    add("--workers", type=int, metavar="N", help="threads that prepare batches (default: up to 8 with a GPU)")
    add("--deterministic", action="store_true", default=None, help="the same digits each time, also on GPUs")
    add("--tensorboard", action="store_true", default=None, help="also write OUT/tensorboard")
    add("--resume", action="store_true", help="go on with the run in OUT")
    add(
        "--overwrite",
        action="store_true",
        help="replace the run in OUT; its best model stays until the new run has one (default: refuse)",
    )
    add_strict_option(parser)
    add_progress_option(parser)
    _add_schedule(parser.add_argument_group("for the pose network, or for the detector with --what detector"))
    return parser


def _add_schedule(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=int, help="of both networks (default: from the number of labels, or the recipe's)")
    add("--batch", type=_batch, metavar="N|auto", help="instances at once in each process; auto = as many as fit")
    add("--accumulate", type=int, metavar="N", help="batches per step (recipes: as many as the publication's step has)")
    add("--lr", type=float, help="peak learning rate")
    add("--auto-scale-lr", action="store_true", help="recipes: scale the rate with the instances per step")
    add("--validate-every", type=int, metavar="N", help="epochs")
    add("--precision", choices=("auto", "float32", "bf16", "fp16"), help="auto = fp16 on CUDA (recipes: float32)")
    add(
        "--ema", type=float, metavar="X", help="validate and keep a moving average of the weights; decay such as 0.9998"
    )
    add("--compile", action=argparse.BooleanOptionalAction, help="torch.compile the network")
    add("--channels-last", action=argparse.BooleanOptionalAction, help="memory layout (default: yes)")
    add(
        "--flip-test",
        action=argparse.BooleanOptionalAction,
        help="recipes: validate with mirrored crops too",
    )


RUN_OPTIONS = (
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
TASK_OPTIONS = ("validate_every", "precision", "ema", "compile", "channels_last", "flip_test")


def main(arguments: Sequence[str]) -> int:
    """Run with these arguments; PoseError for bad input."""
    options = parser().parse_args(arguments)
    config_file = Path(options.out or ".") / CONFIG_FILE
    config = _config(options, config_file)
    if options.print_config:
        sys.stdout.write(config_text(config))
        return 0
    if not config.out:
        raise TrainingError("say where the results go with --out DIR")
    if not config.train:
        raise TrainingError("say what to train on with --train COCO.json")
    if options.resume and options.overwrite:
        raise TrainingError("--resume goes on with the run in OUT, --overwrite replaces it; give one of them")
    if options.resume and not config_file.is_file():
        raise TrainingError("there is no run to resume", where=config.out)
    if not options.resume:  # a resumed run reads its own files
        check_out(config, options.config)
    # Only the first of several processes reports.
    is_main = os.environ.get("RANK", "0") == "0"
    reporter = Reporter(options.progress if is_main else "none")
    skipped = Skipped("images")
    try:
        prepare_process()
        from engine.train.distributed import ProcessGroup  # these load torch; bad arguments are refused sooner
        from engine.train.run import train

        group = ProcessGroup.from_environment()
        train(config, resume=options.resume, overwrite=options.overwrite, report=reporter, group=group, skipped=skipped)
    except PoseError as error:
        if options.progress == "json":
            reporter("error", message=str(error))
        raise
    finally:
        reporter.close()
    if is_main:
        skipped.report()
    return skipped.status(options.strict)


def _config(options: argparse.Namespace, config_file: Path) -> TrainConfig:
    """Precedence, lowest to highest: defaults, recipe, config file, --set, command-line options."""
    config = TrainConfig()
    if options.recipe:
        config = with_recipe(config, find_recipe(options.recipe))
    if options.config:
        config = read_config(options.config, config)
    elif options.resume and options.out and config_file.is_file():
        config = read_config(config_file)
    config = with_settings(config, options.set)
    given = {name: value for name in RUN_OPTIONS if (value := getattr(options, name)) is not None}
    config = msgspec.structs.replace(config, **given)
    if options.data:
        config = with_data(config, options.data)
    config = _with_schedule(config, options)
    check(config)
    return config


def _with_schedule(config: TrainConfig, options: argparse.Namespace) -> TrainConfig:
    """With ``--epochs`` for both networks, and batch, rate and so on for the pose network, or for the detector if only
    that is trained."""
    replace = msgspec.structs.replace
    if options.epochs is not None:
        if options.epochs < 1:
            raise TrainingError("--epochs must be at least 1")
        config = replace(
            config,
            pose=replace(config.pose, epochs=options.epochs),
            detect=replace(config.detect, epochs=options.epochs),
        )
    network = "detect" if config.what == "detector" else "pose"
    task = _with_sizes(getattr(config, network), options)
    optimizer = task.optimizer
    if options.lr is not None:
        if not options.lr > 0:
            raise TrainingError("--lr must be above 0")
        optimizer = replace(optimizer, lr=options.lr)
    if options.auto_scale_lr:
        if not config.recipe:
            raise TrainingError("--auto-scale-lr goes with --recipe, which says for how many instances its rate is")
        optimizer = replace(optimizer, scale_base=int(find_recipe(config.recipe).recipe["lr_scale_base"]))
    given = {name: value for name in TASK_OPTIONS if (value := getattr(options, name)) is not None}
    return replace(config, **{network: replace(task, optimizer=optimizer, **given)})


def _with_sizes(task: TaskConfig, options: argparse.Namespace) -> TaskConfig:
    """With ``--batch`` and ``--accumulate``. A batch larger than a step makes the step larger."""
    if options.batch is not None:
        if not options.resume and options.batch > task.total_batch:
            task = msgspec.structs.replace(task, total_batch=0)
        task = msgspec.structs.replace(task, batch=options.batch)
    if options.accumulate is not None:
        if options.accumulate < 1:
            raise TrainingError("--accumulate must be at least 1")
        task = msgspec.structs.replace(task, accumulate=options.accumulate)
    return task


def _batch(text: str) -> int:
    if text == "auto":
        return AUTO_BATCH
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number from 1 nor auto")
    return int(text)


def entry() -> int:
    """For ``--engine-train`` of the frozen program and for ``python -m``."""
    return run(main)


if __name__ == "__main__":
    raise SystemExit(entry())
