"""The prediction step of ``engine.predict``: images are divided among processes, poses go into a journal one by one."""

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
from engine.predict.sharding import Ranges, Shard, divide
from engine.utils.command_line import Progress
from engine.visualization import draw_poses, overlay_name, write_image

if TYPE_CHECKING:
    from engine.inference.pose_model import Item, PoseModel

Image = npt.NDArray[np.uint8]
log = logging.getLogger(__name__)

# A results list is made to be evaluated: average precision counts weak detections too, ranked by their score. (Lower
# than 0.1 gains nothing: AP on 44 COCO images is the same at 0.05, with 2.3 times the boxes.)
EVALUATION_BOX_THRESHOLD = 0.1
# Frames of videos are decoded so many ahead; few are cached, as each is used once.
READ_AHEAD = 8
VIDEO_BYTES = 128 << 20
# Images that share batches of the networks on a GPU. A resumed run begins at the start of such a block, so that the
# batches, and with them the last digits of the results, are those of an uninterrupted run.
BLOCK = 64
IMAGE_READERS = 8


def make_header(options: argparse.Namespace, architecture: str) -> Header:
    """The options that a journal must have been written with so that a run can go on with it.

    The images and the boxes given for them are not among them: what was done counts for every image that is unchanged.
    """
    settings = {
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
    return Header(options_text(settings), digest.hexdigest())


def run_model(
    model: PoseModel,
    sources: Sequence[Source],
    items: RunItems,
    options: argparse.Namespace,
    header: Header,
    shard: Shard,
) -> None:
    """Predict the poses of all images, or of this process' part of them, into the journal.

    An image that cannot be read gets a line with the reason, and the run goes on. An interrupted run leaves its
    journals; one that ends with an error leaves them only with ``--resume``.

    Args:
        items: of the sources, see :func:`engine.predict.items.run_items`.

    Raises:
        PoseError: journals of another run, a full disk, or another process has failed.
    """
    out = Path(options.out)
    block = 1 if model.device.type == "cpu" else BLOCK
    block = -(-block // options.detect_every) * options.detect_every
    resume = options.resume or shard.restarted
    journal: Journal | None = None
    try:
        if shard.is_main:
            journal = _open_journal(out, header, shard, resume)
        plan = shard.from_main(partial(_plan, sources, items, out, header, shard.size, block, resume))
        if plan["inputs"] != items.digest():
            raise MediaError("the processes do not see the same files; give them folders that all of them see")
        if journal is None:
            journal = _open_journal(out, header, shard, resume)
        ranges: Ranges = [(int(start), int(stop)) for start, stop in plan["shares"][shard.rank]]
        _predict(model, sources, items, ranges, options, journal, block, is_main=shard.is_main)
        journal.close()
        shard.finish()
    except PoseError as error:
        shard.fail(error)
        if journal is not None:
            journal.close()
            if not resume:
                journal.path.unlink(missing_ok=True)
        raise
    except KeyboardInterrupt:
        log.warning("the poses predicted so far are kept; --resume goes on from there")
        raise
    finally:
        if journal is not None:
            journal.close()


def _open_journal(out: Path, header: Header, shard: Shard, resume: bool) -> Journal:
    path = journal_path(out, shard.rank)
    if resume:
        return Journal.resume(path, header)
    if shard.is_main and path.exists() and path.stat().st_size:
        log.warning("%s of an interrupted run is discarded; --resume would have gone on with it", path)
    return Journal.start(path, header)


def _plan(
    sources: Sequence[Source], items: RunItems, out: Path, header: Header, size: int, block: int, resume: bool
) -> dict[str, Any]:
    """For each process the indices of its images, without those that an earlier run has done.

    Raises:
        CocoError: the journal is of another run: with other options, or with none of these images.
    """
    done = np.zeros(len(sources), np.bool_)
    if resume:
        with JournalReader(journals(out), header, items) as earlier:
            done = earlier.poses >= 0
            if earlier.lines and not earlier.used:
                raise CocoError(
                    "the run was started with other inputs, or all of them have changed; give the same inputs, or "
                    "leave out --resume to start again",
                    where=journal_path(out),
                )
            if earlier.used < earlier.lines:
                changed = earlier.lines - earlier.used
                log.warning(
                    "%d images of the earlier run are missing or have changed; the run goes on with the others", changed
                )
    else:
        for path in journals(out):
            if path != journal_path(out):
                path.unlink(missing_ok=True)
    starts = np.array([block_start(sources, index, block) for index in range(len(sources))], np.int64)
    unfinished_blocks = np.unique(starts[~done])
    pending = np.flatnonzero(np.isin(starts, unfinished_blocks)).tolist()
    max_shift = len(pending) // (8 * size)
    shares = divide(pending, size, lambda index: _split_point(sources, index, block, max_shift))
    return {"inputs": items.digest(), "shares": shares}


def block_start(sources: Sequence[Source], index: int, block: int) -> int:
    """Index of the first image of the block that shares batches with this one."""
    source = sources[index]
    if source.is_frame:
        return max(0, index - source.frame % block)
    start = index - index % block
    while sources[start].is_frame:
        start += 1
    return start


def _split_point(sources: Sequence[Source], index: int, block: int, max_shift: int) -> int:
    """Split point between two processes: the nearest keyframe rounded up to a block boundary, else the boundary before
    ``index``."""
    source = sources[index]
    start = block_start(sources, index, block)
    if not source.is_frame or not max_shift:
        return start
    try:
        with open_media(source.path, cache=index_folder()) as video:
            keyframes: Any = getattr(video, "key_frames", list)()
            count = video.frame_count
    except MediaError:  # reported when its frames are read
        return start
    near = [-(-int(key) // block) * block for key in keyframes if abs(int(key) - source.frame) <= max_shift]
    boundaries = [frame for frame in near if frame < count]
    if not boundaries:
        return start
    return index - source.frame + min(boundaries, key=lambda frame: abs(frame - source.frame))


def _predict(
    model: PoseModel, sources: Sequence[Source], items: RunItems, ranges: Ranges, options: argparse.Namespace,
    journal: Journal, block: int, *, is_main: bool,
) -> None:  # fmt: skip
    mode = options.progress if is_main else "none"
    from engine.inference.device import describe_device

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
            index = item.key
            if index is None:
                continue
            source = sources[index]
            height, width = image.shape[:2]
            problem = problems.pop(index, None)
            if problem is not None:
                journal.append(*items[index], 0, 0, problem=problem)
            else:
                _warn_of_size(source, width, height)
                journal.append(*items[index], width, height, predictions)
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
        for index in range(start, stop):
            yield _item(sources, index, index, reader, problems, block)
        # The frame after the range is detected too: boxes of the frames before it are interpolated from both sides.
        if detect_every > 1 and stop < len(sources) and sources[stop].is_frame and sources[stop].frame:
            yield _item(sources, stop, None, reader, problems, block)


def _item(
    sources: Sequence[Source],
    index: int,
    key: int | None,
    reader: FrameReader,
    problems: dict[int, str],
    block: int,
) -> Item[int | None]:
    from engine.inference.pose_model import Item

    source = sources[index]
    given = source.boxes
    return Item(
        key,
        partial(_read, source, index, reader, problems),
        None if given is None else given.xyxy,
        None if given is None else given.scores,
        sequence=source.path if source.is_frame else None,
        frame=source.frame,
        group=block_start(sources, index, block) if block > 1 else None,
        anywhere=not source.is_frame,
    )


def _read(source: Source, index: int, reader: FrameReader, problems: dict[int, str]) -> Image:
    """The image. If it cannot be read, ``problems`` gets the reason and a black image takes its place, so that the
    other images are in the same batches as always."""
    try:
        return reader.read(source.path, source.frame)
    except MediaError as error:
        problems[index] = error.message
    except OSError as error:
        problems[index] = f"cannot be read ({error.strerror or error})"
    except MemoryError:
        problems[index] = "is too large for the memory of this computer"
    if source.is_frame:
        return np.zeros((max(1, source.image.height), max(1, source.image.width), 3), np.uint8)
    return np.zeros((1, 1, 3), np.uint8)


def _warn_of_size(source: Source, width: int, height: int) -> None:
    """Warn if the annotations were made in an image of another size."""
    annotated = (source.image.width, source.image.height)
    if all(annotated) and annotated != (width, height):
        log.warning(
            "%s is %d x %d pixels, the annotations say %d x %d; boxes and poses are in the pixels of the file",
            source.path, width, height, *annotated,
        )  # fmt: skip
