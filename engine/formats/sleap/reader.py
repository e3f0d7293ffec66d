"""The labels of a SLEAP file, read instance by instance.

A point that SLEAP calls invisible but that has coordinates is occluded; one without coordinates is absent. A prediction
from which a label was made is left out, as SLEAP itself hides it. Points of a video are in its stored pixels, as SLEAP
shows them. A frame that SLEAP calls negative is negative; one that it suggests for labelling, and that has no label, is
flagged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.formats.hdf5 import try_in_a_process
from engine.formats.sleap.categories import category_of
from engine.formats.sleap.file import PREDICTED, USER, FrameIndex, SleapFile, SleapVideo, finite_or_none, points_of
from engine.labels.model import (
    ABSENT,
    IMAGES,
    OCCLUDED,
    UNKNOWN,
    VIDEO,
    VISIBLE,
    Category,
    Floats,
    Frame,
    Instance,
    Media,
)
from engine.labels.reader import LabelReader
from engine.media.video_finder import find_videos
from engine.utils.context import ERROR, Context

SOURCE = "sleap"
"""``source`` of predictions: the file does not name the model."""

_STEP = 100


class SleapReader(LabelReader):
    """An open SLEAP file as labels.

    A video with embedded images counts as images if its video file is not found: its frames are named
    ``STEM.pictures/videoN/000123.png``, and :meth:`embedded_image` gives their content.

    Args:
        context: gets progress and findings; findings about instances during the first pass over them.
        videos: where videos are now, by their path in the file.

    Raises:
        PoseError: the file cannot be read, or is not a SLEAP file.
    """

    def __init__(self, path: Path, context: Context | None = None, videos: Mapping[str, Path] | None = None) -> None:
        self.path = path
        self._given_videos = videos
        self._context = context or Context()
        try_in_a_process(path, "sleap", lambda _done, _total: self._context.progress(0))
        self._file = SleapFile(path)
        try:
            self._index()
        except BaseException:
            self.close()
            raise
        self._has_reported = False

    def _index(self) -> None:
        file = self._file
        instances = file.instances
        self._replaced = {n for n in instances["from_predicted"].tolist() if n >= 0}
        used = sorted({*range(len(file.skeletons)), *instances["skeleton"].tolist()})
        self._categories: dict[int, int] = {}
        self._order: dict[int, npt.NDArray[np.int64]] = {}
        categories: list[Category] = []
        for skeleton in used:
            name, schema, order = category_of(file.skeletons[skeleton], keeps_name=file.is_of_this_program)
            same = (n for n, c in enumerate(categories) if c.name == name and c.schema == schema)
            position = next(same, len(categories))
            if position == len(categories):
                categories.append(Category(name, schema))
            self._categories[skeleton], self._order[skeleton] = position, order
        self.categories = categories
        self.tracks = {n: file.tracks[n] for n in sorted(set(instances["track"].tolist())) if 0 <= n < len(file.tracks)}
        self._index_media()
        self._index_frames()

    def _index_media(self) -> None:
        videos = self._file.videos
        locations, _ = find_videos([video.name for video in videos if not video.files], self.path, self._given_videos)
        own = self.path.resolve()
        media: list[Media] = []
        self._media: dict[int, int] = {}
        self._videos: list[SleapVideo] = []
        for video in videos:
            location = locations.get(video.name)
            is_found = location is not None and location.resolve() != own
            if video.files or (video.dataset and not is_found):
                media.append(Media(IMAGES, name=f"video {video.number}"))
            else:
                media.append(Media(VIDEO, video.name, stored_pixels=True, name=f"video {video.number}"))
            self._media[video.number] = len(media) - 1
            self._videos.append(video)
        self.media = media

    def _index_frames(self) -> None:
        """Number the frames: all images of the sequences and packages in use, and the frames of videos in use."""
        file = self._file
        rows = zip(file.frames["video"].astype(np.int64).tolist(), file.frames["frame_idx"].astype(np.int64).tolist())
        listed = list(dict.fromkeys((*rows, *file.negative, *file.suggestions)))
        used = {video for video, _ in listed}
        images = [
            (video.number, index)
            for video, media in zip(self._videos, self.media)
            if media.type == IMAGES and video.number in used
            for index in (_named(video.files) if video.files else file.embedded_indices(video))
        ]
        self._frames: dict[FrameIndex, int] = {}
        for video, index in (*images, *listed):
            if video in self._media and index >= 0 and (video, index) not in self._frames:
                self._frames[video, index] = len(self._frames)
        self._frame_indices = list(self._frames)

    def frames(self) -> Iterator[Frame]:
        labelled = self._labelled_frames()
        negative, suggested = set(self._file.negative), set(self._file.suggestions)
        for frame in self._frames:
            video, index = frame
            media = self._media[video]
            yield Frame(
                self._name(self._videos[media], self.media[media], index),
                media,
                index,
                is_negative=frame in negative and frame not in labelled,
                is_flagged=frame in suggested and frame not in labelled,
            )

    def _name(self, video: SleapVideo, media: Media, index: int) -> str:
        if media.type == VIDEO:
            return ""
        if video.files:
            return video.files[index] if index < len(video.files) else ""
        return f"{self.path.stem}.pictures/video{video.number}/{index:06d}{self._file.embedded_suffix(video)}"

    def _labelled_frames(self) -> set[FrameIndex]:
        """Frames with an instance that a person made."""
        frames, instances = self._file.frames, self._file.instances
        by_user = np.concatenate([[0], np.cumsum(instances["instance_type"] == USER)])
        starts, ends = self._ranges()
        rows = np.flatnonzero(by_user[ends] > by_user[starts])
        return {(int(frames["video"][row]), int(frames["frame_idx"][row])) for row in rows}

    def _ranges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First and last + 1 instance of each row of frames, within the table of instances."""
        frames, count = self._file.frames, len(self._file.instances)
        starts = np.clip(frames["instance_id_start"].astype(np.int64), 0, count)
        ends = np.clip(frames["instance_id_end"].astype(np.int64), 0, count)
        return starts, np.maximum(ends, starts)

    def num_instances(self) -> int:
        return len(self._file.instances)

    def instances(self) -> Iterator[Instance]:
        file, frames = self._file, self._file.frames
        seen: Counter[FrameIndex] = Counter()
        context = Context() if self._has_reported else self._context
        starts, ends = self._ranges()
        outside = (starts != frames["instance_id_start"].astype(np.int64)) | (
            ends < frames["instance_id_end"].astype(np.int64)
        )
        for row in np.flatnonzero(outside).tolist():
            where = f"{self.path.name}: frame {int(frames['frame_idx'][row])} of video {int(frames['video'][row])}"
            context.report(where, "Frame with labels that the file does not hold", "they are left out", severity=ERROR)
        for row in np.flatnonzero(ends > starts).tolist():
            if row % _STEP == 0:
                self._context.check_cancelled()
            frame = int(frames["video"][row]), int(frames["frame_idx"][row])
            position = self._frames.get(frame, UNKNOWN)
            if position == UNKNOWN:
                where = f"{self.path.name}: frame {frame[1]} of video {frame[0]}"
                context.report(where, "Frame not found", "its labels are left out")
                continue
            for record in file.instances[int(starts[row]) : int(ends[row])]:
                instance = self._instance(record, position, f"{frame[0]}|{frame[1]}|{seen[frame]}", context)
                if instance is not None:
                    seen[frame] += 1
                    yield instance
        if not self._has_reported:
            self._report()

    def _report(self) -> None:
        self._has_reported = True
        if self._replaced:
            where = f"{len(self._replaced):,} in {self.path.name}"
            self._context.report(where, "Predictions that a label replaced are left out")
        labelled = self._labelled_frames()
        for video, index in dict.fromkeys(self._file.negative):
            if (video, index) in labelled:
                self._context.report(f"frame {index} of video {video}", "Negative frame has labels, it is not marked")
        flagged = len(set(self._file.suggestions) & self._frames.keys() - labelled)
        if flagged:
            self._context.report(f"{flagged:,} in {self.path.name}", "Frames suggested for labelling are flagged")

    def _instance(self, record: np.void, frame: int, key: str, context: Context) -> Instance | None:
        """None for a replaced prediction, and for an instance without a point."""
        by_user = int(record["instance_type"]) == USER
        if int(record["instance_type"]) == PREDICTED and int(record["instance_id"]) in self._replaced:
            return None
        skeleton, track = int(record["skeleton"]), int(record["track"])
        points = self._file.points if by_user else self._file.pred_points
        start, end = int(record["point_id_start"]), int(record["point_id_end"])
        keypoints, visible = points_of(points, start, end)
        order = self._order[skeleton]
        if len(keypoints) != len(order):
            context.report(self.path.name, "Instance with another number of points than its skeleton")
            return None
        keypoints, visible = keypoints[order], visible[order]
        present: npt.NDArray[np.bool_] = np.asarray(np.isfinite(keypoints).all(axis=1))
        if not present.any():
            return None
        scores: Floats | None = None
        if not by_user:
            written = points["score"][start:end].astype(np.float64)[order]
            if not np.isnan(written).all():
                scores = np.nan_to_num(written, posinf=0.0, neginf=0.0)
        return Instance(
            frame,
            self._categories[skeleton],
            keypoints=np.where(present[:, None], keypoints, 0.0),
            visibility=np.where(present, np.where(visible, VISIBLE, OCCLUDED), ABSENT).astype(np.uint8),
            scores=scores,
            score=None
            if by_user
            else instance_score(float(record["score"]), None if scores is None else scores[present]),
            track=track if track in self.tracks else None,
            is_prediction=not by_user,
            source="" if by_user else SOURCE,
            key=key,
        )

    def embedded_image(self, frame: int) -> bytes | None:
        video, index = self._frame_indices[frame]
        media = self._media[video]
        if self.media[media].type == VIDEO:
            return None
        return self._file.embedded_image(self._videos[media], index)

    def close(self) -> None:
        self._file.close()


def instance_score(written: float, scores: Floats | None) -> float | None:
    """The score of a prediction in [0, 1].

    Some of SLEAP's models write the sum over the points; then the mean of the points' scores is taken. A prediction
    without scores of points has none if 0 is written, which is what stands for no number.
    """
    score = finite_or_none(written)
    if scores is None:
        return score if score is not None and 0 < score <= 1 else None
    if score is None or not 0 <= score <= 1:
        return float(np.clip(scores.mean(), 0.0, 1.0))
    return score


def _named(files: Sequence[str]) -> Iterator[int]:
    """Positions of images that have a name."""
    return (index for index, name in enumerate(files) if name)
