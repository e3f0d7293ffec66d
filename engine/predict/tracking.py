"""Tracks of poses through videos: of a video while it is predicted, and of the videos of a run once all frames are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.media.source import open_media
from engine.media.video.index.index import index_folder
from engine.pose import Prediction
from engine.predict.inputs import Source
from engine.schema.schema import Schema
from engine.tracking.tracker import Tracker, TrackerOptions, track_frames, track_sequence
from engine.utils.context import Context

if TYPE_CHECKING:
    from engine.inference.pose_model import PoseModel


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame of a video with its poses.

    Attributes:
        index: number of the frame, from 0.
        time: seconds from the first frame.
        image: RGB uint8 (H, W, 3).
        predictions: the poses, best first.
        tracks: number of each pose's track, from 1; None for a pose that belongs to no track.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8]
    predictions: Sequence[Prediction]
    tracks: Sequence[int | None]


def track_video(
    model: PoseModel,
    path: Path | str,
    *,
    detect_every: int = 1,
    flip_test: bool = False,
    box_threshold: float | None = None,
    batch: int | None = None,
    options: TrackerOptions | None = None,
    context: Context | None = None,
) -> Generator[TrackedFrame]:
    """Predict and track the frames of a video, or of a folder of images in natural order, one after the other.

    A frame comes once its track numbers are final, by default one frame later. Close the iterator to stop early.

    Args:
        detect_every: the detector looks at every so many frames; boxes between them are interpolated.
        flip_test: average with mirrored crops.
        box_threshold: weaker detections are dropped; None = the detector's threshold.
        batch: crops in one pass of the pose network; None = what suits the device.
        context: gets frames done and frames in all.

    Raises:
        MediaError: the video or a frame cannot be read. ModelError: no detector for the model's category.
        Cancelled: ``context`` was cancelled.
    """
    from engine.inference.pose_model import Item

    with open_media(path, cache=index_folder()) as video:
        items = (
            Item(index, partial(video.read, index), sequence=video.path, frame=index)
            for index in range(video.frame_count)
        )
        stream = model.stream(items, flip_test, batch=batch, box_threshold=box_threshold, detect_every=detect_every)
        with closing(stream):
            frames = (((item.key, image), video.time(item.key), predictions) for item, image, predictions in stream)
            tracker = Tracker(model.schema, options)
            for done, ((index, image), predictions, tracks) in enumerate(track_frames(frames, tracker), 1):
                yield TrackedFrame(index, video.time(index), image, predictions, tracks)
                if context is not None:
                    context.progress(done, video.frame_count)


def find_tracks(
    sources: Sequence[Source], predictions_of: Callable[[int], Sequence[Prediction]], schema: Schema
) -> dict[int, list[int | None]]:
    """Tracks of all videos of a run; no number is used in two videos.

    Args:
        sources: the images of the run; the frames of a video follow each other.
        predictions_of: the poses of an image, by its index.

    Returns:
        For each frame of a video, by its index among ``sources``, the track number of each pose.
    """
    tracks: dict[int, list[int | None]] = {}
    first_number = 1
    for _, group in itertools.groupby(range(len(sources)), lambda index: sources[index].path):
        indices = list(group)
        if not sources[indices[0]].is_frame:
            continue
        frame_tracks = track_sequence(
            (predictions_of(index) for index in indices),
            schema,
            [sources[index].time for index in indices],
            first_number=first_number,
        )
        tracks.update(zip(indices, frame_tracks, strict=True))
        used: Any = (track for frame in frame_tracks for track in frame if track is not None)
        first_number = 1 + max(used, default=first_number - 1)
    return tracks
