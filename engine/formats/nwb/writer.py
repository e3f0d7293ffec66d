"""Labels as an NWB file with ndx-pose: training frames for labels, a PoseEstimation for predictions of each animal."""

from __future__ import annotations

import math
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import numpy as np

from engine.errors import LabelError, PoseError
from engine.formats.named_poses import named_categories
from engine.formats.registry import WriteOptions
from engine.formats.sleap.pixels import StoredPixels
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, UNKNOWN, Category, Floats, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import kept_mode, replacing

_STEP = 500
_UNKNOWN_RATE = 1.0
"""Frames a second of videos that cannot be opened: times are then numbers of frames."""
_SAME_FRAME = 0.05
"""Frames by which times may be off, as files store them rounded."""

_NOT_IN_NAMES = re.compile(r"[/:]+")


def write_nwb(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a file.

    Raises:
        LabelError: pynwb or ndx-pose is not installed, there are no poses, or the file cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    try:
        import ndx_pose
        import pynwb
    except ImportError:
        raise LabelError(
            "writing NWB needs pynwb and ndx-pose; install them with: pip install 'poseapp[nwb]'"
        ) from None
    writer = _Writer(labels, path, options, context, ndx_pose, pynwb)
    nwb_file = writer.build()
    try:
        with replacing(path, mode=kept_mode(path), suffix=".nwb") as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is customary in NWB, for people who write Python
            with pynwb.NWBHDF5IO(str(temporary), "w") as io:
                io.write(nwb_file)
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


class _Writer:
    def __init__(
        self, labels: LabelReader, path: Path, options: WriteOptions, context: Context, ndx_pose: Any, pynwb: Any
    ) -> None:
        self._labels, self._path, self._options, self._context = labels, path, options, context
        self._ndx_pose, self._pynwb = ndx_pose, pynwb
        self._frames = list(labels.frames())
        self._categories = named_categories(labels, context)
        self._pixels = StoredPixels(labels, context)
        self._times_of: dict[int, Floats | None] = {}
        self._names: set[str] = set()

    def build(self) -> Any:
        """The file as pynwb's objects."""
        of_frame: defaultdict[int, list[Instance]] = defaultdict(list)
        of_animal: defaultdict[tuple[int, int, int], list[Instance]] = defaultdict(list)
        self._sort(of_frame, of_animal)
        if not of_frame and not of_animal:
            raise LabelError("there are no poses to write", where=self._path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = self._pynwb.NWBFile(
                session_description="poses",
                identifier=str(uuid4()),
                session_start_time=datetime.now(UTC),  # of the recording it is not known
            )
            module = file.create_processing_module(name="behavior", description="poses")
            self._skeletons = {
                position: self._skeleton(category)
                for position, category in enumerate(self._categories)
                if category.schema is not None
            }
            module.add(self._ndx_pose.Skeletons(skeletons=list(self._skeletons.values())))
            self._videos = {
                media: self._video(media)
                for media in sorted({self._frames[n].media for n in of_frame} | {media for media, _, _ in of_animal})
            }
            for video in self._videos.values():
                file.add_acquisition(video)
            if of_frame:
                module.add(self._training(of_frame))
            for (media, category, track), instances in of_animal.items():
                module.add(self._estimation(media, category, track, instances))
        return file

    def _sort(
        self,
        of_frame: defaultdict[int, list[Instance]],
        of_animal: defaultdict[tuple[int, int, int], list[Instance]],
    ) -> None:
        """Sort labels by frame, and predictions by video, category and animal."""
        total = self._labels.num_instances()
        untracked: defaultdict[tuple[int, int], int] = defaultdict(int)
        for position, instance in enumerate(self._labels.instances()):
            if position % _STEP == 0:
                self._context.progress(position, total)
            where = instance.key or f"instance {position + 1}"
            if not instance.is_pose or UNKNOWN in (instance.frame, instance.category):
                what = "Crowd, or record without keypoints, which this format does not have"
                self._context.report(where, what, "left out")
                continue
            schema = self._categories[instance.category].schema
            assert instance.visibility is not None
            if schema is None or len(instance.visibility) != schema.num_keypoints:
                what = "Pose whose keypoints are not those of its category"
                self._context.report(where, what, "left out", severity=ERROR)
            elif not instance.is_prediction:
                if instance.score is not None or instance.scores is not None:
                    self._context.report(where, "Score of a label, which this format does not have", "left out")
                of_frame[instance.frame].append(instance)
            elif self._options.include_predictions:
                self._report_prediction(instance, where)
                if not (instance.visibility != ABSENT).any():
                    self._context.report(where, "Prediction without a keypoint, which this format does not have",
                                         "left out")  # fmt: skip
                    continue
                frame = self._frames[instance.frame]
                track = instance.track
                if track is None:  # each prediction of a frame is an animal of its own
                    track = -1 - untracked[instance.frame, instance.category]
                    untracked[instance.frame, instance.category] += 1
                of_animal[frame.media, instance.category, track].append(instance)

    def _report_prediction(self, instance: Instance, where: str) -> None:
        assert instance.visibility is not None
        if OCCLUDED in instance.visibility:
            what = "Prediction with occluded keypoints, which this format has in labels only"
            self._context.report(where, what, "written as visible")
        if instance.score is not None:
            what = "Score of a whole prediction, which this format does not have"
            self._context.report(where, what, "left out", severity=INFO)

    def _skeleton(self, category: Category) -> Any:
        schema = category.schema
        assert schema is not None
        edges = np.asarray(schema.limb_indices, np.uint16).reshape(-1, 2)
        return self._ndx_pose.Skeleton(
            name=self._free_name(category.name or "skeleton"),
            nodes=list(schema.names),
            edges=edges if len(edges) else None,
        )

    def _video(self, media: int) -> Any:
        """The images or the video of a media, by reference."""
        record = self._labels.media[media]
        if record.type == IMAGES:
            frames = [frame for frame in self._frames if frame.media == media]
            files, starts = [frame.name for frame in frames], list(range(len(frames)))
            self._image_index = {frame.index: n for n, frame in enumerate(frames)}
            size = {(frame.width, frame.height) for frame in frames}
        else:
            files, starts = [record.path], [0]
            size = {(frame.width, frame.height) for frame in self._frames if frame.media == media}
        name = PurePosixPath(record.path.replace("\\", "/")).stem or record.type
        (width, height) = size.pop() if len(size) == 1 else (0, 0)
        return self._pynwb.image.ImageSeries(
            name=self._free_name(name),
            external_file=files,
            starting_frame=starts,
            format="external",
            **self._clock(media, 0, self._num_times(media)),
            num_samples=len(files) if record.type == IMAGES else self._num_samples(media),
            dimension=[width, height] if width and height else None,
            unit="n.a.",
        )

    def _times(self, media: int) -> Floats | None:
        """Times of the frames of a video in seconds; None where they are numbers of frames."""
        if self._labels.media[media].type == IMAGES:
            return None
        if media not in self._times_of:
            from engine.media.source import frame_times  # loads the video libraries

            times: Floats | None = None
            path = Path(self._labels.media[media].path)
            try:
                times = frame_times(path if path.is_absolute() else self._labels.path.absolute().parent / path)
            except PoseError as error:
                self._context.report(str(error), "Times are numbers of frames, at one frame a second", severity=INFO)
            self._times_of[media] = times if times is not None and len(times) else None
        return self._times_of[media]

    def _has_constant_rate(self, media: int) -> bool:
        times = self._times(media)
        return times is None or constant_rate(times) is not None

    def _num_samples(self, media: int) -> int:
        last = max((frame.index for frame in self._frames if frame.media == media), default=0)
        return self._num_times(media) or last + 1

    def _num_times(self, media: int) -> int:
        times = self._times(media)
        return 0 if times is None else len(times)

    def _clock(self, media: int, first: int, count: int) -> dict[str, Any]:
        """When frames are, for pynwb: a start and a rate, or times of a video whose rate varies."""
        times = self._times(media)
        if times is None or first + count > len(times):
            return {"starting_time": first / _UNKNOWN_RATE, "rate": _UNKNOWN_RATE}
        rate = constant_rate(times)
        if rate is None:
            return {"timestamps": times[first : first + count]}
        return {"starting_time": float(times[0]) + first / rate, "rate": rate}

    def _training(self, of_frame: dict[int, list[Instance]]) -> Any:
        frames = []
        for count, (position, instances) in enumerate(sorted(of_frame.items())):
            if count % _STEP == 0:
                self._context.progress(count, len(of_frame), "Writing")
            frame = self._frames[position]
            is_image = self._labels.media[frame.media].type == IMAGES
            index = self._image_index[frame.index] if is_image else frame.index
            frames.append(
                self._ndx_pose.TrainingFrame(
                    name=f"frame_{position:06}",
                    skeleton_instances=self._ndx_pose.SkeletonInstances(
                        skeleton_instances=self._instances(instances, frame.media)
                    ),
                    source_video=self._videos[frame.media],
                    source_video_frame_index=np.uint32(index),
                )
            )
        return self._ndx_pose.PoseTraining(training_frames=self._ndx_pose.TrainingFrames(training_frames=frames))

    def _instances(self, instances: Sequence[Instance], media: int) -> list[Any]:
        names: set[str] = set()
        results = []
        for n, instance in enumerate(instances):
            assert instance.keypoints is not None
            assert instance.visibility is not None
            name = "" if instance.track is None else self._track_name(instance.track)
            if not name or name in names:
                name = f"instance_{n}"
            names.add(name)
            points = self._pixels.of(instance.keypoints, media)
            is_present = instance.visibility != ABSENT
            results.append(
                self._ndx_pose.SkeletonInstance(
                    name=name,
                    id=np.uint32(n),
                    node_locations=np.where(is_present[:, None], points, np.nan),
                    node_visibility=is_present & (instance.visibility != OCCLUDED),
                    skeleton=self._skeletons[instance.category],
                )
            )
        return results

    def _estimation(self, media: int, category: int, track: int, instances: Sequence[Instance]) -> Any:
        """The predictions of one animal, from its first frame to its last; NaN where there is none."""
        from hdmf.backends.hdf5.h5_utils import H5DataIO

        schema = self._categories[category].schema
        assert schema is not None
        indices = [self._sample(instance) for instance in instances]
        first = min(indices) if self._has_constant_rate(media) else 0  # samples without a rate are frames from 0 on
        count = max(indices) - first + 1
        points: Floats = np.full((count, schema.num_keypoints, 2), np.nan)
        scores: Floats = np.full((count, schema.num_keypoints), np.nan)
        for index, instance in zip(indices, instances, strict=True):
            assert instance.keypoints is not None
            assert instance.visibility is not None
            is_present = instance.visibility != ABSENT
            points[index - first] = np.where(is_present[:, None], self._pixels.of(instance.keypoints, media), np.nan)
            scores[index - first] = math.nan if instance.scores is None else instance.scores
        clock = self._clock(media, first, count)
        series = [
            self._ndx_pose.PoseEstimationSeries(
                name=_NOT_IN_NAMES.sub("_", name) or f"point_{n}",
                data=H5DataIO(points[:, n], compression="gzip"),
                confidence=H5DataIO(scores[:, n], compression="gzip"),
                unit="pixels",
                reference_frame="(0, 0) is the center of the top left pixel",
                **clock,
            )
            for n, name in enumerate(schema.names)
        ]
        return self._ndx_pose.PoseEstimation(
            name=self._free_name(self._track_name(track) if track >= 0 else f"PoseEstimation{-track}"),
            pose_estimation_series=series,
            source_software=next((instance.source for instance in instances if instance.source), "poseapp"),
            skeleton=self._skeletons[category],
            source_video=self._videos[media],
        )

    def _sample(self, instance: Instance) -> int:
        frame = self._frames[instance.frame]
        return self._image_index[frame.index] if self._labels.media[frame.media].type == IMAGES else frame.index

    def _track_name(self, track: int) -> str:
        return _NOT_IN_NAMES.sub("_", self._labels.tracks.get(track) or f"track_{track}").strip()

    def _free_name(self, name: str) -> str:
        """A name that no other object has."""
        name = _NOT_IN_NAMES.sub("_", name).strip() or "object"
        free, count = name, 1
        while free in self._names:
            count += 1
            free = f"{name}_{count}"
        self._names.add(free)
        return free


def constant_rate(times: Floats) -> float | None:
    """Frames a second, if all frames are where that rate puts them; None if the rate varies.

    Args:
        times: (n,) seconds, rising.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return None
    rate = float((len(times) - 1) / (times[-1] - times[0]))
    deviation = np.abs((times - times[0]) * rate - np.arange(len(times)))
    return rate if deviation.max() < _SAME_FRAME else None
