"""Reading and writing labels of any known format."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.api.poses import Pose, Poses
from engine.check import find_problems
from engine.errors import LabelError
from engine.formats import registry
from engine.labels import IMAGES, VIDEO, VISIBLE, Category, Frame, Instance, LabelReader, Labels, Media
from engine.labels.checks import Finding
from engine.labels.features import Feature, count_features, lost_features
from engine.schema.schema import Schema
from engine.utils.context import Context
from engine.utils.outputs import file_id

log = logging.getLogger(__name__)


def read_labels(
    path: str | os.PathLike[str],
    *,
    format: str = "",
    images: str | os.PathLike[str] | None = None,
    context: Context | None = None,
) -> LabelReader:
    """Open labels of any known format: COCO, SLEAP, DeepLabCut and more (``python -m engine.convert --help``).

    Records are read when they are used, so that a file of any size fits: ``labels.frames()``, ``labels.instances()``,
    ``labels.categories``. Close them, or use them in a ``with`` statement.

    Args:
        format: name of the format; "" = as the content says.
        images: folder of the images; None = they are looked for around the labels.
        context: gets progress and what was odd about records; the default logs the latter.

    Raises:
        LabelError: the file is missing, damaged or of no known format.

    Example:
        >>> import engine
        >>> labels = engine.read_labels("labels.json")
        >>> [category.name for category in labels.categories]
        ['person']
        >>> sum(instance.is_pose for instance in labels.instances())
        2
    """
    folder = None if images is None else Path(images)
    return registry.read_labels(_path(path), format=format, images=folder, context=context)


def write_labels(
    labels: LabelReader | Poses | Iterable[Poses],
    path: str | os.PathLike[str],
    *,
    format: str = "",
    context: Context | None = None,
) -> list[str]:
    """Write labels, or poses that a model found, in any format that can be written.

    Args:
        labels: what :func:`read_labels` gave, or the result of calling a model with one image, several, or a video.
        path: of the file; an existing one is replaced, whole or not at all.
        format: name of the format; "" = as the suffix says.
        context: gets progress; cancelling it leaves no file behind.

    Returns:
        What the format cannot keep, as phrases such as "12 instances with scores of a model"; empty if nothing is lost.

    Raises:
        LabelError: the file cannot be written, is the one the labels are read from, or its suffix names no format.

    Example:
        >>> import engine
        >>> labels = engine.read_labels("labels.json")
        >>> engine.write_labels(labels, "copy.json")
        []
    """
    reader = labels if isinstance(labels, LabelReader) else poses_as_labels(labels)
    target = Path(path)
    if str(reader.path) not in ("", ".") and file_id(target) is not None and file_id(target) == file_id(reader.path):
        raise LabelError("is the file that the labels are read from; write to another one", where=target)
    chosen = registry.format_for_writing(target, format)
    lost = [] if set(chosen.keeps) >= set(Feature) else lost_features(count_features(reader), chosen.keeps)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=target) from None
    chosen.write(reader, target, None, context)
    return lost


def check_labels(
    labels: LabelReader | str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    only: Iterable[str] = (),
    context: Context | None = None,
) -> list[Finding]:
    """Look for mistakes: keypoints outside their image, left and right swapped, duplicates and so on.

    Args:
        labels: what :func:`read_labels` gave, or a path.
        images: folder of the images; None = they are looked for around the labels.
        only: ids of checks (``python -m engine.check --list``); none = all.

    Raises:
        LabelError: the labels cannot be read, or there is no such check.

    Example:
        >>> import engine
        >>> [finding.message for finding in engine.check_labels("labels.json")]
        ['right_ankle lies outside the image (512 x 600 pixels)', 'num_keypoints is 9, and 10 are labelled']
    """
    folder = None if images is None else os.fspath(images)
    ids = [only] if isinstance(only, str) else list(only)
    if isinstance(labels, LabelReader):
        return list(find_problems(labels, folder, ids, context))
    with read_labels(labels, images=images) as reader:
        return list(find_problems(reader, folder, ids, context))


def poses_as_labels(results: Poses | Iterable[Poses]) -> Labels:
    """Poses that a model found as labels in memory: predictions that nobody has accepted yet.

    Raises:
        LabelError: something else than poses.
    """
    listed = [results] if isinstance(results, Poses) else results
    frames: list[Frame] = []
    instances: list[Instance] = []
    categories: dict[tuple[str, tuple[str, ...]], tuple[int, Schema]] = {}
    media: dict[str, int] = {}
    for poses in _checked(listed):
        video = poses.video or ""
        media_position = media.setdefault(video, len(media))
        index = poses.frame_index if video else len(frames)
        frames.append(Frame(poses.file_name, media_position, index, *poses.size))
        for pose in poses:
            category, _ = categories.setdefault((pose.category, poses.names), (len(categories), poses.schema))
            instances.append(_instance(pose, len(frames) - 1, category))
    return Labels(
        frames,
        instances,
        [Category(name, schema) for (name, _), (_, schema) in categories.items()],
        [Media(VIDEO, video) if video else Media(IMAGES) for video in media] or (Media(),),
    )


def _checked(results: Iterable[Any]) -> Iterator[Poses]:
    wrong = "takes labels of engine.read_labels, or the poses that a model returned"
    if not hasattr(results, "__iter__") or isinstance(results, str | bytes | dict):
        raise LabelError(f"{wrong}, not {type(results).__name__}")
    for poses in results:
        if not isinstance(poses, Poses):
            raise LabelError(f"{wrong}, not a list of {type(poses).__name__}")
        yield poses


def _instance(pose: Pose, frame: int, category: int) -> Instance:
    return Instance(
        frame,
        category,
        np.asarray(pose.keypoints, np.float64),
        np.full(len(pose.keypoints), VISIBLE, np.uint8),
        scores=np.asarray(pose.scores, np.float64),
        box=np.asarray(pose.box, np.float64),
        score=pose.score,
        track=pose.track,
        is_prediction=True,
    )


def _path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise LabelError(f"labels are read from a path, not from {type(path).__name__}")
    return Path(path)
