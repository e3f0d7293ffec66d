"""The work of ``engine.predict``: which process does which images; poses go into the journal as they are found."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import CocoError, MediaError, PoseError
from engine.media.reader import FrameReader
from engine.media.source import open_media
from engine.media.video.index.index import index_folder
from engine.predict.inputs import Source
from engine.predict.items import RunItems
from engine.predict.journal import Header, Journal, JournalReader, journal_path, journals, options_text
from engine.predict.sharding import Ranges, World, divide
from engine.utils.command_line import Progress
from engine.visualization import draw_poses, overlay_name, write_image

if TYPE_CHECKING:
    from engine.inference.pose_model import Item, PoseModel

Image = npt.NDArray[np.uint8]
log = logging.getLogger(__name__)

# A results list is made to be evaluated: average precision wants weak detections too, ranked by their score. (Below 0.1
# there is nothing to gain: AP on 44 COCO images is the same at 0.05, with 2.3 times the boxes.)
EVALUATION_BOX_THRESHOLD = 0.1
# Frames of videos are decoded so many ahead and, as each is wanted once, few are kept.
READ_AHEAD = 8
VIDEO_BYTES = 128 << 20
# Images that share batches of the networks, on a graphics card. A run that goes on begins with the first of them, so
# that the batches, and with them the last digits of the results, are what they would have been.
BLOCK = 64
IMAGE_READERS = 8


def make_header(options: argparse.Namespace, architecture: str) -> Header:
    """What a journal has to agree with so that a run may go on with it.

    The images and the boxes given for them are not part of it: what was done counts for each that is still the same.
    """
    chosen = {
        "--model": options.model,
        "architecture": architecture,
        "--weights": options.weights,
        "--detector": options.detector,
        "--boxes": options.boxes,
        "--annotations": options.annotations,
        "--flip-test": options.flip_test,
        "--box-threshold": _threshold(options),
        "--detect-every": options.detect_every,
        "--backend": options.backend,
    }
    digest = hashlib.sha256()
    for name in (options.model, options.weights, options.detector):
        if name and Path(name).is_file():
            state = Path(name).stat()
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogatepass"))
    return Header(options_text(chosen), digest.hexdigest())


def run_model(
    model: PoseModel,
    sources: Sequence[Source],
    items: RunItems,
    options: argparse.Namespace,
    header: Header,
    world: World,
) -> None:
    """Estimate the poses of all images, or of this process's part of them, into the journal.

    An image that cannot be read gets a line with the reason, and the work goes on. An interrupted run leaves its
    journals; one that ends with an error only where ``--resume`` was asked for.

    Args:
        items: of the sources, see :func:`engine.predict.items.run_items`.

    Raises:
        PoseError: journals of another run, a full disk, or another process has failed.
    """
    out = Path(options.out)
    block = 1 if model.device.type == "cpu" else BLOCK
    block = -(-block // options.detect_every) * options.detect_every
    goes_on = options.resume or world.restarted
    journal: Journal | None = None
    try:
        if world.is_main:
            journal = _open(out, header, world, goes_on)
        plan = world.share(partial(_plan, sources, items, out, header, world.size, block, goes_on))
        if plan["inputs"] != items.digest():
            raise MediaError("the processes do not see the same files; give them folders that all of them see")
        if journal is None:
            journal = _open(out, header, world, goes_on)
        ranges: Ranges = [(int(start), int(stop)) for start, stop in plan["shares"][world.rank]]
        _estimate(model, sources, items, ranges, options, journal, block, world)
        journal.close()
        world.done()
    except PoseError as error:
        world.fail(error)
        if journal is not None:
            journal.close()
            if not goes_on:
                journal.path.unlink(missing_ok=True)
        raise
    except KeyboardInterrupt:
        log.warning("what was found so far is kept; --resume goes on")
        raise
    finally:
        if journal is not None:
            journal.close()


def _open(out: Path, header: Header, world: World, goes_on: bool) -> Journal:
    path = journal_path(out, world.rank)
    if goes_on:
        return Journal.go_on(path, header)
    if world.is_main and path.exists() and path.stat().st_size:
        log.warning("%s of an interrupted run is given up; --resume would have gone on with it", path)
    return Journal.start(path, header)


def _plan(
    sources: Sequence[Source], items: RunItems, out: Path, header: Header, size: int, block: int, goes_on: bool
) -> dict[str, Any]:
    """For each process the numbers of its images; those of an earlier run that are done are left out.

    Raises:
        CocoError: a journal of another run: other options, or none of its images is among these.
    """
    done = np.zeros(len(sources), np.bool_)
    if goes_on:
        with JournalReader(journals(out), header, items) as earlier:
            done = earlier.poses >= 0
            if earlier.lines and not earlier.used:
                raise CocoError(
                    "the run was begun with other inputs, or all of them have changed; give the same again, or leave "
                    "--resume out to start anew",
                    where=journal_path(out),
                )
            if earlier.used < earlier.lines:
                changed = earlier.lines - earlier.used
                log.warning("%d images of the earlier run are gone or have changed; the others go on", changed)
    else:
        for path in journals(out):
            if path != journal_path(out):
                path.unlink(missing_ok=True)
    starts = np.array([block_start(sources, number, block) for number in range(len(sources))], np.int64)
    begun = np.unique(starts[~done])
    pending = np.flatnonzero(np.isin(starts, begun)).tolist()
    slack = len(pending) // (8 * size)
    shares = divide(pending, size, lambda number: _cut(sources, number, block, slack))
    return {"inputs": items.digest(), "shares": shares}


def block_start(sources: Sequence[Source], number: int, block: int) -> int:
    """The first of the images that share batches with this one."""
    source = sources[number]
    if source.is_frame:
        return max(0, number - source.frame % block)
    start = number - number % block
    while sources[start].is_frame:
        start += 1
    return start


def _cut(sources: Sequence[Source], number: int, block: int, slack: int) -> int:
    """Where two processes part: at a frame near by where decoding can start, if there is one, and between blocks."""
    source = sources[number]
    start = block_start(sources, number, block)
    if not source.is_frame or not slack:
        return start
    try:
        with open_media(source.path, cache=index_folder()) as video:
            keys: Any = getattr(video, "key_frames", list)()
            count = video.frame_count
    except MediaError:  # its frames are listed as they are read
        return start
    near = [-(-int(key) // block) * block for key in keys if abs(int(key) - source.frame) <= slack]
    near = [key for key in near if key < count]
    if not near:
        return start
    return number - source.frame + min(near, key=lambda key: abs(key - source.frame))


def _estimate(
    model: PoseModel, sources: Sequence[Source], items: RunItems, ranges: Ranges, options: argparse.Namespace,
    journal: Journal, block: int, world: World,
) -> None:  # fmt: skip
    mode = options.progress if world.is_main else "none"
    from engine.inference.device import describe_device

    if options.flip_test and model.predictor.flip_test_problem and world.is_main:
        log.warning("--flip-test is left out, it would make the poses worse: %s", model.predictor.flip_test_problem)
    total = sum(stop - start for start, stop in ranges)
    device = describe_device(model.device)
    problems: dict[int, str] = {}
    readers = 1 if model.device.type == "cpu" else max(1, min(IMAGE_READERS, (os.cpu_count() or 2) // 2))
    with (
        Progress(mode, "predict", total) as progress,
        FrameReader(keep=1, cache_bytes=VIDEO_BYTES, ahead=READ_AHEAD) as reader,
        closing(
            model.stream(
                _items(sources, ranges, reader, problems, block, options.detect_every),
                options.flip_test,
                batch=options.batch,
                box_threshold=_threshold(options),
                detect_every=options.detect_every,
                readers=readers,
            )
        ) as stream,
    ):
        for item, image, predictions in stream:
            number = item.key
            if number is None:
                continue
            source = sources[number]
            height, width = image.shape[:2]
            problem = problems.pop(number, None)
            if problem is not None:
                journal.append(*items[number], 0, 0, problem=problem)
            else:
                _check_size(source, width, height)
                journal.append(*items[number], width, height, predictions)
                if options.overlay:
                    drawn = draw_poses(image, predictions, model.schema)
                    write_image(Path(options.overlay, overlay_name(source.image.file_name)), drawn)
            progress.step(device=device)


def _threshold(options: argparse.Namespace) -> float | None:
    given: float | None = options.box_threshold
    return EVALUATION_BOX_THRESHOLD if given is None and options.format == "results" else given


def _items(
    sources: Sequence[Source],
    ranges: Ranges,
    reader: FrameReader,
    problems: dict[int, str],
    block: int,
    detect_every: int,
) -> Iterator[Item[int | None]]:
    for start, stop in ranges:
        for number in range(start, stop):
            yield _item(sources, number, number, reader, problems, block)
        # The frame behind the part is looked at too: boxes of the frames before it come from both sides.
        if detect_every > 1 and stop < len(sources) and sources[stop].is_frame and sources[stop].frame:
            yield _item(sources, stop, None, reader, problems, block)


def _item(
    sources: Sequence[Source],
    number: int,
    key: int | None,
    reader: FrameReader,
    problems: dict[int, str],
    block: int,
) -> Item[int | None]:
    from engine.inference.pose_model import Item

    source = sources[number]
    given = source.boxes
    return Item(
        key,
        partial(_read, source, number, reader, problems),
        None if given is None else given.xyxy,
        None if given is None else given.scores,
        sequence=source.path if source.is_frame else None,
        frame=source.frame,
        group=block_start(sources, number, block) if block > 1 else None,
        anywhere=not source.is_frame,
    )


def _read(source: Source, number: int, reader: FrameReader, problems: dict[int, str]) -> Image:
    """The image. For one that cannot be read the reason is noted in ``problems``, and black goes through the networks
    in its place, so that the images beside it share the same batches as ever."""
    try:
        return reader.read(source.path, source.frame)
    except MediaError as error:
        problems[number] = error.message
    except OSError as error:
        problems[number] = f"cannot be read ({error.strerror or error})"
    except MemoryError:
        problems[number] = "is too large for the memory of this computer"
    if source.is_frame:
        return np.zeros((max(1, source.image.height), max(1, source.image.width), 3), np.uint8)
    return np.zeros((1, 1, 3), np.uint8)


def _check_size(source: Source, width: int, height: int) -> None:
    """Coordinates only mean something in a picture of the size that the annotations were made in."""
    told = (source.image.width, source.image.height)
    if all(told) and told != (width, height):
        log.warning(
            "%s is %d x %d pixels, the annotations say %d x %d; boxes and poses are in the pixels of the file",
            source.path, width, height, *told,
        )  # fmt: skip
